/* store_sqlite_marks.h - counting what several comparisons have in common.
 *
 * With `a == 1 and b < 2` an index finds those of one comparison; whether the other one holds is
 * in the row of keys, and looking at rows costs several times as much as going along an index. When
 * each comparison leaves many, it is cheaper to go along the index of each and to mark, bit by bit,
 * the objects that all of them found.
 */
#ifndef KJ_HANDLERS_STORE_SQLITE_MARKS_H
#define KJ_HANDLERS_STORE_SQLITE_MARKS_H

#include "handlers/store_sqlite_match.h"

#include <sqlite3.h>

/* Gives a connection the aggregate kj_mark(OBJECT), and returns SQLite's result. */
int kj__sqlite_add_marks(sqlite3 *db, struct kj__sqlite_marks *marks);

/* Counts the matches of an exact match whose filter is an `and`. *is_done is false where another
 * way is better: few objects, a comparison that leaves few, numbers too large to mark. */
enum kj_status kj__sqlite_count_marked(struct kj__sqlite_match *match, bool *is_done);

#endif
