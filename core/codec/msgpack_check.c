/* msgpack_check.c - the walk that every msgpack input takes before anything is made of it.
 *
 * It keeps its own stack of the containers it is in, so that a deep input costs no stack of
 * the thread.
 */
#include "base/utf8.h"
#include "codec/json.h"
#include "codec/keys.h"
#include "codec/msgpack.h"
#include "codec/msgpack_reader.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

struct container {
    size_t left; /* values yet to come */
    bool is_map;
    bool key_is_next;
    size_t keys_base;
};

struct walk {
    struct kj__msgpack_reader reader;
    struct kj__keys keys;
    size_t depth;
    size_t values;
    struct container containers[KJ__NESTING_MAX];
    struct kj_error *error;
};

static size_t position_of(const struct walk *walk)
{
    return (size_t)(walk->reader.at - walk->reader.start);
}

static enum kj_status fail(const struct walk *walk, enum kj_status status, const char *reason)
{
    size_t position = position_of(walk);
    kj_error_set(walk->error, position, "msgpack decode error [pos %zu]: %s", position, reason);
    return status;
}

static enum kj_status take_key(struct walk *walk, const struct kj__msgpack_item *item)
{
    if (item->type != KJ__MSGPACK_STR && item->type != KJ__MSGPACK_BIN) {
        return fail(walk, KJ_EPARSE, "a key is not a string");
    }
    if (item->len > 0 && memchr(item->bytes, 0, item->len)) {
        return fail(walk, KJ_EPARSE, "a key holds NUL");
    }
    /* Mended keys could become equal, so there is no mending them. */
    if (!kj__utf8_is_valid(item->bytes, item->len)) {
        return fail(walk, KJ_EPARSE, "a key is not UTF-8");
    }
    return kj__keys_push(&walk->keys, item->bytes, item->len) ? KJ_OK : KJ_ENOMEM;
}

static enum kj_status enter(struct walk *walk, const struct kj__msgpack_item *item)
{
    if (walk->depth == KJ__NESTING_MAX) {
        return fail(walk, KJ_ELIMIT, "nested too deep");
    }
    bool is_map = item->type == KJ__MSGPACK_MAP;
    walk->containers[walk->depth++] = (struct container){.left = item->count,
                                                         .is_map = is_map,
                                                         .key_is_next = is_map,
                                                         .keys_base = walk->keys.count};
    return KJ_OK;
}

/* Leaves every container whose last value has come. */
static enum kj_status leave_complete(struct walk *walk)
{
    while (walk->depth > 0 && walk->containers[walk->depth - 1].left == 0) {
        const struct container *done = &walk->containers[--walk->depth];
        if (done->is_map) {
            kj__keys_sort(&walk->keys, done->keys_base);
            if (kj__keys_have_duplicates(&walk->keys, done->keys_base)) {
                return fail(walk, KJ_EPARSE, "duplicate key");
            }
            walk->keys.count = done->keys_base;
        }
    }
    return KJ_OK;
}

static enum kj_status step(struct walk *walk)
{
    struct kj__msgpack_item item;
    enum kj_status status = kj__msgpack_next(&walk->reader, &item, walk->error);
    if (status) {
        return status;
    }
    if (++walk->values > 2 * KJ__VALUES_MAX) { /* keys count with them */
        return fail(walk, KJ_ELIMIT, "more than 65536 values");
    }
    struct container *inside = walk->depth ? &walk->containers[walk->depth - 1] : NULL;
    if (inside && inside->key_is_next) {
        inside->key_is_next = false;
        return take_key(walk, &item);
    }
    if (inside) {
        inside->left--;
        inside->key_is_next = inside->is_map;
    }
    if (item.type == KJ__MSGPACK_ARRAY || item.type == KJ__MSGPACK_MAP) {
        status = enter(walk, &item);
    }
    return status ? status : leave_complete(walk);
}

enum kj_status kj__msgpack_check(const uint8_t *bytes, size_t len, size_t *used,
                                 struct kj_error *error)
{
    struct walk walk = {.reader = kj__msgpack_reader_make(bytes, len), .error = error};
    kj__keys_init(&walk.keys);
    enum kj_status status;
    do {
        status = step(&walk);
    } while (!status && walk.depth > 0);
    kj__keys_fini(&walk.keys);
    if (!status && used) {
        *used = position_of(&walk);
    }
    return status;
}

bool kj__msgpack_is_exact(const uint8_t *bytes, size_t len, size_t *position)
{
    struct kj__msgpack_reader reader = kj__msgpack_reader_make(bytes, len);
    bool is_exact = true;
    for (size_t values = 1; values > 0 && is_exact; values--) {
        struct kj__msgpack_item item;
        if (kj__msgpack_next(&reader, &item, NULL)) {
            break;
        }
        is_exact = item.type != KJ__MSGPACK_UINT &&
                   (item.type != KJ__MSGPACK_FLOAT || isfinite(item.real));
        if (item.type == KJ__MSGPACK_ARRAY || item.type == KJ__MSGPACK_MAP) {
            values += item.type == KJ__MSGPACK_MAP ? 2 * item.count : item.count;
        }
    }
    *position = (size_t)(reader.at - reader.start);
    return is_exact;
}
