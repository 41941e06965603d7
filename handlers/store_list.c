/* store_list.c - see store_list.h. */
#include "handlers/store_list.h"

#include "handlers/store_common.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

static size_t rows_wanted(const struct kj_store_query *query)
{
    bool is_bounded = query->limit && query->offset < SIZE_MAX / 4 && query->limit < SIZE_MAX / 4;
    return is_bounded ? query->offset + query->limit : SIZE_MAX;
}

static void read_place(struct kj__listing *listing)
{
    const struct kj_store_query *query = listing->query;
    const struct kj__order *order = listing->order;
    if (!query->after || !*query->after) {
        return;
    }
    for (size_t i = 0; i < order->count; i++) {
        kj__order_value_read(&listing->values[i], json_array_get(query->after_keys, i),
                             order->keys[i].is_time);
    }
    listing->place = (struct kj__order_row){.id = query->after, .values = listing->values};
}

enum kj_status kj__listing_init(struct kj__listing *listing, const struct kj_identity *identity,
                                const struct kj_store_query *query, bool wants_objects)
{
    static const char *const by_id[] = {NULL};
    *listing = (struct kj__listing){
        .query = query, .wants_objects = wants_objects, .room = rows_wanted(query)};
    enum kj_status status = kj__order_new(identity, query->order ? query->order : by_id,
                                          &listing->order);
    if (status) {
        return status;
    }
    listing->values = calloc(2 * listing->order->count + 1, sizeof *listing->values);
    if (!listing->values) {
        return KJ_ENOMEM;
    }
    read_place(listing);
    return KJ_OK;
}

static void drop_row(struct kj__order_row *row)
{
    kj__form_unref(row->owner);
    free((void *)row->values);
}

void kj__listing_fini(struct kj__listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        drop_row(&listing->rows[i]);
    }
    free(listing->rows);
    free(listing->values);
    free(listing->order);
}

/* Keeps the rows up to the page's end. */
static void cut(struct kj__listing *listing)
{
    kj__order_sort(listing->order, listing->rows, listing->count);
    while (listing->count > listing->room) {
        drop_row(&listing->rows[--listing->count]);
    }
    listing->is_cut = listing->count == listing->room;
}

static bool make_room(struct kj__listing *listing)
{
    if (listing->room <= listing->count / 2) {
        cut(listing);
    }
    if (listing->count < listing->capacity) {
        return true;
    }
    size_t capacity = listing->capacity ? listing->capacity * 2 : FIRST_CAPACITY;
    struct kj__order_row *rows = realloc(listing->rows, capacity * sizeof *rows);
    if (!rows) {
        return false;
    }
    listing->rows = rows;
    listing->capacity = capacity;
    return true;
}

/* The row borrows the listing's values. */
static struct kj__order_row row_of(const struct kj__listing *listing, struct kj__form *form)
{
    const struct kj__order *order = listing->order;
    struct kj__order_value *values = listing->values + order->count;
    for (size_t i = 0; i < order->count; i++) {
        const struct kj__order_key *key = &order->keys[i];
        kj__order_value_read(&values[i], json_object_get(form->object, key->name), key->is_time);
    }
    return (struct kj__order_row){.id = kj__form_id(form), .values = values, .owner = form};
}

static bool is_in_page(const struct kj__listing *listing, const struct kj__order_row *row)
{
    const struct kj__order *order = listing->order;
    if (listing->place.id && kj__order_compare(order, row, &listing->place) <= 0) {
        return false;
    }
    return !listing->is_cut || kj__order_compare(order, row, &listing->rows[listing->room - 1]) < 0;
}

static enum kj_status keep(struct kj__listing *listing, struct kj__order_row row)
{
    size_t size = listing->order->count * sizeof *row.values;
    struct kj__order_value *values = NULL;
    if (size) {
        values = malloc(size);
        if (!values) {
            return KJ_ENOMEM;
        }
        memcpy(values, row.values, size);
    }
    if (!make_room(listing)) {
        free(values);
        return KJ_ENOMEM;
    }
    row.values = values;
    listing->rows[listing->count++] = row;
    return KJ_OK;
}

enum kj_status kj__listing_offer_take(struct kj__listing *listing, struct kj__form *form)
{
    const struct kj_filter *filter = listing->query->filter;
    enum kj_status status = KJ_OK;
    if (!filter || kj_filter_matches(filter, form->object)) {
        listing->total++;
        struct kj__order_row row = row_of(listing, form);
        if (listing->wants_objects && is_in_page(listing, &row)) {
            status = keep(listing, row);
            form = status ? form : NULL;
        }
    }
    kj__form_unref(form);
    return status;
}

enum kj_status kj__listing_copy(struct kj__listing *listing, json_t *page)
{
    size_t bytes = 0;
    cut(listing);
    for (size_t i = listing->query->offset; i < listing->count; i++) {
        const struct kj__form *form = listing->rows[i].owner;
        if (!kj__page_takes(listing->query, page, form->bytes, &bytes)) {
            return KJ_OK;
        }
        if (json_array_append_new(page, json_deep_copy(form->object))) {
            return KJ_ENOMEM;
        }
    }
    return KJ_OK;
}
