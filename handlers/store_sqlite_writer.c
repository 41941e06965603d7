/* store_sqlite_writer.c - see store_sqlite_writer.h. */
#include "handlers/store_sqlite_writer.h"

#include <time.h>

enum {
    BATCH_MAX = 512, /* writes of one commit, so that none waits for ever */
    ANALYSE_FIRST = 1000,
    GATHER_MAX_NS = 1000000,
    SECOND_NS = 1000000000,
    RESTART_PAGES = 2 * KJ__SQLITE_CHECKPOINT_PAGES,
};

/* In a savepoint: KJ_OK leaves what the write did in the transaction; else that is undone. */
static enum kj_status run_carefully(struct kj__sqlite_connection *connection, int64_t revision,
                                    const struct kj__sqlite_write *write)
{
    enum kj_status status = kj__sqlite_run(connection, "SAVEPOINT write", NULL);
    if (status) {
        return status;
    }
    status = write->run(connection, revision, write->ctx);
    if (status) {
        /* Fails where the transaction itself is gone, which the caller sees. */
        (void)sqlite3_exec(connection->db, "ROLLBACK TO write", NULL, NULL, NULL);
    }
    if (!sqlite3_get_autocommit(connection->db)) {
        enum kj_status released = kj__sqlite_run(connection, "RELEASE write", NULL);
        status = status ? status : released;
    }
    return status;
}

static enum kj_status begin(struct kj__sqlite_connection *connection, int64_t *revision)
{
    enum kj_status status = kj__sqlite_run(connection, "BEGIN IMMEDIATE", NULL);
    return status ? status
                  : kj__sqlite_ask(connection,
                                   "UPDATE state SET revision = revision + 1 RETURNING revision",
                                   NULL, revision, NULL);
}

/* Commits, or makes sure that there is no transaction any more. */
static enum kj_status end(struct kj__sqlite_connection *connection, enum kj_status status)
{
    if (!status) {
        status = kj__sqlite_run(connection, "COMMIT", NULL);
    }
    if (!sqlite3_get_autocommit(connection->db)) {
        (void)sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return status;
}

static void finish_transaction(struct kj__sqlite_connection *connection,
                               struct kj__sqlite_write *first, const struct kj__sqlite_write *last,
                               enum kj_status status)
{
    uint64_t count = 0;
    status = end(connection, status);
    for (struct kj__sqlite_write *write = first; write != last; write = write->next) {
        count += write->status == KJ_OK;
        write->status = write->status ? write->status : status;
    }
    if (!status) {
        atomic_fetch_add(&connection->numbers->commits, 1);
        atomic_fetch_add(&connection->numbers->writes, count);
    }
}

/* Runs all writes in one transaction. False, with nothing done, when one failed halfway. */
static bool run_fast(struct kj__sqlite_connection *connection, struct kj__sqlite_write *first)
{
    int64_t revision = 0;
    enum kj_status status = begin(connection, &revision);
    for (struct kj__sqlite_write *write = first; write; write = write->next) {
        int changes = sqlite3_total_changes(connection->db);
        write->status = status ? status : write->run(connection, revision, write->ctx);
        if (!status && write->status &&
            (sqlite3_get_autocommit(connection->db) ||
             sqlite3_total_changes(connection->db) != changes)) {
            (void)end(connection, write->status);
            return false;
        }
    }
    finish_transaction(connection, first, NULL, status);
    return true;
}

/* Runs writes from `first` on in one transaction, so that each can be undone by itself. A fault of
 * the medium may end the transaction with the write it met. Returns the first that was not run. */
static struct kj__sqlite_write *run_slowly(struct kj__sqlite_connection *connection,
                                           struct kj__sqlite_write *first)
{
    int64_t revision = 0;
    enum kj_status status = begin(connection, &revision);
    struct kj__sqlite_write *write = first;
    bool is_lost = false;
    for (; write && !is_lost; write = write->next) {
        write->status = status ? status : run_carefully(connection, revision, write);
        is_lost = !status && sqlite3_get_autocommit(connection->db);
    }
    finish_transaction(connection, first, write, is_lost ? KJ_EIO : status);
    return write;
}

/* Savepoints cost a third of a write, so they are for batches that need them. */
static void run_batch(struct kj__sqlite_connection *connection, struct kj__sqlite_write *batch)
{
    if (!run_fast(connection, batch)) {
        while (batch) {
            batch = run_slowly(connection, batch);
        }
    }
}

/* Lock held. Takes a batch from the queue. */
static struct kj__sqlite_write *take(struct kj__sqlite_writer *writer)
{
    struct kj__sqlite_write *batch = writer->first;
    struct kj__sqlite_write **end_of_batch = &batch;
    for (size_t i = 0; i < BATCH_MAX && *end_of_batch; i++) {
        end_of_batch = &(*end_of_batch)->next;
        writer->count--;
    }
    writer->first = *end_of_batch;
    *end_of_batch = NULL;
    if (!writer->first) {
        writer->last = &writer->first;
    }
    return batch;
}

/* What the planner knows of the file is renewed as it grows. Other connections look at it again
 * when the table it stands in is another one. Without it lists are right, but slower. */
static void analyse(struct kj__sqlite_connection *connection, uint64_t *due)
{
    uint64_t writes = atomic_load(&connection->numbers->writes);
    if (writes < *due) {
        return;
    }
    *due = 2 * writes;
    if (sqlite3_exec(connection->db,
                     "BEGIN IMMEDIATE; DROP TABLE IF EXISTS sqlite_stat1; ANALYZE; COMMIT", NULL,
                     NULL, NULL) &&
        !sqlite3_get_autocommit(connection->db)) {
        (void)sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

/* Lock held. Waits for a write, and then a moment for those that wrote last time and will most
 * likely write again: without that the first to come back would have a commit for itself, and
 * all others wait for it. */
static void gather(struct kj__sqlite_writer *writer, size_t expected)
{
    writer->wanted = 1;
    while (!writer->first && !writer->is_stopping) {
        pthread_cond_wait(&writer->work, &writer->lock);
    }
    writer->wanted = expected;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GATHER_MAX_NS;
    if (until.tv_nsec >= SECOND_NS) {
        until.tv_nsec -= SECOND_NS;
        until.tv_sec++;
    }
    int result = 0;
    while (writer->count < expected && !writer->is_stopping && !result) {
        result = pthread_cond_timedwait(&writer->work, &writer->lock, &until);
    }
}

/* Lock held. A write is gone as soon as its owner may look. Returns how many there were. */
static size_t finish(struct kj__sqlite_write *batch)
{
    size_t count = 0;
    for (; batch; count++) {
        struct kj__sqlite_write *next = batch->next;
        batch->is_done = true;
        batch = next;
    }
    return count;
}

static void *write_all(void *arg)
{
    struct kj__sqlite_writer *writer = arg;
    uint64_t analyse_due = ANALYSE_FIRST;
    size_t expected = 0;
    pthread_mutex_lock(&writer->lock);
    for (;;) {
        gather(writer, expected);
        struct kj__sqlite_write *batch = take(writer);
        if (!batch) {
            break;
        }
        pthread_mutex_unlock(&writer->lock);
        run_batch(writer->connection, batch);
        analyse(writer->connection, &analyse_due);
        pthread_mutex_lock(&writer->lock);
        expected = writer->count; /* these wait already, those are about to come back */
        expected += finish(batch);
        pthread_mutex_unlock(&writer->lock);
        pthread_cond_broadcast(&writer->done);
        pthread_mutex_lock(&writer->lock);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

/* After each commit, in place of SQLite's own checkpoints: those never wait, and so the log would
 * grow for ever where there is always a reader of what it held a moment ago. Where waiting did not
 * help, it is tried again when the log has grown as much again. */
static int keep_log_short(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct kj__sqlite_writer *writer = ctx;
    if (pages < KJ__SQLITE_CHECKPOINT_PAGES) {
        writer->restart_pages = RESTART_PAGES;
    } else if (pages < writer->restart_pages) {
        (void)sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    } else {
        writer->restart_pages = pages + RESTART_PAGES;
        (void)kj__sqlite_status(
            writer->connection,
            sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_RESTART, NULL, NULL));
    }
    return SQLITE_OK; /* the commit is made whatever became of the log */
}

enum kj_status kj__sqlite_writer_init(struct kj__sqlite_writer *writer,
                                      struct kj__sqlite_connection *connection)
{
    *writer = (struct kj__sqlite_writer){.connection = connection, .restart_pages = RESTART_PAGES};
    /* What a savepoint would undo goes to memory rather than to a file. */
    enum kj_status status = kj__sqlite_run(connection, "PRAGMA temp_store = MEMORY", NULL);
    if (status) {
        return status;
    }
    writer->last = &writer->first;
    (void)sqlite3_wal_hook(connection->db, keep_log_short, writer);
    pthread_mutex_init(&writer->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&writer->done, NULL);
    if (pthread_create(&writer->thread, NULL, write_all, writer)) {
        pthread_cond_destroy(&writer->done);
        pthread_cond_destroy(&writer->work);
        pthread_mutex_destroy(&writer->lock);
        return KJ_ENOMEM;
    }
    return KJ_OK;
}

void kj__sqlite_writer_fini(struct kj__sqlite_writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    writer->is_stopping = true;
    pthread_cond_signal(&writer->work);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
    pthread_cond_destroy(&writer->done);
    pthread_cond_destroy(&writer->work);
    pthread_mutex_destroy(&writer->lock);
}

enum kj_status kj__sqlite_write(struct kj__sqlite_writer *writer,
                                enum kj_status (*run)(struct kj__sqlite_connection *connection,
                                                      int64_t revision, void *ctx),
                                void *ctx)
{
    struct kj__sqlite_write write = {.run = run, .ctx = ctx};
    pthread_mutex_lock(&writer->lock);
    *writer->last = &write;
    writer->last = &write.next;
    if (++writer->count >= writer->wanted) {
        pthread_cond_signal(&writer->work);
    }
    while (!write.is_done) {
        pthread_cond_wait(&writer->done, &writer->lock);
    }
    enum kj_status status = write.status;
    pthread_mutex_unlock(&writer->lock);
    return status;
}
