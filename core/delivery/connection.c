/* connection.c - see connection.h. Everything here but the [any thread] calls runs on the
 * shard that owns the connection. */
#include "delivery/connection.h"

#include "base/clock.h"
#include "delivery/delivery.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WRITE_VECTOR_MAX = 64, /* frames gathered in one call */
    CONTROLS_MAX = 32      /* pongs a peer can make us hold */
};

static struct kj__counters *counters_of(const struct kj__connection *connection)
{
    return connection->shard->delivery->counters;
}

void kj__connection_init(struct kj__connection *connection, struct kj__delivery *delivery,
                         const struct kj__endpoint *endpoint, bool check_utf8)
{
    *connection = (struct kj__connection){.fd = -1, .check_utf8 = check_utf8};
    atomic_init(&connection->refs, 1);
    size_t turn = atomic_fetch_add_explicit(&delivery->next_shard, 1, memory_order_relaxed);
    connection->shard = &delivery->shards[turn % delivery->shard_count];
    connection->endpoint = endpoint;
    kj__frame_reader_init(&connection->reader);
    kj__out_queue_init(&connection->out);
    kj__list_init(&connection->round_link);
    kj__wheel_entry_init(&connection->timer);
}

struct kj__connection *kj__connection_ref(struct kj__connection *connection)
{
    atomic_fetch_add_explicit(&connection->refs, 1, memory_order_relaxed);
    return connection;
}

void kj__connection_unref(struct kj__connection *connection)
{
    if (atomic_fetch_sub_explicit(&connection->refs, 1, memory_order_acq_rel) == 1) {
        kj__frame_reader_fini(&connection->reader);
        kj__out_queue_fini(&connection->out);
        connection->endpoint->protocol->release(connection);
    }
}

/* ---- the end ---- */

static void count_cause(struct kj__connection *connection, enum kj__close_cause cause)
{
    if (connection->cause != KJ__CAUSE_NONE) {
        return;
    }
    connection->cause = (uint8_t)cause;
    struct kj__counters *counters = counters_of(connection);
    switch (cause) {
    case KJ__CAUSE_NONE:
        break;
    case KJ__CAUSE_PEER:
        KJ__COUNT(counters, closed_by_peer);
        break;
    case KJ__CAUSE_PROTOCOL_ERROR:
        KJ__COUNT(counters, closed_protocol_error);
        break;
    case KJ__CAUSE_OVER_LIMIT:
        KJ__COUNT(counters, closed_over_limit);
        break;
    case KJ__CAUSE_BAD_CONFIG:
        KJ__COUNT(counters, closed_bad_config);
        break;
    case KJ__CAUSE_PONG_TIMEOUT:
        KJ__COUNT(counters, closed_pong_timeout);
        break;
    case KJ__CAUSE_WRITE_STALL:
        KJ__COUNT(counters, closed_write_stall);
        break;
    case KJ__CAUSE_QUEUE_FULL:
        KJ__COUNT(counters, closed_queue_full);
        break;
    case KJ__CAUSE_SERVER:
        KJ__COUNT(counters, closed_by_server);
        break;
    case KJ__CAUSE_IO_ERROR:
        KJ__COUNT(counters, closed_io_error);
        break;
    }
}

void kj__connection_abort(struct kj__connection *connection, enum kj__close_cause cause)
{
    if (connection->state == KJ__CONNECTION_CLOSED) {
        return;
    }
    struct kj__shard *shard = connection->shard;
    if (connection->was_open) {
        count_cause(connection, cause);
    }
    connection->state = KJ__CONNECTION_CLOSED;
    kj__wheel_disarm(&shard->wheel, &connection->timer);
    if (connection->fd >= 0) {
        /* Closing alone would leave it in the set while anyone else, such as a child about to
         * exec, holds the same open socket. */
        epoll_ctl(shard->epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
        kj__tls_free(connection->tls);
        connection->tls = NULL;
        close(connection->fd);
        connection->fd = -1;
    }
    kj__shard_remove_member(shard, connection);
    uint32_t unsent = kj__out_queue_clear(&connection->out);
    KJ__COUNT_BY(counters_of(connection), dropped_closing, unsent);
    kj__list_unlink(&connection->round_link);
    connection->is_dirty = false;
    /* Events of this round may still point here: released at its end. */
    kj__list_append(&shard->closed, &connection->round_link);
    connection->endpoint->protocol->on_closed(connection, connection->was_open);
}

/* ---- deadlines ---- */

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void arm_timer(struct kj__connection *connection)
{
    const struct kj__endpoint *endpoint = connection->endpoint;
    uint64_t deadline = connection->close_deadline_ms;
    if (connection->state == KJ__CONNECTION_OPEN) {
        deadline = earliest(connection->next_ping_ms,
                            connection->last_pong_ms + endpoint->pong_timeout_ms);
        if (connection->stalled_since_ms) {
            deadline = earliest(deadline, connection->stalled_since_ms + endpoint->write_stall_ms);
        }
    }
    if (deadline != connection->timer.deadline_ms) {
        kj__wheel_arm(&connection->shard->wheel, &connection->timer, deadline);
    }
}

static void send_ping(struct kj__connection *connection)
{
    struct kj__out_frame *ping = kj__out_frame_new(KJ__FRAME_PING, NULL, 0);
    if (ping) {
        kj__connection_send(connection, ping);
        kj__out_frame_unref(ping);
    }
}

void kj__connection_on_deadline(struct kj__connection *connection)
{
    const struct kj__endpoint *endpoint = connection->endpoint;
    uint64_t now = connection->shard->now_ms;
    if (connection->state != KJ__CONNECTION_OPEN) {
        kj__connection_abort(connection, KJ__CAUSE_PEER);
        return;
    }
    if (connection->stalled_since_ms &&
        now >= connection->stalled_since_ms + endpoint->write_stall_ms) {
        kj__connection_abort(connection, KJ__CAUSE_WRITE_STALL);
        return;
    }
    if (now >= connection->last_pong_ms + endpoint->pong_timeout_ms) {
        kj__connection_abort(connection, KJ__CAUSE_PONG_TIMEOUT);
        return;
    }
    if (now >= connection->next_ping_ms) {
        connection->next_ping_ms = now + endpoint->ping_interval_ms;
        send_ping(connection);
    }
    if (connection->state == KJ__CONNECTION_OPEN) {
        arm_timer(connection);
    }
}

/* ---- writing ---- */

static void set_waits_for_write(struct kj__connection *connection, bool waits)
{
    if (connection->waits_for_write == waits) {
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | (waits ? (uint32_t)EPOLLOUT : 0),
                                .data.ptr = connection};
    epoll_ctl(connection->shard->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
    connection->waits_for_write = waits;
}

/* Everything has left, the close frame last: our side ends, and the peer has a moment to end
 * its own, so that what we sent is not lost to a reset. */
static void shut_down(struct kj__connection *connection)
{
    connection->state = KJ__CONNECTION_SHUT;
    kj__tls_end(connection->tls);
    shutdown(connection->fd, SHUT_WR);
    connection->close_deadline_ms = earliest(connection->close_deadline_ms,
                                             connection->shard->now_ms +
                                                 connection->endpoint->close_timeout_ms);
    arm_timer(connection);
}

static bool has_output(const struct kj__connection *connection)
{
    return !kj__out_queue_is_empty(&connection->out) || kj__tls_has_unsent(connection->tls);
}

/* One call's worth of progress: false when the socket takes no more, or is gone. */
static bool write_some(struct kj__connection *connection)
{
    struct iovec vector[WRITE_VECTOR_MAX];
    int count = kj__out_queue_gather(&connection->out, vector, WRITE_VECTOR_MAX);
    ssize_t written = kj__socket_write(connection->fd, connection->tls, vector, count,
                                       connection->shard->tls_scratch);
    if (written < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return false;
        }
        if (errno != EINTR) {
            kj__connection_abort(connection, KJ__CAUSE_IO_ERROR);
            return false;
        }
        return true;
    }
    struct kj__tally *tally = &connection->shard->tally;
    tally->bytes_out += (uint64_t)written;
    tally->frames_out += kj__out_queue_written(&connection->out, (size_t)written);
    connection->stalled_since_ms = 0;
    return true;
}

void kj__connection_flush(struct kj__connection *connection)
{
    if (connection->fd < 0 || connection->state == KJ__CONNECTION_SHUT) {
        return;
    }
    while (has_output(connection) && write_some(connection)) {
    }
    if (connection->state == KJ__CONNECTION_CLOSED) {
        return;
    }
    bool is_blocked = has_output(connection);
    set_waits_for_write(connection,
                        connection->tls ? kj__tls_waits_for_output(connection->tls) : is_blocked);
    if (is_blocked && !connection->stalled_since_ms) {
        connection->stalled_since_ms = connection->shard->now_ms;
        arm_timer(connection);
    }
    if (!is_blocked && connection->state == KJ__CONNECTION_CLOSING) {
        shut_down(connection);
    }
}

static bool has_room(const struct kj__connection *connection, size_t len)
{
    const struct kj__endpoint *endpoint = connection->endpoint;
    const struct kj__out_queue *out = &connection->out;
    /* One frame larger than the whole limit may still go to an idle connection. */
    return out->count < endpoint->queue_messages &&
           (out->count == 0 || out->bytes + len <= endpoint->queue_bytes);
}

/* The queue is full: acts as the policy says. KJ__SENT when there is room after all. */
static enum kj__send_result make_room(struct kj__connection *connection, size_t len)
{
    struct kj__counters *counters = counters_of(connection);
    switch (connection->endpoint->queue_policy) {
    case KJ_QUEUE_DROP_OLDEST:
        while (!has_room(connection, len)) {
            if (!kj__out_queue_drop_oldest(&connection->out)) {
                break; /* only a half-written frame is left: this one goes */
            }
            KJ__COUNT(counters, dropped_queue_full);
        }
        if (has_room(connection, len)) {
            return KJ__SENT;
        }
        break;
    case KJ_QUEUE_DISCONNECT:
        KJ__COUNT(counters, dropped_queue_full);
        kj__connection_close(connection, KJ__CLOSE_POLICY, "too slow", KJ__CAUSE_QUEUE_FULL, false);
        return KJ__SEND_CLOSED;
    case KJ_QUEUE_DROP_NEWEST:
        break;
    }
    KJ__COUNT(counters, dropped_queue_full);
    return KJ__SEND_DROPPED;
}

/* Frames a peer can provoke without end must not pile up: beyond a few, what it does not
 * read is not repeated (RFC 6455 5.5.3 allows answering only the latest ping). */
static bool may_queue_control(struct kj__connection *connection)
{
    if (connection->out.controls >= CONTROLS_MAX) {
        kj__connection_flush(connection);
    }
    return connection->state == KJ__CONNECTION_OPEN && connection->out.controls < CONTROLS_MAX;
}

enum kj__send_result kj__connection_send(struct kj__connection *connection,
                                         struct kj__out_frame *frame)
{
    if (connection->state != KJ__CONNECTION_OPEN) {
        if (!frame->is_control) {
            KJ__COUNT(counters_of(connection), dropped_closing);
        }
        return KJ__SEND_CLOSED;
    }
    if (frame->is_control) {
        if (!may_queue_control(connection)) {
            return KJ__SEND_DROPPED;
        }
    } else if (!has_room(connection, frame->len)) {
        kj__connection_flush(connection); /* the socket may have room by now */
        if (connection->state != KJ__CONNECTION_OPEN) {
            KJ__COUNT(counters_of(connection), dropped_closing);
            return KJ__SEND_CLOSED;
        }
        if (!has_room(connection, frame->len)) {
            enum kj__send_result result = make_room(connection, frame->len);
            if (result != KJ__SENT) {
                return result;
            }
        }
    }
    if (!kj__out_queue_push(&connection->out, frame)) {
        KJ__COUNT(counters_of(connection), dropped_no_memory);
        return KJ__SEND_DROPPED;
    }
    kj__shard_mark_dirty(connection->shard, connection);
    return KJ__SENT;
}

/* ---- closing ---- */

void kj__connection_close(struct kj__connection *connection, uint16_t code, const char *reason,
                          enum kj__close_cause cause, bool flush_first)
{
    if (connection->state != KJ__CONNECTION_OPEN) {
        if (connection->state == KJ__CONNECTION_PREPARED) {
            kj__connection_abort(connection, cause);
        }
        return;
    }
    count_cause(connection, cause);
    if (!flush_first) {
        uint32_t dropped = kj__out_queue_drop_data(&connection->out);
        KJ__COUNT_BY(counters_of(connection), dropped_closing, dropped);
    }
    struct kj__out_frame *frame = kj__out_frame_new_close(code, reason);
    bool is_queued = frame && kj__out_queue_push_last(&connection->out, frame);
    kj__out_frame_unref(frame);
    if (!is_queued) {
        kj__connection_abort(connection, cause);
        return;
    }
    connection->state = KJ__CONNECTION_CLOSING;
    connection->close_deadline_ms = connection->shard->now_ms +
                                    connection->endpoint->close_timeout_ms;
    if (flush_first && connection->shard->is_draining) {
        connection->close_deadline_ms = connection->shard->drain_deadline_ms;
    }
    arm_timer(connection);
    kj__shard_mark_dirty(connection->shard, connection);
}

/* ---- reading ---- */

static bool on_message(void *ctx, enum kj__opcode opcode, uint8_t *data, size_t len)
{
    struct kj__connection *connection = ctx;
    connection->shard->tally.frames_in++;
    connection->endpoint->protocol->on_message(connection, opcode, data, len);
    return connection->state == KJ__CONNECTION_OPEN;
}

static bool on_ping(void *ctx, const uint8_t *data, size_t len)
{
    struct kj__connection *connection = ctx;
    connection->shard->tally.frames_in++;
    struct kj__out_frame *pong = kj__out_frame_new(KJ__FRAME_PONG, data, len);
    if (pong) {
        kj__connection_send(connection, pong);
        kj__out_frame_unref(pong);
    }
    return connection->state == KJ__CONNECTION_OPEN;
}

static bool on_pong(void *ctx)
{
    struct kj__connection *connection = ctx;
    connection->shard->tally.frames_in++;
    connection->last_pong_ms = connection->shard->now_ms;
    return true;
}

static bool on_close(void *ctx, uint16_t code)
{
    struct kj__connection *connection = ctx;
    connection->shard->tally.frames_in++;
    kj__connection_close(connection, code, NULL, KJ__CAUSE_PEER, false);
    return false;
}

static void feed(struct kj__connection *connection, uint8_t *bytes, size_t len)
{
    static const struct kj__frame_events events = {
        .on_message = on_message,
        .on_ping = on_ping,
        .on_pong = on_pong,
        .on_close = on_close,
    };
    const struct kj__frame_limits limits = {
        .message_bytes = connection->endpoint->message_bytes,
        .fragments = connection->endpoint->message_fragments,
        .check_utf8 = connection->check_utf8,
        .role = KJ__FRAME_SERVER,
    };
    struct kj__frame_outcome outcome = kj__frame_reader_feed(&connection->reader, &limits, bytes,
                                                             len, &events, connection);
    if (outcome.code) {
        bool over_limit = outcome.code == KJ__CLOSE_TOO_LARGE || outcome.code == KJ__CLOSE_POLICY;
        kj__connection_close(connection, outcome.code, outcome.reason,
                             over_limit ? KJ__CAUSE_OVER_LIMIT : KJ__CAUSE_PROTOCOL_ERROR, false);
    }
}

/* One call's worth of input: false when there was none, or the connection is gone. */
static bool read_some(struct kj__connection *connection)
{
    struct kj__shard *shard = connection->shard;
    ssize_t got = kj__socket_read(connection->fd, connection->tls, shard->read_buffer,
                                  sizeof shard->read_buffer);
    if (got < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
            kj__connection_abort(connection, KJ__CAUSE_IO_ERROR);
        }
        return false;
    }
    if (got == 0) {
        kj__connection_abort(connection, KJ__CAUSE_PEER);
        return false;
    }
    shard->tally.bytes_in += (uint64_t)got;
    if (connection->state == KJ__CONNECTION_OPEN) { /* else it is closing: thrown away */
        feed(connection, shard->read_buffer, (size_t)got);
    }
    return connection->state != KJ__CONNECTION_CLOSED;
}

void kj__connection_on_readable(struct kj__connection *connection)
{
    while (read_some(connection) && kj__tls_has_more(connection->tls)) {
    }
    /* Writing may have waited for what came, and reading may now wait for room to write. */
    if (kj__tls_has_unsent(connection->tls) || kj__tls_waits_for_output(connection->tls)) {
        kj__shard_mark_dirty(connection->shard, connection);
    }
}

/* ---- from other threads ---- */

struct connection_job {
    struct kj__job job;
    struct kj__connection *connection; /* a reference */
    int fd;
    struct kj__tls *tls;
    uint16_t code;
    const char *reason;
    enum kj__close_cause cause;
};

static bool post(struct kj__connection *connection, struct connection_job values,
                 void (*run)(struct kj__job *job, struct kj__shard *shard))
{
    struct connection_job *job = malloc(sizeof *job);
    if (!job) {
        return false;
    }
    *job = values;
    job->job.run = run;
    job->connection = kj__connection_ref(connection);
    if (!kj__shard_post(connection->shard, &job->job)) {
        kj__connection_unref(connection);
        free(job);
        return false;
    }
    return true;
}

static void finish(struct connection_job *job)
{
    kj__connection_unref(job->connection);
    free(job);
}

static void run_announce(struct kj__job *base, struct kj__shard *shard)
{
    struct connection_job *job = (struct connection_job *)base;
    kj__connection_ref(job->connection); /* the shard's, until it is closed */
    shard->connections++;
    if (shard->is_draining || !kj__shard_add_member(shard, job->connection)) {
        kj__connection_abort(job->connection, KJ__CAUSE_SERVER);
    }
    finish(job);
}

bool kj__connection_announce(struct kj__connection *connection)
{
    return post(connection, (struct connection_job){0}, run_announce);
}

static void set_socket_options(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void run_attach(struct kj__job *base, struct kj__shard *shard)
{
    struct connection_job *job = (struct connection_job *)base;
    struct kj__connection *connection = job->connection;
    if (connection->state != KJ__CONNECTION_PREPARED) {
        kj__tls_free(job->tls);
        close(job->fd);
        finish(job);
        return;
    }
    connection->fd = job->fd;
    connection->tls = job->tls;
    set_socket_options(connection->fd);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(shard->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0) {
        kj__connection_abort(connection, KJ__CAUSE_IO_ERROR);
        finish(job);
        return;
    }
    connection->state = KJ__CONNECTION_OPEN;
    connection->was_open = true;
    connection->last_pong_ms = shard->now_ms;
    connection->next_ping_ms = shard->now_ms + connection->endpoint->ping_interval_ms;
    arm_timer(connection);
    connection->endpoint->protocol->on_open(connection);
    if (connection->tls) {
        /* What came behind the handshake may be decrypted already. */
        kj__connection_on_readable(connection);
    }
    finish(job);
}

bool kj__connection_attach(struct kj__connection *connection, int fd, struct kj__tls *tls)
{
    bool is_posted = post(connection, (struct connection_job){.fd = fd, .tls = tls}, run_attach);
    if (!is_posted) {
        kj__tls_free(tls);
        close(fd);
    }
    return is_posted;
}

static void run_abandon(struct kj__job *base, struct kj__shard *shard)
{
    (void)shard;
    struct connection_job *job = (struct connection_job *)base;
    kj__connection_abort(job->connection, KJ__CAUSE_PEER);
    finish(job);
}

void kj__connection_abandon(struct kj__connection *connection)
{
    post(connection, (struct connection_job){0}, run_abandon);
}

static void run_close(struct kj__job *base, struct kj__shard *shard)
{
    (void)shard;
    struct connection_job *job = (struct connection_job *)base;
    kj__connection_close(job->connection, job->code, job->reason, job->cause, false);
    finish(job);
}

void kj__connection_close_later(struct kj__connection *connection, uint16_t code,
                                const char *reason, enum kj__close_cause cause)
{
    post(connection, (struct connection_job){.code = code, .reason = reason, .cause = cause},
         run_close);
}
