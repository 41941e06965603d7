/* event.c - the event of a change: the entity without its secrets, encoded as its identity
 * says. */
#include "codec/event.h"
#include "base/clock.h"
#include "codec/msgpack.h"
#include "model/identity.h"
#include "model/types.h"

/* A new reference: the entity itself, or a copy where something is to be blanked. */
static json_t *without_secrets(const struct kj_identity *identity, const json_t *entity)
{
    if (!identity->has_secrets) {
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
    return kj__event_new_take(type, identity->name, kj__clock_wall_ns(), KJ_ENCODING_MSGPACK,
                              &bytes, event);
}
