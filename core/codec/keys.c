/* keys.c - see keys.h. */
#include "codec/keys.h"

#include <stdlib.h>
#include <string.h>

void kj__keys_init(struct kj__keys *keys)
{
    keys->items = keys->first;
    keys->count = 0;
    keys->capacity = KJ__KEYS_INLINE;
}

void kj__keys_fini(struct kj__keys *keys)
{
    if (keys->items != keys->first) {
        free(keys->items);
    }
}

static bool grow(struct kj__keys *keys)
{
    size_t capacity = keys->capacity * 2;
    bool is_inline = keys->items == keys->first;
    struct kj__key *items = realloc(is_inline ? NULL : keys->items, capacity * sizeof *items);
    if (!items) {
        return false;
    }
    if (is_inline) {
        memcpy(items, keys->first, sizeof keys->first);
    }
    keys->items = items;
    keys->capacity = capacity;
    return true;
}

struct kj__key *kj__keys_push(struct kj__keys *keys, const void *bytes, size_t len)
{
    if (keys->count == keys->capacity && !grow(keys)) {
        return NULL;
    }
    struct kj__key *key = &keys->items[keys->count++];
    *key = (struct kj__key){.bytes = bytes, .len = len};
    return key;
}

bool kj__keys_push_members(struct kj__keys *keys, const json_t *object)
{
    /* jansson's iterators only read, although they are declared to take a plain pointer. */
    json_t *members = (json_t *)(uintptr_t)object;
    for (void *at = json_object_iter(members); at; at = json_object_iter_next(members, at)) {
        struct kj__key *key = kj__keys_push(keys, json_object_iter_key(at),
                                            json_object_iter_key_len(at));
        if (!key) {
            return false;
        }
        key->value = json_object_iter_value(at);
    }
    return true;
}

static int compare(const void *left, const void *right)
{
    const struct kj__key *a = left;
    const struct kj__key *b = right;
    size_t shorter = a->len < b->len ? a->len : b->len;
    int order = shorter ? memcmp(a->bytes, b->bytes, shorter) : 0;
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* An object has few members, and most are in order: its attributes are. */
static void sort(struct kj__key *items, size_t count)
{
    if (count > KJ__KEYS_INLINE) {
        qsort(items, count, sizeof *items, compare);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct kj__key key = items[i];
        size_t at = i;
        for (; at > 0 && compare(&items[at - 1], &key) > 0; at--) {
            items[at] = items[at - 1];
        }
        items[at] = key;
    }
}

bool kj__keys_sort(struct kj__keys *keys, size_t base)
{
    for (size_t i = base + 1; i < keys->count; i++) {
        if (compare(&keys->items[i - 1], &keys->items[i]) > 0) {
            sort(keys->items + base, keys->count - base);
            return false;
        }
    }
    return true;
}

bool kj__keys_have_duplicates(const struct kj__keys *keys, size_t base)
{
    for (size_t i = base + 1; i < keys->count; i++) {
        if (compare(&keys->items[i - 1], &keys->items[i]) == 0) {
            return true;
        }
    }
    return false;
}
