/* store_order.h - objects in the order a client asked for. */
#ifndef KJ_HANDLERS_STORE_ORDER_H
#define KJ_HANDLERS_STORE_ORDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Sorts `objects` in place by the keys of kj_store_query.order, then by ID. The objects are
 * only read. False when there is no memory: the order is as it was. */
bool kj__store_sort(const json_t **objects, size_t count, const char *const *order);

#endif
