/* map.c - see map.h. Separate chaining; the table doubles at a load of one. */
#include "base/map.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { MAP_FIRST_BUCKETS = 16 };

static struct kj__map_entry **bucket_of(const struct kj__map *map, uint64_t hash)
{
    return &map->buckets[(hash >> 20) & (map->bucket_count - 1)];
}

/* The link that leads to the entry, or to NULL at the end of its bucket. */
static struct kj__map_entry **find_link(const struct kj__map *map, const char *key, uint64_t hash)
{
    struct kj__map_entry **link = bucket_of(map, hash);
    while (*link && ((*link)->hash != hash || strcmp((*link)->key, key) != 0)) {
        link = &(*link)->next;
    }
    return link;
}

static bool grow(struct kj__map *map)
{
    size_t count = map->bucket_count ? map->bucket_count * 2 : MAP_FIRST_BUCKETS;
    struct kj__map_entry **buckets = calloc(count, sizeof(struct kj__map_entry *));
    if (!buckets) {
        return false;
    }
    free(map->buckets);
    map->buckets = buckets;
    map->bucket_count = count;
    for (struct kj__list *node = map->order.next; node != &map->order; node = node->next) {
        struct kj__map_entry *entry = KJ__CONTAINER_OF(node, struct kj__map_entry, order);
        struct kj__map_entry **link = bucket_of(map, entry->hash);
        entry->next = *link;
        *link = entry;
    }
    return true;
}

void kj__map_init(struct kj__map *map)
{
    *map = (struct kj__map){0};
    kj__list_init(&map->order);
}

void kj__map_fini(struct kj__map *map, void (*release)(void *value))
{
    while (!kj__list_is_empty(&map->order)) {
        struct kj__map_entry *entry = KJ__CONTAINER_OF(map->order.next, struct kj__map_entry,
                                                       order);
        kj__list_unlink(&entry->order);
        if (release) {
            release(entry->value);
        }
        free(entry);
    }
    free(map->buckets);
    kj__map_init(map);
}

void *kj__map_get(const struct kj__map *map, const char *key)
{
    if (map->count == 0) {
        return NULL;
    }
    const struct kj__map_entry *entry = *find_link(map, key, kj__hash(key, strlen(key)));
    return entry ? entry->value : NULL;
}

bool kj__map_put(struct kj__map *map, const char *key, void *value, void **previous)
{
    if (previous) {
        *previous = NULL;
    }
    if (map->count == map->bucket_count && !grow(map)) {
        return false;
    }
    uint64_t hash = kj__hash(key, strlen(key));
    struct kj__map_entry **link = find_link(map, key, hash);
    if (*link) {
        if (previous) {
            *previous = (*link)->value;
        }
        (*link)->value = value;
        return true;
    }
    size_t size = strlen(key) + 1;
    struct kj__map_entry *entry = malloc(sizeof *entry + size);
    if (!entry) {
        return false;
    }
    memcpy(entry->key, key, size);
    entry->hash = hash;
    entry->value = value;
    entry->next = NULL;
    *link = entry;
    kj__list_append(&map->order, &entry->order);
    map->count++;
    return true;
}

void *kj__map_remove(struct kj__map *map, const char *key)
{
    if (map->count == 0) {
        return NULL;
    }
    struct kj__map_entry **link = find_link(map, key, kj__hash(key, strlen(key)));
    struct kj__map_entry *entry = *link;
    if (!entry) {
        return NULL;
    }
    void *value = entry->value;
    *link = entry->next;
    kj__list_unlink(&entry->order);
    free(entry);
    map->count--;
    return value;
}

struct kj__map_entry *kj__map_next(const struct kj__map *map, const struct kj__map_entry *entry)
{
    const struct kj__list *node = entry ? entry->order.next : map->order.next;
    return node == &map->order ? NULL : KJ__CONTAINER_OF(node, struct kj__map_entry, order);
}
