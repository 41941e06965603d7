/* event.c - events made, shared and written; event_decode.c reads them. */
#include "codec/event.h"

#include "base/clock.h"
#include "base/timestamp.h"
#include "codec/encoding.h"
#include "codec/event_parts.h"
#include "codec/json.h"
#include "codec/msgpack.h"
#include "codec/msgpack_reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What kj_event_entity remembers of an entity that cannot be decoded. Never dereferenced. */
static json_t undecodable;

enum kj_status kj__event_assemble_take(const struct kj__event_parts *parts, struct kj_event **event)
{
    size_t texts = parts->type_len + parts->identity_len + parts->seq_len + 3;
    *event = malloc(sizeof **event + texts);
    if (!*event) {
        free(parts->entity);
        return KJ_ENOMEM;
    }
    char *text = (*event)->text;
    char *identity = text + parts->type_len + 1;
    char *seq = identity + parts->identity_len + 1;
    atomic_init(&(*event)->references, 1);
    atomic_init(&(*event)->decoded, NULL);
    (*event)->tracking = NULL;
    (*event)->encoding = parts->encoding;
    (*event)->is_blanked = false;
    (*event)->timestamp_ns = parts->timestamp_ns;
    (*event)->type = text;
    (*event)->type_len = parts->type_len;
    (*event)->identity = identity;
    (*event)->identity_len = parts->identity_len;
    (*event)->entity = parts->entity;
    (*event)->entity_len = parts->entity_len;
    memcpy(text, parts->type, parts->type_len);
    text[parts->type_len] = '\0';
    memcpy(identity, parts->identity, parts->identity_len);
    identity[parts->identity_len] = '\0';
    (*event)->seq = parts->seq ? seq : NULL;
    memcpy(seq, parts->seq ? parts->seq : "", parts->seq_len);
    seq[parts->seq_len] = '\0';
    return KJ_OK;
}

enum kj_status kj__event_new_take(const char *type, const char *identity, int64_t timestamp_ns,
                                  enum kj_encoding encoding, struct kj__buffer *entity,
                                  struct kj_event **event)
{
    assert(type && *type && identity);
    *event = NULL;
    struct kj__event_parts parts = {.type = type,
                                    .type_len = strlen(type),
                                    .identity = identity,
                                    .identity_len = strlen(identity),
                                    .timestamp_ns = timestamp_ns,
                                    .encoding = encoding};
    parts.entity = kj__buffer_take(entity, &parts.entity_len);
    return parts.entity ? kj__event_assemble_take(&parts, event) : KJ_ENOMEM;
}

enum kj_status kj_event_new_untyped(const char *identity_name, const char *type,
                                    const json_t *entity, struct kj_event **event)
{
    *event = NULL;
    if (!json_is_object(entity)) {
        return KJ_EINVAL;
    }
    struct kj__buffer bytes;
    kj__buffer_init(&bytes);
    enum kj_status status = kj__msgpack_encode(entity, NULL, &bytes);
    if (status) {
        kj__buffer_fini(&bytes);
        return status;
    }
    return kj__event_new_take(type, identity_name, kj__clock_wall_ns(), KJ_ENCODING_MSGPACK, &bytes,
                              event);
}

struct kj_event *kj_event_ref(struct kj_event *event)
{
    atomic_fetch_add_explicit(&event->references, 1, memory_order_relaxed);
    return event;
}

void kj_event_unref(struct kj_event *event)
{
    if (!event || atomic_fetch_sub_explicit(&event->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    json_t *decoded = atomic_load_explicit(&event->decoded, memory_order_relaxed);
    if (decoded != &undecodable) {
        json_decref(decoded);
    }
    json_decref(event->tracking);
    free(event->entity);
    free(event);
}

const char *kj_event_type(const struct kj_event *event)
{
    return event->type;
}

const char *kj_event_identity(const struct kj_event *event)
{
    return event->identity;
}

const char *kj_event_seq(const struct kj_event *event)
{
    return event->seq;
}

int64_t kj_event_timestamp_ns(const struct kj_event *event)
{
    return event->timestamp_ns;
}

const json_t *kj_event_entity(const struct kj_event *event)
{
    /* Decoding on demand does not change what the event says, so the caller's const stands. */
    json_t *_Atomic *slot = &((struct kj_event *)(uintptr_t)event)->decoded;
    json_t *decoded = atomic_load_explicit(slot, memory_order_acquire);
    if (!decoded) {
        json_t *mine;
        if (kj__value_decode(event->encoding, event->entity, event->entity_len, &mine, NULL)) {
            mine = &undecodable;
        }
        /* Of several threads here at once, the first one's value is kept. */
        if (atomic_compare_exchange_strong_explicit(slot, &decoded, mine, memory_order_acq_rel,
                                                    memory_order_acquire)) {
            decoded = mine;
        } else if (mine != &undecodable) {
            json_decref(mine);
        }
    }
    return decoded == &undecodable ? NULL : decoded;
}

const uint8_t *kj_event_entity_bytes(const struct kj_event *event, size_t *len,
                                     enum kj_encoding *encoding)
{
    *len = event->entity_len;
    *encoding = event->encoding;
    return event->entity;
}

/* A character between two values stands for one, in a text too. */
static size_t count_json(const struct kj_event *event)
{
    size_t count = 1;
    for (size_t i = 0; i < event->entity_len; i++) {
        uint8_t byte = event->entity[i];
        count += byte == ',' || byte == ':' || byte == '[' || byte == '{';
    }
    return count;
}

size_t kj__event_value_count(const struct kj_event *event)
{
    if (event->encoding == KJ_ENCODING_JSON) {
        return count_json(event);
    }
    size_t count = 0;
    struct kj__msgpack_item item;
    struct kj__msgpack_reader reader = kj__msgpack_reader_make(event->entity, event->entity_len);
    while (reader.at < reader.end && !kj__msgpack_next(&reader, &item, NULL)) {
        count++;
    }
    return count;
}

static struct kj__timestamp timestamp_of(const struct kj_event *event)
{
    int64_t seconds = event->timestamp_ns / 1000000000;
    int64_t nanoseconds = event->timestamp_ns % 1000000000;
    if (nanoseconds < 0) {
        seconds--;
        nanoseconds += 1000000000;
    }
    return (struct kj__timestamp){.seconds = seconds, .nanoseconds = (uint32_t)nanoseconds};
}

static enum kj_status encode_json(const struct kj_event *event, struct kj__buffer *out)
{
    enum kj_status status = KJ_OK;
    kj__buffer_append_text(out, "{\"encoding\":\"application/json\",\"entity\":");
    if (event->encoding == KJ_ENCODING_JSON) {
        kj__buffer_append(out, event->entity, event->entity_len);
    } else {
        status = kj__msgpack_to_json(event->entity, event->entity_len, out);
    }
    kj__buffer_append_text(out, ",\"identity\":");
    kj__json_encode_string(event->identity, event->identity_len, out);
    kj__buffer_append_text(out, ",\"timestamp\":");
    if (event->timestamp_ns == KJ__EVENT_NO_TIME) {
        kj__buffer_append_text(out, "null");
    } else {
        char text[KJ__TIMESTAMP_TEXT_SIZE];
        size_t len = kj__timestamp_format(timestamp_of(event), text);
        kj__json_encode_string(text, len, out);
    }
    kj__buffer_append_text(out, ",\"type\":");
    kj__json_encode_string(event->type, event->type_len, out);
    kj__buffer_append_byte(out, '}');
    return status;
}

enum { BIN_HEAD_MAX = 5 };

/* Appends a JSON entity as a bin of msgpack. The head, whose length depends on what follows,
 * is written last into room left for it. */
static enum kj_status encode_converted(const struct kj_event *event,
                                       const struct kj__member_kinds *kinds, struct kj__buffer *out)
{
    size_t start = out->len;
    static const uint8_t room[BIN_HEAD_MAX];
    kj__buffer_append(out, room, sizeof room);
    enum kj_status status = kj__json_to_msgpack_as(event->entity, event->entity_len, kinds, out);
    if (status || out->failed) {
        return status ? status : KJ_ENOMEM;
    }
    size_t len = out->len - start - BIN_HEAD_MAX;
    out->len = start;
    kj__msgpack_put_bin_head(out, len);
    memmove(out->data + out->len, out->data + start + BIN_HEAD_MAX, len);
    out->len += len;
    return KJ_OK;
}

static void put_literal(struct kj__buffer *out, const char *text)
{
    kj__msgpack_put_text(out, text, strlen(text));
}

static enum kj_status encode_msgpack(const struct kj_event *event,
                                     const struct kj__member_kinds *kinds, struct kj__buffer *out)
{
    enum kj_status status = KJ_OK;
    kj__msgpack_put_map(out, 5);
    put_literal(out, "encoding");
    put_literal(out, kj_encoding_name(KJ_ENCODING_MSGPACK));
    put_literal(out, "entity");
    if (event->encoding == KJ_ENCODING_MSGPACK) {
        kj__msgpack_put_bin(out, event->entity, event->entity_len);
    } else {
        status = encode_converted(event, kinds, out);
    }
    put_literal(out, "identity");
    kj__msgpack_put_text(out, event->identity, event->identity_len);
    put_literal(out, "timestamp");
    if (event->timestamp_ns == KJ__EVENT_NO_TIME) {
        kj__msgpack_put_nil(out);
    } else {
        kj__msgpack_put_time(out, timestamp_of(event));
    }
    put_literal(out, "type");
    kj__msgpack_put_text(out, event->type, event->type_len);
    return status;
}

void kj__event_append_seq(struct kj__buffer *out, size_t start, enum kj_encoding encoding,
                          const char *seq)
{
    if (out->failed) {
        return;
    }
    if (encoding == KJ_ENCODING_JSON) {
        out->len--; /* the brace that ends it */
        kj__buffer_printf(out, ",\"seq\":\"%s\"}", seq);
    } else {
        out->data[start]++; /* a small map says how many members it has in its first byte */
        put_literal(out, "seq");
        put_literal(out, seq);
    }
}

enum kj_status kj__event_encode_into(const struct kj_event *event, enum kj_encoding encoding,
                                     struct kj__buffer *out)
{
    return kj__event_encode_as(event, encoding, NULL, out);
}

enum kj_status kj__event_encode_as(const struct kj_event *event, enum kj_encoding encoding,
                                   const struct kj__member_kinds *kinds, struct kj__buffer *out)
{
    size_t before = out->len;
    enum kj_status status = encoding == KJ_ENCODING_JSON ? encode_json(event, out)
                                                         : encode_msgpack(event, kinds, out);
    if (!status && out->failed) {
        status = KJ_ENOMEM;
    }
    if (status) {
        out->len = before;
    }
    return status;
}

enum kj_status kj_event_encode(const struct kj_event *event, enum kj_encoding encoding,
                               uint8_t **bytes, size_t *len)
{
    *bytes = NULL;
    *len = 0;
    struct kj__buffer out;
    kj__buffer_init(&out);
    enum kj_status status = kj__event_encode_into(event, encoding, &out);
    if (status) {
        kj__buffer_fini(&out);
        return status;
    }
    *bytes = kj__buffer_take(&out, len);
    return *bytes ? KJ_OK : KJ_ENOMEM;
}
