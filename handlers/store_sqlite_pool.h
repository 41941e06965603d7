/* store_sqlite_pool.h - connections that only read, for whoever has one to lend.
 *
 * Threads: any of them takes and gives back; init, open and fini are for one that is alone.
 */
#ifndef KJ_HANDLERS_STORE_SQLITE_POOL_H
#define KJ_HANDLERS_STORE_SQLITE_POOL_H

#include "handlers/store_sqlite_connection.h"

#include <pthread.h>

struct kj__sqlite_pool {
    pthread_mutex_t lock;
    pthread_cond_t released;
    struct kj__sqlite_connection *idle; /* guarded by lock, as is all below */
    uint32_t lists, most_lists;         /* that have one, and that may */
};

/* What both storages refuse: KJ_EINVAL with `error`. `path` NULL is fine here. */
enum kj_status kj__sqlite_check_options(const struct kj_store_sqlite_options *options,
                                        struct kj_error *error);

/* Makes a file that only its owner may read; SQLite makes those beside it with the file's mode.
 * One that is there keeps its own: it is not opened, since closing it would give up the locks of
 * other connections. */
void kj__sqlite_make_file(const char *path);

void kj__sqlite_pool_init(struct kj__sqlite_pool *pool);
void kj__sqlite_pool_fini(struct kj__sqlite_pool *pool); /* closes them; all are back by now */

/* Opens as many as options->readers; `totals` may be NULL. As kj__sqlite_open. */
enum kj_status kj__sqlite_pool_open(struct kj__sqlite_pool *pool,
                                    const struct kj_store_sqlite_options *options,
                                    struct kj__sqlite_numbers *numbers,
                                    struct kj__sqlite_totals *totals, struct kj_error *error);

/* Waits for one; it belongs to the caller until it is given back. */
struct kj__sqlite_connection *kj__sqlite_pool_take(struct kj__sqlite_pool *pool);
void kj__sqlite_pool_give(struct kj__sqlite_pool *pool, struct kj__sqlite_connection *reader);

/* The same for what may take seconds: of several, one is left to those who take no time. NULL after
 * `timeout_ms` (0: never). */
struct kj__sqlite_connection *kj__sqlite_pool_take_long(struct kj__sqlite_pool *pool,
                                                        uint32_t timeout_ms);
void kj__sqlite_pool_give_long(struct kj__sqlite_pool *pool, struct kj__sqlite_connection *reader);

#endif
