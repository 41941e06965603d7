/* store_memory.c - objects in memory, for kujata/store.h.
 *
 * One lock guards everything: readers share it, and what leaves it is copied under it, so that
 * no JSON value is ever seen by two threads. Objects are not changed in place. An update reads
 * a copy, edits it without the lock, and puts it back if no other write came between; else it
 * starts again.
 */
#include "handlers/store_order.h"
#include "handlers/store_rows.h"

#include <assert.h>
#include <kujata/store.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The objects of one identity. */
struct collection {
    struct kj__index_node by_name;
    struct kj__index records;  /* of kj__record.by_id */
    struct kj__index families; /* of kj__family.by_parent; none is empty */
    struct kj__rows rows;
    char name[];
};

struct memory {
    struct kj_store store;
    pthread_rwlock_t lock;
    struct kj__index collections; /* guarded by lock, as is all below */
    uint64_t revision;            /* of the latest write */
};

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* "list/5f…", malloc'd. Identity names hold no slash. */
static char *parent_key(const char *type, const char *id)
{
    char *key = NULL;
    return asprintf(&key, "%s/%s", type, id) < 0 ? NULL : key;
}

/* Lock held. */
static struct collection *find_collection(const struct memory *memory,
                                          const struct kj_identity *identity)
{
    /* The node is the first member. */
    return (struct collection *)kj__index_get(&memory->collections, kj_identity_name(identity));
}

/* Lock held; NULL when there is no such object. */
static struct kj__record *find_record(const struct memory *memory,
                                      const struct kj_identity *identity, const char *id)
{
    const struct collection *collection = find_collection(memory, identity);
    return collection ? (struct kj__record *)kj__index_get(&collection->records, id) : NULL;
}

static void release_record(struct kj__index_node *node)
{
    kj__record_free((struct kj__record *)node);
}

static void release_family(struct kj__index_node *node)
{
    kj__family_free((struct kj__family *)node);
}

static void release_collection(struct kj__index_node *node)
{
    struct collection *collection = (struct collection *)node;
    kj__rows_fini(&collection->rows);
    kj__index_fini(&collection->families, release_family);
    kj__index_fini(&collection->records, release_record);
    free(collection);
}

/* Lock held for writing; NULL without memory. */
static struct collection *make_collection(struct memory *memory, const struct kj_identity *identity)
{
    struct collection *collection = find_collection(memory, identity);
    if (collection || !kj__index_reserve(&memory->collections)) {
        return collection;
    }
    const char *name = kj_identity_name(identity);
    size_t size = strlen(name) + 1;
    collection = calloc(1, sizeof *collection + size);
    if (!collection) {
        return NULL;
    }
    memcpy(collection->name, name, size);
    collection->by_name.key = collection->name;
    kj__index_init(&collection->records);
    kj__index_init(&collection->families);
    kj__index_put(&memory->collections, &collection->by_name);
    return collection;
}

/* Lock held for writing; NULL without memory. */
static struct kj__family *make_family(struct collection *collection, const char *parent)
{
    struct kj__family *family = (struct kj__family *)kj__index_get(&collection->families, parent);
    if (family || !kj__index_reserve(&collection->families)) {
        return family;
    }
    family = kj__family_new(parent);
    if (family) {
        kj__index_put(&collection->families, &family->by_parent);
    }
    return family;
}

/* Lock held for writing. */
static void drop_if_empty(struct collection *collection, struct kj__family *family)
{
    if (family->rows.count == 0) {
        kj__index_remove(&collection->families, &family->by_parent);
        kj__family_free(family);
    }
}

/* Lock held for writing. All that can fail comes before the first change that shows. */
static enum kj_status add_record(struct memory *memory, const struct kj_identity *identity,
                                 const char *parent, struct kj__record *record)
{
    struct collection *collection = make_collection(memory, identity);
    if (!collection) {
        return KJ_ENOMEM;
    }
    if (kj__index_get(&collection->records, record->id)) {
        return KJ_EEXIST;
    }
    struct kj__family *family = make_family(collection, parent);
    if (!family) {
        return KJ_ENOMEM;
    }
    if (!kj__rows_reserve(&family->rows) || !kj__rows_reserve(&collection->rows) ||
        !kj__index_reserve(&collection->records)) {
        drop_if_empty(collection, family);
        return KJ_ENOMEM;
    }
    record->family = family;
    record->revision = ++memory->revision;
    kj__index_put(&collection->records, &record->by_id);
    kj__rows_insert(&collection->rows, record);
    kj__rows_insert(&family->rows, record);
    return KJ_OK;
}

static enum kj_status memory_insert(struct kj_store *self, const struct kj_identity *identity,
                                    const json_t *object)
{
    struct memory *memory = (struct memory *)self;
    const char *id = text_of(object, "ID");
    if (!*id) {
        return KJ_EINVAL;
    }
    char *parent = parent_key(text_of(object, "parentType"), text_of(object, "parentID"));
    json_t *copy = json_deep_copy(object);
    struct kj__record *record = copy ? kj__record_new_take(id, copy) : NULL;
    enum kj_status status = KJ_ENOMEM;
    if (parent && record) {
        pthread_rwlock_wrlock(&memory->lock);
        status = add_record(memory, identity, parent, record);
        pthread_rwlock_unlock(&memory->lock);
    }
    if (status) {
        if (record) {
            kj__record_free(record);
        } else {
            json_decref(copy);
        }
    }
    free(parent);
    return status;
}

/* A copy of the object, and the revision it is of. */
static enum kj_status read_copy(struct memory *memory, const struct kj_identity *identity,
                                const char *id, json_t **object, uint64_t *revision)
{
    enum kj_status status = KJ_ENOTFOUND;
    *object = NULL;
    pthread_rwlock_rdlock(&memory->lock);
    const struct kj__record *record = find_record(memory, identity, id);
    if (record) {
        *object = json_deep_copy(record->object);
        *revision = record->revision;
        status = *object ? KJ_OK : KJ_ENOMEM;
    }
    pthread_rwlock_unlock(&memory->lock);
    return status;
}

static enum kj_status memory_get(struct kj_store *self, const struct kj_identity *identity,
                                 const char *id, json_t **object)
{
    uint64_t revision;
    return read_copy((struct memory *)self, identity, id, object, &revision);
}

/* One attempt at an update. */
struct attempt {
    const struct kj_identity *identity;
    const char *id;
    uint64_t revision;  /* of the form that was edited */
    const char *parent; /* of the edited form */
    json_t *object;     /* the edited form; once swapped in, the previous one */
    bool is_stale;      /* another write came between */
};

static enum kj_status swap_in(struct memory *memory, struct attempt *attempt)
{
    enum kj_status status = KJ_OK;
    pthread_rwlock_wrlock(&memory->lock);
    struct kj__record *record = find_record(memory, attempt->identity, attempt->id);
    if (!record) {
        status = KJ_ENOTFOUND;
    } else if (strcmp(record->family->parent, attempt->parent) != 0) {
        status = KJ_EINVAL;
    } else if (record->revision != attempt->revision) {
        attempt->is_stale = true;
    } else {
        json_t *previous = record->object;
        record->object = attempt->object;
        record->revision = ++memory->revision;
        attempt->object = previous;
    }
    pthread_rwlock_unlock(&memory->lock);
    return status;
}

/* Puts a copy of `edited` in place of the form of attempt->revision. */
static enum kj_status put_back(struct memory *memory, struct attempt *attempt, const json_t *edited)
{
    if (strcmp(text_of(edited, "ID"), attempt->id) != 0) {
        return KJ_EINVAL;
    }
    char *parent = parent_key(text_of(edited, "parentType"), text_of(edited, "parentID"));
    attempt->parent = parent;
    attempt->object = json_deep_copy(edited);
    enum kj_status status = parent && attempt->object ? swap_in(memory, attempt) : KJ_ENOMEM;
    json_decref(attempt->object);
    free(parent);
    return status;
}

static enum kj_status memory_update(struct kj_store *self, const struct kj_identity *identity,
                                    const char *id, kj_store_edit edit, void *ctx, json_t **object)
{
    struct memory *memory = (struct memory *)self;
    for (;;) {
        struct attempt attempt = {.identity = identity, .id = id};
        json_t *edited;
        enum kj_status status = read_copy(memory, identity, id, &edited, &attempt.revision);
        if (!status) {
            status = edit(edited, ctx);
        }
        if (!status) {
            status = put_back(memory, &attempt, edited);
        }
        if (!status && !attempt.is_stale) {
            *object = edited;
            return KJ_OK;
        }
        json_decref(edited);
        if (status) {
            *object = NULL;
            return status;
        }
    }
}

static enum kj_status memory_remove(struct kj_store *self, const struct kj_identity *identity,
                                    const char *id, json_t **object)
{
    struct memory *memory = (struct memory *)self;
    *object = NULL;
    pthread_rwlock_wrlock(&memory->lock);
    struct kj__record *record = find_record(memory, identity, id);
    if (record) {
        struct collection *collection = find_collection(memory, identity);
        kj__index_remove(&collection->records, &record->by_id);
        kj__rows_remove(&collection->rows, record);
        kj__rows_remove(&record->family->rows, record);
        drop_if_empty(collection, record->family);
    }
    pthread_rwlock_unlock(&memory->lock);
    if (!record) {
        return KJ_ENOTFOUND;
    }
    *object = json_incref(record->object);
    kj__record_free(record); /* which leaves the caller the only reference */
    return KJ_OK;
}

/* Lock held; NULL when there are none. */
static const struct kj__rows *find_rows(const struct memory *memory,
                                        const struct kj_identity *identity, const char *parent)
{
    const struct collection *collection = find_collection(memory, identity);
    if (!collection || !parent) {
        return collection ? &collection->rows : NULL;
    }
    const struct kj__family *family = (const struct kj__family *)kj__index_get(
        &collection->families, parent);
    return family ? &family->rows : NULL;
}

/* Rows in the order a client asked for. */
struct listing {
    const struct kj__rows *rows;
    struct kj__order *order;
    struct kj__order_row *sorted; /* NULL: as the rows are; else the place comes first */
    struct kj__order_value *values;
};

static const json_t *object_at(const struct listing *listing, size_t index)
{
    return listing->sorted ? listing->sorted[index].owner : listing->rows->at[index]->object;
}

static void read_row(const struct listing *listing, size_t index, const json_t *object)
{
    const struct kj__order *order = listing->order;
    struct kj__order_value *values = listing->values + index * order->count;
    for (size_t i = 0; i < order->count; i++) {
        const struct kj__order_key *key = &order->keys[i];
        kj__order_value_read(&values[i], json_object_get(object, key->name), key->is_time);
    }
    listing->sorted[index] = (struct kj__order_row){
        .id = text_of(object, "ID"), .values = values, .owner = (void *)object};
}

/* Lock held. */
static enum kj_status sort_listing(struct listing *listing, const struct kj_identity *identity,
                                   const char *const *order)
{
    size_t count = listing->rows->count;
    if (kj__order_new(identity, order, &listing->order)) {
        return KJ_ENOMEM;
    }
    listing->sorted = calloc(count + 1, sizeof *listing->sorted);
    listing->values = calloc((count + 1) * listing->order->count, sizeof *listing->values);
    if (!listing->sorted || !listing->values) {
        return KJ_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        read_row(listing, i, listing->rows->at[i]->object);
    }
    kj__order_sort(listing->order, listing->sorted, count);
    return KJ_OK;
}

/* Where the first object behind the place that a query continues from is. Lock held. */
static size_t find_start(const struct listing *listing, const struct kj_store_query *query)
{
    if (!query->after || !*query->after) {
        return 0;
    }
    if (!listing->sorted) {
        return kj__rows_behind(listing->rows, query->after);
    }
    const struct kj__order *order = listing->order;
    size_t count = listing->rows->count;
    struct kj__order_value *values = listing->values + count * order->count;
    for (size_t i = 0; i < order->count; i++) {
        kj__order_value_read(&values[i], json_array_get(query->after_keys, i),
                             order->keys[i].is_time);
    }
    struct kj__order_row place = {.id = query->after, .values = values};
    size_t start = 0;
    while (start < count && kj__order_compare(order, &listing->sorted[start], &place) <= 0) {
        start++;
    }
    return start;
}

/* Lock held. */
static enum kj_status copy_page(const struct listing *listing, size_t start,
                                const struct kj_store_query *query, json_t *page)
{
    size_t left = listing->rows->count - start;
    size_t skipped = query->offset < left ? query->offset : left;
    left -= skipped;
    size_t wanted = query->limit && query->limit < left ? query->limit : left;
    for (size_t i = 0; i < wanted; i++) {
        const json_t *object = object_at(listing, start + skipped + i);
        if (json_array_append_new(page, json_deep_copy(object))) {
            return KJ_ENOMEM;
        }
    }
    return KJ_OK;
}

/* Lock held. */
static enum kj_status list_page(const struct kj__rows *rows, const struct kj_identity *identity,
                                const struct kj_store_query *query, json_t *page)
{
    struct listing listing = {.rows = rows};
    enum kj_status status = KJ_OK;
    if (query->order && query->order[0]) {
        status = sort_listing(&listing, identity, query->order);
    }
    if (!status) {
        status = copy_page(&listing, find_start(&listing, query), query, page);
    }
    free(listing.values);
    free(listing.sorted);
    free(listing.order);
    return status;
}

static enum kj_status list_locked(struct memory *memory, const struct kj_identity *identity,
                                  const struct kj_store_query *query, const char *parent,
                                  json_t *page, size_t *total)
{
    static const struct kj__rows none;
    pthread_rwlock_rdlock(&memory->lock);
    const struct kj__rows *rows = find_rows(memory, identity, parent);
    rows = rows ? rows : &none;
    if (total) {
        *total = rows->count;
    }
    enum kj_status status = page ? list_page(rows, identity, query, page) : KJ_OK;
    pthread_rwlock_unlock(&memory->lock);
    return status;
}

static enum kj_status memory_list(struct kj_store *self, const struct kj_identity *identity,
                                  const struct kj_store_query *query, json_t **objects,
                                  size_t *total)
{
    enum kj_status status = KJ_ENOMEM;
    const char *parent_id = query->parent_id ? query->parent_id : "";
    char *parent = query->parent_type ? parent_key(query->parent_type, parent_id) : NULL;
    json_t *page = objects ? json_array() : NULL;
    if ((parent || !query->parent_type) && (page || !objects)) {
        status = list_locked((struct memory *)self, identity, query, parent, page, total);
    }
    if (status) {
        json_decref(page);
        page = NULL;
    }
    if (objects) {
        *objects = page;
    }
    free(parent);
    return status;
}

static void memory_free(struct kj_store *self)
{
    struct memory *memory = (struct memory *)self;
    kj__index_fini(&memory->collections, release_collection);
    pthread_rwlock_destroy(&memory->lock);
    free(memory);
}

static const struct kj_store_ops memory_ops = {
    .name = "memory",
    .insert = memory_insert,
    .get = memory_get,
    .update = memory_update,
    .remove = memory_remove,
    .list = memory_list,
    .free = memory_free,
};

enum kj_status kj_store_memory_new(struct kj_store **store)
{
    struct memory *memory = calloc(1, sizeof *memory);
    *store = NULL;
    if (!memory) {
        return KJ_ENOMEM;
    }
    if (pthread_rwlock_init(&memory->lock, NULL)) {
        free(memory);
        return KJ_ENOMEM;
    }
    memory->store.ops = &memory_ops;
    kj__index_init(&memory->collections);
    *store = &memory->store;
    return KJ_OK;
}
