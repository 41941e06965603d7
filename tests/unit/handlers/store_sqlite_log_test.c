/* store_sqlite_log_test.c - the log that is written in large pieces, next to another writer. */
#include "unit/rest/cmocka_all.h"

#include "handlers/store_sqlite_log.h"
#include "unit/handlers/storage.h"

#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>

static const char *path;

static int set_up(void **state)
{
    (void)state;
    path = storage_path();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    storage_remove();
    return 0;
}

static sqlite3 *open_file(const char *vfs)
{
    sqlite3 *db;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    assert_int_equal(sqlite3_open_v2(path, &db, flags, vfs), SQLITE_OK);
    return db;
}

static void execute(sqlite3 *db, const char *sql)
{
    char *error = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &error)) {
        fail_msg("%s", error);
    }
}

static void expect_text(sqlite3 *db, const char *sql, const char *text)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), text);
    sqlite3_finalize(statement);
}

#define ROWS(values)                                                                               \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 40)"                     \
    " INSERT INTO things SELECT " values " FROM n;"

/* So little is kept in memory that a transaction writes to the log long before its end. */
static void what_was_undone_is_not_written_over_what_another_commits(void **state)
{
    (void)state;
    sqlite3 *ours = open_file(kj__sqlite_log_vfs());
    kj__sqlite_log_follow(ours);
    execute(ours, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = 8;"
                  "CREATE TABLE things(name TEXT); PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite3 *theirs = open_file(NULL);

    execute(ours, "BEGIN IMMEDIATE;" ROWS("'undone' || hex(zeroblob(2000))") "ROLLBACK");
    execute(theirs, "PRAGMA synchronous = FULL;" ROWS("'kept' || hex(zeroblob(2000))"));
    execute(ours, "INSERT INTO things VALUES('last')");

    sqlite3_close(theirs);
    theirs = open_file(NULL);
    expect_text(theirs, "PRAGMA integrity_check", "ok");
    expect_text(theirs, "SELECT count(*) FROM things WHERE name LIKE 'kept%'", "40");
    expect_text(ours, "SELECT count(*) FROM things", "41");
    sqlite3_close(theirs);
    sqlite3_close(ours);
}

/* What a transaction reads of its own before it is written. */
static void a_transaction_reads_what_it_wrote(void **state)
{
    (void)state;
    sqlite3 *ours = open_file(kj__sqlite_log_vfs());
    kj__sqlite_log_follow(ours);
    execute(ours, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = 8;"
                  "CREATE TABLE things(name TEXT)");

    execute(ours, "BEGIN IMMEDIATE;" ROWS("'a' || hex(zeroblob(2000))") "SAVEPOINT s;" ROWS(
                      "'b' || hex(zeroblob(2000))") "ROLLBACK TO s;" ROWS("'c'"));
    expect_text(ours, "SELECT count(*) FROM things WHERE name LIKE 'a0%'", "40");
    execute(ours, "UPDATE things SET name = 'd' || name; COMMIT");

    sqlite3 *theirs = open_file(NULL);
    expect_text(theirs, "PRAGMA integrity_check", "ok");
    expect_text(theirs, "SELECT count(*) FROM things WHERE name LIKE 'da0%' OR name = 'dc'", "80");
    sqlite3_close(theirs);
    sqlite3_close(ours);
}

/* Files may grow to that size; 0: to any. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size ? size : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* At whatever place in the log there is no room: after that all is as before. */
static void what_cannot_be_written_is_not_committed(void **state)
{
    (void)state;
    enum { STEP = 20000, MOST = 240000 };
    (void)signal(SIGXFSZ, SIG_IGN);
    sqlite3 *ours = open_file(kj__sqlite_log_vfs());
    kj__sqlite_log_follow(ours);
    execute(ours, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = 8;"
                  "CREATE TABLE things(name TEXT); INSERT INTO things VALUES('a')");
    for (rlim_t size = 2 * STEP; size < MOST; size += STEP) {
        execute(ours, "PRAGMA wal_checkpoint(TRUNCATE)");
        execute(ours, "BEGIN IMMEDIATE");
        limit_files(size);
        int failed = sqlite3_exec(ours,
                                  "INSERT INTO things VALUES('b');" ROWS(
                                      "'c' || hex(zeroblob(2000))") "UPDATE things SET name = 'd'"
                                                                    " || name; COMMIT",
                                  NULL, NULL, NULL);
        limit_files(0);
        if (!sqlite3_get_autocommit(ours)) {
            execute(ours, "ROLLBACK");
        }
        expect_text(ours, "SELECT count(*) FROM things", failed ? "1" : "42");
        expect_text(ours, "PRAGMA integrity_check", "ok");
        execute(ours, "UPDATE things SET name = 'a' WHERE rowid = 1;"
                      "DELETE FROM things WHERE rowid > 1");
        sqlite3 *theirs = open_file(NULL);
        expect_text(theirs, "SELECT group_concat(name) FROM things", "a");
        expect_text(theirs, "PRAGMA integrity_check", "ok");
        sqlite3_close(theirs);
    }
    sqlite3_close(ours);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_undone_is_not_written_over_what_another_commits),
        TEST(a_transaction_reads_what_it_wrote),
        TEST(what_cannot_be_written_is_not_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
