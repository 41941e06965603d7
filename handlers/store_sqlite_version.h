/* store_sqlite_version.h - the version of a file's tables, and how it is brought up to date. */
#ifndef KJ_HANDLERS_STORE_SQLITE_VERSION_H
#define KJ_HANDLERS_STORE_SQLITE_VERSION_H

#include "handlers/store_sqlite_connection.h"

/* What one kind of file is made of; static. */
struct kj__sqlite_versions {
    int application; /* PRAGMA application_id, which tells such files from others */
    int current;     /* PRAGMA user_version that this program knows */
    const char *const
        *steps; /* what makes version n + 1 of version n; never changed once released */
};

/* In a transaction of the caller's. KJ_EPARSE for a file that something else made,
 * KJ_EUNSUPPORTED for one of a later version, both with `error` filled; else as
 * kj__sqlite_status. */
enum kj_status kj__sqlite_migrate(struct kj__sqlite_connection *connection,
                                  const struct kj__sqlite_versions *versions,
                                  struct kj_error *error);

#endif
