/* accounts_db.c - see accounts_db.h. */
#include "handlers/accounts_db.h"

#include "handlers/sqlite_fault.h"

#include <fcntl.h>
#include <kujata/log.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUSY_MS = 2000, FILE_MODE = 0600, LINE_INTERVAL_MS = 1000, READER = 1 };

/* What makes version n + 1 of version n. A step that was released is never changed. */
static const char *const steps[KJ__ACCOUNTS_VERSION] = {
    "CREATE TABLE accounts(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL UNIQUE COLLATE NOCASE, password TEXT NOT NULL, created INTEGER NOT NULL);"
    "CREATE TABLE tokens(number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
    " account INTEGER NOT NULL, expires INTEGER NOT NULL);"
    "CREATE INDEX tokens_account ON tokens(account, number);"
    "CREATE INDEX tokens_expires ON tokens(expires);",
};

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    FIND,
    FIND_ID,
    ADD,
    SET_PASSWORD,
    ADD_TOKEN,
    FIND_TOKEN,
    DROP_TOKEN,
    DROP_OLD,
    DROP_OTHERS,
};

static const char *const texts[KJ__ACCOUNTS_STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [FIND] = "SELECT id, name, password FROM accounts WHERE name = ?1",
    [FIND_ID] = "SELECT id, name, password FROM accounts WHERE id = ?1",
    [ADD] = "INSERT INTO accounts(name, password, created) SELECT ?1, ?2, ?3"
            " WHERE (SELECT coalesce(max(id), 0) FROM accounts) < ?4 RETURNING id",
    [SET_PASSWORD] = "UPDATE accounts SET password = ?2 WHERE id = ?1 AND password = ?3"
                     " RETURNING id",
    [ADD_TOKEN] = "INSERT INTO tokens(hash, account, expires) SELECT ?1, ?2, ?3"
                  " WHERE EXISTS(SELECT 1 FROM accounts WHERE id = ?2 AND password = ?4)"
                  " RETURNING number",
    [FIND_TOKEN] = "SELECT id, name, password, expires FROM tokens"
                   " JOIN accounts ON accounts.id = tokens.account"
                   " WHERE hash = ?1 AND expires > ?2",
    [DROP_TOKEN] = "DELETE FROM tokens WHERE hash = ?1 RETURNING number",
    /* And a few of any account that have run out, so that the table does not grow for ever. */
    [DROP_OLD] = "DELETE FROM tokens WHERE number IN"
                 " (SELECT number FROM tokens WHERE account = ?1 ORDER BY number DESC"
                 "  LIMIT 256 OFFSET ?2)"
                 " OR number IN (SELECT number FROM tokens WHERE expires <= ?3 LIMIT 16)"
                 " RETURNING hash",
    [DROP_OTHERS] = "DELETE FROM tokens WHERE account = ?1 AND hash <> ?2 RETURNING hash",
};

int64_t kj__accounts_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- statements; the connection's lock held ---- */

/* One line a second is enough to act on; the counter has all of them. */
static void report(struct kj__accounts_db *db, const struct kj__accounts_connection *connection)
{
    int64_t due = atomic_load(&db->next_line_ms);
    int64_t now = kj__accounts_now_ms();
    if (now >= due &&
        atomic_compare_exchange_strong(&db->next_line_ms, &due, now + LINE_INTERVAL_MS)) {
        kj_log(KJ_LOG_ERROR, "accounts", "--accounts sqlite:%s failed: %s",
               db->path ? db->path : ":memory:", sqlite3_errmsg(connection->sqlite));
    }
}

static enum kj_status status_of(struct kj__accounts_db *db,
                                const struct kj__accounts_connection *connection, int result)
{
    switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return KJ_OK;
    case SQLITE_NOMEM:
        return KJ_ENOMEM;
    case SQLITE_CONSTRAINT:
        return KJ_EEXIST;
    default:
        report(db, connection);
        return KJ_EIO;
    }
}

/* NULL after a failure, which the connection knows. */
static sqlite3_stmt *prepare(struct kj__accounts_connection *connection, enum statement which)
{
    sqlite3_stmt **statement = &connection->statements[which];
    if (!*statement) {
        (void)sqlite3_prepare_v3(connection->sqlite, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                 statement, NULL);
    }
    return *statement;
}

/* Steps through all its rows; `visit` may be NULL. KJ_ENOTFOUND when there is none. */
static enum kj_status run(struct kj__accounts_db *db, struct kj__accounts_connection *connection,
                          sqlite3_stmt *statement, void (*visit)(sqlite3_stmt *row, void *ctx),
                          void *ctx)
{
    bool has_row = false;
    int result = statement ? SQLITE_ROW : sqlite3_errcode(connection->sqlite);
    while (statement && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        has_row = true;
        if (visit) {
            visit(statement, ctx);
        }
    }
    enum kj_status status = status_of(db, connection, result);
    if (statement) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
    }
    if (status || has_row) {
        return status;
    }
    return KJ_ENOTFOUND;
}

/* One that gives no rows. */
static enum kj_status command(struct kj__accounts_db *db,
                              struct kj__accounts_connection *connection, enum statement which)
{
    enum kj_status status = run(db, connection, prepare(connection, which), NULL, NULL);
    return status == KJ_ENOTFOUND ? KJ_OK : status;
}

static enum kj_status finish(struct kj__accounts_db *db, enum kj_status status)
{
    if (!status) {
        status = command(db, db->writer, COMMIT);
    }
    if (status && !sqlite3_get_autocommit(db->writer->sqlite)) {
        (void)command(db, db->writer, ROLLBACK);
    }
    return status;
}

static void bind_text(sqlite3_stmt *statement, int number, const char *text)
{
    sqlite3_bind_text(statement, number, text, -1, SQLITE_STATIC);
}

static void bind_hash(sqlite3_stmt *statement, int number, const uint8_t *hash)
{
    sqlite3_bind_blob(statement, number, hash, KJ__TOKEN_HASH_SIZE, SQLITE_STATIC);
}

/* ---- opening ---- */

static bool ask(sqlite3 *sqlite, const char *sql, int64_t *number)
{
    sqlite3_stmt *statement = NULL;
    bool is_there = sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL) == SQLITE_OK &&
                    sqlite3_step(statement) == SQLITE_ROW;
    *number = is_there ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return is_there;
}

/* KJ_EPARSE for a file that something else made: it has tables, but not our mark. */
static enum kj_status check_version(sqlite3 *sqlite, const char *path, int64_t *version,
                                    struct kj_error *error)
{
    int64_t application;
    int64_t tables;
    if (!ask(sqlite, "PRAGMA user_version", version) ||
        !ask(sqlite, "PRAGMA application_id", &application) ||
        !ask(sqlite, "SELECT count(*) FROM sqlite_schema", &tables)) {
        kj_error_set(error, 0, "%s: %s", path, sqlite3_errmsg(sqlite));
        return KJ_EIO;
    }
    if (application != KJ__ACCOUNTS_APPLICATION && (tables || *version)) {
        kj_error_set(error, 0, "%s: a SQLite file, but not one of kujata's accounts", path);
        return KJ_EPARSE;
    }
    if (*version > KJ__ACCOUNTS_VERSION) {
        kj_error_set(error, 0,
                     "%s: made by a later kujata: its schema has version %lld, this program knows "
                     "%d",
                     path, (long long)*version, KJ__ACCOUNTS_VERSION);
        return KJ_EUNSUPPORTED;
    }
    return KJ_OK;
}

static enum kj_status migrate(sqlite3 *sqlite, const char *path, struct kj_error *error)
{
    int64_t version;
    int result = sqlite3_exec(sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    enum kj_status status = result ? KJ_EIO : check_version(sqlite, path, &version, error);
    while (!status && !result && version < KJ__ACCOUNTS_VERSION) {
        result = sqlite3_exec(sqlite, steps[version++], NULL, NULL, NULL);
    }
    char *mark = sqlite3_mprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                                 KJ__ACCOUNTS_APPLICATION, KJ__ACCOUNTS_VERSION);
    if (!status && !result) {
        result = mark ? sqlite3_exec(sqlite, mark, NULL, NULL, NULL) : SQLITE_NOMEM;
    }
    sqlite3_free(mark);
    if (result) {
        kj_error_set(error, 0, "%s: %s", path, sqlite3_errmsg(sqlite));
        return result == SQLITE_NOMEM ? KJ_ENOMEM : KJ_EIO;
    }
    return status;
}

static enum kj_status connect_to(struct kj__accounts_connection *connection, const char *path,
                                 struct kj_error *error)
{
    static const char settings[] = "PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = FULL;"
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA secure_delete = FAST;";
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int result = sqlite3_open_v2(path, &connection->sqlite, flags, NULL);
    if (!result) {
        sqlite3_busy_timeout(connection->sqlite, BUSY_MS);
        result = sqlite3_exec(connection->sqlite, settings, NULL, NULL, NULL);
    }
    if (!result) {
        return KJ_OK;
    }
    kj__sqlite_set_fault(error, connection->sqlite, path);
    return result == SQLITE_NOMEM ? KJ_ENOMEM : result == SQLITE_NOTADB ? KJ_EPARSE : KJ_EIO;
}

/* A new file is its owner's alone to read. */
static void make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd >= 0) {
        close(fd);
    }
}

enum kj_status kj__accounts_db_open(struct kj__accounts_db *db, const char *path,
                                    struct kj_error *error)
{
    for (size_t i = 0; i <= READER; i++) {
        pthread_mutex_init(&db->connections[i].lock, NULL);
    }
    db->writer = &db->connections[0];
    db->reader = &db->connections[path ? READER : 0];
    if (path) {
        db->path = strdup(path);
        if (!db->path) {
            kj_error_set(error, 0, "no memory for the accounts");
            return KJ_ENOMEM;
        }
        make_file(path);
    }
    const char *name = path ? path : ":memory:";
    enum kj_status status = connect_to(db->writer, name, error);
    status = status ? status : migrate(db->writer->sqlite, name, error);
    return status || !path ? status : connect_to(db->reader, name, error);
}

void kj__accounts_db_close(struct kj__accounts_db *db)
{
    for (size_t i = 0; i <= READER; i++) {
        struct kj__accounts_connection *connection = &db->connections[i];
        for (size_t j = 0; j < KJ__ACCOUNTS_STATEMENTS; j++) {
            sqlite3_finalize(connection->statements[j]);
        }
        sqlite3_close(connection->sqlite);
        pthread_mutex_destroy(&connection->lock);
    }
    free(db->path);
}

/* ---- accounts ---- */

static void copy_text(char *to, size_t size, sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    size_t len = text ? strnlen(text, size - 1) : 0;
    memcpy(to, text ? text : "", len);
    to[len] = '\0';
}

static void read_account(sqlite3_stmt *row, void *ctx)
{
    struct kj__account_row *account = ctx;
    account->account.id = sqlite3_column_int64(row, 0);
    copy_text(account->account.name, sizeof account->account.name, row, 1);
    copy_text(account->password, sizeof account->password, row, 2);
}

enum kj_status kj__accounts_db_find(struct kj__accounts_db *db, const char *name,
                                    struct kj__account_row *row)
{
    pthread_mutex_lock(&db->reader->lock);
    sqlite3_stmt *statement = prepare(db->reader, FIND);
    bind_text(statement, 1, name);
    enum kj_status status = run(db, db->reader, statement, read_account, row);
    pthread_mutex_unlock(&db->reader->lock);
    return status;
}

enum kj_status kj__accounts_db_find_id(struct kj__accounts_db *db, int64_t id,
                                       struct kj__account_row *row)
{
    pthread_mutex_lock(&db->reader->lock);
    sqlite3_stmt *statement = prepare(db->reader, FIND_ID);
    sqlite3_bind_int64(statement, 1, id);
    enum kj_status status = run(db, db->reader, statement, read_account, row);
    pthread_mutex_unlock(&db->reader->lock);
    return status;
}

static void read_number(sqlite3_stmt *row, void *ctx)
{
    *(int64_t *)ctx = sqlite3_column_int64(row, 0);
}

enum kj_status kj__accounts_db_add(struct kj__accounts_db *db, struct kj__account_row *row,
                                   uint32_t accounts_max)
{
    pthread_mutex_lock(&db->writer->lock);
    sqlite3_stmt *statement = prepare(db->writer, ADD);
    bind_text(statement, 1, row->account.name);
    bind_text(statement, 2, row->password);
    sqlite3_bind_int64(statement, 3, kj__accounts_now_ms());
    sqlite3_bind_int64(statement, 4, accounts_max);
    enum kj_status status = run(db, db->writer, statement, read_number, &row->account.id);
    pthread_mutex_unlock(&db->writer->lock);
    return status == KJ_ENOTFOUND ? KJ_ECLOSED : status;
}

static enum kj_status set_password(struct kj__accounts_db *db, const struct kj__account_row *old,
                                   const char *password)
{
    sqlite3_stmt *statement = prepare(db->writer, SET_PASSWORD);
    sqlite3_bind_int64(statement, 1, old->account.id);
    bind_text(statement, 2, password);
    bind_text(statement, 3, old->password);
    return run(db, db->writer, statement, NULL, NULL);
}

enum kj_status kj__accounts_db_set_password(struct kj__accounts_db *db,
                                            const struct kj__account_row *old, const char *password)
{
    pthread_mutex_lock(&db->writer->lock);
    enum kj_status status = set_password(db, old, password);
    pthread_mutex_unlock(&db->writer->lock);
    return status;
}

/* ---- tokens ---- */

static void add_ended(sqlite3_stmt *row, void *ctx)
{
    struct kj__ended_tokens *ended = ctx;
    const void *hash = sqlite3_column_blob(row, 0);
    if (hash && sqlite3_column_bytes(row, 0) == KJ__TOKEN_HASH_SIZE &&
        ended->count < sizeof ended->hashes / sizeof *ended->hashes) {
        memcpy(ended->hashes[ended->count++], hash, KJ__TOKEN_HASH_SIZE);
    }
}

static enum kj_status drop_old(struct kj__accounts_db *db, int64_t account, uint32_t keep,
                               struct kj__ended_tokens *ended)
{
    sqlite3_stmt *statement = prepare(db->writer, DROP_OLD);
    sqlite3_bind_int64(statement, 1, account);
    sqlite3_bind_int64(statement, 2, keep);
    sqlite3_bind_int64(statement, 3, kj__accounts_now_ms());
    enum kj_status status = run(db, db->writer, statement, add_ended, ended);
    return status == KJ_ENOTFOUND ? KJ_OK : status;
}

enum kj_status kj__accounts_db_add_token(struct kj__accounts_db *db,
                                         const struct kj__account_row *row,
                                         const struct kj__token_row *token, uint32_t keep,
                                         struct kj__ended_tokens *ended)
{
    ended->count = 0;
    pthread_mutex_lock(&db->writer->lock);
    enum kj_status status = command(db, db->writer, BEGIN);
    if (!status) {
        sqlite3_stmt *statement = prepare(db->writer, ADD_TOKEN);
        bind_hash(statement, 1, token->hash);
        sqlite3_bind_int64(statement, 2, token->account);
        sqlite3_bind_int64(statement, 3, token->expires_ms);
        bind_text(statement, 4, row->password);
        status = run(db, db->writer, statement, NULL, NULL);
    }
    status = status ? status : drop_old(db, token->account, keep, ended);
    status = finish(db, status);
    pthread_mutex_unlock(&db->writer->lock);
    return status;
}

struct found_token {
    struct kj__account_row *row;
    int64_t *expires_ms;
};

static void read_token(sqlite3_stmt *row, void *ctx)
{
    const struct found_token *found = ctx;
    if (found->row) {
        read_account(row, found->row);
    }
    if (found->expires_ms) {
        *found->expires_ms = sqlite3_column_int64(row, 3);
    }
}

enum kj_status kj__accounts_db_find_token(struct kj__accounts_db *db,
                                          const uint8_t hash[KJ__TOKEN_HASH_SIZE],
                                          struct kj__account_row *row, int64_t *expires_ms)
{
    struct found_token found = {row, expires_ms};
    pthread_mutex_lock(&db->reader->lock);
    sqlite3_stmt *statement = prepare(db->reader, FIND_TOKEN);
    bind_hash(statement, 1, hash);
    sqlite3_bind_int64(statement, 2, kj__accounts_now_ms());
    enum kj_status status = run(db, db->reader, statement, read_token, &found);
    pthread_mutex_unlock(&db->reader->lock);
    return status;
}

enum kj_status kj__accounts_db_drop_token(struct kj__accounts_db *db,
                                          const uint8_t hash[KJ__TOKEN_HASH_SIZE])
{
    pthread_mutex_lock(&db->writer->lock);
    sqlite3_stmt *statement = prepare(db->writer, DROP_TOKEN);
    bind_hash(statement, 1, hash);
    enum kj_status status = run(db, db->writer, statement, NULL, NULL);
    pthread_mutex_unlock(&db->writer->lock);
    return status;
}

static enum kj_status drop_others(struct kj__accounts_db *db, int64_t account, const uint8_t *hash,
                                  struct kj__ended_tokens *ended)
{
    sqlite3_stmt *statement = prepare(db->writer, DROP_OTHERS);
    sqlite3_bind_int64(statement, 1, account);
    bind_hash(statement, 2, hash);
    enum kj_status status = run(db, db->writer, statement, add_ended, ended);
    return status == KJ_ENOTFOUND ? KJ_OK : status;
}

enum kj_status kj__accounts_db_change_password(struct kj__accounts_db *db,
                                               const struct kj__account_row *old,
                                               const char *password,
                                               const uint8_t hash[KJ__TOKEN_HASH_SIZE],
                                               struct kj__ended_tokens *ended)
{
    ended->count = 0;
    pthread_mutex_lock(&db->writer->lock);
    enum kj_status status = command(db, db->writer, BEGIN);
    status = status ? status : set_password(db, old, password);
    status = status ? status : drop_others(db, old->account.id, hash, ended);
    status = finish(db, status);
    pthread_mutex_unlock(&db->writer->lock);
    return status;
}
