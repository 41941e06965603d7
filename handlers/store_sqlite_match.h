/* store_sqlite_match.h - which objects a query means, and how many there are. */
#ifndef KJ_HANDLERS_STORE_SQLITE_MATCH_H
#define KJ_HANDLERS_STORE_SQLITE_MATCH_H

#include "handlers/store_sqlite_schema.h"

struct kj__sqlite_match {
    struct kj__sqlite_connection *connection;
    const struct kj__sqlite_collection *collection;
    const struct kj_store_query *query;

    int64_t all;                     /* objects of the identity */
    int64_t siblings;                /* of those, the parent's; all when any parent will do */
    int64_t parent;                  /* its number, or 0 */
    int64_t matches;                 /* of the siblings, what fits the filter */
    char *where;                     /* what fits, in SQL; NULL when there are no siblings */
    struct kj__sqlite_values values; /* the parameters of `where`, and whatever is added */
    bool is_exact;                   /* without kj_matches, which needs the table objects AS o */
    int64_t equal;                   /* see kj__sqlite_condition */
};

/* Within a transaction of the connection. Fini is due in any case. */
enum kj_status kj__sqlite_match_init(struct kj__sqlite_match *match,
                                     struct kj__sqlite_connection *connection,
                                     const struct kj__sqlite_collection *collection,
                                     const struct kj_store_query *query);
void kj__sqlite_match_fini(struct kj__sqlite_match *match);

#endif
