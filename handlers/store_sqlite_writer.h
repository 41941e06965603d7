/* store_sqlite_writer.h - the one thread that writes.
 *
 * Writes wait in a queue. The thread runs them in one transaction as they come, commits once all
 * that are expected have, and wakes whoever waits: while a commit is on its way to the disk, the
 * writes for the next one gather. When a write fails halfway, all of its transaction are run
 * again, each in a savepoint of its own. Nothing of an application runs on the thread.
 */
#ifndef KJ_HANDLERS_STORE_SQLITE_WRITER_H
#define KJ_HANDLERS_STORE_SQLITE_WRITER_H

#include "handlers/store_sqlite_checkpoint.h"
#include "handlers/store_sqlite_transaction.h"

#include <pthread.h>
#include <semaphore.h>

/* Runs on the writer's thread, perhaps again after what it did was undone. Anything but KJ_OK
 * undoes what it did, and nothing else. `revision` is greater than that of any object there is. */
typedef enum kj_status (*kj__sqlite_run_write)(struct kj__sqlite_connection *connection,
                                               int64_t revision, void *ctx);

enum { KJ__SQLITE_WOKEN = 2 };

/* One write, on the stack of the thread that waits for it. */
struct kj__sqlite_write {
    kj__sqlite_run_write run;
    void *ctx;
    enum kj_status status; /* the writer's until `done` */
    sem_t done;
    struct kj__sqlite_write *next; /* in the queue, guarded by its lock; then in the batch */
    struct kj__sqlite_write *woken[KJ__SQLITE_WOKEN]; /* by this one's thread; some NULL */
};

struct kj__sqlite_writer {
    struct kj__sqlite_connection *connection; /* of the thread, once it runs */
    struct kj__sqlite_checkpoint checkpoint;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct kj__sqlite_write *first, **last; /* guarded by lock, as is all below */
    _Atomic size_t count;                   /* in the queue; looked at without the lock too */
    size_t wanted;                          /* in it before the thread is woken */
    bool is_stopping;
    int log_pages; /* at the latest commit; the thread's own */
};

/* Starts the thread, which takes the connection over. With another connection to the file,
 * `copier`, a second thread empties the log; without, NULL, the writer's does. */
enum kj_status kj__sqlite_writer_init(struct kj__sqlite_writer *writer,
                                      struct kj__sqlite_connection *connection,
                                      struct kj__sqlite_connection *copier);

/* Waits for the thread, once nobody writes any more. */
void kj__sqlite_writer_fini(struct kj__sqlite_writer *writer);

/* Returns once the write is on the disk, or undone.                    [any thread] */
enum kj_status kj__sqlite_write(struct kj__sqlite_writer *writer, kj__sqlite_run_write run,
                                void *ctx);

#endif
