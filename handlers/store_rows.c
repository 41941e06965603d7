/* store_rows.c - see store_rows.h. IDs grow with time, so insertions come at the end. */
#include "handlers/store_rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16 };

void kj__rows_fini(struct kj__rows *rows)
{
    free(rows->at);
    *rows = (struct kj__rows){0};
}

bool kj__rows_reserve(struct kj__rows *rows)
{
    if (rows->count < rows->capacity) {
        return true;
    }
    size_t capacity = rows->capacity ? rows->capacity * 2 : FIRST_CAPACITY;
    struct kj__record **at = realloc(rows->at, capacity * sizeof(struct kj__record *));
    if (!at) {
        return false;
    }
    rows->at = at;
    rows->capacity = capacity;
    return true;
}

size_t kj__rows_behind(const struct kj__rows *rows, const char *id)
{
    size_t low = 0;
    size_t high = rows->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(rows->at[middle]->id, id) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void kj__rows_insert(struct kj__rows *rows, struct kj__record *record)
{
    assert(rows->count < rows->capacity);
    size_t place = kj__rows_behind(rows, record->id);
    memmove(rows->at + place + 1, rows->at + place,
            (rows->count - place) * sizeof(struct kj__record *));
    rows->at[place] = record;
    rows->count++;
}

void kj__rows_remove(struct kj__rows *rows, const struct kj__record *record)
{
    size_t behind = kj__rows_behind(rows, record->id);
    assert(behind > 0 && rows->at[behind - 1] == record);
    memmove(rows->at + behind - 1, rows->at + behind,
            (rows->count - behind) * sizeof(struct kj__record *));
    rows->count--;
}

struct kj__form *kj__form_new_take(json_t *object)
{
    struct kj__form *form = malloc(sizeof *form);
    if (form) {
        atomic_init(&form->references, 1);
        form->object = object;
        form->bytes = json_dumpb(object, NULL, 0, JSON_COMPACT);
    }
    return form;
}

struct kj__form *kj__form_ref(struct kj__form *form)
{
    atomic_fetch_add_explicit(&form->references, 1, memory_order_relaxed);
    return form;
}

void kj__form_unref(struct kj__form *form)
{
    if (form && atomic_fetch_sub_explicit(&form->references, 1, memory_order_acq_rel) == 1) {
        json_decref(form->object);
        free(form);
    }
}

json_t *kj__form_take_object(struct kj__form *form)
{
    bool is_ours = atomic_load_explicit(&form->references, memory_order_acquire) == 1;
    json_t *object = is_ours ? json_incref(form->object) : json_deep_copy(form->object);
    kj__form_unref(form);
    return object;
}

const char *kj__form_id(const struct kj__form *form)
{
    return json_string_value(json_object_get(form->object, "ID"));
}

struct kj__record *kj__record_new_take(const char *id, struct kj__form *form)
{
    size_t size = strlen(id) + 1;
    struct kj__record *record = calloc(1, sizeof *record + size);
    if (record) {
        memcpy(record->id, id, size);
        record->by_id.key = record->id;
        record->form = form;
    }
    return record;
}

void kj__record_free(struct kj__record *record)
{
    if (record) {
        kj__form_unref(record->form);
        free(record);
    }
}

struct kj__family *kj__family_new(const char *parent)
{
    size_t size = strlen(parent) + 1;
    struct kj__family *family = calloc(1, sizeof *family + size);
    if (family) {
        memcpy(family->parent, parent, size);
        family->by_parent.key = family->parent;
    }
    return family;
}

void kj__family_free(struct kj__family *family)
{
    if (family) {
        kj__rows_fini(&family->rows);
        free(family);
    }
}
