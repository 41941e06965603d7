/* store_sqlite_writer.c - see store_sqlite_writer.h. */
#include "handlers/store_sqlite_writer.h"

#include <sched.h>
#include <time.h>

enum {
    BATCH_MAX = 512, /* writes of one commit, so that none waits for ever */
    ANALYSE_FIRST = 1000,
    GATHER_MAX_NS = 1000000,
    LINGER_NS = 50000,
    SECOND_NS = 1000000000,
};

/* The writes of one transaction. */
struct batch {
    struct kj__sqlite_write *first, **last;
    size_t count, expected;
    struct timespec until; /* when those that are expected are waited for no longer */
};

/* ---- what is gathered ---- */

/* Lock held. Moves what waits to the end of the batch; NULL when nothing does, or it is full. */
static struct kj__sqlite_write *take(struct kj__sqlite_writer *writer, struct batch *batch)
{
    struct kj__sqlite_write **taken = batch->last;
    *taken = writer->first;
    while (*batch->last && batch->count < BATCH_MAX) {
        batch->last = &(*batch->last)->next;
        batch->count++;
        writer->count--;
    }
    writer->first = *batch->last;
    *batch->last = NULL;
    if (!writer->first) {
        writer->last = &writer->first;
    }
    return *taken;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* Those that wrote last time are most often back sooner than a thread that sleeps is awake. Whoever
 * else wants the processor has it. */
static void linger(struct kj__sqlite_writer *writer)
{
    int64_t until_ns = now_ns() + LINGER_NS;
    while (atomic_load(&writer->count) == 0 && now_ns() < until_ns) {
        sched_yield();
    }
}

/* Waits for a write to begin with. False once there will be none. */
static bool gather_first(struct kj__sqlite_writer *writer, struct batch *batch)
{
    batch->first = NULL;
    batch->last = &batch->first;
    batch->count = 0;
    if (batch->expected > 1) {
        linger(writer);
    }
    pthread_mutex_lock(&writer->lock);
    writer->wanted = 1;
    while (!writer->first && !writer->is_stopping) {
        pthread_cond_wait(&writer->work, &writer->lock);
    }
    bool has_any = take(writer, batch) != NULL;
    pthread_mutex_unlock(&writer->lock);
    clock_gettime(CLOCK_MONOTONIC, &batch->until);
    batch->until.tv_nsec += GATHER_MAX_NS;
    if (batch->until.tv_nsec >= SECOND_NS) {
        batch->until.tv_nsec -= SECOND_NS;
        batch->until.tv_sec++;
    }
    return has_any;
}

/* What has come meanwhile, after a moment for those that wrote last time and will most likely write
 * again: without that the first to come back would have a commit for itself, and all others wait
 * for it. NULL when the batch is whole. */
static struct kj__sqlite_write *gather_more(struct kj__sqlite_writer *writer, struct batch *batch)
{
    int result = 0;
    if (batch->count < batch->expected) {
        linger(writer);
    }
    pthread_mutex_lock(&writer->lock);
    writer->wanted = batch->expected > batch->count ? batch->expected - batch->count : 1;
    while (!writer->first && batch->count < batch->expected && !writer->is_stopping && !result) {
        result = pthread_cond_timedwait(&writer->work, &writer->lock, &batch->until);
    }
    struct kj__sqlite_write *taken = take(writer, batch);
    pthread_mutex_unlock(&writer->lock);
    return taken;
}

/* Wakes the first, which wakes two more, and so on: the thread has better things to do. A write is
 * gone as soon as its owner is woken. */
static void wake(struct kj__sqlite_write *first)
{
    struct kj__sqlite_write *waker = first;
    size_t count = 0;
    for (struct kj__sqlite_write *write = first->next; write; write = write->next) {
        waker->woken[count++] = write;
        if (count == KJ__SQLITE_WOKEN) {
            waker = waker->next;
            count = 0;
        }
    }
    sem_post(&first->done);
}

static void finish(struct kj__sqlite_writer *writer, struct batch *batch)
{
    pthread_mutex_lock(&writer->lock);
    batch->expected = batch->count + writer->count; /* these wait already */
    pthread_mutex_unlock(&writer->lock);
    batch->expected = batch->expected < BATCH_MAX ? batch->expected : BATCH_MAX;
    wake(batch->first);
}

/* ---- transactions ---- */

/* In a savepoint: KJ_OK leaves what the write did in the transaction; else that is undone. */
static enum kj_status run_carefully(struct kj__sqlite_transaction *transaction,
                                    const struct kj__sqlite_write *write)
{
    struct kj__sqlite_connection *connection = transaction->connection;
    enum kj_status status = kj__sqlite_run(connection, "SAVEPOINT write", NULL);
    if (status) {
        return status;
    }
    status = write->run(connection, transaction->revision, write->ctx);
    if (!status) {
        status = kj__sqlite_write_sums(transaction);
    }
    if (status) {
        kj__sqlite_forget_sums(transaction);
        /* Fails where the transaction itself is gone, which the caller sees. */
        (void)sqlite3_exec(connection->db, "ROLLBACK TO write", NULL, NULL, NULL);
    }
    if (!sqlite3_get_autocommit(connection->db)) {
        enum kj_status released = kj__sqlite_run(connection, "RELEASE write", NULL);
        status = status ? status : released;
    }
    return status;
}

static void finish_transaction(struct kj__sqlite_transaction *transaction,
                               struct kj__sqlite_write *first, const struct kj__sqlite_write *last,
                               enum kj_status status)
{
    uint64_t count = 0;
    status = kj__sqlite_end(transaction, status);
    for (struct kj__sqlite_write *write = first; write != last; write = write->next) {
        count += write->status == KJ_OK;
        write->status = write->status ? write->status : status;
    }
    if (!status) {
        atomic_fetch_add(&transaction->connection->numbers->commits, 1);
        atomic_fetch_add(&transaction->connection->numbers->writes, count);
    }
}

/* Runs all writes in one transaction. False, with nothing done, when one failed halfway. */
static bool run_fast(struct kj__sqlite_writer *writer, struct batch *batch)
{
    struct kj__sqlite_connection *connection = writer->connection;
    sqlite3 *db = connection->db;
    struct kj__sqlite_transaction transaction;
    enum kj_status status = kj__sqlite_begin(&transaction, connection);
    struct kj__sqlite_write *write = batch->first;
    while (write) {
        int changes = sqlite3_total_changes(db);
        uint64_t counted = transaction.counted;
        write->status = status ? status : write->run(connection, transaction.revision, write->ctx);
        if (!status && write->status &&
            (sqlite3_get_autocommit(db) || sqlite3_total_changes(db) != changes ||
             transaction.counted != counted)) {
            (void)kj__sqlite_end(&transaction, write->status);
            return false;
        }
        write = write->next || status ? write->next : gather_more(writer, batch);
    }
    finish_transaction(&transaction, batch->first, NULL, status);
    return true;
}

/* Runs writes from `first` on in one transaction, so that each can be undone by itself. A fault of
 * the medium may end the transaction with the write it met. Returns the first that was not run. */
static struct kj__sqlite_write *run_slowly(struct kj__sqlite_connection *connection,
                                           struct kj__sqlite_write *first)
{
    struct kj__sqlite_transaction transaction;
    enum kj_status status = kj__sqlite_begin(&transaction, connection);
    struct kj__sqlite_write *write = first;
    bool is_lost = false;
    for (; write && !is_lost; write = write->next) {
        write->status = status ? status : run_carefully(&transaction, write);
        is_lost = !status && sqlite3_get_autocommit(connection->db);
    }
    finish_transaction(&transaction, first, write, is_lost ? KJ_EIO : status);
    return write;
}

/* Savepoints cost a third of a write, so they are for batches that need them. */
static void run_batch(struct kj__sqlite_writer *writer, struct batch *batch)
{
    if (!run_fast(writer, batch)) {
        struct kj__sqlite_write *write = batch->first;
        while (write) {
            write = run_slowly(writer->connection, write);
        }
    }
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

static int note_pages(void *ctx, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    struct kj__sqlite_writer *writer = ctx;
    writer->log_pages = pages;
    return SQLITE_OK;
}

static void *write_all(void *arg)
{
    struct kj__sqlite_writer *writer = arg;
    struct batch batch = {.expected = 0};
    uint64_t analyse_due = ANALYSE_FIRST;
    while (gather_first(writer, &batch)) {
        run_batch(writer, &batch);
        analyse(writer->connection, &analyse_due);
        finish(writer, &batch);
        if (writer->log_pages) {
            kj__sqlite_keep_log_short(&writer->checkpoint, writer->connection, writer->log_pages);
            writer->log_pages = 0;
        }
    }
    return NULL;
}

enum kj_status kj__sqlite_writer_init(struct kj__sqlite_writer *writer,
                                      struct kj__sqlite_connection *connection,
                                      struct kj__sqlite_connection *copier)
{
    *writer = (struct kj__sqlite_writer){.connection = connection};
    /* What a savepoint would undo goes to memory rather than to a file. */
    enum kj_status status = kj__sqlite_run(connection, "PRAGMA temp_store = MEMORY", NULL);
    if (!status) {
        status = kj__sqlite_checkpoint_init(&writer->checkpoint, copier);
    }
    if (status) {
        return status;
    }
    writer->last = &writer->first;
    (void)sqlite3_wal_hook(connection->db, note_pages, writer);
    pthread_mutex_init(&writer->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&writer->thread, NULL, write_all, writer)) {
        pthread_cond_destroy(&writer->work);
        pthread_mutex_destroy(&writer->lock);
        kj__sqlite_checkpoint_fini(&writer->checkpoint);
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
    kj__sqlite_checkpoint_fini(&writer->checkpoint);
    pthread_cond_destroy(&writer->work);
    pthread_mutex_destroy(&writer->lock);
}

enum kj_status kj__sqlite_write(struct kj__sqlite_writer *writer, kj__sqlite_run_write run,
                                void *ctx)
{
    struct kj__sqlite_write write = {.run = run, .ctx = ctx};
    sem_init(&write.done, 0, 0);
    pthread_mutex_lock(&writer->lock);
    *writer->last = &write;
    writer->last = &write.next;
    bool is_due = ++writer->count >= writer->wanted;
    pthread_mutex_unlock(&writer->lock);
    if (is_due) {
        pthread_cond_signal(&writer->work);
    }
    while (sem_wait(&write.done)) {
        /* A signal came between. */
    }
    sem_destroy(&write.done);
    for (size_t i = 0; i < KJ__SQLITE_WOKEN && write.woken[i]; i++) {
        sem_post(&write.woken[i]->done);
    }
    return write.status;
}
