/* store_index.h - things found by a key, for storages that keep them in memory.
 *
 * A hash table of nodes embedded in what is indexed. Hashing is seeded per index, so that a
 * client who chooses keys cannot choose collisions. Not safe for concurrent use.
 */
#ifndef KJ_HANDLERS_STORE_INDEX_H
#define KJ_HANDLERS_STORE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj__index_node {
    struct kj__index_node *next; /* in its bucket */
    uint64_t hash;
    const char *key; /* belongs to what the node is embedded in */
};

struct kj__index {
    struct kj__index_node **buckets;
    size_t bucket_count; /* a power of two, or 0 while nothing was reserved */
    size_t count;
    uint64_t seed;
};

void kj__index_init(struct kj__index *index);

/* Calls `release` (may be NULL) with each node, which it may free. */
void kj__index_fini(struct kj__index *index, void (*release)(struct kj__index_node *node));

struct kj__index_node *kj__index_get(const struct kj__index *index, const char *key);

/* Makes sure that one put cannot fail; false when there is no memory. */
bool kj__index_reserve(struct kj__index *index);

/* Adds a node whose key is set and not in the index yet. Reserve first. */
void kj__index_put(struct kj__index *index, struct kj__index_node *node);
void kj__index_remove(struct kj__index *index, struct kj__index_node *node);

#endif
