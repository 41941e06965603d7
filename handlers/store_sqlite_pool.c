/* store_sqlite_pool.c - see store_sqlite_pool.h. */
#include "handlers/store_sqlite_pool.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { READERS_MAX = 64, FILE_MODE = 0600 };

enum kj_status kj__sqlite_check_options(const struct kj_store_sqlite_options *options,
                                        struct kj_error *error)
{
    const char *path = options->path;
    const char *wrong = NULL;
    if (path && (!*path || *path == ':' || strncmp(path, "file:", strlen("file:")) == 0)) {
        wrong = "path is not the path of a file";
    } else if (options->readers > READERS_MAX) {
        wrong = "readers is more than 64";
    } else if (options->busy_timeout_ms > INT32_MAX) {
        wrong = "busy_timeout_ms is too long";
    }
    if (wrong) {
        kj_error_set(error, 0, "%s", wrong);
    }
    return wrong ? KJ_EINVAL : KJ_OK;
}

void kj__sqlite_make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd >= 0) {
        close(fd);
    }
}

void kj__sqlite_pool_init(struct kj__sqlite_pool *pool)
{
    pthread_condattr_t attributes;
    *pool = (struct kj__sqlite_pool){.idle = NULL};
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->released, &attributes);
    pthread_condattr_destroy(&attributes);
}

void kj__sqlite_pool_fini(struct kj__sqlite_pool *pool)
{
    while (pool->idle) {
        struct kj__sqlite_connection *reader = pool->idle;
        pool->idle = reader->next;
        kj__sqlite_close(reader);
    }
    pthread_cond_destroy(&pool->released);
    pthread_mutex_destroy(&pool->lock);
}

enum kj_status kj__sqlite_pool_open(struct kj__sqlite_pool *pool,
                                    const struct kj_store_sqlite_options *options,
                                    struct kj__sqlite_numbers *numbers,
                                    struct kj__sqlite_totals *totals, struct kj_error *error)
{
    enum kj_status status = KJ_OK;
    pool->most_lists = options->readers > 1 ? options->readers - 1 : 1;
    for (uint32_t i = 0; i < options->readers && !status; i++) {
        struct kj__sqlite_connection *reader;
        status = kj__sqlite_open(options, numbers, &reader, error);
        if (!status) {
            reader->totals = totals;
            reader->next = pool->idle;
            pool->idle = reader;
        }
    }
    return status;
}

/* Lock held, and there is one. */
static struct kj__sqlite_connection *take_idle(struct kj__sqlite_pool *pool)
{
    struct kj__sqlite_connection *reader = pool->idle;
    pool->idle = reader->next;
    return reader;
}

struct kj__sqlite_connection *kj__sqlite_pool_take(struct kj__sqlite_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->idle) {
        pthread_cond_wait(&pool->released, &pool->lock);
    }
    struct kj__sqlite_connection *reader = take_idle(pool);
    pthread_mutex_unlock(&pool->lock);
    return reader;
}

struct kj__sqlite_connection *kj__sqlite_pool_take_long(struct kj__sqlite_pool *pool,
                                                        uint32_t timeout_ms)
{
    int64_t end_ms = kj__sqlite_now_ms() + timeout_ms;
    const struct timespec end = {.tv_sec = end_ms / 1000, .tv_nsec = end_ms % 1000 * 1000000};
    struct kj__sqlite_connection *reader = NULL;
    int result = 0;
    pthread_mutex_lock(&pool->lock);
    while (!result && (!pool->idle || pool->lists == pool->most_lists)) {
        result = timeout_ms ? pthread_cond_timedwait(&pool->released, &pool->lock, &end)
                            : pthread_cond_wait(&pool->released, &pool->lock);
    }
    if (!result) {
        reader = take_idle(pool);
        pool->lists++;
    }
    pthread_mutex_unlock(&pool->lock);
    return reader;
}

static void give(struct kj__sqlite_pool *pool, struct kj__sqlite_connection *reader, uint32_t lists)
{
    pthread_mutex_lock(&pool->lock);
    reader->next = pool->idle;
    pool->idle = reader;
    pool->lists -= lists;
    pthread_cond_broadcast(&pool->released); /* one that waits may not be one that can go on */
    pthread_mutex_unlock(&pool->lock);
}

void kj__sqlite_pool_give(struct kj__sqlite_pool *pool, struct kj__sqlite_connection *reader)
{
    give(pool, reader, 0);
}

void kj__sqlite_pool_give_long(struct kj__sqlite_pool *pool, struct kj__sqlite_connection *reader)
{
    give(pool, reader, 1);
}
