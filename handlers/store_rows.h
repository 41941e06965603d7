/* store_rows.h - the records of storages that keep objects in memory, in the order of IDs.
 *
 * A list of rows borrows its records. Not safe for concurrent use, but forms are: they are
 * immutable and reference counted, so that whoever has one reads it without the storage's lock.
 */
#ifndef KJ_HANDLERS_STORE_ROWS_H
#define KJ_HANDLERS_STORE_ROWS_H

#include "handlers/store_index.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* An object as one write left it. jansson's own counter does not do here: the thread that frees
 * a value would not be ordered behind the others' reading. */
struct kj__form {
    atomic_size_t references;
    json_t *object; /* has a text as its ID */
    size_t bytes;   /* of its compact JSON text */
};

/* A form around `object`, whose reference it takes when it succeeds; NULL without memory. */
struct kj__form *kj__form_new_take(json_t *object);
struct kj__form *kj__form_ref(struct kj__form *form);
void kj__form_unref(struct kj__form *form); /* NULL is fine */

/* The object of a form, for the caller to own and change: a copy if others have the form too. Takes
 * the reference; NULL without memory. */
json_t *kj__form_take_object(struct kj__form *form);

/* Borrowed. */
const char *kj__form_id(const struct kj__form *form);

/* One object kept. */
struct kj__record {
    struct kj__index_node by_id;
    struct kj__form *form; /* a write puts another one here */
    struct kj__family *family;
    char id[];
};

struct kj__rows {
    struct kj__record **at; /* ascending by ID */
    size_t count, capacity;
};

/* The objects of one parent. */
struct kj__family {
    struct kj__index_node by_parent;
    struct kj__rows rows;
    char parent[];
};

void kj__rows_fini(struct kj__rows *rows);

/* Makes sure that one insertion cannot fail; false when there is no memory. */
bool kj__rows_reserve(struct kj__rows *rows);

void kj__rows_insert(struct kj__rows *rows, struct kj__record *record);
void kj__rows_remove(struct kj__rows *rows, const struct kj__record *record);

/* The first row whose ID is greater than `id`; rows->count when there is none. */
size_t kj__rows_behind(const struct kj__rows *rows, const char *id);

/* A record around `form`, whose reference it takes when it succeeds; NULL without memory. */
struct kj__record *kj__record_new_take(const char *id, struct kj__form *form);
void kj__record_free(struct kj__record *record);

/* NULL without memory. A family is freed when it is empty, or with all its records. */
struct kj__family *kj__family_new(const char *parent);
void kj__family_free(struct kj__family *family);

#endif
