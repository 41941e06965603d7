/* msgpack_encode.c - JSON values to msgpack bytes, as Go's codec writes them, by msgpack-c. */
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/keys.h"
#include "codec/msgpack.h"

#include <msgpack.h>
#include <stdbool.h>

/* The first instant of year 1, which is Go's zero time. */
#define ZERO_TIME_SECONDS INT64_C(-62135596800)

static int append(void *out, const char *bytes, size_t len)
{
    kj__buffer_append(out, bytes, len);
    return 0; /* the buffer remembers a failure */
}

/* A packer that appends to `out`; it holds nothing to release. */
static msgpack_packer packer_to(struct kj__buffer *out)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, out, append);
    return packer;
}

void kj__msgpack_put_map(struct kj__buffer *out, size_t count)
{
    msgpack_packer packer = packer_to(out);
    msgpack_pack_map(&packer, count);
}

void kj__msgpack_put_array(struct kj__buffer *out, size_t count)
{
    msgpack_packer packer = packer_to(out);
    msgpack_pack_array(&packer, count);
}

void kj__msgpack_put_text(struct kj__buffer *out, const char *text, size_t len)
{
    msgpack_packer packer = packer_to(out);
    msgpack_pack_str_with_body(&packer, text, len);
}

void kj__msgpack_put_bin_head(struct kj__buffer *out, size_t len)
{
    msgpack_packer packer = packer_to(out);
    msgpack_pack_bin(&packer, len);
}

void kj__msgpack_put_bin(struct kj__buffer *out, const uint8_t *bytes, size_t len)
{
    kj__msgpack_put_bin_head(out, len);
    kj__buffer_append(out, bytes, len);
}

/* msgpack-c would write positive integers in unsigned forms; Go's codec writes a typed integer
 * in the shortest signed one. */
void kj__msgpack_put_int(struct kj__buffer *out, int64_t value)
{
    msgpack_packer packer = packer_to(out);
    if (value <= INT8_MAX) {
        msgpack_pack_int64(&packer, value);
    } else if (value <= INT16_MAX) {
        msgpack_pack_fix_int16(&packer, (int16_t)value);
    } else if (value <= INT32_MAX) {
        msgpack_pack_fix_int32(&packer, (int32_t)value);
    } else {
        msgpack_pack_fix_int64(&packer, value);
    }
}

void kj__msgpack_put_nil(struct kj__buffer *out)
{
    msgpack_packer packer = packer_to(out);
    msgpack_pack_nil(&packer);
}

void kj__msgpack_put_time(struct kj__buffer *out, struct kj__timestamp time)
{
    if (time.seconds == ZERO_TIME_SECONDS && time.nanoseconds == 0) {
        kj__msgpack_put_nil(out);
        return;
    }
    msgpack_packer packer = packer_to(out);
    const msgpack_timestamp stamp = {.tv_sec = time.seconds, .tv_nsec = time.nanoseconds};
    msgpack_pack_timestamp(&packer, &stamp);
}

struct writer {
    struct kj__buffer *out;
    struct kj__keys keys;
    const struct kj__member_kinds *kinds; /* of the outermost object; may be NULL */
    bool is_foreign; /* another wrote it: positive integers in unsigned forms, kinds a hint */
};

static enum kj_status encode_value(struct writer *writer, const json_t *value, int depth);

static enum kj_status encode_time(struct writer *writer, const json_t *value)
{
    if (json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0)) {
        kj__msgpack_put_nil(writer->out);
        return KJ_OK;
    }
    struct kj__timestamp time;
    if (!json_is_string(value) ||
        !kj__timestamp_parse(json_string_value(value), json_string_length(value), &time)) {
        return KJ_EINVAL;
    }
    kj__msgpack_put_time(writer->out, time);
    return KJ_OK;
}

static enum kj_status encode_bytes(struct writer *writer, const json_t *value)
{
    if (json_is_null(value)) {
        kj__msgpack_put_nil(writer->out);
        return KJ_OK;
    }
    struct kj__buffer *out = writer->out;
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (!text || len % 4) {
        return KJ_EINVAL;
    }
    size_t before = out->len;
    kj__msgpack_put_bin_head(out, kj__base64_decoded_len(text, len));
    if (!kj__base64_decode(text, len, out)) {
        out->len = before;
        return KJ_EINVAL;
    }
    return KJ_OK;
}

static enum kj__member_kind item_kind(enum kj__member_kind kind)
{
    switch (kind) {
    case KJ__MEMBER_LIST_OF_TIMES:
        return KJ__MEMBER_TIME;
    case KJ__MEMBER_LIST_OF_BYTES:
        return KJ__MEMBER_BYTES;
    default:
        return KJ__MEMBER_PLAIN;
    }
}

/* A value of a kind that is no list. */
static enum kj_status encode_kind(struct writer *writer, enum kj__member_kind kind,
                                  const json_t *value, int depth)
{
    enum kj_status status = KJ_EINVAL;
    if (kind == KJ__MEMBER_TIME) {
        status = encode_time(writer, value);
    } else if (kind == KJ__MEMBER_BYTES) {
        status = encode_bytes(writer, value);
    } else {
        return encode_value(writer, value, depth);
    }
    return status && writer->is_foreign ? encode_value(writer, value, depth) : status;
}

static enum kj_status encode_items(struct writer *writer, enum kj__member_kind kind,
                                   const json_t *value, int depth)
{
    if (!json_is_array(value)) {
        bool is_good = json_is_null(value) || writer->is_foreign;
        return is_good ? encode_value(writer, value, depth) : KJ_EINVAL;
    }
    size_t count = json_array_size(value);
    kj__msgpack_put_array(writer->out, count);
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < count && !status; i++) {
        status = encode_kind(writer, kind, json_array_get(value, i), depth + 1);
    }
    return status;
}

static enum kj_status encode_array(struct writer *writer, const json_t *array, int depth)
{
    size_t count = json_array_size(array);
    kj__msgpack_put_array(writer->out, count);
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < count && !status; i++) {
        status = encode_value(writer, json_array_get(array, i), depth);
    }
    return status;
}

static enum kj_status encode_member(struct writer *writer, const struct kj__key *key, int depth)
{
    const char *name = (const char *)key->bytes;
    kj__msgpack_put_text(writer->out, name, key->len);
    enum kj__member_kind kind = KJ__MEMBER_PLAIN;
    if (writer->kinds && depth == 1) {
        kind = writer->kinds->kind_of(writer->kinds->ctx, name);
    }
    enum kj__member_kind items = item_kind(kind);
    return items ? encode_items(writer, items, key->value, depth)
                 : encode_kind(writer, kind, key->value, depth);
}

static enum kj_status encode_object(struct writer *writer, const json_t *object, int depth)
{
    size_t base = writer->keys.count;
    if (!kj__keys_push_members(&writer->keys, object)) {
        return KJ_ENOMEM;
    }
    kj__keys_sort(&writer->keys, base);
    size_t end = writer->keys.count;
    kj__msgpack_put_map(writer->out, end - base);
    enum kj_status status = KJ_OK;
    for (size_t i = base; i < end && !status; i++) {
        /* A copy, since the stack of keys may move while the member is written. */
        struct kj__key key = writer->keys.items[i];
        status = encode_member(writer, &key, depth);
    }
    writer->keys.count = base;
    return status;
}

static void encode_int(struct writer *writer, int64_t value)
{
    if (writer->is_foreign && value > 0) {
        msgpack_packer packer = packer_to(writer->out);
        msgpack_pack_uint64(&packer, (uint64_t)value);
    } else {
        kj__msgpack_put_int(writer->out, value);
    }
}

static void encode_real(struct writer *writer, double value)
{
    msgpack_packer packer = packer_to(writer->out);
    msgpack_pack_double(&packer, value);
}

static void encode_boolean(struct writer *writer, bool value)
{
    msgpack_packer packer = packer_to(writer->out);
    if (value) {
        msgpack_pack_true(&packer);
    } else {
        msgpack_pack_false(&packer);
    }
}

static enum kj_status encode_value(struct writer *writer, const json_t *value, int depth)
{
    if (depth == KJ__NESTING_MAX && (json_is_array(value) || json_is_object(value))) {
        return KJ_ELIMIT;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return encode_object(writer, value, depth + 1);
    case JSON_ARRAY:
        return encode_array(writer, value, depth + 1);
    case JSON_STRING:
        kj__msgpack_put_text(writer->out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        encode_int(writer, json_integer_value(value));
        break;
    case JSON_REAL:
        encode_real(writer, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        encode_boolean(writer, json_is_true(value));
        break;
    case JSON_NULL:
        kj__msgpack_put_nil(writer->out);
        break;
    }
    return KJ_OK;
}

static enum kj_status encode(struct writer *writer, const json_t *value)
{
    size_t before = writer->out->len;
    kj__keys_init(&writer->keys);
    enum kj_status status = encode_value(writer, value, 0);
    kj__keys_fini(&writer->keys);
    if (!status && writer->out->failed) {
        status = KJ_ENOMEM;
    }
    if (status) {
        writer->out->len = before;
    }
    return status;
}

enum kj_status kj__msgpack_encode(const json_t *value, const struct kj__member_kinds *kinds,
                                  struct kj__buffer *out)
{
    struct writer writer = {.out = out, .kinds = kinds};
    return encode(&writer, value);
}

enum kj_status kj__msgpack_convert(const json_t *value, const struct kj__member_kinds *kinds,
                                   struct kj__buffer *out)
{
    struct writer writer = {.out = out, .kinds = kinds, .is_foreign = true};
    return encode(&writer, value);
}

enum kj_status kj__json_to_msgpack_as(const uint8_t *bytes, size_t len,
                                      const struct kj__member_kinds *kinds, struct kj__buffer *out)
{
    json_t *value;
    enum kj_status status = kj__json_decode(bytes, len, &value, NULL);
    if (status) {
        return status;
    }
    status = kj__msgpack_convert(value, kinds, out);
    json_decref(value);
    return status;
}

enum kj_status kj__json_to_msgpack(const uint8_t *bytes, size_t len, struct kj__buffer *out)
{
    return kj__json_to_msgpack_as(bytes, len, NULL, out);
}
