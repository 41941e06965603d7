/* store_sqlite_list.h - pages and totals. */
#ifndef KJ_HANDLERS_STORE_SQLITE_LIST_H
#define KJ_HANDLERS_STORE_SQLITE_LIST_H

#include "handlers/store_sqlite_schema.h"

/* As kj_store_ops.list; `page` is the array to fill, or NULL. */
enum kj_status kj__sqlite_list(struct kj__sqlite_connection *connection,
                               const struct kj__sqlite_collection *collection,
                               const struct kj_identity *identity,
                               const struct kj_store_query *query, json_t *page, size_t *total);

#endif
