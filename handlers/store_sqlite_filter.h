/* store_sqlite_filter.h - a filter as a condition of SQL.
 *
 * The condition speaks of the columns of keys_<number> AS k, and is true of every object that the
 * filter matches. It is exact when it is true of no other; otherwise kj_matches has to decide,
 * of those it leaves.
 */
#ifndef KJ_HANDLERS_STORE_SQLITE_FILTER_H
#define KJ_HANDLERS_STORE_SQLITE_FILTER_H

#include "handlers/store_sqlite_schema.h"

struct kj__sqlite_condition {
    sqlite3_str *sql;                  /* the condition is appended here */
    struct kj__sqlite_values *values;  /* and its constants here */
    const struct kj_filter_node *part; /* of the filter, NULL for all of it */
    bool is_opposite; /* of a filter that is one comparison: what it does not fit */
    bool is_exact;
    int64_t equal; /* the number of an attribute that has to equal one value, or 0 */
};

/* Whether the filter is one comparison that holds where another one does not, such as `!=`. */
bool kj__sqlite_is_negation(const struct kj_filter *filter);

/* Within a transaction of the connection, whose file it asks which kinds of values there are. */
enum kj_status kj__sqlite_translate(struct kj__sqlite_connection *connection,
                                    const struct kj__sqlite_collection *collection,
                                    const struct kj_filter *filter,
                                    struct kj__sqlite_condition *condition);

#endif
