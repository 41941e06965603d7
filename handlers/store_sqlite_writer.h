/* store_sqlite_writer.h - the one thread that writes.
 *
 * Writes wait in a queue. The thread takes all there are, runs them in one transaction, commits,
 * and wakes whoever waits: while a commit is on its way to the disk, the writes for the next one
 * gather. When a write fails halfway, all of its transaction are run again, each in a savepoint of
 * its own. Nothing of an application runs on the thread.
 */
#ifndef KJ_HANDLERS_STORE_SQLITE_WRITER_H
#define KJ_HANDLERS_STORE_SQLITE_WRITER_H

#include "handlers/store_sqlite_connection.h"

#include <pthread.h>

/* One write, on the stack of the thread that waits for it. */
struct kj__sqlite_write {
    /* Runs on the writer's thread, perhaps again after what it did was undone. Anything but KJ_OK
     * undoes what it did, and nothing else.
     * `revision` is greater than that of any object there is. */
    enum kj_status (*run)(struct kj__sqlite_connection *connection, int64_t revision, void *ctx);
    void *ctx;

    enum kj_status status; /* guarded by the writer's lock, as is all below */
    bool is_done;
    struct kj__sqlite_write *next;
};

struct kj__sqlite_writer {
    struct kj__sqlite_connection *connection; /* of the thread, once it runs */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct kj__sqlite_write *first, **last; /* guarded by lock, as is all below */
    size_t count;                           /* in the queue */
    size_t wanted;                          /* in it before the thread is woken */
    bool is_stopping;
    int restart_pages; /* of log, from which on readers are waited for; the thread's own */
};

/* Starts the thread, which takes the connection over. */
enum kj_status kj__sqlite_writer_init(struct kj__sqlite_writer *writer,
                                      struct kj__sqlite_connection *connection);

/* Waits for the thread, once nobody writes any more. */
void kj__sqlite_writer_fini(struct kj__sqlite_writer *writer);

/* Returns once the write is on the disk, or undone.                    [any thread] */
enum kj_status kj__sqlite_write(struct kj__sqlite_writer *writer,
                                enum kj_status (*run)(struct kj__sqlite_connection *connection,
                                                      int64_t revision, void *ctx),
                                void *ctx);

#endif
