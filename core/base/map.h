/* map.h - from strings to pointers, in one allocation per entry.
 *
 * Hashing is seeded per process, so that a peer who chooses keys cannot choose collisions.
 * Iteration goes in the order of insertion. Not safe for concurrent use.
 */
#ifndef KJ_BASE_MAP_H
#define KJ_BASE_MAP_H

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj__map_entry {
    struct kj__list order;
    struct kj__map_entry *next; /* in its bucket */
    uint64_t hash;
    void *value;
    char key[];
};

struct kj__map {
    struct kj__map_entry **buckets;
    size_t bucket_count; /* a power of two, or 0 while empty */
    size_t count;
    struct kj__list order; /* of kj__map_entry.order */
};

void kj__map_init(struct kj__map *map);

/* Calls `release` (may be NULL) with each value, then forgets all. */
void kj__map_fini(struct kj__map *map, void (*release)(void *value));

void *kj__map_get(const struct kj__map *map, const char *key);

/* Adds or replaces; *previous (may be NULL) gets the value replaced, or NULL. False when
 * there is no memory: the map is as it was. */
bool kj__map_put(struct kj__map *map, const char *key, void *value, void **previous);

/* The value that was there, or NULL. */
void *kj__map_remove(struct kj__map *map, const char *key);

/* The entry after `entry`, or the first for NULL; NULL at the end. */
struct kj__map_entry *kj__map_next(const struct kj__map *map, const struct kj__map_entry *entry);

#endif
