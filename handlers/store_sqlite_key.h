/* store_sqlite_key.h - values as bytes whose order is that of kj_store_query.
 *
 * A key is one byte for the kind of value, then the value so that keys compare bytewise: numbers by
 * sign, exponent and mantissa, which holds every integer and every double exactly; times as
 * seconds and nanoseconds; strings as they are. Each indexed attribute has a column of keys.
 */
#ifndef KJ_HANDLERS_STORE_SQLITE_KEY_H
#define KJ_HANDLERS_STORE_SQLITE_KEY_H

#include "handlers/store_order.h"

#include <sqlite3.h>
#include <stddef.h>

#define KJ__SQLITE_POINTER "kj_filter"

/* malloc'd; NULL when there is no memory. */
unsigned char *kj__sqlite_key_new(const struct kj__order_value *value, size_t *len);

/* Gives a connection two functions, and returns SQLite's result:
 * kj_key(OBJECT, NAME, IS_TIME), the key of a member of an object's text, and
 * kj_matches(FILTER, OBJECT), whether the object matches. */
int kj__sqlite_add_functions(sqlite3 *db);

/* An object's text as JSON; NULL for what is none, and without memory. */
json_t *kj__sqlite_object(const char *text, size_t len);

#endif
