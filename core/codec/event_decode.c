/* event_decode.c - events read from the wire; see kujata/event.h.
 *
 * What a peer wrote is checked whole before an event exists: the envelope, its members'
 * types, and the entity, so that an event can be passed on in its own encoding unread.
 */
#include "base/timestamp.h"
#include "base/utf8.h"
#include "codec/encoding.h"
#include "codec/event_parts.h"
#include "codec/json.h"
#include "codec/json_scan.h"
#include "codec/msgpack.h"
#include "codec/msgpack_reader.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int64_t nanoseconds_of(struct kj__timestamp time)
{
    int64_t ns;
    if (__builtin_mul_overflow(time.seconds, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)time.nanoseconds, &ns)) {
        return time.seconds < 0 ? KJ__EVENT_NO_TIME : INT64_MAX;
    }
    return ns;
}

/* Whether the parts are those of an event whose entity is in the encoding of its frame. */
static bool are_complete(const struct kj__event_parts *parts)
{
    return parts->type && parts->type_len > 0 && parts->identity && parts->entity;
}

/* Types and identities are compared, logged and made subjects of, so they must be text. */
static bool is_text(const char *bytes, size_t len)
{
    return len == 0 || (!memchr(bytes, 0, len) && kj__utf8_is_valid((const uint8_t *)bytes, len));
}

enum { SEQ_MAX = 64 };

/* What is no place in a stream is like any member that is not known. */
static void keep_seq(struct kj__event_parts *parts, const char *text, size_t len)
{
    if (len > 0 && len <= SEQ_MAX && is_text(text, len)) {
        parts->seq = text;
        parts->seq_len = len;
    }
}

/* Copies checked bytes into the parts. */
static enum kj_status keep_entity(struct kj__event_parts *parts, const uint8_t *bytes, size_t len)
{
    parts->entity = malloc(len ? len : 1);
    if (!parts->entity) {
        return KJ_ENOMEM;
    }
    memcpy(parts->entity, bytes, len);
    parts->entity_len = len;
    return KJ_OK;
}

static enum kj_status read_msgpack_text(const struct kj__msgpack_item *item, const char **text,
                                        size_t *len)
{
    if ((item->type != KJ__MSGPACK_STR && item->type != KJ__MSGPACK_BIN) ||
        !is_text((const char *)item->bytes, item->len)) {
        return KJ_EPARSE;
    }
    *text = (const char *)item->bytes;
    *len = item->len;
    return KJ_OK;
}

static enum kj_status read_msgpack_entity(const struct kj__msgpack_item *item,
                                          struct kj__event_parts *parts)
{
    if (item->type != KJ__MSGPACK_STR && item->type != KJ__MSGPACK_BIN) {
        return KJ_EPARSE;
    }
    size_t used;
    enum kj_status status = kj__msgpack_check(item->bytes, item->len, &used, NULL);
    return status ? status : keep_entity(parts, item->bytes, used);
}

static enum kj_status read_msgpack_time(const struct kj__msgpack_item *item, int64_t *timestamp_ns)
{
    if (item->type == KJ__MSGPACK_TIME) {
        *timestamp_ns = nanoseconds_of(item->time);
        return KJ_OK;
    }
    return item->type == KJ__MSGPACK_NIL ? KJ_OK : KJ_EPARSE;
}

static enum kj_status read_msgpack_member(struct kj__msgpack_reader *reader,
                                          struct kj__event_parts *parts, bool *has_encoding)
{
    struct kj__msgpack_item key, item;
    enum kj_status status = kj__msgpack_next_member(reader, &key, &item);
    if (status) {
        return status;
    }
    if (kj__msgpack_is_text(&key, "type")) {
        return read_msgpack_text(&item, &parts->type, &parts->type_len);
    }
    if (kj__msgpack_is_text(&key, "identity")) {
        return read_msgpack_text(&item, &parts->identity, &parts->identity_len);
    }
    if (kj__msgpack_is_text(&key, "timestamp")) {
        return read_msgpack_time(&item, &parts->timestamp_ns);
    }
    if (kj__msgpack_is_text(&key, "entity")) {
        return read_msgpack_entity(&item, parts);
    }
    if (kj__msgpack_is_text(&key, "seq") && item.type == KJ__MSGPACK_STR) {
        keep_seq(parts, (const char *)item.bytes, item.len);
    }
    if (kj__msgpack_is_text(&key, "encoding")) {
        *has_encoding = kj__msgpack_is_text(&item, kj_encoding_name(KJ_ENCODING_MSGPACK));
    }
    return KJ_OK;
}

static enum kj_status decode_msgpack(const uint8_t *bytes, size_t len,
                                     struct kj__event_parts *parts)
{
    enum kj_status status = kj__msgpack_check(bytes, len, NULL, NULL);
    if (status) {
        return status;
    }
    struct kj__msgpack_reader reader = kj__msgpack_reader_make(bytes, len);
    struct kj__msgpack_item map;
    status = kj__msgpack_next(&reader, &map, NULL);
    if (status || map.type != KJ__MSGPACK_MAP) {
        return status ? status : KJ_EPARSE;
    }
    bool has_encoding = false;
    for (size_t i = 0; i < map.count && !status; i++) {
        status = read_msgpack_member(&reader, parts, &has_encoding);
    }
    return status || has_encoding ? status : KJ_EPARSE;
}

static bool read_json_text(const json_t *root, const char *key, const char **text, size_t *len)
{
    const json_t *value = json_object_get(root, key);
    *text = json_string_value(value);
    *len = json_string_length(value);
    return *text && is_text(*text, *len);
}

static bool read_json_time(const json_t *value, int64_t *timestamp_ns)
{
    if (!value || json_is_null(value)) {
        return true;
    }
    struct kj__timestamp time;
    if (!json_is_string(value) ||
        !kj__timestamp_parse(json_string_value(value), json_string_length(value), &time)) {
        return false;
    }
    *timestamp_ns = nanoseconds_of(time);
    return true;
}

/* Keeps the entity's bytes as they were sent. A key written with escapes hides them, and then
 * the value is written again. */
static enum kj_status read_json_entity(const uint8_t *bytes, size_t len, const json_t *value,
                                       struct kj__event_parts *parts)
{
    struct kj__json_span span;
    if (!value) {
        return KJ_EPARSE;
    }
    if (kj__json_find_member(bytes, len, "entity", &span)) {
        return keep_entity(parts, bytes + span.start, span.end - span.start);
    }
    struct kj__buffer text;
    kj__buffer_init(&text);
    enum kj_status status = kj__json_encode(value, &text);
    if (status) {
        kj__buffer_fini(&text);
        return status;
    }
    parts->entity = kj__buffer_take(&text, &parts->entity_len);
    return parts->entity ? KJ_OK : KJ_ENOMEM;
}

/* Fills the parts from *root, which owns their texts and is the caller's to release. */
static enum kj_status decode_json(const uint8_t *bytes, size_t len, json_t **root,
                                  struct kj__event_parts *parts)
{
    enum kj_status status = kj__json_decode(bytes, len, root, NULL);
    if (status) {
        return status;
    }
    const char *name;
    size_t name_len;
    enum kj_encoding encoding;
    if (!read_json_text(*root, "encoding", &name, &name_len) ||
        !kj__encoding_from_name(name, name_len, &encoding) || encoding != KJ_ENCODING_JSON ||
        !read_json_text(*root, "type", &parts->type, &parts->type_len) ||
        !read_json_text(*root, "identity", &parts->identity, &parts->identity_len) ||
        !read_json_time(json_object_get(*root, "timestamp"), &parts->timestamp_ns)) {
        return KJ_EPARSE;
    }
    const json_t *seq = json_object_get(*root, "seq");
    if (json_is_string(seq)) {
        keep_seq(parts, json_string_value(seq), json_string_length(seq));
    }
    return read_json_entity(bytes, len, json_object_get(*root, "entity"), parts);
}

enum kj_status kj_event_decode(const uint8_t *bytes, size_t len, enum kj_encoding encoding,
                               struct kj_event **event)
{
    *event = NULL;
    json_t *root = NULL;
    struct kj__event_parts parts = {.encoding = encoding, .timestamp_ns = KJ__EVENT_NO_TIME};
    enum kj_status status = encoding == KJ_ENCODING_JSON ? decode_json(bytes, len, &root, &parts)
                                                         : decode_msgpack(bytes, len, &parts);
    if (!status && !are_complete(&parts)) {
        status = KJ_EPARSE;
    }
    if (status) {
        free(parts.entity);
    } else {
        status = kj__event_assemble_take(&parts, event);
    }
    json_decref(root);
    return status;
}
