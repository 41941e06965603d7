/* connection.c - see connection.h: deadlines, closing and reading. What leaves is in
 * connection_write.c, what other threads ask for in connection_post.c. */
#include "delivery/connection.h"

#include "base/clock.h"
#include "delivery/delivery.h"
#include "delivery/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000 };

static struct kj__counters *counters_of(const struct kj__connection *connection)
{
    return connection->shard->delivery->counters;
}

void kj__connection_init(struct kj__connection *connection, struct kj__delivery *delivery,
                         const struct kj__endpoint *endpoint, bool check_utf8)
{
    size_t turn = atomic_fetch_add_explicit(&delivery->next_shard, 1, memory_order_relaxed);
    kj__connection_init_on(connection, &delivery->shards[turn % delivery->shard_count], endpoint,
                           check_utf8);
}

void kj__connection_init_on(struct kj__connection *connection, struct kj__shard *shard,
                            const struct kj__endpoint *endpoint, bool check_utf8)
{
    *connection = (struct kj__connection){.fd = -1, .check_utf8 = check_utf8};
    atomic_init(&connection->refs, 1);
    connection->shard = shard;
    connection->endpoint = endpoint;
    kj__out_queue_init(&connection->out);
    kj__list_init(&connection->round_link);
    kj__wheel_entry_init(&connection->timer);
}

static void free_reader(struct kj__connection *connection)
{
    if (connection->partial.reader) {
        kj__frame_reader_fini(connection->partial.reader);
        free(connection->partial.reader);
        connection->partial.reader = NULL;
    }
}

struct kj__connection *kj__connection_ref(struct kj__connection *connection)
{
    atomic_fetch_add_explicit(&connection->refs, 1, memory_order_relaxed);
    return connection;
}

void kj__connection_unref(struct kj__connection *connection)
{
    if (atomic_fetch_sub_explicit(&connection->refs, 1, memory_order_acq_rel) == 1) {
        if (kj__connection_is_stream(connection)) {
            kj__stream_forget(connection);
        } else {
            free_reader(connection);
        }
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
    case KJ__CAUSE_UNAUTHORIZED:
        KJ__COUNT(counters, closed_unauthorized);
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
    case KJ__CAUSE_EXPIRED:
        KJ__COUNT(counters, closed_expired);
        break;
    case KJ__CAUSE_IO_ERROR:
        KJ__COUNT(counters, closed_io_error);
        break;
    }
}

static void leave_seats(struct kj__connection *connection)
{
    while (connection->seats) {
        kj__seat_leave(connection->seats);
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
    leave_seats(connection);
    kj__wheel_disarm(&shard->wheel, &connection->timer);
    if (connection->fd >= 0) {
        kj__writer_forget(&shard->writer, connection->fd);
        /* Closing alone would leave it in the set while anyone else, such as a child about to
         * exec, holds the same open socket. */
        epoll_ctl(shard->epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
        if (!kj__tls_is_ready(connection->tls)) {
            KJ__COUNT(counters_of(connection), stream_tls_failed);
        }
        kj__tls_free(connection->tls);
        connection->tls = NULL;
        close(connection->fd);
        connection->fd = -1;
    }
    kj__shard_remove(shard, connection);
    uint32_t unsent = kj__out_queue_clear(&connection->out);
    kj__shard_count_waiting(shard, connection);
    KJ__COUNT_BY(counters_of(connection), dropped_closing, unsent);
    kj__list_unlink(&connection->round_link);
    connection->is_dirty = false;
    /* Whoever sends to it now is not interrupted: the protocol is told between two steps. */
    kj__list_append(&shard->ended, &connection->round_link);
}

/* ---- deadlines ---- */

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* On the shard's clock; UINT64_MAX: it stays. */
static uint64_t expiry_of(struct kj__connection *connection)
{
    int64_t expires_ms = atomic_load_explicit(&connection->expires_ms, memory_order_relaxed);
    if (expires_ms == 0) {
        return UINT64_MAX;
    }
    int64_t wall_ms = kj__clock_wall_ns() / NS_PER_MS;
    return expires_ms > wall_ms ? connection->shard->now_ms + (uint64_t)(expires_ms - wall_ms) : 0;
}

static void expire(struct kj__connection *connection)
{
    if (connection->endpoint->protocol->on_expired) {
        connection->endpoint->protocol->on_expired(connection);
    } else {
        kj__connection_close(connection, KJ__CLOSE_POLICY, NULL, KJ__CAUSE_EXPIRED, true);
    }
}

void kj__connection_arm_timer(struct kj__connection *connection)
{
    const struct kj__endpoint *endpoint = connection->endpoint;
    uint64_t deadline = connection->close_deadline_ms;
    if (connection->state == KJ__CONNECTION_OPEN) {
        deadline = earliest(connection->next_ping_ms,
                            connection->last_pong_ms + endpoint->pong_timeout_ms);
        if (connection->stalled_since_ms) {
            deadline = earliest(deadline, connection->stalled_since_ms + endpoint->write_stall_ms);
        }
        if (connection->close_deadline_ms) {
            deadline = earliest(deadline, connection->close_deadline_ms);
        }
        deadline = earliest(deadline, expiry_of(connection));
    }
    if (deadline != connection->timer.deadline_ms) {
        kj__wheel_arm(&connection->shard->wheel, &connection->timer, deadline);
    }
}

static void ping(struct kj__connection *connection)
{
    if (kj__connection_is_stream(connection)) {
        return;
    }
    if (connection->endpoint->protocol->on_ping_due) {
        connection->endpoint->protocol->on_ping_due(connection);
    }
    kj__connection_send(connection, connection->shard->ping);
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
    if (connection->close_deadline_ms && now >= connection->close_deadline_ms) {
        kj__connection_close(connection, connection->late_close_code, NULL,
                             (enum kj__close_cause)connection->late_close_cause, false);
        return;
    }
    if (now >= expiry_of(connection)) {
        expire(connection);
        return;
    }
    if (now >= connection->next_ping_ms) {
        connection->next_ping_ms = now + endpoint->ping_interval_ms;
        ping(connection);
    }
    if (connection->state == KJ__CONNECTION_OPEN) {
        kj__connection_arm_timer(connection);
    }
}

/* ---- closing ---- */

static bool queue_close_frame(struct kj__connection *connection, uint16_t code, const char *reason)
{
    struct kj__out_frame *frame = kj__out_frame_new_close(code, reason);
    bool is_queued = frame && kj__out_queue_push_last(&connection->out, frame);
    kj__out_frame_unref(frame);
    return is_queued;
}

void kj__connection_close(struct kj__connection *connection, uint16_t code, const char *reason,
                          enum kj__close_cause cause, bool flush_first)
{
    if (connection->state != KJ__CONNECTION_OPEN) {
        if (connection->state == KJ__CONNECTION_PREPARED) {
            kj__connection_abort(connection, cause);
        }
        return;
    }
    if (flush_first) {
        leave_seats(connection); /* what they still owe goes to the queue */
        if (connection->state != KJ__CONNECTION_OPEN) {
            return;
        }
    }
    count_cause(connection, cause);
    connection->state = KJ__CONNECTION_CLOSING;
    leave_seats(connection);
    if (connection->endpoint->protocol->on_closing) {
        connection->endpoint->protocol->on_closing(connection);
    }
    if (!flush_first) {
        uint32_t dropped = kj__out_queue_drop_data(&connection->out);
        KJ__COUNT_BY(counters_of(connection), dropped_closing, dropped);
    }
    if (!kj__connection_is_stream(connection) && !queue_close_frame(connection, code, reason)) {
        kj__connection_abort(connection, cause);
        return;
    }
    connection->close_deadline_ms = connection->shard->now_ms +
                                    connection->endpoint->close_timeout_ms;
    if (flush_first && connection->shard->is_draining) {
        connection->close_deadline_ms = connection->shard->drain_deadline_ms;
    }
    kj__connection_arm_timer(connection);
    kj__shard_mark_dirty(connection->shard, connection);
}

void kj__connection_close_late(struct kj__connection *connection, uint16_t code,
                               enum kj__close_cause cause, uint32_t delay_ms)
{
    if (connection->state != KJ__CONNECTION_OPEN || connection->close_deadline_ms) {
        return;
    }
    connection->close_deadline_ms = connection->shard->now_ms + delay_ms;
    connection->late_close_code = code;
    connection->late_close_cause = (uint8_t)cause;
    kj__connection_arm_timer(connection);
}

/* Everything has left, the close frame last: our side ends, and the peer has a moment to end
 * its own, so that what we sent is not lost to a reset. */
void kj__connection_shut_down(struct kj__connection *connection)
{
    connection->state = KJ__CONNECTION_SHUT;
    kj__tls_end(connection->tls);
    shutdown(connection->fd, SHUT_WR);
    connection->close_deadline_ms = earliest(connection->close_deadline_ms,
                                             connection->shard->now_ms +
                                                 connection->endpoint->close_timeout_ms);
    kj__connection_arm_timer(connection);
}

/* ---- reading ---- */

static void note_input(struct kj__connection *connection)
{
    connection->shard->tally.frames_in++;
    if (connection->endpoint->input_is_life) {
        connection->last_pong_ms = connection->shard->now_ms;
    }
}

static bool on_message(void *ctx, enum kj__opcode opcode, uint8_t *data, size_t len)
{
    struct kj__connection *connection = ctx;
    note_input(connection);
    if (!connection->close_deadline_ms) { /* else it is to be closed late */
        connection->endpoint->protocol->on_message(connection, opcode, data, len);
    }
    return connection->state == KJ__CONNECTION_OPEN;
}

static bool on_ping(void *ctx, const uint8_t *data, size_t len)
{
    struct kj__connection *connection = ctx;
    note_input(connection);
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

/* Most input ends with a whole frame: a reader is kept only where it does not. False when there
 * is no memory to keep it. */
static bool keep_reader(struct kj__connection *connection, struct kj__frame_reader *reader,
                        bool is_kept)
{
    if (!is_kept || kj__frame_reader_is_idle(reader)) {
        if (reader != connection->partial.reader) {
            kj__frame_reader_fini(reader);
        }
        free_reader(connection);
        return true;
    }
    if (reader == connection->partial.reader) {
        return true;
    }
    connection->partial.reader = malloc(sizeof *reader);
    if (!connection->partial.reader) {
        kj__frame_reader_fini(reader);
        return false;
    }
    *connection->partial.reader = *reader;
    return true;
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
    struct kj__frame_reader fresh;
    struct kj__frame_reader *reader = connection->partial.reader ? connection->partial.reader
                                                                 : &fresh;
    if (reader == &fresh) {
        kj__frame_reader_init(&fresh);
    }
    struct kj__frame_outcome outcome = kj__frame_reader_feed(reader, &limits, bytes, len, &events,
                                                             connection);
    bool is_kept = connection->state == KJ__CONNECTION_OPEN && !outcome.code;
    if (!keep_reader(connection, reader, is_kept)) {
        outcome = (struct kj__frame_outcome){.code = KJ__CLOSE_INTERNAL, .reason = "no memory"};
    }
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
        if (kj__connection_is_stream(connection)) {
            kj__stream_feed(connection, shard->read_buffer, (size_t)got);
        } else {
            feed(connection, shard->read_buffer, (size_t)got);
        }
    }
    return connection->state != KJ__CONNECTION_CLOSED;
}

void kj__connection_on_readable(struct kj__connection *connection)
{
    while (read_some(connection) && kj__tls_has_more(connection->tls)) {
    }
    /* Writing may have waited for the end of the handshake, and reading may now wait for room to
     * write. */
    if (connection->tls && (kj__tls_waits_for_output(connection->tls) || connection->is_deaf ||
                            !kj__out_queue_is_empty(&connection->out))) {
        kj__shard_mark_dirty(connection->shard, connection);
    }
}
