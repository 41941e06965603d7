/* delivery.c - the shards' loop; see delivery.h. */
#include "delivery/delivery.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/prompt.h"
#include "delivery/gather.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    EPOLL_BATCH = 256,
    CONNECTIONS_FIRST_CAPACITY = 16,
};

/* ---- lists ---- */

void kj__shard_mark_dirty(struct kj__shard *shard, struct kj__connection *connection)
{
    if (!connection->is_dirty) {
        connection->is_dirty = true;
        kj__list_append(&shard->dirty, &connection->round_link);
    }
}

bool kj__shard_add(struct kj__shard *shard, struct kj__connection *connection)
{
    kj__connection_ref(connection); /* until it is released */
    shard->unreleased++;
    kj__list_append(&shard->prepared, &connection->round_link);
    if (shard->connection_count == shard->connection_capacity) {
        size_t capacity = shard->connection_capacity ? shard->connection_capacity * 2
                                                     : CONNECTIONS_FIRST_CAPACITY;
        struct kj__connection **items = realloc(shard->connections, capacity * sizeof *items);
        if (!items) {
            return false;
        }
        shard->connections = items;
        shard->connection_capacity = capacity;
    }
    connection->list_index = (uint32_t)shard->connection_count;
    connection->is_listed = true;
    shard->connections[shard->connection_count++] = connection;
    return true;
}

void kj__shard_remove(struct kj__shard *shard, struct kj__connection *connection)
{
    if (connection->is_listed) {
        struct kj__connection *last = shard->connections[--shard->connection_count];
        shard->connections[connection->list_index] = last;
        last->list_index = connection->list_index;
        connection->is_listed = false;
    }
}

void kj__shard_count_waiting(struct kj__shard *shard, struct kj__connection *connection)
{
    const struct kj__out_queue *out = &connection->out;
    shard->queue_bytes += out->bytes - connection->waiting_bytes;
    shard->queue_messages += out->count - (size_t)connection->waiting_messages;
    connection->waiting_bytes = out->bytes;
    connection->waiting_messages = out->count;
}

/* ---- one round ---- */

/* Tells the protocols of what has ended. Only where nothing of a protocol's is running; what they
 * do may end further connections. */
static void tell_ended(struct kj__shard *shard)
{
    while (!kj__list_is_empty(&shard->ended)) {
        struct kj__connection *connection = KJ__CONTAINER_OF(shard->ended.next,
                                                             struct kj__connection, round_link);
        kj__list_unlink(&connection->round_link);
        /* Events of this round may still point here: released at its end. */
        kj__list_append(&shard->closed, &connection->round_link);
        connection->endpoint->protocol->on_closed(connection, connection->was_open);
    }
}

static void handle_socket(const struct epoll_event *event)
{
    struct kj__connection *connection = event->data.ptr;
    /* An earlier event of this batch may have closed it. */
    if (connection->fd >= 0 && event->events & EPOLLOUT) {
        kj__connection_flush(connection);
    }
    /* In TLS, reading too may have waited for room to write. */
    uint32_t readable = EPOLLIN | EPOLLHUP | EPOLLERR | (connection->tls ? EPOLLOUT : 0);
    if (connection->fd >= 0 && event->events & readable) {
        kj__connection_on_readable(connection);
    }
}

/* Returns whether jobs may be left for the next round. */
static bool run_jobs(struct kj__shard *shard)
{
    void *jobs[KJ__ROUND_JOBS];
    if (shard->logged_bytes > KJ__LOGGED_MAX) {
        return true;
    }
    size_t count = kj__queue_take(&shard->inbox, jobs, KJ__ROUND_JOBS);
    shard->jobs_ran += count;
    for (size_t i = 0; i < count; i++) {
        struct kj__job *job = jobs[i];
        job->run(job, shard);
    }
    tell_ended(shard);
    return count == KJ__ROUND_JOBS;
}

/* A flush to many takes milliseconds, and what arrives in them goes out with it at no cost. So
 * whoever is about to post and waits for this core has it first; on an idle one the call returns
 * at once. */
void kj__shard_take_more(struct kj__shard *shard, size_t written)
{
    uint64_t ran = shard->jobs_ran;
    sched_yield();
    shard->has_more_jobs |= run_jobs(shard);
    if (written > 0) {
        kj__writer_pace(&shard->writer, written, shard->jobs_ran != ran);
    }
}

static void meet_deadlines(struct kj__shard *shard)
{
    struct kj__wheel_entry *entry;
    while ((entry = kj__wheel_expire(&shard->wheel, shard->now_ms))) {
        kj__connection_on_deadline(KJ__CONTAINER_OF(entry, struct kj__connection, timer));
    }
    while ((entry = kj__wheel_expire(&shard->chores, shard->now_ms))) {
        struct kj__chore *chore = KJ__CONTAINER_OF(entry, struct kj__chore, entry);
        chore->run(chore, shard);
    }
    tell_ended(shard);
}

void kj__shard_run_next(struct kj__shard *shard, struct kj__chore *chore)
{
    if (kj__list_is_empty(&chore->entry.link)) {
        kj__list_append(&shard->next_round, &chore->entry.link);
    }
}

/* Those that are put off once more have their turn in the round after. */
static void run_chores(struct kj__shard *shard)
{
    struct kj__list turn;
    kj__list_init(&turn);
    kj__list_move(&shard->next_round, &turn);
    while (!kj__list_is_empty(&turn)) {
        struct kj__chore *chore = KJ__CONTAINER_OF(turn.next, struct kj__chore, entry.link);
        kj__list_unlink(&chore->entry.link);
        chore->run(chore, shard);
    }
}

static void finish_flushes(struct kj__shard *shard)
{
    size_t written = shard->batch.count;
    kj__audience_finish_flushes(shard);
    if (written > 0) {
        kj__shard_take_more(shard, written);
    }
}

/* Each audience once; one that is behind again has its turn in the next round. A large one looks
 * for more jobs itself, and for many small ones it is done here. */
static void flush_audiences(struct kj__shard *shard)
{
    struct kj__list turn;
    int64_t start_ns = kj__list_is_empty(&shard->behind) ? 0 : kj__clock_monotonic_ns();
    kj__list_init(&turn);
    kj__list_move(&shard->behind, &turn);
    for (size_t flushed = 1; !kj__list_is_empty(&turn); flushed++) {
        kj__audience_flush(KJ__CONTAINER_OF(turn.next, struct kj__audience, behind_link));
        if (flushed % KJ__WRITES_FEW == 0) {
            finish_flushes(shard);
        }
    }
    finish_flushes(shard);
    if (start_ns) {
        shard->flush_ns = kj__clock_monotonic_ns() - start_ns;
    }
}

static void flush_dirty(struct kj__shard *shard)
{
    while (!kj__list_is_empty(&shard->dirty)) {
        struct kj__connection *connection = KJ__CONTAINER_OF(shard->dirty.next,
                                                             struct kj__connection, round_link);
        kj__list_unlink(&connection->round_link);
        connection->is_dirty = false;
        kj__connection_flush(connection);
    }
}

static void release_closed(struct kj__shard *shard)
{
    while (!kj__list_is_empty(&shard->closed)) {
        struct kj__connection *connection = KJ__CONTAINER_OF(shard->closed.next,
                                                             struct kj__connection, round_link);
        kj__list_unlink(&connection->round_link);
        shard->unreleased--;
        kj__connection_unref(connection);
    }
}

static void add_tally(struct kj__shard *shard)
{
    struct kj__counters *counters = shard->delivery->counters;
    struct kj__tally *tally = &shard->tally;
    KJ__COUNT_BY(counters, frames_in, tally->frames_in);
    KJ__COUNT_BY(counters, bytes_in, tally->bytes_in);
    KJ__COUNT_BY(counters, frames_out, tally->frames_out);
    KJ__COUNT_BY(counters, bytes_out, tally->bytes_out);
    KJ__COUNT_BY(counters, events_queued, tally->events_queued);
    *tally = (struct kj__tally){0};
}

static void show_gauges(struct kj__shard *shard)
{
    struct kj__shard_gauges *gauges = &shard->gauges;
    atomic_store_explicit(&gauges->connections, shard->connection_count, memory_order_relaxed);
    atomic_store_explicit(&gauges->queue_bytes, shard->queue_bytes, memory_order_relaxed);
    atomic_store_explicit(&gauges->queue_messages, shard->queue_messages, memory_order_relaxed);
}

static void abort_all(struct kj__shard *shard)
{
    while (shard->connection_count > 0) {
        kj__connection_abort(shard->connections[0], KJ__CAUSE_SERVER);
    }
}

static bool is_done(struct kj__shard *shard)
{
    if (!shard->is_draining) {
        return false;
    }
    if (shard->unreleased > 0 && shard->now_ms >= shard->drain_deadline_ms) {
        abort_all(shard);
        tell_ended(shard);
        release_closed(shard);
    }
    return shard->unreleased == 0;
}

/* Of two waits, where a negative one has no end. */
static int sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int wait_ms(struct kj__shard *shard)
{
    if (shard->has_more_jobs || !kj__list_is_empty(&shard->behind) ||
        !kj__list_is_empty(&shard->dirty) || !kj__list_is_empty(&shard->next_round)) {
        return 0;
    }
    uint64_t now_ms = kj__clock_monotonic_ms();
    int wait = sooner(kj__wheel_wait_ms(&shard->wheel, now_ms),
                      kj__wheel_wait_ms(&shard->chores, now_ms));
    return shard->is_draining ? sooner(wait, kj__clock_left_ms(now_ms, shard->drain_deadline_ms))
                              : wait;
}

/* Begins once the inbox is empty, so that what was posted before the stop still goes out. */
static void begin_drain(struct kj__shard *shard)
{
    shard->is_draining = true;
    shard->drain_deadline_ms = shard->now_ms + shard->drain_timeout_ms;
    if (shard->before_drain) {
        shard->before_drain->run(shard->before_drain, shard);
    }
    /* Closing a prepared connection takes it out and moves the last one here. */
    for (size_t at = shard->connection_count; at > 0; at--) {
        kj__connection_close(shard->connections[at - 1], KJ__CLOSE_GOING_AWAY, NULL,
                             KJ__CAUSE_SERVER, true);
    }
}

static void handle_sockets(struct kj__shard *shard, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr) {
            handle_socket(&events[i]);
            tell_ended(shard);
        } else {
            /* From here on a post wakes again; what was posted before is seen below. */
            atomic_store(&shard->is_woken, false);
            shard->has_more_jobs = true;
        }
    }
}

static void *run_shard(void *argument)
{
    struct kj__shard *shard = argument;
    struct epoll_event events[EPOLL_BATCH];
    kj__thread_be_prompt();
    while (!is_done(shard)) {
        int count = epoll_wait(shard->epoll_fd, events, EPOLL_BATCH, wait_ms(shard));
        shard->now_ms = kj__clock_monotonic_ms();
        handle_sockets(shard, events, count);
        if (shard->has_more_jobs) {
            shard->has_more_jobs = run_jobs(shard);
        }
        if (!shard->has_more_jobs && !shard->is_draining && atomic_load(&shard->drain_is_wanted)) {
            begin_drain(shard);
        }
        meet_deadlines(shard);
        run_chores(shard);
        kj__gather(shard);
        flush_audiences(shard);
        flush_dirty(shard);
        tell_ended(shard); /* what is sent then goes out with the next round, at once */
        kj__dispatch_round_end(&shard->dispatch, &shard->delivery->dispatch);
        release_closed(shard);
        add_tally(shard);
        show_gauges(shard);
    }
    add_tally(shard);
    return NULL;
}

/* ---- jobs ---- */

static void wake(struct kj__shard *shard)
{
    uint64_t one = 1;
    ssize_t ignored = write(shard->wake_fd, &one, sizeof one); /* full means awake already */
    (void)ignored;
}

bool kj__shard_post_quietly(struct kj__shard *shard, struct kj__job *job)
{
    enum kj__queue_result result = kj__queue_push(&shard->inbox, job, NULL);
    if (result == KJ__QUEUE_FULL) {
        wake(shard);
        result = kj__queue_push_wait(&shard->inbox, job, NULL);
    }
    return result == KJ__QUEUE_PUSHED;
}

static void wake_once(struct kj__shard *shard)
{
    if (!atomic_exchange(&shard->is_woken, true)) {
        wake(shard);
    }
}

bool kj__shard_post(struct kj__shard *shard, struct kj__job *job)
{
    bool is_posted = kj__shard_post_quietly(shard, job);
    if (is_posted) {
        wake_once(shard);
    }
    return is_posted;
}

enum kj_status kj__shard_try_post(struct kj__shard *shard, struct kj__job *job)
{
    switch (kj__queue_push(&shard->inbox, job, NULL)) {
    case KJ__QUEUE_PUSHED:
        wake_once(shard);
        return KJ_OK;
    case KJ__QUEUE_FULL:
        wake_once(shard);
        return KJ_EFULL;
    case KJ__QUEUE_NO_MEMORY:
        return KJ_ENOMEM;
    default:
        return KJ_ECLOSED;
    }
}

/* ---- life ---- */

static enum kj_status init_shard(struct kj__delivery *delivery, struct kj__shard *shard,
                                 enum kj_io io)
{
    shard->delivery = delivery;
    shard->wake_fd = -1;
    kj__queue_init(&shard->inbox, KJ__INBOX_LIMIT);
    kj__wheel_init(&shard->wheel, kj__clock_monotonic_ms());
    kj__wheel_init(&shard->chores, kj__clock_monotonic_ms());
    kj__list_init(&shard->dirty);
    kj__list_init(&shard->ended);
    kj__list_init(&shard->closed);
    kj__list_init(&shard->prepared);
    kj__list_init(&shard->behind);
    kj__list_init(&shard->flushing);
    kj__list_init(&shard->next_round);
    shard->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    shard->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* By edge: every write to it wakes anew, and nothing needs to be read. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (shard->epoll_fd < 0 || shard->wake_fd < 0 ||
        epoll_ctl(shard->epoll_fd, EPOLL_CTL_ADD, shard->wake_fd, &event) != 0) {
        return KJ_EIO;
    }
    shard->ping = kj__out_frame_new(KJ__FRAME_PING, NULL, 0);
    return shard->ping ? kj__writer_init(&shard->writer, io) : KJ_ENOMEM;
}

static void fini_shard(struct kj__shard *shard)
{
    if (shard->epoll_fd >= 0) {
        close(shard->epoll_fd);
    }
    if (shard->wake_fd >= 0) {
        close(shard->wake_fd);
    }
    kj__writer_fini(&shard->writer);
    kj__out_frame_unref(shard->ping);
    free(shard->connections);
    kj__queue_fini(&shard->inbox);
}

static size_t usable_cores(void)
{
    cpu_set_t set;
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return cores > 0 ? (size_t)cores : 1;
}

enum kj_status kj__delivery_new(size_t shard_count, enum kj_io io, struct kj__counters *counters,
                                struct kj__delivery **delivery)
{
    *delivery = NULL;
    if (shard_count == 0) {
        shard_count = usable_cores();
    }
    struct kj__delivery *made = calloc(1, sizeof *made);
    struct kj__shard *shards = calloc(shard_count, sizeof *shards);
    if (!made || !shards) {
        free(made);
        free(shards);
        return KJ_ENOMEM;
    }
    made->counters = counters;
    made->shards = shards;
    made->shard_count = shard_count;
    kj__credential_index_init(&made->credential_index);
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < shard_count; i++) {
        enum kj_status result = init_shard(made, &shards[i], io);
        status = status ? status : result;
    }
    if (status) {
        kj__delivery_free(made);
        return status;
    }
    *delivery = made;
    return KJ_OK;
}

enum kj_status kj__delivery_start(struct kj__delivery *delivery)
{
    for (size_t i = 0; i < delivery->shard_count; i++) {
        struct kj__shard *shard = &delivery->shards[i];
        if (pthread_create(&shard->thread, NULL, run_shard, shard) != 0) {
            kj__delivery_stop(delivery, 0);
            return KJ_ENOMEM;
        }
        shard->is_running = true;
    }
    return KJ_OK;
}

/* What reached the inbox after the shard's last round: run with the socket side over. */
static void run_leftovers(struct kj__shard *shard)
{
    kj__queue_close(&shard->inbox);
    shard->is_draining = true; /* nobody opens here, so nothing is logged that would not leave */
    while (run_jobs(shard)) {
    }
    abort_all(shard);
    tell_ended(shard);
    release_closed(shard);
    add_tally(shard);
}

void kj__delivery_stop(struct kj__delivery *delivery, uint32_t drain_timeout_ms)
{
    for (size_t i = 0; i < delivery->shard_count; i++) {
        struct kj__shard *shard = &delivery->shards[i];
        if (shard->is_running) {
            shard->drain_timeout_ms = drain_timeout_ms;
            atomic_store(&shard->drain_is_wanted, true);
            wake(shard);
        }
    }
    for (size_t i = 0; i < delivery->shard_count; i++) {
        struct kj__shard *shard = &delivery->shards[i];
        if (shard->is_running) {
            pthread_join(shard->thread, NULL);
            shard->is_running = false;
        }
        run_leftovers(shard);
    }
}

void kj__delivery_free(struct kj__delivery *delivery)
{
    if (!delivery) {
        return;
    }
    kj__delivery_stop(delivery, 0);
    for (size_t i = 0; i < delivery->shard_count; i++) {
        fini_shard(&delivery->shards[i]);
    }
    kj__credential_index_fini(&delivery->credential_index);
    free(delivery->shards);
    free(delivery);
}
