/* event_tracking.c - what an event's publication carries beside it. */
#include "codec/event.h"
#include "codec/event_parts.h"
#include "codec/tracking.h"

#include <stdlib.h>
#include <string.h>

const json_t *kj__event_tracking(const struct kj_event *event)
{
    return event->tracking;
}

void kj__event_set_tracking_take(struct kj_event *event, json_t *tracking)
{
    json_decref(event->tracking);
    event->tracking = tracking;
}

const char *kj_event_tracking(const struct kj_event *event, const char *key)
{
    return json_string_value(json_object_get(event->tracking, key));
}

static enum kj_status copy_event(const struct kj_event *event, struct kj_event **copy)
{
    struct kj__event_parts parts = {.type = event->type,
                                    .type_len = event->type_len,
                                    .identity = event->identity,
                                    .identity_len = event->identity_len,
                                    .timestamp_ns = event->timestamp_ns,
                                    .encoding = event->encoding,
                                    .entity = malloc(event->entity_len + 1),
                                    .entity_len = event->entity_len};
    if (!parts.entity) {
        return KJ_ENOMEM;
    }
    if (event->entity_len) {
        memcpy(parts.entity, event->entity, event->entity_len);
    }
    return kj__event_assemble_take(&parts, copy);
}

/* A new object: `tracking`, and over it what the event has. */
static enum kj_status merge(const struct kj_event *event, const json_t *tracking, json_t **merged)
{
    *merged = json_deep_copy(tracking);
    if (!*merged || (event->tracking && json_object_update(*merged, event->tracking))) {
        json_decref(*merged);
        return KJ_ENOMEM;
    }
    enum kj_status status = kj__tracking_check(*merged);
    if (status) {
        json_decref(*merged);
    }
    return status;
}

enum kj_status kj_event_with_tracking(const struct kj_event *event, const json_t *tracking,
                                      struct kj_event **copy)
{
    json_t *merged;
    *copy = NULL;
    enum kj_status status = kj__tracking_check(tracking);
    if (!status) {
        status = merge(event, tracking, &merged);
    }
    if (status) {
        return status;
    }
    status = copy_event(event, copy);
    if (status) {
        json_decref(merged);
    } else {
        (*copy)->tracking = merged;
        (*copy)->is_blanked = event->is_blanked;
    }
    return status;
}
