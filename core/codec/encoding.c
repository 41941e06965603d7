/* encoding.c - values in either encoding; see encoding.h. */
#include "codec/encoding.h"

#include "codec/json.h"

#include <string.h>
#include <strings.h>

static const char *const names[KJ_ENCODING_COUNT] = {
    [KJ_ENCODING_JSON] = "application/json",
    [KJ_ENCODING_MSGPACK] = "application/msgpack",
};

const char *kj_encoding_name(enum kj_encoding encoding)
{
    return names[encoding];
}

bool kj__encoding_from_name(const char *name, size_t len, enum kj_encoding *encoding)
{
    for (int i = 0; i < KJ_ENCODING_COUNT; i++) {
        if (strlen(names[i]) == len && strncasecmp(names[i], name, len) == 0) {
            *encoding = (enum kj_encoding)i;
            return true;
        }
    }
    return false;
}

static enum kj_status explain(enum kj_encoding encoding, enum kj_status status,
                              const struct kj_error *reason, struct kj_error *error)
{
    if (status) {
        kj_error_set(error, reason->position, "unable to decode %s: %s", kj_encoding_name(encoding),
                     reason->text);
    }
    return status;
}

enum kj_status kj__value_decode(enum kj_encoding encoding, const uint8_t *bytes, size_t len,
                                json_t **value, struct kj_error *error)
{
    struct kj_error reason = {.text = "out of memory"};
    enum kj_status status = encoding == KJ_ENCODING_JSON
                                ? kj__json_decode(bytes, len, value, &reason)
                                : kj__msgpack_decode(bytes, len, value, &reason);
    return explain(encoding, status, &reason, error);
}

static enum kj_status decode_msgpack_exactly(const uint8_t *bytes, size_t len,
                                             const struct kj__member_kinds *kinds, json_t **value,
                                             struct kj_error *error)
{
    size_t position;
    enum kj_status status = kj__msgpack_decode_as(bytes, len, kinds, value, error);
    if (status || kj__msgpack_is_exact(bytes, len, &position)) {
        return status;
    }
    json_decref(*value);
    *value = NULL;
    kj_error_set(
        error, position,
        "msgpack decode error [pos %zu]: the number does not fit 64 bits with a sign, or is"
        " none",
        position);
    return KJ_EPARSE;
}

enum kj_status kj__value_decode_as(enum kj_encoding encoding, const uint8_t *bytes, size_t len,
                                   const struct kj__member_kinds *kinds, json_t **value,
                                   struct kj_error *error)
{
    struct kj_error reason = {.text = "out of memory"};
    enum kj_status status = encoding == KJ_ENCODING_JSON
                                ? kj__json_decode_exactly(bytes, len, value, &reason)
                                : decode_msgpack_exactly(bytes, len, kinds, value, &reason);
    return explain(encoding, status, &reason, error);
}

enum kj_status kj__value_encode(enum kj_encoding encoding, const json_t *value,
                                const struct kj__member_kinds *kinds, struct kj__buffer *out)
{
    if (encoding == KJ_ENCODING_MSGPACK) {
        return kj__msgpack_encode(value, kinds, out);
    }
    enum kj_status status = kj__json_encode(value, out);
    return status == KJ_OK && out->failed ? KJ_ENOMEM : status;
}

/* ---- what users ask ---- */

enum kj_status kj_value_decode(enum kj_encoding encoding, const uint8_t *bytes, size_t len,
                               json_t **value, struct kj_error *error)
{
    return kj__value_decode(encoding, bytes, len, value, error);
}

enum kj_status kj_value_encode(enum kj_encoding encoding, const json_t *value, uint8_t **bytes,
                               size_t *len)
{
    struct kj__buffer out;
    *bytes = NULL;
    *len = 0;
    kj__buffer_init(&out);
    enum kj_status status = kj__value_encode(encoding, value, NULL, &out);
    if (!status) {
        *bytes = kj__buffer_take(&out, len);
        status = *bytes ? KJ_OK : KJ_ENOMEM;
    }
    kj__buffer_fini(&out);
    return status;
}
