/* store_list.h - one list of kj_store_query, put together from objects offered one by one.
 *
 * It holds no more rows than twice those up to the end of the page, so that a page of a large
 * collection costs little memory. Not safe for concurrent use.
 */
#ifndef KJ_HANDLERS_STORE_LIST_H
#define KJ_HANDLERS_STORE_LIST_H

#include "handlers/store_order.h"
#include "handlers/store_rows.h"

#include <kujata/store.h>

struct kj__listing {
    const struct kj_store_query *query; /* borrowed */
    bool wants_objects;                 /* false: they are counted only */
    struct kj__order *order;            /* without keys: by ID */
    struct kj__order_value *values;     /* of the place, then of the object just offered */
    struct kj__order_row place;         /* objects up to it are left out; no ID: there is none */
    struct kj__order_row *rows;         /* each owns a reference to its form, and its values */
    size_t count, capacity;
    size_t room; /* rows up to the page's end; SIZE_MAX: all */
    bool is_cut; /* the first `room` rows are sorted, and no row behind them counts */
    size_t total;
};

/* KJ_ENOMEM is the only failure; in that case too fini is due. */
enum kj_status kj__listing_init(struct kj__listing *listing, const struct kj_identity *identity,
                                const struct kj_store_query *query, bool wants_objects);
void kj__listing_fini(struct kj__listing *listing);

/* Counts the object if it matches, and keeps it if it may be in the page. Takes the reference in
 * any case. KJ_ENOMEM is the only failure. */
enum kj_status kj__listing_offer_take(struct kj__listing *listing, struct kj__form *form);

/* Appends copies of the page's objects. KJ_ENOMEM is the only failure. */
enum kj_status kj__listing_copy(struct kj__listing *listing, json_t *page);

#endif
