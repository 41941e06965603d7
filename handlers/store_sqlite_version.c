/* store_sqlite_version.c - see store_sqlite_version.h. */
#include "handlers/store_sqlite_version.h"

#include <kujata/log.h>

/* A file that something else made has tables, but not our mark. */
static enum kj_status read_version(struct kj__sqlite_connection *connection,
                                   const struct kj__sqlite_versions *versions, int64_t *version,
                                   struct kj_error *error)
{
    int64_t application = 0;
    int64_t tables = 0;
    enum kj_status status = kj__sqlite_ask(connection, "PRAGMA user_version", NULL, version, NULL);
    if (!status) {
        status = kj__sqlite_ask(connection, "PRAGMA application_id", NULL, &application, NULL);
    }
    if (!status) {
        status = kj__sqlite_ask(connection, "SELECT count(*) FROM sqlite_schema", NULL, &tables,
                                NULL);
    }
    if (!status && application != versions->application && (tables || *version)) {
        kj_error_set(error, 0, "%s: a SQLite file, but not one of kujata's", connection->path);
        return KJ_EPARSE;
    }
    if (!status && *version > versions->current) {
        kj_error_set(error, 0,
                     "%s: made by a later kujata: its schema has version %lld, this program knows "
                     "%d",
                     connection->path, (long long)*version, versions->current);
        return KJ_EUNSUPPORTED;
    }
    return status;
}

static enum kj_status run_text(struct kj__sqlite_connection *connection, const char *sql)
{
    int result = sql ? sqlite3_exec(connection->db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
    return kj__sqlite_status(connection, result);
}

enum kj_status kj__sqlite_migrate(struct kj__sqlite_connection *connection,
                                  const struct kj__sqlite_versions *versions,
                                  struct kj_error *error)
{
    int64_t version = 0;
    enum kj_status status = read_version(connection, versions, &version, error);
    if (!status && version > 0 && version < versions->current) {
        kj_log(KJ_LOG_INFO, "store", "%s: from schema version %lld to %d", connection->path,
               (long long)version, versions->current);
    }
    while (!status && version < versions->current) {
        status = run_text(connection, versions->steps[version]);
        version++;
    }
    if (!status) {
        char *mark = sqlite3_mprintf("PRAGMA application_id = %d; PRAGMA user_version = %d",
                                     versions->application, versions->current);
        status = run_text(connection, mark);
        sqlite3_free(mark);
    }
    return status;
}
