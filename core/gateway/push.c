/* push.c - see push.h. */
#include "gateway/push.h"

#include "base/utf8.h"
#include "codec/msgpack.h"
#include "codec/msgpack_reader.h"
#include "gateway/subject.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, ELEMENTS = 13, ALL_ELEMENTS = 15 };
enum { WAY_AT_ONCE = 1, WAY_FOR_OTHERS = 2 };
enum { FLAG_JSON = 1, PRESENCE_SHIFT = 1, PRESENCE_COUNT = 5 };

/* ---- written ---- */

void kj__push_encode(const struct kj__push_parts *parts, struct kj__buffer *out)
{
    int64_t flags = (int64_t)parts->presence << PRESENCE_SHIFT |
                    (parts->body_is_json ? FLAG_JSON : 0);
    int64_t ways = (parts->at_once ? WAY_AT_ONCE : 0) | (parts->is_for_others ? WAY_FOR_OTHERS : 0);
    bool is_plain = ways == 0 && parts->speed == 0;
    kj__msgpack_put_array(out, is_plain ? ELEMENTS : ALL_ELEMENTS);
    kj__msgpack_put_int(out, VERSION);
    kj__msgpack_put_int(out, parts->what);
    kj__msgpack_put_int(out, (int64_t)parts->id);
    kj__msgpack_put_int(out, parts->node);
    kj__msgpack_put_int(out, (int64_t)parts->sequence);
    kj__msgpack_put_int(out, parts->time_ms);
    kj__msgpack_put_int(out, parts->kind);
    kj__msgpack_put_text(out, parts->name, strlen(parts->name));
    kj__msgpack_put_text(out, parts->from, strlen(parts->from));
    kj__msgpack_put_int(out, parts->op);
    kj__msgpack_put_int(out, (int64_t)parts->client);
    kj__msgpack_put_int(out, flags);
    kj__msgpack_put_bin(out, parts->body, parts->body_len);
    if (!is_plain) {
        kj__msgpack_put_int(out, ways);
        kj__msgpack_put_int(out, parts->speed);
    }
}

/* ---- read ---- */

/* A text that is not terminated yet. */
struct text {
    const uint8_t *bytes;
    size_t len;
};

struct reading {
    struct kj__msgpack_reader reader;
    enum kj_status status; /* of the first element at fault */
};

static int64_t read_int(struct reading *reading, int64_t low, int64_t high)
{
    struct kj__msgpack_item item = {.type = KJ__MSGPACK_NIL};
    if (!reading->status) {
        reading->status = kj__msgpack_next(&reading->reader, &item, NULL);
    }
    if (!reading->status &&
        (item.type != KJ__MSGPACK_INT || item.integer < low || item.integer > high)) {
        reading->status = KJ_EPARSE;
    }
    return reading->status ? 0 : item.integer;
}

static struct text read_bytes(struct reading *reading, enum kj__msgpack_type type, size_t max)
{
    struct kj__msgpack_item item = {.type = KJ__MSGPACK_NIL};
    if (!reading->status) {
        reading->status = kj__msgpack_next(&reading->reader, &item, NULL);
    }
    if (!reading->status && item.type != type) {
        reading->status = KJ_EPARSE;
    }
    if (!reading->status && item.len > max) {
        reading->status = KJ_ELIMIT;
    }
    return reading->status ? (struct text){0} : (struct text){item.bytes, item.len};
}

static struct text read_name(struct reading *reading)
{
    struct text name = read_bytes(reading, KJ__MSGPACK_STR, KJ_NAME_MAX);
    if (!reading->status && name.len > 0 &&
        (memchr(name.bytes, 0, name.len) || !kj__utf8_is_valid(name.bytes, name.len))) {
        reading->status = KJ_EPARSE;
    }
    return name;
}

static enum kj_status keep(const struct kj__push_parts *parts, const struct text texts[3],
                           struct kj_push **push)
{
    struct kj_push *made = malloc(sizeof *made + texts[0].len + texts[1].len + texts[2].len + 2);
    if (!made) {
        return KJ_ENOMEM;
    }
    char *starts[3];
    char *at = made->storage;
    for (int i = 0; i < 3; i++) {
        starts[i] = at;
        if (texts[i].len > 0) {
            memcpy(at, texts[i].bytes, texts[i].len);
        }
        at += texts[i].len;
        if (i < 2) {
            *at++ = '\0';
        }
    }
    atomic_init(&made->refs, 1);
    made->parts = *parts;
    made->parts.name = starts[0];
    made->parts.from = starts[1];
    made->parts.body = (const uint8_t *)starts[2];
    made->parts.body_len = texts[2].len;
    *push = made;
    return KJ_OK;
}

/* What each element alone does not show. */
static bool is_sound(const struct kj_push *push)
{
    const struct kj__push_parts *parts = &push->parts;
    return kj__topic_name_is_valid(parts->kind, parts->name) &&
           (!parts->body_is_json ||
            (parts->body_len > 0 && kj__utf8_is_valid(parts->body, parts->body_len)));
}

enum kj_status kj__push_decode(const uint8_t *bytes, size_t len, struct kj_push **push)
{
    *push = NULL;
    struct reading reading = {.reader = kj__msgpack_reader_make(bytes, len)};
    struct kj__msgpack_item array;
    if (kj__msgpack_next(&reading.reader, &array, NULL) || array.type != KJ__MSGPACK_ARRAY ||
        array.count < ELEMENTS) {
        return KJ_EPARSE;
    }
    struct kj__push_parts parts;
    struct text texts[3];
    read_int(&reading, VERSION, VERSION);
    parts.what = (enum kj__what)read_int(&reading, 0, KJ__WHAT_COUNT - 1);
    parts.id = (uint64_t)read_int(&reading, INT64_MIN, INT64_MAX);
    parts.node = (uint32_t)read_int(&reading, 0, (1 << KJ__NODE_BITS) - 1);
    parts.sequence = (uint64_t)read_int(&reading, 0, INT64_MAX);
    parts.time_ms = read_int(&reading, 0, INT64_MAX);
    parts.kind = (enum kj_topic_kind)read_int(&reading, 0, KJ_TOPIC_KIND_COUNT - 1);
    texts[0] = read_name(&reading);
    texts[1] = read_name(&reading);
    parts.op = read_int(&reading, INT64_MIN, INT64_MAX);
    parts.client = (uint64_t)read_int(&reading, INT64_MIN, INT64_MAX);
    int64_t flags = read_int(&reading, 0, (PRESENCE_COUNT << PRESENCE_SHIFT) - 1);
    texts[2] = read_bytes(&reading, KJ__MSGPACK_BIN, KJ_PUSH_BODY_MAX);
    bool is_plain = array.count < ALL_ELEMENTS;
    int64_t ways = is_plain ? 0 : read_int(&reading, 0, INT64_MAX);
    parts.speed = is_plain ? 0 : (uint32_t)read_int(&reading, 0, UINT32_MAX);
    parts.at_once = ways & WAY_AT_ONCE;
    parts.is_for_others = ways & WAY_FOR_OTHERS;
    parts.body_is_json = flags & FLAG_JSON;
    parts.presence = (enum kj_presence)(flags >> PRESENCE_SHIFT);
    enum kj_status status = reading.status;
    status = status ? status : keep(&parts, texts, push);
    if (!status && !is_sound(*push)) {
        kj__push_unref(*push);
        *push = NULL;
        status = KJ_EPARSE;
    }
    return status;
}

/* ---- shared ---- */

struct kj_push *kj__push_ref(struct kj_push *push)
{
    atomic_fetch_add_explicit(&push->refs, 1, memory_order_relaxed);
    return push;
}

void kj__push_unref(struct kj_push *push)
{
    if (push && atomic_fetch_sub_explicit(&push->refs, 1, memory_order_acq_rel) == 1) {
        free(push);
    }
}

uint64_t kj_push_id(const struct kj_push *push)
{
    return push->parts.id;
}

uint32_t kj_push_node(const struct kj_push *push)
{
    return push->parts.node;
}

uint64_t kj_push_sequence(const struct kj_push *push)
{
    return push->parts.sequence;
}

int64_t kj_push_time_ms(const struct kj_push *push)
{
    return push->parts.time_ms;
}

enum kj_topic_kind kj_push_kind(const struct kj_push *push)
{
    return push->parts.kind;
}

const char *kj_push_name(const struct kj_push *push)
{
    return push->parts.name;
}

const char *kj_push_from(const struct kj_push *push)
{
    return push->parts.from;
}

uint64_t kj_push_client(const struct kj_push *push)
{
    return push->parts.client;
}

int64_t kj_push_op(const struct kj_push *push)
{
    return push->parts.op;
}

enum kj_presence kj_push_presence(const struct kj_push *push)
{
    return push->parts.presence;
}

const uint8_t *kj_push_body(const struct kj_push *push, size_t *len)
{
    *len = push->parts.body_len;
    return push->parts.body;
}

bool kj_push_body_is_json(const struct kj_push *push)
{
    return push->parts.body_is_json;
}
