/* msgpack_decode.c - msgpack bytes to JSON values; see msgpack.h.
 *
 * Everything here runs on bytes already checked, so the recursion is bounded by
 * KJ__NESTING_MAX and the reader fails only for want of memory further down.
 */
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/msgpack.h"
#include "codec/msgpack_reader.h"

#include <string.h>

static json_t *decode_value(struct kj__msgpack_reader *reader, enum kj__member_kind kind);

static enum kj__member_kind item_kind(enum kj__member_kind kind)
{
    switch (kind) {
    case KJ__MEMBER_LIST_OF_TEXTS:
        return KJ__MEMBER_TEXT;
    case KJ__MEMBER_LIST_OF_BYTES:
        return KJ__MEMBER_BYTES;
    default:
        return KJ__MEMBER_PLAIN;
    }
}

static json_t *decode_array(struct kj__msgpack_reader *reader, size_t count,
                            enum kj__member_kind kind)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < count; i++) {
        if (json_array_append_new(array, decode_value(reader, kind))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

enum { MEMBER_NAME_MAX = 128 /* as the model has it */ };

static enum kj__member_kind kind_of(const struct kj__member_kinds *kinds,
                                    const struct kj__msgpack_item *key)
{
    char name[MEMBER_NAME_MAX + 1];
    if (!kinds || key->len > MEMBER_NAME_MAX) {
        return KJ__MEMBER_PLAIN;
    }
    memcpy(name, key->bytes, key->len);
    name[key->len] = '\0';
    return kinds->kind_of(kinds->ctx, name);
}

static json_t *decode_map(struct kj__msgpack_reader *reader, size_t count,
                          const struct kj__member_kinds *kinds)
{
    json_t *object = json_object();
    for (size_t i = 0; object && i < count; i++) {
        struct kj__msgpack_item key;
        if (kj__msgpack_next(reader, &key, NULL) ||
            json_object_setn_new_nocheck(object, (const char *)key.bytes, key.len,
                                         decode_value(reader, kind_of(kinds, &key)))) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* NULL for a time that RFC 3339 has no text for. */
static json_t *decode_time(struct kj__timestamp time)
{
    char text[KJ__TIMESTAMP_TEXT_SIZE];
    size_t len = kj__timestamp_format(time, text);
    return len ? json_stringn_nocheck(text, len) : NULL;
}

static json_t *decode_bin(const uint8_t *bytes, size_t len)
{
    struct kj__buffer text;
    kj__buffer_init(&text);
    kj__base64_encode(bytes, len, &text);
    json_t *value = text.failed
                        ? NULL
                        : json_stringn_nocheck(text.len ? (const char *)text.data : "", text.len);
    kj__buffer_fini(&text);
    return value;
}

static json_t *decode_float(double value)
{
    json_t *real = json_real(value);
    return real ? real : json_null(); /* NaN and the infinities */
}

static json_t *decode_text(const struct kj__msgpack_item *item, bool is_bytes)
{
    return is_bytes ? decode_bin(item->bytes, item->len)
                    : kj__json_text((const char *)item->bytes, item->len);
}

static json_t *decode_value(struct kj__msgpack_reader *reader, enum kj__member_kind kind)
{
    struct kj__msgpack_item item;
    if (kj__msgpack_next(reader, &item, NULL)) {
        return NULL;
    }
    switch (item.type) {
    case KJ__MSGPACK_BOOL:
        return json_boolean(item.boolean);
    case KJ__MSGPACK_INT:
        return json_integer(item.integer);
    case KJ__MSGPACK_UINT:
        return json_real((double)item.natural);
    case KJ__MSGPACK_FLOAT:
        return decode_float(item.real);
    case KJ__MSGPACK_STR:
        return decode_text(&item, kind == KJ__MEMBER_BYTES);
    case KJ__MSGPACK_BIN:
        return decode_text(&item, kind != KJ__MEMBER_TEXT);
    case KJ__MSGPACK_ARRAY:
        return decode_array(reader, item.count, item_kind(kind));
    case KJ__MSGPACK_MAP:
        return decode_map(reader, item.count, NULL);
    case KJ__MSGPACK_TIME:
        return decode_time(item.time);
    case KJ__MSGPACK_EXT: /* a malformed time, too: a value must not become null unasked */
        return NULL;
    case KJ__MSGPACK_NIL:
        break;
    }
    return json_null();
}

/* The outermost value, whose members have kinds. */
static json_t *decode_root(struct kj__msgpack_reader *reader, const struct kj__member_kinds *kinds)
{
    struct kj__msgpack_reader ahead = *reader;
    struct kj__msgpack_item item;
    if (kj__msgpack_next(&ahead, &item, NULL) || item.type != KJ__MSGPACK_MAP) {
        return decode_value(reader, KJ__MEMBER_PLAIN);
    }
    *reader = ahead;
    return decode_map(reader, item.count, kinds);
}

enum kj_status kj__msgpack_decode(const uint8_t *bytes, size_t len, json_t **value,
                                  struct kj_error *error)
{
    return kj__msgpack_decode_as(bytes, len, NULL, value, error);
}

enum kj_status kj__msgpack_decode_as(const uint8_t *bytes, size_t len,
                                     const struct kj__member_kinds *kinds, json_t **value,
                                     struct kj_error *error)
{
    *value = NULL;
    enum kj_status status = kj__msgpack_check(bytes, len, NULL, error);
    if (status) {
        return status;
    }
    struct kj__msgpack_reader reader = kj__msgpack_reader_make(bytes, len);
    *value = decode_root(&reader, kinds);
    if (!*value) {
        kj_error_set(error, 0, "an extension that is not a time, or no memory");
        return KJ_EPARSE;
    }
    return KJ_OK;
}
