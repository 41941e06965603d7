/* store_sqlite_connection.h - one connection to the file: statements, values, faults.
 *
 * Threads: a connection belongs to one thread at a time; the numbers of faults are for any.
 */
#ifndef KJ_HANDLERS_STORE_SQLITE_CONNECTION_H
#define KJ_HANDLERS_STORE_SQLITE_CONNECTION_H

#include "handlers/store_order.h"
#include "handlers/store_sqlite_totals.h"

#include <kujata/error.h>
#include <kujata/filter.h>
#include <kujata/store_sqlite.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What a store counts, and when it last said so. */
struct kj__sqlite_numbers {
    const char *flag; /* that the file is the value of, for the log; NULL: --store */
    _Atomic uint64_t writes, commits, busy, full, failed, crowded, unindexed;
    _Atomic int64_t next_line_ms; /* of the log */
};

enum {
    KJ__SQLITE_STATEMENTS = 64,
    KJ__SQLITE_CHECKPOINT_PAGES = 8192, /* 32 MiB of log go into the file at a time */
};

/* Objects by number, while a count goes on (store_sqlite_marks.h). */
struct kj__sqlite_marks {
    uint64_t *now, *before; /* the latter NULL at first */
    size_t size;            /* of each, in words */
};

struct kj__sqlite_connection {
    sqlite3 *db;
    const char *path;                                /* borrowed, for the log */
    struct kj__sqlite_numbers *numbers;              /* borrowed */
    sqlite3_stmt *statements[KJ__SQLITE_STATEMENTS]; /* prepared and not in use; some NULL */
    struct kj__sqlite_totals *totals;                /* borrowed */
    struct kj__sqlite_marks marks;
    struct kj__sqlite_transaction *transaction; /* the writer's, while it goes on; borrowed */
    struct kj__sqlite_connection *next;         /* among those that are not in use */
};

/* Opens the file with the options' durability and limits, for a store of as many readers as they
 * say. As kj_store_sqlite_new. */
enum kj_status kj__sqlite_open(const struct kj_store_sqlite_options *options,
                               struct kj__sqlite_numbers *numbers,
                               struct kj__sqlite_connection **connection, struct kj_error *error);
void kj__sqlite_close(struct kj__sqlite_connection *connection); /* NULL is fine */

/* What the result of a call means: KJ_ETIMEOUT for a file that another process holds, KJ_EFULL,
 * KJ_EEXIST for a key that is taken, KJ_ELIMIT for a statement that was interrupted, KJ_ENOMEM,
 * else KJ_EIO. Faults are counted and logged. */
enum kj_status kj__sqlite_status(struct kj__sqlite_connection *connection, int result);

/* Counts and logs a list that found no reader. */
void kj__sqlite_count_crowded(struct kj__sqlite_numbers *numbers, const char *path);

/* On a clock that never goes back. */
int64_t kj__sqlite_now_ms(void);

/* ---- values that go into statements ---- */

enum kj__sqlite_type {
    KJ__SQLITE_INTEGER,
    KJ__SQLITE_STRING, /* borrowed */
    KJ__SQLITE_BYTES,  /* borrowed */
    KJ__SQLITE_KEY,    /* owned: see store_sqlite_key.h */
    KJ__SQLITE_FILTER, /* borrowed, for the function kj_matches */
};

struct kj__sqlite_value {
    enum kj__sqlite_type type;
    size_t len; /* of a string, bytes or key */
    union {
        int64_t integer;
        const char *text;
        const void *bytes;
        unsigned char *key;
        const struct kj_filter *filter;
    };
};

/* The parameters of a statement, from ?1 on. */
struct kj__sqlite_values {
    struct kj__sqlite_value *at;
    size_t count, capacity;
    bool failed; /* there was no memory */
};

void kj__sqlite_values_fini(struct kj__sqlite_values *values);

/* Each returns the parameter's number. */
int kj__sqlite_add_integer(struct kj__sqlite_values *values, int64_t integer);
int kj__sqlite_add_text(struct kj__sqlite_values *values, const char *text, size_t len);
int kj__sqlite_add_bytes(struct kj__sqlite_values *values, const void *bytes, size_t len);
int kj__sqlite_add_filter(struct kj__sqlite_values *values, const struct kj_filter *filter);
int kj__sqlite_add_key_take(struct kj__sqlite_values *values, unsigned char *key, size_t len);

/* ---- statements ---- */

/* Prepares a text, or takes it from those prepared, and binds as many values as it has parameters.
 * Values must live until the release. */
enum kj_status kj__sqlite_start(struct kj__sqlite_connection *connection, const char *sql,
                                const struct kj__sqlite_values *values, sqlite3_stmt **statement);

/* To the next row; *has_row says whether there is one. */
enum kj_status kj__sqlite_step(struct kj__sqlite_connection *connection, sqlite3_stmt *statement,
                               bool *has_row);

/* Ends its run and keeps it for the next one; NULL is fine. */
void kj__sqlite_release(struct kj__sqlite_connection *connection, sqlite3_stmt *statement);

/* A statement that gives no rows, or none that matter. */
enum kj_status kj__sqlite_run(struct kj__sqlite_connection *connection, const char *sql,
                              const struct kj__sqlite_values *values);

/* The first column of the first row; *found (may be NULL) whether there is one. */
enum kj_status kj__sqlite_ask(struct kj__sqlite_connection *connection, const char *sql,
                              const struct kj__sqlite_values *values, int64_t *number, bool *found);

#endif
