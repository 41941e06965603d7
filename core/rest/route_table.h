/* route_table.h - the application's routes of one listener: see kujata/route.h.
 *
 * Threads: built by one thread, read by all HTTP workers afterwards.
 */
#ifndef KJ_REST_ROUTE_TABLE_H
#define KJ_REST_ROUTE_TABLE_H

#include "base/list.h"

#include <kujata/error.h>
#include <kujata/route.h>
#include <stdbool.h>

/* A path and the routes it has, one for each method. */
struct kj__route_place {
    struct kj__list link;
    char *path;
    size_t len; /* of what a request's path is compared with: without the "*" */
    bool is_prefix;
    struct kj__list routes;
};

struct kj__route_entry {
    struct kj__list link;
    char *method;
    void (*handle)(struct kj_exchange *exchange, void *ctx);
    void *ctx;
};

struct kj__route_table {
    struct kj__list places;
};

void kj__route_table_init(struct kj__route_table *table);
void kj__route_table_fini(struct kj__route_table *table);

/* KJ_EINVAL with `error` filled, KJ_EEXIST or KJ_ENOMEM. */
enum kj_status kj__route_table_add(struct kj__route_table *table, const struct kj_route *route,
                                   struct kj_error *error);

/* Where a path as sent leads; NULL: nowhere. */
const struct kj__route_place *kj__route_table_find(const struct kj__route_table *table,
                                                   const char *path);

/* The route of a place for a method, HEAD being GET where it has none of its own; or NULL. */
const struct kj__route_entry *kj__route_place_method(const struct kj__route_place *place,
                                                     const char *method);

#endif
