/* event.c - the event of a change: the entity without its secrets, encoded as its identity
 * says. */
#include "model/event.h"

#include "base/clock.h"
#include "codec/event.h"
#include "codec/event_parts.h"
#include "codec/msgpack.h"
#include "model/identity.h"
#include "model/types.h"

/* A new reference: the entity itself, or a copy where something is to be blanked. */
static json_t *without_secrets(const struct kj_identity *identity, const json_t *entity)
{
    if (!kj__identity_shows_secrets(identity, entity)) {
        return json_incref((json_t *)entity);
    }
    json_t *copy = json_copy((json_t *)entity);
    if (copy && kj__identity_blank_secrets(identity, copy)) {
        json_decref(copy);
        copy = NULL;
    }
    return copy;
}

enum kj_status kj_event_new(const struct kj_identity *identity, const char *type,
                            const json_t *entity, struct kj_event **event)
{
    *event = NULL;
    if (!json_is_object(entity)) {
        return KJ_EINVAL;
    }
    json_t *shown = without_secrets(identity, entity);
    if (!shown) {
        return KJ_ENOMEM;
    }
    struct kj__buffer bytes;
    struct kj__member_kinds kinds = kj__identity_kinds(identity);
    kj__buffer_init(&bytes);
    enum kj_status status = kj__msgpack_encode(shown, &kinds, &bytes);
    json_decref(shown);
    if (!status && bytes.failed) {
        status = KJ_ENOMEM;
    }
    if (status) {
        kj__buffer_fini(&bytes);
        return status;
    }
    status = kj__event_new_take(type, identity->name, kj__clock_wall_ns(), KJ_ENCODING_MSGPACK,
                                &bytes, event);
    if (!status) {
        (*event)->is_blanked = true;
    }
    return status;
}

static const struct kj_identity *identity_of(const struct kj_model *model,
                                             const struct kj_event *event)
{
    return model ? kj_model_identity(model, event->identity) : NULL;
}

enum kj_status kj__model_encode_event(const struct kj_model *model, const struct kj_event *event,
                                      enum kj_encoding encoding, struct kj__buffer *out)
{
    /* The other way round msgpack says itself what it holds. */
    bool is_born_without = event->encoding == KJ_ENCODING_JSON && encoding == KJ_ENCODING_MSGPACK;
    const struct kj_identity *identity = is_born_without ? identity_of(model, event) : NULL;
    if (!identity) {
        return kj__event_encode_into(event, encoding, out);
    }
    struct kj__member_kinds kinds = kj__identity_kinds(identity);
    return kj__event_encode_as(event, encoding, &kinds, out);
}

/* An event around what is left of the entity. */
static enum kj_status remake(const struct kj_identity *identity, const struct kj_event *event,
                             const json_t *entity, struct kj_event **shown)
{
    struct kj__buffer bytes;
    struct kj__member_kinds kinds = kj__identity_kinds(identity);
    kj__buffer_init(&bytes);
    enum kj_status status = kj__msgpack_convert(entity, &kinds, &bytes);
    if (status) {
        kj__buffer_fini(&bytes);
        return status;
    }
    return kj__event_new_take(event->type, event->identity, event->timestamp_ns,
                              KJ_ENCODING_MSGPACK, &bytes, shown);
}

enum kj_status kj__model_hide_secrets(const struct kj_model *model, const struct kj_event *event,
                                      struct kj_event **shown)
{
    const struct kj_identity *identity = event->is_blanked ? NULL : identity_of(model, event);
    *shown = NULL;
    if (!identity || !kj__identity_has_secrets(identity)) {
        /* A reference more does not change what the event says. */
        *shown = kj_event_ref((struct kj_event *)(uintptr_t)event);
        return KJ_OK;
    }
    const json_t *entity = kj_event_entity(event);
    if (!json_is_object(entity)) {
        return KJ_EPARSE;
    }
    json_t *visible = without_secrets(identity, entity);
    if (!visible) {
        return KJ_ENOMEM;
    }
    enum kj_status status = remake(identity, event, visible, shown);
    json_decref(visible);
    return status;
}
