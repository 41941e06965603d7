/* store_order.h - the order of objects that kj_store_query describes, for storages.
 *
 * Threads: an order is read only once made; values borrow from the JSON they were read from.
 */
#ifndef KJ_HANDLERS_STORE_ORDER_H
#define KJ_HANDLERS_STORE_ORDER_H

#include <jansson.h>
#include <kujata/model.h>
#include <kujata/status.h>
#include <kujata/time.h>
#include <stdbool.h>
#include <stddef.h>

/* In the order of kinds. */
enum kj__order_kind {
    KJ__ORDER_NONE = 0, /* absent or null */
    KJ__ORDER_FALSE,
    KJ__ORDER_TRUE,
    KJ__ORDER_NUMBER,
    KJ__ORDER_TIME,
    KJ__ORDER_STRING,
    KJ__ORDER_OTHER, /* lists and objects, which are all equal */
};

/* What an object is compared by under one key. */
struct kj__order_value {
    enum kj__order_kind kind;
    union {
        /* Holds every integer and every double exactly, so mixed numbers have one order. */
        long double number;
        struct kj_time time;
        struct {
            const char *bytes; /* borrowed */
            size_t len;
        } text;
    };
};

struct kj__order_key {
    const char *name; /* borrowed from kj_store_query.order */
    bool is_descending;
    bool is_time; /* an attribute of type time */
};

struct kj__order {
    size_t count;
    struct kj__order_key keys[];
};

/* Reads kj_store_query.order. KJ_ENOMEM is the only failure. Freed with free(). */
enum kj_status kj__order_new(const struct kj_identity *identity, const char *const *keys,
                             struct kj__order **order);

/* `json` may be NULL. */
void kj__order_value_read(struct kj__order_value *value, const json_t *json, bool is_time);

/* Below, at or above 0, ascending. */
int kj__order_value_compare(const struct kj__order_value *left,
                            const struct kj__order_value *right);

/* An object in a list to be sorted, or the place one would have. */
struct kj__order_row {
    const char *id;
    const struct kj__order_value *values; /* one for each key */
    void *owner;                          /* whatever the storage keeps here */
};

/* Below, at or above 0: by the keys, then by ID. */
int kj__order_compare(const struct kj__order *order, const struct kj__order_row *left,
                      const struct kj__order_row *right);

void kj__order_sort(const struct kj__order *order, struct kj__order_row *rows, size_t count);

#endif
