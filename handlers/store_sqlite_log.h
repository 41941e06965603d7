/* store_sqlite_log.h - how the log of a file gets to the disk.
 *
 * SQLite writes each page of its log in two pieces, which cost more system calls than all else of
 * a small write. Here the pieces of a commit are collected and handed over together, right before
 * the sync that a commit of `synchronous = FULL` waits for; nobody reads the log's end before that.
 * Without such a sync it must not be used.
 */
#ifndef KJ_HANDLERS_STORE_SQLITE_LOG_H
#define KJ_HANDLERS_STORE_SQLITE_LOG_H

#include <sqlite3.h>

/* The name of SQLite's default file system with such a log, for sqlite3_open_v2; NULL, which is the
 * default itself, when there is no memory.                             [any thread] */
const char *kj__sqlite_log_vfs(void);

/* To be called for each connection with such a log: what was collected of a transaction that is
 * undone is never written, since it would be without the lock of a writer. Takes its hook of
 * rollbacks. */
void kj__sqlite_log_follow(sqlite3 *db);

#endif
