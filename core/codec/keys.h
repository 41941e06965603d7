/* keys.h - the keys of the maps under way, for sorting them and finding duplicates.
 *
 * One stack serves a whole walk: a map remembers where its keys start and truncates to
 * there when it ends, so nested maps share one allocation, and small ones need none.
 */
#ifndef KJ_CODEC_KEYS_H
#define KJ_CODEC_KEYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj__key {
    const uint8_t *bytes; /* borrowed */
    size_t len;
    const void *value; /* the walker's own */
    size_t start, end; /* the walker's own: where the member lies in its output */
};

enum { KJ__KEYS_INLINE = 16 };

struct kj__keys {
    struct kj__key *items; /* `first` until it is full */
    size_t count, capacity;
    struct kj__key first[KJ__KEYS_INLINE];
};

/* The struct points into itself and must not be moved. */
void kj__keys_init(struct kj__keys *keys);
void kj__keys_fini(struct kj__keys *keys);

/* The new last key, valid until the next push; NULL when there is no memory. */
struct kj__key *kj__keys_push(struct kj__keys *keys, const void *bytes, size_t len);

/* Pushes every key of an object, each with its value. False when there is no memory. */
bool kj__keys_push_members(struct kj__keys *keys, const json_t *object);

/* Sorts the keys from `base` on bytewise. True when they were in order already. */
bool kj__keys_sort(struct kj__keys *keys, size_t base);

/* Whether two of the keys from `base` on are equal; they must be sorted. */
bool kj__keys_have_duplicates(const struct kj__keys *keys, size_t base);

#endif
