/* connection_write.c - what leaves a connection: its queue, the limits of it, and the socket. */
#include "delivery/connection.h"
#include "delivery/delivery.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    WRITE_VECTOR_MAX = 64, /* frames gathered in one call */
    CONTROLS_MAX = 32,     /* pongs a peer can make us hold */
    DRAIN_LIKELY_MS = 100  /* after a socket was found full */
};

static struct kj__counters *counters_of(const struct kj__connection *connection)
{
    return connection->shard->delivery->counters;
}

int kj__connection_target(const struct kj__connection *connection)
{
    if (connection->state != KJ__CONNECTION_OPEN || !kj__out_queue_is_empty(&connection->out)) {
        return KJ__TARGET_QUEUE;
    }
    if (!connection->tls) {
        return connection->fd;
    }
    return kj__tls_may_seal(connection->tls) ? kj__sealed_target(connection->fd) : KJ__TARGET_QUEUE;
}

/* The queue got its first frame, or is empty again. */
static void update_seats(const struct kj__connection *connection)
{
    int target = kj__connection_target(connection);
    for (struct kj__seat *seat = connection->seats; seat; seat = seat->next) {
        kj__seat_set_target(seat, target);
    }
}

/* ---- the socket ---- */

/* Input that cannot be taken yet would be announced over and over: it is tried again once there is
 * room for output. */
static void set_waits_for_write(struct kj__connection *connection, bool waits)
{
    bool is_deaf = kj__tls_read_waits_for_output(connection->tls);
    if (connection->waits_for_write == waits && connection->is_deaf == is_deaf) {
        return;
    }
    struct epoll_event event = {.events = (is_deaf ? 0 : (uint32_t)EPOLLIN) |
                                          (waits ? (uint32_t)EPOLLOUT : 0),
                                .data.ptr = connection};
    epoll_ctl(connection->shard->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
    connection->waits_for_write = waits;
    connection->is_deaf = is_deaf;
}

void kj__connection_note_blocked(struct kj__connection *connection)
{
    set_waits_for_write(connection, !connection->tls || kj__tls_waits_for_output(connection->tls));
    if (!connection->stalled_since_ms) {
        connection->stalled_since_ms = connection->shard->now_ms;
        kj__connection_arm_timer(connection);
    }
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

/* Tells the protocol once that frames were dropped, now that there is room to tell the peer;
 * one that is being closed is told no more. */
static void report_drops(struct kj__connection *connection)
{
    if (connection->has_dropped && connection->state == KJ__CONNECTION_OPEN) {
        connection->has_dropped = false;
        if (connection->endpoint->protocol->on_room) {
            connection->endpoint->protocol->on_room(connection);
        }
    }
}

static bool has_output(const struct kj__connection *connection)
{
    return !kj__out_queue_is_empty(&connection->out) || kj__tls_has_unsent(connection->tls);
}

/* Writes until nothing waits; false when the socket takes no more, or is gone. */
static bool write_all(struct kj__connection *connection)
{
    while (has_output(connection)) {
        if (!write_some(connection)) {
            return false;
        }
    }
    return true;
}

void kj__connection_flush(struct kj__connection *connection)
{
    if (connection->fd < 0) {
        return;
    }
    if (connection->state == KJ__CONNECTION_SHUT) { /* and there is room for output for ever */
        set_waits_for_write(connection, kj__tls_read_waits_for_output(connection->tls));
        return;
    }
    bool is_done = write_all(connection);
    if (is_done && connection->has_dropped) {
        report_drops(connection);
        is_done = write_all(connection);
    }
    if (connection->state == KJ__CONNECTION_CLOSED) {
        return;
    }
    kj__shard_count_waiting(connection->shard, connection);
    if (!is_done) {
        kj__connection_note_blocked(connection);
        return;
    }
    set_waits_for_write(connection, kj__tls_waits_for_output(connection->tls));
    connection->stalled_since_ms = 0;
    update_seats(connection);
    if (connection->state == KJ__CONNECTION_CLOSING) {
        kj__connection_shut_down(connection);
    } else if (connection->waits_for_room) {
        connection->waits_for_room = false;
        connection->endpoint->protocol->on_drained(connection);
    }
}

/* ---- the queue ---- */

static bool has_room(const struct kj__connection *connection, size_t len)
{
    const struct kj__endpoint *endpoint = connection->endpoint;
    const struct kj__out_queue *out = &connection->out;
    /* A frame that is on its way does not wait, and one larger than the whole limit may be the
     * only one that does. */
    uint32_t waiting = out->count - (out->head_written > 0);
    size_t bytes = out->bytes - kj__out_queue_under_way(out);
    return waiting < endpoint->queue_messages &&
           (waiting == 0 || bytes + len <= endpoint->queue_bytes);
}

bool kj__connection_has_ample_room(const struct kj__connection *connection, size_t len)
{
    const struct kj__endpoint *endpoint = connection->endpoint;
    const struct kj__out_queue *out = &connection->out;
    return out->count == 0 || (out->count < endpoint->queue_messages / 2 &&
                               out->bytes + len <= endpoint->queue_bytes / 2);
}

static void note_drop(struct kj__connection *connection)
{
    KJ__COUNT(counters_of(connection), dropped_queue_full);
    connection->has_dropped = true;
    if (connection->endpoint->protocol->on_dropped) {
        connection->endpoint->protocol->on_dropped(connection);
    }
}

static enum kj_queue_policy policy_of(const struct kj__connection *connection,
                                      const struct kj__out_frame *frame)
{
    return frame->policy ? (enum kj_queue_policy)(frame->policy - 1)
                         : connection->endpoint->queue_policy;
}

/* Drops the oldest that may be dropped until `len` bytes have room; false when they get none. */
static bool drop_oldest(struct kj__connection *connection, size_t len)
{
    while (!has_room(connection, len)) {
        if (!kj__out_queue_drop_oldest(&connection->out)) {
            return false;
        }
        note_drop(connection);
    }
    return true;
}

/* The queue is full: acts as the policy says. KJ__SENT when there is room after all. */
static enum kj__send_result make_room(struct kj__connection *connection,
                                      const struct kj__out_frame *frame)
{
    switch (policy_of(connection, frame)) {
    case KJ_QUEUE_DROP_OLDEST:
        if (drop_oldest(connection, frame->len)) {
            return KJ__SENT;
        }
        break;
    case KJ_QUEUE_DISCONNECT:
        /* Where frames differ, those that may be dropped make way for one that may not. */
        if (frame->policy && drop_oldest(connection, frame->len)) {
            return KJ__SENT;
        }
        note_drop(connection);
        kj__connection_close(connection, KJ__CLOSE_POLICY, "too slow", KJ__CAUSE_QUEUE_FULL, false);
        return KJ__SEND_CLOSED;
    case KJ_QUEUE_DROP_NEWEST:
        break;
    }
    note_drop(connection);
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

/* Whether the socket may have room by now although epoll has not said so yet: a round that queues
 * much takes a while. One that was full for longer is left to epoll, lest every event costs a
 * vain call for every client that has stopped reading. */
static bool may_have_drained(const struct kj__connection *connection)
{
    return !connection->stalled_since_ms ||
           connection->shard->now_ms < connection->stalled_since_ms + DRAIN_LIKELY_MS;
}

/* Room for a data frame, by the policy where there is none. */
static enum kj__send_result find_room(struct kj__connection *connection,
                                      const struct kj__out_frame *frame)
{
    size_t len = frame->len;
    if (!has_room(connection, len) && may_have_drained(connection)) {
        kj__connection_flush(connection);
        if (connection->state != KJ__CONNECTION_OPEN) {
            KJ__COUNT(counters_of(connection), dropped_closing);
            return KJ__SEND_CLOSED;
        }
    }
    return has_room(connection, len) ? KJ__SENT : make_room(connection, frame);
}

static enum kj__send_result push(struct kj__connection *connection, struct kj__out_frame *frame)
{
    bool was_empty = kj__out_queue_is_empty(&connection->out);
    if (!kj__out_queue_push(&connection->out, frame)) {
        if (!frame->is_control) {
            KJ__COUNT(counters_of(connection), dropped_no_memory);
        }
        return KJ__SEND_DROPPED;
    }
    if (was_empty) {
        update_seats(connection);
    }
    if (!connection->waits_for_write) {
        kj__shard_mark_dirty(connection->shard, connection);
    }
    kj__shard_count_waiting(connection->shard, connection);
    return KJ__SENT;
}

enum kj__send_result kj__connection_enqueue(struct kj__connection *connection,
                                            struct kj__out_frame *frame)
{
    bool is_held = connection->close_deadline_ms && !frame->is_control; /* to be closed late */
    if (connection->state != KJ__CONNECTION_OPEN || is_held) {
        if (!frame->is_control) {
            KJ__COUNT(counters_of(connection), dropped_closing);
        }
        return KJ__SEND_CLOSED;
    }
    if (frame->is_control) {
        return may_queue_control(connection) ? push(connection, frame) : KJ__SEND_DROPPED;
    }
    enum kj__send_result result = find_room(connection, frame);
    if (result != KJ__SENT) {
        return result;
    }
    if (policy_of(connection, frame) == KJ_QUEUE_DROP_NEWEST) {
        report_drops(connection); /* here, where the gap is */
    }
    if (connection->state != KJ__CONNECTION_OPEN) {
        KJ__COUNT(counters_of(connection), dropped_closing);
        return KJ__SEND_CLOSED;
    }
    return push(connection, frame);
}

bool kj__connection_enqueue_rest(struct kj__connection *connection, struct kj__out_frame *frame,
                                 size_t written)
{
    if (!kj__out_queue_push(&connection->out, frame)) {
        /* Half a frame is out: nothing can follow it. */
        KJ__COUNT(counters_of(connection), dropped_no_memory);
        kj__connection_abort(connection, KJ__CAUSE_IO_ERROR);
        return false;
    }
    kj__out_queue_written(&connection->out, written);
    update_seats(connection);
    kj__shard_count_waiting(connection->shard, connection);
    return true;
}

void kj__connection_keep_sealed(struct kj__connection *connection, const uint8_t *bytes, size_t len)
{
    if (!kj__tls_keep(connection->tls, bytes, len)) {
        /* Half a record is out: nothing can follow it. */
        kj__connection_abort(connection, KJ__CAUSE_IO_ERROR);
        return;
    }
    update_seats(connection);
    kj__connection_note_blocked(connection);
}

enum kj__send_result kj__connection_send(struct kj__connection *connection,
                                         struct kj__out_frame *frame)
{
    /* What an audience has logged came earlier. Without a link kept: a seat that settles may close
     * the connection, and its seats are then left. */
    for (struct kj__seat *seat = connection->seats; seat && !frame->is_control;
         seat = connection->seats ? seat->next : NULL) {
        kj__seat_settle(seat);
    }
    return kj__connection_enqueue(connection, frame);
}

bool kj__connection_send_notice(struct kj__connection *connection, struct kj__out_frame *frame)
{
    /* Without a look at the audiences: what they have logged comes after the gap. A seat may be
     * settling, with one frame neither in the log nor queued yet. */
    return connection->state == KJ__CONNECTION_OPEN && push(connection, frame) == KJ__SENT;
}
