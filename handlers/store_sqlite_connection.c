/* store_sqlite_connection.c - see store_sqlite_connection.h. */
#include "handlers/store_sqlite_connection.h"

#include "handlers/sqlite_fault.h"
#include "handlers/store_sqlite_key.h"
#include "handlers/store_sqlite_log.h"
#include "handlers/store_sqlite_marks.h"

#include <errno.h>
#include <kujata/log.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BUSY_TIMEOUT_DEFAULT_MS = 2000,
    CACHE_DEFAULT = 64 << 20,
    KIB = 1024,
    LINE_INTERVAL_MS = 1000,
    WAYS = 4, /* statements whose texts have a hash in common */
};

/* ---- faults ---- */

int64_t kj__sqlite_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *flag_of(const struct kj__sqlite_numbers *numbers)
{
    return numbers->flag ? numbers->flag : "--store";
}

/* One line a second is enough to act on; the counters have all of them. */
static bool is_line_due(struct kj__sqlite_numbers *numbers)
{
    int64_t due = atomic_load(&numbers->next_line_ms);
    int64_t now = kj__sqlite_now_ms();
    return now >= due &&
           atomic_compare_exchange_strong(&numbers->next_line_ms, &due, now + LINE_INTERVAL_MS);
}

void kj__sqlite_count_crowded(struct kj__sqlite_numbers *numbers, const char *path)
{
    atomic_fetch_add(&numbers->crowded, 1);
    if (is_line_due(numbers)) {
        kj_log(KJ_LOG_WARNING, "store", "%s sqlite:%s: a list found no reader (%s-readers)",
               flag_of(numbers), path, flag_of(numbers));
    }
}

static void report(struct kj__sqlite_connection *connection, const char *what, const char *option)
{
    const char *flag = flag_of(connection->numbers);
    if (is_line_due(connection->numbers)) {
        kj_log(KJ_LOG_ERROR, "store", "%s sqlite:%s %s (%s%s): %s", flag, connection->path, what,
               *option == '-' ? flag : "", option, sqlite3_errmsg(connection->db));
    }
}

/* A disk without room shows in several places. */
static bool is_full(const struct kj__sqlite_connection *connection, int result)
{
    int cause = sqlite3_system_errno(connection->db);
    return (result & 0xff) == SQLITE_FULL ||
           ((result & 0xff) == SQLITE_IOERR && (cause == ENOSPC || cause == EDQUOT));
}

enum kj_status kj__sqlite_status(struct kj__sqlite_connection *connection, int result)
{
    struct kj__sqlite_numbers *numbers = connection->numbers;
    switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return KJ_OK;
    case SQLITE_NOMEM:
        return KJ_ENOMEM;
    case SQLITE_CONSTRAINT:
        return KJ_EEXIST;
    case SQLITE_INTERRUPT:
        return KJ_ELIMIT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        atomic_fetch_add(&numbers->busy, 1);
        report(connection, "is held by another process", "-busy-ms is how long to wait");
        return KJ_ETIMEOUT;
    default:
        break;
    }
    if (is_full(connection, result)) {
        atomic_fetch_add(&numbers->full, 1);
        report(connection, "has no room", "-max-megabytes, or the disk");
        return KJ_EFULL;
    }
    atomic_fetch_add(&numbers->failed, 1);
    report(connection, "failed", "restore it from a backup if it is damaged");
    return KJ_EIO;
}

/* ---- opening ---- */

/* Not through kj__sqlite_status: whoever opens a store is told, not the log. */
static enum kj_status explain(sqlite3 *db, int result, const char *path, struct kj_error *error)
{
    kj__sqlite_set_fault(error, db, path);
    switch (result & 0xff) {
    case SQLITE_NOMEM:
        return KJ_ENOMEM;
    case SQLITE_BUSY:
        return KJ_ETIMEOUT;
    case SQLITE_FULL:
        return KJ_EFULL;
    case SQLITE_NOTADB:
        return KJ_EPARSE;
    default:
        return KJ_EIO;
    }
}

/* Pages are bounded in number: the file's room, and each connection's share of the cache. */
static char *settings_of(const struct kj_store_sqlite_options *options)
{
    uint32_t connections = options->readers + 1;
    uint32_t cache = options->cache_bytes ? options->cache_bytes : CACHE_DEFAULT;
    return sqlite3_mprintf("PRAGMA journal_mode = WAL;"
                           "PRAGMA synchronous = %s;"
                           "PRAGMA cache_size = -%u;"
                           "PRAGMA wal_autocheckpoint = %d;"
                           "PRAGMA journal_size_limit = %d;"
                           "PRAGMA trusted_schema = OFF;"
                           "PRAGMA secure_delete = FAST;"
                           "PRAGMA analysis_limit = 1000;",
                           options->is_relaxed ? "NORMAL" : "FULL", cache / connections / KIB + 1,
                           (int)KJ__SQLITE_CHECKPOINT_PAGES, CACHE_DEFAULT);
}

static int apply_settings(sqlite3 *db, const struct kj_store_sqlite_options *options)
{
    uint32_t busy_ms = options->busy_timeout_ms ? options->busy_timeout_ms
                                                : BUSY_TIMEOUT_DEFAULT_MS;
    char *settings = settings_of(options);
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, (int)busy_ms);
    int result = settings ? sqlite3_exec(db, settings, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(settings);
    return result;
}

/* The limit counts pages, whose size a new file has settled by now. */
static int limit_size(sqlite3 *db, uint64_t max_bytes)
{
    sqlite3_stmt *statement;
    int result = sqlite3_prepare_v2(db, "PRAGMA page_size", -1, &statement, NULL);
    if (result) {
        return result;
    }
    result = sqlite3_step(statement);
    int64_t page = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 1;
    sqlite3_finalize(statement);
    if (result != SQLITE_ROW) {
        return result;
    }
    uint64_t pages = max_bytes / (uint64_t)page;
    char *limit = sqlite3_mprintf("PRAGMA max_page_count = %llu", pages ? pages : 1);
    result = limit ? sqlite3_exec(db, limit, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(limit);
    return result;
}

enum kj_status kj__sqlite_open(const struct kj_store_sqlite_options *options,
                               struct kj__sqlite_numbers *numbers,
                               struct kj__sqlite_connection **connection, struct kj_error *error)
{
    struct kj__sqlite_connection *made = calloc(1, sizeof *made);
    *connection = NULL;
    if (!made) {
        return KJ_ENOMEM;
    }
    made->path = options->path;
    made->numbers = numbers;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    const char *vfs = options->is_relaxed ? NULL : kj__sqlite_log_vfs();
    int result = sqlite3_open_v2(options->path, &made->db, flags, vfs);
    if (!result) {
        kj__sqlite_log_follow(made->db);
        result = apply_settings(made->db, options);
    }
    if (!result && options->max_bytes) {
        result = limit_size(made->db, options->max_bytes);
    }
    if (!result) {
        result = kj__sqlite_add_functions(made->db);
    }
    if (!result) {
        result = kj__sqlite_add_marks(made->db, &made->marks);
    }
    if (result) {
        enum kj_status status = explain(made->db, result, options->path, error);
        kj__sqlite_close(made);
        return status;
    }
    *connection = made;
    return KJ_OK;
}

void kj__sqlite_close(struct kj__sqlite_connection *connection)
{
    if (connection) {
        for (size_t i = 0; i < KJ__SQLITE_STATEMENTS; i++) {
            sqlite3_finalize(connection->statements[i]);
        }
        sqlite3_close(connection->db);
        free(connection);
    }
}

/* ---- values ---- */

void kj__sqlite_values_fini(struct kj__sqlite_values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        if (values->at[i].type == KJ__SQLITE_KEY) {
            free(values->at[i].key);
        }
    }
    free(values->at);
    *values = (struct kj__sqlite_values){0};
}

static int add(struct kj__sqlite_values *values, struct kj__sqlite_value value)
{
    enum { FIRST_CAPACITY = 16 };
    if (values->count == values->capacity) {
        size_t capacity = values->capacity ? 2 * values->capacity : FIRST_CAPACITY;
        void *grown = realloc(values->at, capacity * sizeof *values->at);
        if (!grown) {
            values->failed = true;
            return 0;
        }
        values->at = grown;
        values->capacity = capacity;
    }
    values->at[values->count++] = value;
    return (int)values->count;
}

int kj__sqlite_add_integer(struct kj__sqlite_values *values, int64_t integer)
{
    return add(values, (struct kj__sqlite_value){.type = KJ__SQLITE_INTEGER, .integer = integer});
}

int kj__sqlite_add_text(struct kj__sqlite_values *values, const char *text, size_t len)
{
    return add(values,
               (struct kj__sqlite_value){.type = KJ__SQLITE_STRING, .text = text, .len = len});
}

int kj__sqlite_add_bytes(struct kj__sqlite_values *values, const void *bytes, size_t len)
{
    return add(values,
               (struct kj__sqlite_value){.type = KJ__SQLITE_BYTES, .bytes = bytes, .len = len});
}

int kj__sqlite_add_filter(struct kj__sqlite_values *values, const struct kj_filter *filter)
{
    return add(values, (struct kj__sqlite_value){.type = KJ__SQLITE_FILTER, .filter = filter});
}

int kj__sqlite_add_key_take(struct kj__sqlite_values *values, unsigned char *key, size_t len)
{
    int number =
        key ? add(values, (struct kj__sqlite_value){.type = KJ__SQLITE_KEY, .key = key, .len = len})
            : 0;
    if (!number) {
        values->failed = true;
        free(key);
    }
    return number;
}

/* ---- statements ---- */

/* The first of the WAYS places where a statement may be. Texts are hashed by the word, since that
 * is done for every statement. */
static sqlite3_stmt **places_of(struct kj__sqlite_connection *connection, const char *sql)
{
    size_t len = strlen(sql);
    uint64_t hash = len;
    while (len > 0) {
        uint64_t word = 0;
        size_t size = len < sizeof word ? len : sizeof word;
        memcpy(&word, sql, size);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
        sql += size;
        len -= size;
    }
    return &connection->statements[hash % (KJ__SQLITE_STATEMENTS / WAYS) * WAYS];
}

/* Takes it from those that are kept; NULL when it is not among them. */
static sqlite3_stmt *take_kept(struct kj__sqlite_connection *connection, const char *sql)
{
    sqlite3_stmt **places = places_of(connection, sql);
    for (size_t i = 0; i < WAYS; i++) {
        sqlite3_stmt *statement = places[i];
        if (statement && strcmp(sqlite3_sql(statement), sql) == 0) {
            places[i] = NULL;
            return statement;
        }
    }
    return NULL;
}

/* In a place that is free, or that of the one that was kept the longest. */
static void keep(struct kj__sqlite_connection *connection, sqlite3_stmt *statement)
{
    sqlite3_stmt **places = places_of(connection, sqlite3_sql(statement));
    size_t place = 0;
    while (place < WAYS - 1 && places[place]) {
        place++;
    }
    if (places[place]) {
        sqlite3_finalize(places[0]);
        memmove(&places[0], &places[1], (WAYS - 1) * sizeof places[0]);
    }
    places[place] = statement;
}

static int bind_value(sqlite3_stmt *statement, int number, const struct kj__sqlite_value *value)
{
    switch (value->type) {
    case KJ__SQLITE_INTEGER:
        return sqlite3_bind_int64(statement, number, value->integer);
    case KJ__SQLITE_STRING:
        return sqlite3_bind_text64(statement, number, value->text, value->len, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case KJ__SQLITE_BYTES:
        return value->len == 0 ? sqlite3_bind_zeroblob(statement, number, 0)
                               : sqlite3_bind_blob64(statement, number, value->bytes, value->len,
                                                     SQLITE_STATIC);
    case KJ__SQLITE_KEY:
        return sqlite3_bind_blob64(statement, number, value->key, value->len, SQLITE_STATIC);
    default:
        return sqlite3_bind_pointer(statement, number, (void *)value->filter, KJ__SQLITE_POINTER,
                                    NULL);
    }
}

enum kj_status kj__sqlite_start(struct kj__sqlite_connection *connection, const char *sql,
                                const struct kj__sqlite_values *values, sqlite3_stmt **statement)
{
    *statement = NULL;
    if (!sql || (values && values->failed)) {
        return KJ_ENOMEM;
    }
    int result = SQLITE_OK;
    *statement = take_kept(connection, sql);
    if (!*statement) {
        result = sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement,
                                    NULL);
    }
    int count = values ? sqlite3_bind_parameter_count(*statement) : 0;
    for (int i = 0; i < count && !result; i++) {
        result = bind_value(*statement, i + 1, &values->at[i]);
    }
    if (result) {
        enum kj_status status = kj__sqlite_status(connection, result);
        sqlite3_finalize(*statement);
        *statement = NULL;
        return status;
    }
    return KJ_OK;
}

enum kj_status kj__sqlite_step(struct kj__sqlite_connection *connection, sqlite3_stmt *statement,
                               bool *has_row)
{
    int result = sqlite3_step(statement);
    *has_row = result == SQLITE_ROW;
    return kj__sqlite_status(connection, result);
}

void kj__sqlite_release(struct kj__sqlite_connection *connection, sqlite3_stmt *statement)
{
    if (statement) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
        keep(connection, statement);
    }
}

enum kj_status kj__sqlite_run(struct kj__sqlite_connection *connection, const char *sql,
                              const struct kj__sqlite_values *values)
{
    bool has_row = true;
    sqlite3_stmt *statement;
    enum kj_status status = kj__sqlite_start(connection, sql, values, &statement);
    while (!status && has_row) {
        status = kj__sqlite_step(connection, statement, &has_row);
    }
    kj__sqlite_release(connection, statement);
    return status;
}

enum kj_status kj__sqlite_ask(struct kj__sqlite_connection *connection, const char *sql,
                              const struct kj__sqlite_values *values, int64_t *number, bool *found)
{
    bool has_row = true;
    bool has_answer = false;
    sqlite3_stmt *statement;
    enum kj_status status = kj__sqlite_start(connection, sql, values, &statement);
    while (!status && has_row) {
        status = kj__sqlite_step(connection, statement, &has_row);
        if (has_row && !has_answer) {
            *number = sqlite3_column_int64(statement, 0);
            has_answer = true;
        }
    }
    if (found) {
        *found = has_answer;
    }
    kj__sqlite_release(connection, statement);
    return status;
}
