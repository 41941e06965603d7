/* msgpack_to_json.c - msgpack bytes to JSON text without a tree in between.
 *
 * Members are written as they come. Go's codec sends keys sorted, so usually that is all;
 * when a map turns out not to be sorted, its members are put in order in the output.
 */
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/keys.h"
#include "codec/msgpack.h"
#include "codec/msgpack_reader.h"

#include <stdio.h>
#include <string.h>

/* The bytes are checked before, so recursion is bounded by KJ__NESTING_MAX. */
struct transcoder {
    struct kj__msgpack_reader reader;
    struct kj__buffer *out;
    struct kj__keys keys;
    struct kj__buffer scratch;
};

static enum kj_status transcode_value(struct transcoder *coder);

static enum kj_status transcode_array(struct transcoder *coder, size_t count)
{
    kj__buffer_append_byte(coder->out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            kj__buffer_append_byte(coder->out, ',');
        }
        enum kj_status status = transcode_value(coder);
        if (status) {
            return status;
        }
    }
    kj__buffer_append_byte(coder->out, ']');
    return KJ_OK;
}

/* Writes the members from `base` on again, in the order of their keys. `start` is where the
 * first of them lies in the output. */
static void reorder(struct transcoder *coder, size_t base, size_t start)
{
    struct kj__buffer *out = coder->out;
    coder->scratch.len = 0;
    for (size_t i = base; i < coder->keys.count && !out->failed; i++) {
        const struct kj__key *key = &coder->keys.items[i];
        if (i > base) {
            kj__buffer_append_byte(&coder->scratch, ',');
        }
        kj__buffer_append(&coder->scratch, out->data + key->start, key->end - key->start);
    }
    if (coder->scratch.failed || out->failed) {
        out->failed = true;
        return;
    }
    memcpy(out->data + start, coder->scratch.data, coder->scratch.len);
}

static enum kj_status transcode_member(struct transcoder *coder)
{
    struct kj__msgpack_item item;
    enum kj_status status = kj__msgpack_next(&coder->reader, &item, NULL);
    if (status) {
        return status;
    }
    size_t index = coder->keys.count;
    struct kj__key *key = kj__keys_push(&coder->keys, item.bytes, item.len);
    if (!key) {
        return KJ_ENOMEM;
    }
    key->start = coder->out->len;
    kj__json_encode_string((const char *)item.bytes, item.len, coder->out);
    kj__buffer_append_byte(coder->out, ':');
    status = transcode_value(coder);
    coder->keys.items[index].end = coder->out->len;
    return status;
}

static enum kj_status transcode_map(struct transcoder *coder, size_t count)
{
    size_t base = coder->keys.count;
    kj__buffer_append_byte(coder->out, '{');
    size_t start = coder->out->len;
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            kj__buffer_append_byte(coder->out, ',');
        }
        enum kj_status status = transcode_member(coder);
        if (status) {
            return status;
        }
    }
    if (!kj__keys_sort(&coder->keys, base)) {
        reorder(coder, base, start);
    }
    coder->keys.count = base;
    kj__buffer_append_byte(coder->out, '}');
    return KJ_OK;
}

static void transcode_bin(const struct kj__msgpack_item *item, struct kj__buffer *out)
{
    kj__buffer_append_byte(out, '"');
    kj__base64_encode(item->bytes, item->len, out);
    kj__buffer_append_byte(out, '"');
}

static void transcode_time(struct kj__timestamp time, struct kj__buffer *out)
{
    char text[KJ__TIMESTAMP_TEXT_SIZE];
    size_t len = kj__timestamp_format(time, text);
    if (len) {
        kj__json_encode_string(text, len, out);
    } else {
        kj__buffer_append_text(out, "null");
    }
}

static void transcode_scalar(const struct kj__msgpack_item *item, struct kj__buffer *out)
{
    switch (item->type) {
    case KJ__MSGPACK_BOOL:
        kj__buffer_append_text(out, item->boolean ? "true" : "false");
        break;
    case KJ__MSGPACK_INT:
        kj__json_encode_int(item->integer, out);
        break;
    case KJ__MSGPACK_UINT:
        kj__buffer_printf(out, "%llu", (unsigned long long)item->natural);
        break;
    case KJ__MSGPACK_FLOAT:
        kj__json_encode_float(item->real, out);
        break;
    case KJ__MSGPACK_STR:
        kj__json_encode_string((const char *)item->bytes, item->len, out);
        break;
    case KJ__MSGPACK_BIN:
        transcode_bin(item, out);
        break;
    case KJ__MSGPACK_TIME:
        transcode_time(item->time, out);
        break;
    default:
        kj__buffer_append_text(out, "null");
        break;
    }
}

static enum kj_status transcode_value(struct transcoder *coder)
{
    struct kj__msgpack_item item;
    enum kj_status status = kj__msgpack_next(&coder->reader, &item, NULL);
    if (status) {
        return status;
    }
    if (item.type == KJ__MSGPACK_ARRAY) {
        return transcode_array(coder, item.count);
    }
    if (item.type == KJ__MSGPACK_MAP) {
        return transcode_map(coder, item.count);
    }
    transcode_scalar(&item, coder->out);
    return KJ_OK;
}

enum kj_status kj__msgpack_to_json(const uint8_t *bytes, size_t len, struct kj__buffer *out)
{
    enum kj_status status = kj__msgpack_check(bytes, len, NULL, NULL);
    if (status) {
        return status;
    }
    size_t before = out->len;
    struct transcoder coder = {.reader = kj__msgpack_reader_make(bytes, len), .out = out};
    kj__keys_init(&coder.keys);
    kj__buffer_init(&coder.scratch);
    status = transcode_value(&coder);
    kj__buffer_fini(&coder.scratch);
    kj__keys_fini(&coder.keys);
    if (!status && out->failed) {
        status = KJ_ENOMEM;
    }
    if (status) {
        out->len = before;
    }
    return status;
}
