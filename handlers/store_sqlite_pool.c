/* store_sqlite_pool.c - see store_sqlite_pool.h. */
#include "handlers/store_sqlite_pool.h"

#include <fcntl.h>
#include <string.h>
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
    pool->idle = NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->released, NULL);
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

struct kj__sqlite_connection *kj__sqlite_pool_take(struct kj__sqlite_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->idle) {
        pthread_cond_wait(&pool->released, &pool->lock);
    }
    struct kj__sqlite_connection *reader = pool->idle;
    pool->idle = reader->next;
    pthread_mutex_unlock(&pool->lock);
    return reader;
}

void kj__sqlite_pool_give(struct kj__sqlite_pool *pool, struct kj__sqlite_connection *reader)
{
    pthread_mutex_lock(&pool->lock);
    reader->next = pool->idle;
    pool->idle = reader;
    pthread_cond_signal(&pool->released);
    pthread_mutex_unlock(&pool->lock);
}
