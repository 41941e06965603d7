/* row_index.c - see row_index.h. */
#include "dispatch/row_index.h"

#include <stdint.h>
#include <stdlib.h>

enum { FIRST_BUCKETS = 8 };

struct place {
    struct place *next; /* in its bucket */
    uint64_t hash;
    struct kj__row *row;
};

/* The rows that want one member to equal something. */
struct table {
    struct place **buckets;
    size_t bucket_count; /* a power of two, or 0 while empty */
    size_t count;
};

/* ---- one table ---- */

static void table_free(void *value)
{
    struct table *table = value;
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (struct place *place = table->buckets[i]; place;) {
            struct place *next = place->next;
            free(place);
            place = next;
        }
    }
    free(table->buckets);
    free(table);
}

static struct place **bucket_of(const struct table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->bucket_count - 1)];
}

/* More buckets; without memory for them the old ones do, unless there are none. */
static bool table_grow(struct table *table)
{
    struct table grown = {.bucket_count = table->bucket_count ? table->bucket_count * 2
                                                              : FIRST_BUCKETS};
    grown.buckets = calloc(grown.bucket_count, sizeof(struct place *));
    if (!grown.buckets) {
        return table->bucket_count > 0;
    }
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (struct place *place = table->buckets[i]; place;) {
            struct place *next = place->next;
            struct place **bucket = bucket_of(&grown, place->hash);
            place->next = *bucket;
            *bucket = place;
            place = next;
        }
    }
    free(table->buckets);
    table->buckets = grown.buckets;
    table->bucket_count = grown.bucket_count;
    return true;
}

static bool table_add(struct table *table, uint64_t hash, struct kj__row *row)
{
    if (table->count >= table->bucket_count && !table_grow(table)) {
        return false;
    }
    struct place *place = malloc(sizeof *place);
    if (!place) {
        return false;
    }
    struct place **bucket = bucket_of(table, hash);
    *place = (struct place){.next = *bucket, .hash = hash, .row = row};
    *bucket = place;
    table->count++;
    return true;
}

static void table_remove(struct table *table, uint64_t hash, const struct kj__row *row)
{
    if (table->bucket_count == 0) {
        return;
    }
    for (struct place **at = bucket_of(table, hash); *at; at = &(*at)->next) {
        struct place *place = *at;
        if (place->row == row && place->hash == hash) {
            *at = place->next;
            free(place);
            table->count--;
            return;
        }
    }
}

/* ---- all of an identity ---- */

void kj__row_index_init(struct kj__row_index *index)
{
    kj__map_init(&index->by_member);
}

void kj__row_index_fini(struct kj__row_index *index)
{
    kj__map_fini(&index->by_member, table_free);
}

bool kj__row_index_is_empty(const struct kj__row_index *index)
{
    return index->by_member.count == 0;
}

bool kj__row_index_add(struct kj__row_index *index, const struct kj__filter_key *key,
                       struct kj__row *row)
{
    if (key->count == 0) {
        return true; /* it lets nothing through */
    }
    struct table *table = kj__map_get(&index->by_member, key->member);
    if (!table) {
        table = calloc(1, sizeof *table);
        if (!table || !kj__map_put(&index->by_member, key->member, table, NULL)) {
            free(table);
            return false;
        }
    }
    for (size_t i = 0; i < key->count; i++) {
        if (!table_add(table, key->hashes[i], row)) {
            return false;
        }
    }
    return true;
}

void kj__row_index_remove(struct kj__row_index *index, const struct kj__filter_key *key,
                          const struct kj__row *row)
{
    struct table *table = kj__map_get(&index->by_member, key->member);
    if (!table) {
        return;
    }
    for (size_t i = 0; i < key->count; i++) {
        table_remove(table, key->hashes[i], row);
    }
    if (table->count == 0) {
        table_free(kj__map_remove(&index->by_member, key->member));
    }
}

struct visit {
    const struct table *table;
    void (*visit)(struct kj__row *row, void *ctx);
    void *ctx;
};

static void visit_hash(uint64_t hash, void *ctx)
{
    const struct visit *visit = ctx;
    for (const struct place *place = *bucket_of(visit->table, hash); place; place = place->next) {
        if (place->hash == hash) {
            visit->visit(place->row, visit->ctx);
        }
    }
}

void kj__row_index_visit(const struct kj__row_index *index, const json_t *entity,
                         void (*visit)(struct kj__row *row, void *ctx), void *ctx)
{
    for (const struct kj__map_entry *entry = kj__map_next(&index->by_member, NULL); entry;
         entry = kj__map_next(&index->by_member, entry)) {
        struct visit visiting = {.table = entry->value, .visit = visit, .ctx = ctx};
        kj__filter_visit_keys(entity, entry->key, visit_hash, &visiting);
    }
}
