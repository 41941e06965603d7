/* store_sqlite_checkpoint.h - the thread that empties the log into the file.
 *
 * It copies what the log held when it had grown long, with a connection of its own, while the
 * writer goes on. What was written meanwhile the writer copies itself between two commits: only
 * when nothing is left in it can the log begin anew.
 */
#ifndef KJ_HANDLERS_STORE_SQLITE_CHECKPOINT_H
#define KJ_HANDLERS_STORE_SQLITE_CHECKPOINT_H

#include "handlers/store_sqlite_connection.h"

#include <pthread.h>

struct kj__sqlite_checkpoint {
    struct kj__sqlite_connection
        *connection; /* borrowed; the thread's, once it runs; NULL: no thread */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_wanted, is_done, is_stopping; /* guarded by lock */
    int restart_pages; /* of log, from which on readers are waited for; the writer's */
};

/* Starts the thread; without a connection, NULL, there is none, and the writer does all. */
enum kj_status kj__sqlite_checkpoint_init(struct kj__sqlite_checkpoint *checkpoint,
                                          struct kj__sqlite_connection *connection);
void kj__sqlite_checkpoint_fini(struct kj__sqlite_checkpoint *checkpoint);

/* On the writer's thread, after a commit with which the log has so many pages. */
void kj__sqlite_keep_log_short(struct kj__sqlite_checkpoint *checkpoint,
                               struct kj__sqlite_connection *writer, int pages);

#endif
