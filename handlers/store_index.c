/* store_index.c - see store_index.h. Chains; the table doubles at a load of one. */
#include "handlers/store_index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_BUCKETS = 16 };

void kj__index_init(struct kj__index *index)
{
    *index = (struct kj__index){.seed = (uint64_t)(uintptr_t)index};
    /* A kernel that has no randomness yet leaves the address, which is a seed as well. */
    if (getrandom(&index->seed, sizeof index->seed, GRND_NONBLOCK) < 0) {
        index->seed *= UINT64_C(0x9e3779b97f4a7c15);
    }
}

void kj__index_fini(struct kj__index *index, void (*release)(struct kj__index_node *node))
{
    for (size_t i = 0; i < index->bucket_count && release; i++) {
        for (struct kj__index_node *node = index->buckets[i]; node;) {
            struct kj__index_node *next = node->next;
            release(node);
            node = next;
        }
    }
    free(index->buckets);
    *index = (struct kj__index){.seed = index->seed};
}

static uint64_t hash_of(const struct kj__index *index, const char *key)
{
    uint64_t hash = index->seed;
    for (const unsigned char *byte = (const unsigned char *)key; *byte; byte++) {
        hash = (hash + *byte) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    return hash;
}

static struct kj__index_node **bucket_of(const struct kj__index *index, uint64_t hash)
{
    return &index->buckets[hash & (index->bucket_count - 1)];
}

struct kj__index_node *kj__index_get(const struct kj__index *index, const char *key)
{
    if (index->count == 0) {
        return NULL;
    }
    uint64_t hash = hash_of(index, key);
    struct kj__index_node *node = *bucket_of(index, hash);
    while (node && (node->hash != hash || strcmp(node->key, key) != 0)) {
        node = node->next;
    }
    return node;
}

static void link_node(struct kj__index *index, struct kj__index_node *node)
{
    struct kj__index_node **bucket = bucket_of(index, node->hash);
    node->next = *bucket;
    *bucket = node;
}

bool kj__index_reserve(struct kj__index *index)
{
    if (index->count < index->bucket_count) {
        return true;
    }
    struct kj__index grown = *index;
    grown.bucket_count = index->bucket_count ? index->bucket_count * 2 : FIRST_BUCKETS;
    grown.buckets = calloc(grown.bucket_count, sizeof(struct kj__index_node *));
    if (!grown.buckets) {
        return false;
    }
    for (size_t i = 0; i < index->bucket_count; i++) {
        for (struct kj__index_node *node = index->buckets[i]; node;) {
            struct kj__index_node *next = node->next;
            link_node(&grown, node);
            node = next;
        }
    }
    free(index->buckets);
    *index = grown;
    return true;
}

void kj__index_put(struct kj__index *index, struct kj__index_node *node)
{
    assert(index->count < index->bucket_count);
    node->hash = hash_of(index, node->key);
    link_node(index, node);
    index->count++;
}

void kj__index_remove(struct kj__index *index, struct kj__index_node *node)
{
    struct kj__index_node **link = bucket_of(index, node->hash);
    while (*link != node) {
        link = &(*link)->next;
    }
    *link = node->next;
    index->count--;
}
