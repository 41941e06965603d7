/* tracking.c - see tracking.h. */
#include "codec/tracking.h"

#include "codec/msgpack.h"
#include "codec/publication.h"

#include <string.h>

enum kj_status kj__tracking_check(const json_t *tracking)
{
    if (!json_is_object(tracking)) {
        return KJ_EINVAL;
    }
    json_t *members = (json_t *)(uintptr_t)tracking; /* iterators only read */
    size_t bytes = 0;
    for (void *at = json_object_iter(members); at; at = json_object_iter_next(members, at)) {
        const json_t *value = json_object_iter_value(at);
        if (!json_is_string(value)) {
            return KJ_EINVAL;
        }
        bytes += strlen(json_object_iter_key(at)) + json_string_length(value);
    }
    bool fits = json_object_size(tracking) <= KJ_TRACKING_MEMBERS_MAX &&
                bytes <= KJ_TRACKING_BYTES_MAX;
    return fits ? KJ_OK : KJ_ELIMIT;
}

enum kj_status kj_publication_tracking_data(const struct kj_publication *publication, json_t **data)
{
    size_t len;
    const uint8_t *bytes = kj__publication_tracking_bytes(publication, &len);
    *data = NULL;
    return len ? kj__msgpack_decode(bytes, len, data, NULL) : KJ_OK;
}
