/* store_memory.c - objects in memory, for kujata/store.h.
 *
 * One lock guards everything: readers share it. Objects are not changed in place, so a reader
 * takes a reference under the lock and copies, filters and sorts without it. A list of many
 * objects takes the lock again for every few of them. An update edits a copy, and puts it in place
 * if no other write came between; else it starts again.
 */
#include "handlers/store_common.h"
#include "handlers/store_list.h"
#include "handlers/store_rows.h"

#include <assert.h>
#include <kujata/store.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK = 256 }; /* references taken in one hold of the lock */

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
    struct kj__index collections; /* guarded by lock */
};

/* "list/5f…", malloc'd. Identity names hold no slash. */
static char *parent_key(const char *type, const char *id)
{
    size_t type_len = strlen(type), id_size = strlen(id) + 1;
    char *key = malloc(type_len + 1 + id_size);
    if (key) {
        memcpy(key, type, type_len);
        key[type_len] = '/';
        memcpy(key + type_len + 1, id, id_size);
    }
    return key;
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
    kj__index_put(&collection->records, &record->by_id);
    kj__rows_insert(&collection->rows, record);
    kj__rows_insert(&family->rows, record);
    return KJ_OK;
}

/* A record around a copy, or NULL without memory. */
static struct kj__record *make_record(const char *id, const json_t *object)
{
    json_t *copy = json_deep_copy(object);
    struct kj__form *form = copy ? kj__form_new_take(copy) : NULL;
    struct kj__record *record = form ? kj__record_new_take(id, form) : NULL;
    if (!record) {
        kj__form_unref(form);
        json_decref(form ? NULL : copy);
    }
    return record;
}

static enum kj_status memory_insert(struct kj_store *self, const struct kj_identity *identity,
                                    const json_t *object)
{
    struct memory *memory = (struct memory *)self;
    const char *id = kj__key_text(object, "ID");
    const char *parent_type = kj__key_text(object, "parentType");
    const char *parent_id = kj__key_text(object, "parentID");
    if (!id || !*id || !parent_type || !parent_id) {
        return KJ_EINVAL;
    }
    char *parent = parent_key(parent_type, parent_id);
    struct kj__record *record = make_record(id, object);
    enum kj_status status = KJ_ENOMEM;
    if (parent && record) {
        pthread_rwlock_wrlock(&memory->lock);
        status = add_record(memory, identity, parent, record);
        pthread_rwlock_unlock(&memory->lock);
    }
    if (status) {
        kj__record_free(record);
    }
    free(parent);
    return status;
}

/* A reference to the object's form of now; NULL when there is no such object. */
static struct kj__form *find_form(struct memory *memory, const struct kj_identity *identity,
                                  const char *id)
{
    pthread_rwlock_rdlock(&memory->lock);
    const struct kj__record *record = find_record(memory, identity, id);
    struct kj__form *form = record ? kj__form_ref(record->form) : NULL;
    pthread_rwlock_unlock(&memory->lock);
    return form;
}

static enum kj_status memory_get(struct kj_store *self, const struct kj_identity *identity,
                                 const char *id, json_t **object)
{
    struct kj__form *form = find_form((struct memory *)self, identity, id);
    *object = form ? json_deep_copy(form->object) : NULL;
    enum kj_status status = form ? KJ_ENOMEM : KJ_ENOTFOUND;
    kj__form_unref(form);
    return *object ? KJ_OK : status;
}

/* One attempt at an update. */
struct attempt {
    const struct kj_identity *identity;
    const char *id;
    const struct kj__form *read; /* what was edited; held, so no other form has its address */
    const char *parent;          /* of the edited form */
    struct kj__form *form;       /* the edited form; once swapped in, the previous one */
    bool is_stale;               /* another write came between */
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
    } else if (record->form != attempt->read) {
        attempt->is_stale = true;
    } else {
        struct kj__form *previous = record->form;
        record->form = attempt->form;
        attempt->form = previous;
    }
    pthread_rwlock_unlock(&memory->lock);
    return status;
}

/* Puts a copy of `edited` in place of the form that was read. */
static enum kj_status put_back(struct memory *memory, struct attempt *attempt, const json_t *edited)
{
    const char *id = kj__key_text(edited, "ID");
    const char *parent_type = kj__key_text(edited, "parentType");
    const char *parent_id = kj__key_text(edited, "parentID");
    if (!id || strcmp(id, attempt->id) != 0 || !parent_type || !parent_id) {
        return KJ_EINVAL;
    }
    char *parent = parent_key(parent_type, parent_id);
    json_t *copy = json_deep_copy(edited);
    attempt->parent = parent;
    attempt->form = copy ? kj__form_new_take(copy) : NULL;
    json_decref(attempt->form ? NULL : copy);
    enum kj_status status = parent && attempt->form ? swap_in(memory, attempt) : KJ_ENOMEM;
    kj__form_unref(attempt->form);
    free(parent);
    return status;
}

static enum kj_status memory_update(struct kj_store *self, const struct kj_identity *identity,
                                    const char *id, kj_store_edit edit, void *ctx, json_t **object)
{
    struct memory *memory = (struct memory *)self;
    *object = NULL;
    for (;;) {
        struct kj__form *read = find_form(memory, identity, id);
        if (!read) {
            return KJ_ENOTFOUND;
        }
        struct attempt attempt = {.identity = identity, .id = id, .read = read};
        json_t *edited = json_deep_copy(read->object);
        enum kj_status status = edited ? edit(edited, ctx) : KJ_ENOMEM;
        if (!status) {
            status = put_back(memory, &attempt, edited);
        }
        kj__form_unref(read);
        if (!status && !attempt.is_stale) {
            *object = edited;
            return KJ_OK;
        }
        json_decref(edited);
        if (status) {
            return status;
        }
    }
}

/* The object is gone even where there is no memory to return it. */
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
    *object = kj__form_take_object(record->form);
    record->form = NULL;
    kj__record_free(record);
    return *object ? KJ_OK : KJ_ENOMEM;
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

/* A walk through the rows of a parent, some at a time, by ID. */
struct scan {
    struct memory *memory;
    const struct kj_identity *identity;
    const char *parent;
    const char *after; /* the ID to go on behind, or "" */
    size_t skip;       /* rows to leave out there */
    size_t wanted;     /* rows still to come */
    size_t row_count;  /* all there are, as of now */
    int64_t end_ms;    /* when the time is up; INT64_MAX: never */
    struct kj__form *forms[CHUNK];
    size_t count;
};

/* References to the next rows. */
static void read_chunk(struct scan *scan)
{
    struct memory *memory = scan->memory;
    scan->count = 0;
    pthread_rwlock_rdlock(&memory->lock);
    const struct kj__rows *rows = find_rows(memory, scan->identity, scan->parent);
    scan->row_count = rows ? rows->count : 0;
    size_t at = rows && *scan->after ? kj__rows_behind(rows, scan->after) : 0;
    size_t left = scan->row_count - at;
    at += scan->skip < left ? scan->skip : left;
    while (at < scan->row_count && scan->count < CHUNK && scan->count < scan->wanted) {
        scan->forms[scan->count++] = kj__form_ref(rows->at[at++]->form);
    }
    pthread_rwlock_unlock(&memory->lock);
    scan->skip = 0;
    scan->wanted -= scan->count;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Offers every row that is left, or as many as are wanted. */
static enum kj_status scan_rows(struct scan *scan, struct kj__listing *listing)
{
    enum kj_status status = KJ_OK;
    struct kj__form *last = NULL; /* holds scan->after */
    do {
        read_chunk(scan);
        kj__form_unref(last);
        last = scan->count ? kj__form_ref(scan->forms[scan->count - 1]) : NULL;
        scan->after = last ? kj__form_id(last) : "";
        for (size_t i = 0; i < scan->count; i++) {
            enum kj_status offered = kj__listing_offer_take(listing, scan->forms[i]);
            status = status ? status : offered;
        }
        if (!status && now_ms() > scan->end_ms) {
            status = KJ_ELIMIT;
        }
    } while (!status && scan->count == CHUNK && scan->wanted > 0);
    kj__form_unref(last);
    return status;
}

/* By ID and without a filter, the page's rows are where counting finds them. */
static enum kj_status list_slice(struct scan *scan, const struct kj_store_query *query,
                                 struct kj__listing *listing)
{
    scan->after = query->after ? query->after : "";
    scan->skip = query->offset;
    scan->wanted = !listing->wants_objects ? 0 : query->limit ? query->limit : SIZE_MAX;
    enum kj_status status = scan_rows(scan, listing);
    listing->total = scan->row_count;
    return status;
}

static enum kj_status list_rows(struct scan *scan, const struct kj_store_query *query, json_t *page,
                                size_t *total)
{
    struct kj__listing listing;
    bool is_slice = !query->filter && !(query->order && query->order[0]);
    struct kj_store_query whole = {
        .limit = query->limit, .page_bytes = query->page_bytes, .is_cut = query->is_cut};
    enum kj_status status = kj__listing_init(&listing, scan->identity, is_slice ? &whole : query,
                                             page != NULL);
    if (!status) {
        status = is_slice ? list_slice(scan, query, &listing) : scan_rows(scan, &listing);
    }
    if (!status && page) {
        status = kj__listing_copy(&listing, page);
    }
    if (total) {
        *total = listing.total;
    }
    kj__listing_fini(&listing);
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
        struct scan scan = {.memory = (struct memory *)self,
                            .identity = identity,
                            .parent = parent,
                            .after = "",
                            .wanted = SIZE_MAX,
                            .end_ms = INT64_MAX};
        if (query->time_limit_ms) {
            scan.end_ms = now_ms() + query->time_limit_ms;
        }
        status = list_rows(&scan, query, page, total);
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
