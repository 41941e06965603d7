/* publication.c - see kujata/publication.h. */
#include "codec/publication.h"

#include "base/buffer.h"
#include "codec/encoding.h"
#include "codec/msgpack.h"
#include "codec/msgpack_reader.h"
#include "codec/tracking.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of one member; borrowed while an envelope is read, the publication's own after. */
struct slice {
    const uint8_t *bytes;
    size_t len;
};

/* Immutable but for the count, and for what lies behind the replier. */
struct kj_publication {
    _Atomic size_t references;
    enum kj_encoding encoding;
    int32_t partition;
    int response_mode;
    bool is_bare;                                      /* its message is its data */
    struct kj__replier *replier;                       /* NULL: nobody waits for an answer */
    struct slice topic, data, tracking_name, reply_to; /* each is followed by a NUL */
    struct slice tracking_data;                        /* as msgpack; empty means left out */
    uint8_t storage[];
};

static struct slice slice_of_text(const char *text)
{
    return (struct slice){(const uint8_t *)text, text ? strlen(text) : 0};
}

static void store(struct slice *to, const struct slice *from, uint8_t **room)
{
    *to = (struct slice){*room, from->len};
    if (from->len) {
        memcpy(*room, from->bytes, from->len);
    }
    (*room)[from->len] = 0;
    *room += from->len + 1;
}

/* Copies a template whose slices are borrowed into one allocation. */
static enum kj_status assemble(const struct kj_publication *parts,
                               struct kj_publication **publication)
{
    size_t size = parts->topic.len + parts->data.len + parts->tracking_name.len +
                  parts->reply_to.len + parts->tracking_data.len + 5;
    struct kj_publication *made = malloc(sizeof *made + size);
    if (!made) {
        return KJ_ENOMEM;
    }
    uint8_t *room = made->storage;
    atomic_init(&made->references, 1);
    made->encoding = parts->encoding;
    made->partition = parts->partition;
    made->response_mode = parts->response_mode;
    made->is_bare = parts->is_bare;
    made->replier = NULL;
    store(&made->topic, &parts->topic, &room);
    store(&made->data, &parts->data, &room);
    store(&made->tracking_name, &parts->tracking_name, &room);
    store(&made->reply_to, &parts->reply_to, &room);
    store(&made->tracking_data, &parts->tracking_data, &room);
    *publication = made;
    return KJ_OK;
}

enum kj_status kj_publication_new(const struct kj_publication_options *options,
                                  struct kj_publication **publication)
{
    *publication = NULL;
    const json_t *tracking = options->tracking_data;
    if (!options->topic || !*options->topic) {
        return KJ_EINVAL;
    }
    enum kj_status status = tracking ? kj__tracking_check(tracking) : KJ_OK;
    if (!status && options->tracking_name &&
        strlen(options->tracking_name) > KJ_TRACKING_NAME_MAX) {
        status = KJ_ELIMIT;
    }
    if (status) {
        return status;
    }
    struct kj__buffer tracking_bytes;
    kj__buffer_init(&tracking_bytes);
    if (tracking) {
        status = kj__msgpack_encode(tracking, NULL, &tracking_bytes);
    } else {
        kj__msgpack_put_map(&tracking_bytes, 0);
    }
    if (!status && tracking_bytes.failed) {
        status = KJ_ENOMEM;
    }
    if (!status) {
        struct kj_publication parts = {
            .encoding = options->encoding,
            .partition = options->partition,
            .topic = slice_of_text(options->topic),
            .data = {options->data, options->len},
            .tracking_name = slice_of_text(options->tracking_name),
            .tracking_data = {tracking_bytes.data, tracking_bytes.len},
        };
        status = assemble(&parts, publication);
    }
    kj__buffer_fini(&tracking_bytes);
    return status;
}

/* A template of a copy, member by member: the count may change meanwhile. */
static struct kj_publication parts_of(const struct kj_publication *publication)
{
    return (struct kj_publication){.encoding = publication->encoding,
                                   .partition = publication->partition,
                                   .response_mode = publication->response_mode,
                                   .topic = publication->topic,
                                   .data = publication->data,
                                   .tracking_name = publication->tracking_name,
                                   .tracking_data = publication->tracking_data};
}

enum kj_status kj__publication_copy(const struct kj_publication *publication,
                                    const struct kj__publication_change *change,
                                    struct kj_publication **copy)
{
    struct kj_publication parts = parts_of(publication);
    if (change->topic) {
        parts.topic = slice_of_text(change->topic);
    }
    parts.reply_to = slice_of_text(change->reply_to);
    parts.response_mode = (int)change->response_mode;
    *copy = NULL;
    return parts.topic.len ? assemble(&parts, copy) : KJ_EINVAL;
}

enum kj_status kj_publication_duplicate(const struct kj_publication *publication, const char *topic,
                                        struct kj_publication **duplicate)
{
    struct kj_publication parts = parts_of(publication);
    if (topic) {
        parts.topic = slice_of_text(topic);
    }
    *duplicate = NULL;
    return parts.topic.len ? assemble(&parts, duplicate) : KJ_EINVAL;
}

enum kj_status kj__publication_new_bare(const char *topic, const char *data,
                                        struct kj_publication **publication)
{
    struct kj_publication parts = {
        .is_bare = true, .topic = slice_of_text(topic), .data = slice_of_text(data)};
    *publication = NULL;
    return assemble(&parts, publication);
}

struct kj_publication *kj_publication_ref(struct kj_publication *publication)
{
    atomic_fetch_add_explicit(&publication->references, 1, memory_order_relaxed);
    return publication;
}

void kj_publication_unref(struct kj_publication *publication)
{
    if (publication &&
        atomic_fetch_sub_explicit(&publication->references, 1, memory_order_acq_rel) == 1) {
        if (publication->replier) {
            publication->replier->release(publication->replier);
        }
        free(publication);
    }
}

const char *kj_publication_topic(const struct kj_publication *publication)
{
    return (const char *)publication->topic.bytes;
}

const uint8_t *kj_publication_data(const struct kj_publication *publication, size_t *len)
{
    *len = publication->data.len;
    return publication->data.bytes;
}

enum kj_encoding kj_publication_encoding(const struct kj_publication *publication)
{
    return publication->encoding;
}

int32_t kj_publication_partition(const struct kj_publication *publication)
{
    return publication->partition;
}

static const char *text_or_null(const struct slice *slice)
{
    return slice->len ? (const char *)slice->bytes : NULL;
}

const char *kj_publication_tracking_name(const struct kj_publication *publication)
{
    return text_or_null(&publication->tracking_name);
}

const char *kj__publication_reply_to(const struct kj_publication *publication)
{
    return text_or_null(&publication->reply_to);
}

const uint8_t *kj__publication_tracking_bytes(const struct kj_publication *publication, size_t *len)
{
    /* An empty map is one byte. */
    *len = publication->tracking_data.len > 1 ? publication->tracking_data.len : 0;
    return publication->tracking_data.bytes;
}

size_t kj__publication_size(const struct kj_publication *publication)
{
    size_t tracking;
    (void)kj__publication_tracking_bytes(publication, &tracking);
    /* The topic is bounded by itself. */
    return publication->data.len + publication->tracking_name.len + tracking;
}

int kj__publication_response_mode(const struct kj_publication *publication)
{
    return publication->response_mode;
}

void kj__publication_set_replier_take(struct kj_publication *publication,
                                      struct kj__replier *replier)
{
    publication->replier = replier;
}

struct kj__replier *kj__publication_replier(const struct kj_publication *publication)
{
    return publication->replier;
}

bool kj_publication_wants_reply(const struct kj_publication *publication)
{
    return publication->replier && publication->response_mode == KJ_RESPONSE_PUBLICATION;
}

enum kj_status kj_publication_reply(struct kj_publication *publication,
                                    const struct kj_publication *response)
{
    if (!response || !kj_publication_wants_reply(publication)) {
        return KJ_EINVAL;
    }
    return publication->replier->reply(publication->replier, response);
}

static void put_text(struct kj__buffer *out, const char *text)
{
    kj__msgpack_put_text(out, text, strlen(text));
}

static void put_text_member(struct kj__buffer *out, const char *key, const struct slice *value)
{
    if (value->len) {
        put_text(out, key);
        kj__msgpack_put_text(out, (const char *)value->bytes, value->len);
    }
}

static void put_int_member(struct kj__buffer *out, const char *key, int64_t value)
{
    if (value) {
        put_text(out, key);
        kj__msgpack_put_int(out, value);
    }
}

static size_t count_members(const struct kj_publication *publication)
{
    return 1u + (publication->data.len > 0) + (publication->partition != 0) +
           (publication->response_mode != 0) + (publication->topic.len > 0) +
           (publication->tracking_data.len > 0) + (publication->tracking_name.len > 0);
}

enum kj_status kj_publication_encode(const struct kj_publication *publication, uint8_t **bytes,
                                     size_t *len)
{
    struct kj__buffer out;
    kj__buffer_init(&out);
    kj__msgpack_put_map(&out, count_members(publication));
    if (publication->data.len) {
        put_text(&out, "data");
        kj__msgpack_put_bin(&out, publication->data.bytes, publication->data.len);
    }
    put_text(&out, "encoding");
    put_text(&out, kj_encoding_name(publication->encoding));
    put_int_member(&out, "partition", publication->partition);
    put_int_member(&out, "responseMode", publication->response_mode);
    put_text_member(&out, "topic", &publication->topic);
    if (publication->tracking_data.len) {
        put_text(&out, "trackingData");
        kj__buffer_append(&out, publication->tracking_data.bytes, publication->tracking_data.len);
    }
    put_text_member(&out, "trackingName", &publication->tracking_name);
    *bytes = kj__buffer_take(&out, len);
    return *bytes ? KJ_OK : KJ_ENOMEM;
}

enum kj_status kj__publication_message(const struct kj_publication *publication, uint8_t **bytes,
                                       size_t *len)
{
    if (!publication->is_bare) {
        return kj_publication_encode(publication, bytes, len);
    }
    struct kj__buffer out;
    kj__buffer_init(&out);
    kj__buffer_append(&out, publication->data.bytes, publication->data.len);
    *bytes = kj__buffer_take(&out, len);
    return *bytes ? KJ_OK : KJ_ENOMEM;
}

static bool is_string(const struct kj__msgpack_item *item)
{
    return item->type == KJ__MSGPACK_STR || item->type == KJ__MSGPACK_BIN;
}

static enum kj_status read_bytes(const struct kj__msgpack_item *item, struct slice *slice)
{
    if (is_string(item)) {
        *slice = (struct slice){item->bytes, item->len};
    }
    return is_string(item) || item->type == KJ__MSGPACK_NIL ? KJ_OK : KJ_EPARSE;
}

/* The same for what becomes a C string. */
static enum kj_status read_text(const struct kj__msgpack_item *item, struct slice *slice)
{
    enum kj_status status = read_bytes(item, slice);
    return !status && slice->len && memchr(slice->bytes, 0, slice->len) ? KJ_EPARSE : status;
}

static enum kj_status read_int32(const struct kj__msgpack_item *item, int32_t *value)
{
    if (item->type == KJ__MSGPACK_NIL) {
        return KJ_OK;
    }
    if (item->type != KJ__MSGPACK_INT || item->integer < INT32_MIN || item->integer > INT32_MAX) {
        return KJ_EPARSE;
    }
    *value = (int32_t)item->integer;
    return KJ_OK;
}

/* Keeps the bytes of a map of strings as they are; anything but a map or nil is refused. */
static enum kj_status read_tracking(const uint8_t *start, const uint8_t *end,
                                    const struct kj__msgpack_item *map, struct slice *slice)
{
    if (map->type == KJ__MSGPACK_NIL) {
        return KJ_OK;
    }
    if (map->type != KJ__MSGPACK_MAP) {
        return KJ_EPARSE;
    }
    struct kj__msgpack_reader reader = kj__msgpack_reader_make(start, (size_t)(end - start));
    struct kj__msgpack_item item;
    enum kj_status status = kj__msgpack_next(&reader, &item, NULL);
    for (size_t i = 0; i < 2 * map->count && !status; i++) {
        status = kj__msgpack_next(&reader, &item, NULL);
        if (!status && !is_string(&item)) {
            status = KJ_EPARSE;
        }
    }
    *slice = (struct slice){start, (size_t)(end - start)};
    return status;
}

static enum kj_status read_member(struct kj__msgpack_reader *reader, struct kj_publication *parts)
{
    struct kj__msgpack_item key, item;
    enum kj_status status = kj__msgpack_next_member(reader, &key, &item);
    if (status) {
        return status;
    }
    if (kj__msgpack_is_text(&key, "data")) {
        return read_bytes(&item, &parts->data);
    }
    if (kj__msgpack_is_text(&key, "encoding")) {
        /* bahamut takes every name it does not know for JSON. */
        parts->encoding = kj__msgpack_is_text(&item, kj_encoding_name(KJ_ENCODING_MSGPACK))
                              ? KJ_ENCODING_MSGPACK
                              : KJ_ENCODING_JSON;
        return is_string(&item) || item.type == KJ__MSGPACK_NIL ? KJ_OK : KJ_EPARSE;
    }
    if (kj__msgpack_is_text(&key, "partition")) {
        return read_int32(&item, &parts->partition);
    }
    if (kj__msgpack_is_text(&key, "responseMode")) {
        return read_int32(&item, &parts->response_mode);
    }
    if (kj__msgpack_is_text(&key, "topic")) {
        return read_text(&item, &parts->topic);
    }
    if (kj__msgpack_is_text(&key, "trackingName")) {
        return read_text(&item, &parts->tracking_name);
    }
    if (kj__msgpack_is_text(&key, "trackingData")) {
        const uint8_t *value_start = key.bytes + key.len;
        return read_tracking(value_start, reader->at, &item, &parts->tracking_data);
    }
    return KJ_OK;
}

enum kj_status kj_publication_decode(const uint8_t *bytes, size_t len, const char *topic,
                                     struct kj_publication **publication)
{
    *publication = NULL;
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
    struct kj_publication parts = {.encoding = KJ_ENCODING_JSON};
    for (size_t i = 0; i < map.count && !status; i++) {
        status = read_member(&reader, &parts);
    }
    if (!status && parts.topic.len == 0) {
        parts.topic = slice_of_text(topic);
        status = parts.topic.len ? KJ_OK : KJ_EPARSE;
    }
    return status ? status : assemble(&parts, publication);
}
