/* store_sqlite_checkpoint.c - see store_sqlite_checkpoint.h. */
#include "handlers/store_sqlite_checkpoint.h"

enum { RESTART_PAGES = 2 * KJ__SQLITE_CHECKPOINT_PAGES };

static void copy(struct kj__sqlite_connection *connection)
{
    (void)sqlite3_wal_checkpoint_v2(connection->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void *copy_when_wanted(void *arg)
{
    struct kj__sqlite_checkpoint *checkpoint = arg;
    pthread_mutex_lock(&checkpoint->lock);
    for (;;) {
        while (!checkpoint->is_wanted && !checkpoint->is_stopping) {
            pthread_cond_wait(&checkpoint->changed, &checkpoint->lock);
        }
        if (checkpoint->is_stopping) {
            break;
        }
        pthread_mutex_unlock(&checkpoint->lock);
        copy(checkpoint->connection);
        pthread_mutex_lock(&checkpoint->lock);
        checkpoint->is_wanted = false;
        checkpoint->is_done = true;
        pthread_cond_broadcast(&checkpoint->changed);
    }
    pthread_mutex_unlock(&checkpoint->lock);
    return NULL;
}

/* Has the thread copy, and says whether it did since the last time that this was true. */
static bool copy_ahead(struct kj__sqlite_checkpoint *checkpoint, bool is_awaited)
{
    if (!checkpoint->connection) {
        return true;
    }
    pthread_mutex_lock(&checkpoint->lock);
    if (!checkpoint->is_done && !checkpoint->is_wanted) {
        checkpoint->is_wanted = true;
        pthread_cond_broadcast(&checkpoint->changed);
    }
    while (is_awaited && !checkpoint->is_done) {
        pthread_cond_wait(&checkpoint->changed, &checkpoint->lock);
    }
    bool is_done = checkpoint->is_done;
    checkpoint->is_done = false;
    pthread_mutex_unlock(&checkpoint->lock);
    return is_done;
}

/* In place of SQLite's own checkpoints: those never wait, and so the log would grow for ever where
 * there is always a reader of what it held a moment ago. Where waiting did not help, it is tried
 * again when the log has grown as much again. */
void kj__sqlite_keep_log_short(struct kj__sqlite_checkpoint *checkpoint,
                               struct kj__sqlite_connection *writer, int pages)
{
    bool is_long = pages >= checkpoint->restart_pages;
    if (pages < KJ__SQLITE_CHECKPOINT_PAGES) {
        checkpoint->restart_pages = RESTART_PAGES;
    } else if (copy_ahead(checkpoint, is_long)) {
        if (is_long) {
            checkpoint->restart_pages = pages + RESTART_PAGES;
            (void)kj__sqlite_status(writer, sqlite3_wal_checkpoint_v2(writer->db, "main",
                                                                      SQLITE_CHECKPOINT_RESTART,
                                                                      NULL, NULL));
        } else {
            copy(writer);
        }
    }
}

enum kj_status kj__sqlite_checkpoint_init(struct kj__sqlite_checkpoint *checkpoint,
                                          struct kj__sqlite_connection *connection)
{
    *checkpoint = (struct kj__sqlite_checkpoint){.connection = connection,
                                                 .restart_pages = RESTART_PAGES};
    if (!connection) {
        return KJ_OK;
    }
    pthread_mutex_init(&checkpoint->lock, NULL);
    pthread_cond_init(&checkpoint->changed, NULL);
    if (pthread_create(&checkpoint->thread, NULL, copy_when_wanted, checkpoint)) {
        pthread_cond_destroy(&checkpoint->changed);
        pthread_mutex_destroy(&checkpoint->lock);
        return KJ_ENOMEM;
    }
    return KJ_OK;
}

void kj__sqlite_checkpoint_fini(struct kj__sqlite_checkpoint *checkpoint)
{
    if (!checkpoint->connection) {
        return;
    }
    pthread_mutex_lock(&checkpoint->lock);
    checkpoint->is_stopping = true;
    pthread_cond_broadcast(&checkpoint->changed);
    pthread_mutex_unlock(&checkpoint->lock);
    pthread_join(checkpoint->thread, NULL);
    pthread_cond_destroy(&checkpoint->changed);
    pthread_mutex_destroy(&checkpoint->lock);
}
