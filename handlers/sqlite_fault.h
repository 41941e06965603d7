/* sqlite_fault.h - what is wrong with a file of SQLite, for whoever opens it. */
#ifndef KJ_HANDLERS_SQLITE_FAULT_H
#define KJ_HANDLERS_SQLITE_FAULT_H

#include <kujata/error.h>
#include <sqlite3.h>
#include <string.h>

/* After a call on `db` has failed; NULL for it: there was no memory. */
static inline void kj__sqlite_set_fault(struct kj_error *error, sqlite3 *db, const char *path)
{
    int reason = db && sqlite3_errcode(db) == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;
    if (reason) {
        kj_error_set(error, 0, "%s cannot be opened: %s", path, strerror(reason));
    } else {
        kj_error_set(error, 0, "%s: %s", path, db ? sqlite3_errmsg(db) : "out of memory");
    }
}

#endif
