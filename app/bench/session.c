/* session.c - see session.h. */
#include "bench/session.h"

#include "bench/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* ---- sending and ending ---- */

bool session_send(struct worker *worker, struct session *session, int opcode,
                  const uint8_t *payload, size_t len)
{
    if (len > WORKER_OUT_SIZE - WIRE_HEADER_MAX) {
        return false;
    }
    size_t size = wire_frame(worker->out, (enum wire_opcode)opcode, payload, len);
    return bench_tls_send(session->tls, session->fd, worker->out, size) == (ssize_t)size;
}

bool session_send_message(struct worker *worker, struct session *session,
                          const struct bench_message *message)
{
    return session_send(worker, session, message->is_binary ? WIRE_BINARY : WIRE_TEXT,
                        message->bytes.data, message->bytes.len);
}

/* The publisher waits for the workers that have such sessions. */
static void expect_sessions(struct worker *worker, int change)
{
    bool were_some = worker->expected > 0;
    worker->expected += (uint32_t)change;
    atomic_store(&worker->stats->expected, worker->expected);
    if (were_some != (worker->expected > 0)) {
        atomic_fetch_add(&worker->shared->taking, (uint32_t)change);
    }
}

void session_drop(struct worker *worker, struct session *session, const char *fault)
{
    struct bench_worker_stats *stats = worker->stats;
    if (fault && *stats->fault == '\0') {
        snprintf(stats->fault, sizeof stats->fault, "%s", fault);
    }
    if (session->state == SESSION_OPEN) {
        stats->closed += !session->is_stalled;
        if (session->is_expected && !session->is_stalled) {
            expect_sessions(worker, -1);
        }
    } else {
        worker->connecting--;
        atomic_fetch_add(&stats->failed, 1);
    }
    bench_tls_free(session->tls);
    session->tls = NULL;
    close(session->fd);
    free(session->tail);
    session->tail = NULL;
    session->tail_len = 0;
    session->fd = -1;
    session->state = SESSION_GONE;
}

static void drop_broken(struct worker *worker, struct session *session, const char *fault)
{
    worker->stats->broken++;
    session_drop(worker, session, fault);
}

/* ---- events ---- */

/* Asked for each event, after it was read: a batch may begin before the measuring does. */
static bool is_measured_now(const struct worker *worker, uint32_t number)
{
    return number >= atomic_load(&worker->shared->measure_from);
}

/* Whether the event is new to the session. */
static bool note_order(struct worker *worker, struct session *session, uint32_t number,
                       bool is_measured)
{
    switch (order_note(&session->order, number)) {
    case ARRIVAL_NEXT:
        return true;
    case ARRIVAL_LATE:
        worker->stats->disordered += is_measured;
        return true;
    case ARRIVAL_AGAIN:
    default:
        worker->stats->duplicates += is_measured;
        return false;
    }
}

/* All sessions of this worker have the event; the last worker wakes the publisher. */
static void note_done(struct worker *worker, uint32_t number, uint64_t latency_ns)
{
    struct bench_shared *shared = worker->shared;
    _Atomic uint64_t *slot = &shared->done[number % BENCH_IN_FLIGHT_MAX];
    uint64_t before = atomic_load(slot);
    uint64_t after;
    do {
        after = before >> 32 == number ? before + 1 : (uint64_t)number << 32 | 1;
    } while (!atomic_compare_exchange_weak(slot, &before, after));
    if ((uint32_t)after == atomic_load(&shared->taking)) {
        if (is_measured_now(worker, number)) {
            histogram_record(&worker->stats->complete, latency_ns);
        }
        bench_futex_wake(&shared->wake);
    }
}

static void note_event(struct worker *worker, struct session *session, uint32_t number,
                       uint64_t latency_ns)
{
    bool is_measured = is_measured_now(worker, number);
    if (!session->is_expected) {
        worker->stats->unexpected += is_measured;
        return;
    }
    if (!note_order(worker, session, number, is_measured)) {
        return;
    }
    if (is_measured) {
        if (worker->deliveries++ == 0) {
            worker->cpu_start_ns = bench_cpu_ns();
        }
        histogram_record(&worker->stats->latency, latency_ns);
    }
    struct arrival *arrival = &worker->arrivals[number % BENCH_IN_FLIGHT_MAX];
    if (arrival->number < number) {
        *arrival = (struct arrival){.number = number};
    }
    if (arrival->number == number && ++arrival->count == worker->expected) {
        note_done(worker, number, latency_ns);
    }
}

/* A server may put several events into one frame. */
static void take_events(struct worker *worker, struct session *session,
                        const struct wire_frame *frame, uint64_t now_ns)
{
    const uint8_t *end = frame->payload + frame->len;
    const uint8_t *at = frame->payload;
    struct bench_mark mark;
    uint64_t deliveries = worker->deliveries;
    while ((at = bench_mark_find(at, (size_t)(end - at), &mark))) {
        if (worker->settings->publish && mark.run != worker->settings->run) {
            continue;
        }
        /* Without events of its own a run listens to those of others, each of which counts anew. */
        if (mark.run != session->run) {
            session->order = (struct order){0};
            session->run = mark.run;
        }
        note_event(worker, session, mark.number, now_ns > mark.time_ns ? now_ns - mark.time_ns : 0);
    }
    if (worker->deliveries != deliveries) {
        worker->stats->bytes += frame->size;
    }
}

/* ---- frames ---- */

/* False when the session is gone. */
static bool take_frame(struct worker *worker, struct session *session,
                       const struct wire_frame *frame, uint64_t now_ns)
{
    char fault[64];
    switch (frame->opcode) {
    case WIRE_PING:
        /* No room for the answer means that there is more than enough traffic to be alive by. */
        session_send(worker, session, WIRE_PONG, frame->payload, frame->len);
        return true;
    case WIRE_PONG:
        return true;
    case WIRE_CLOSE:
        snprintf(fault, sizeof fault, "the server closed a session: %d",
                 frame->len < 2 ? 1005 : frame->payload[0] << 8 | frame->payload[1]);
        session_drop(worker, session, fault);
        return false;
    default:
        if ((frame->opcode == WIRE_CONTINUATION) != session->in_message) {
            drop_broken(worker, session, "a continuation out of place");
            return false;
        }
        session->in_message = !frame->is_final;
        take_events(worker, session, frame, now_ns);
        return true;
    }
}

/* Keeps what is left of the worker's buffer until the rest of the frame comes. */
static void keep_tail(struct worker *worker, struct session *session, const uint8_t *bytes,
                      size_t len, size_t need)
{
    if (need > WORKER_BUFFER_SIZE) {
        drop_broken(worker, session, "a frame larger than two megabytes");
        return;
    }
    session->tail = malloc(len);
    if (!session->tail) {
        session_drop(worker, session, "no memory for a frame");
        return;
    }
    memcpy(session->tail, bytes, len);
    session->tail_len = (uint32_t)len;
}

static void take_frames(struct worker *worker, struct session *session, size_t at, size_t len)
{
    uint64_t now_ns = bench_now_ns();
    while (at < len) {
        struct wire_frame frame;
        size_t need;
        int64_t size = wire_read(worker->buffer + at, len - at, &frame, &need);
        if (size < 0) {
            drop_broken(worker, session, "bytes that are no frame of a server");
            return;
        }
        if (size == 0) {
            keep_tail(worker, session, worker->buffer + at, len - at, need);
            return;
        }
        if (!take_frame(worker, session, &frame, now_ns)) {
            return;
        }
        at += (size_t)size;
    }
}

/* ---- the upgrade ---- */

static bool send_first_messages(struct worker *worker, struct session *session)
{
    const struct bench_settings *settings = worker->settings;
    for (size_t i = 0; i < settings->sends.count; i++) {
        if (!session_send_message(worker, session, &settings->session_sends[i])) {
            return false;
        }
    }
    return settings->session_config_count == 0 ||
           session_send_message(worker, session,
                                &settings->session_configs[session->config].message);
}

static void open_session(struct worker *worker, struct session *session)
{
    struct bench_worker_stats *stats = worker->stats;
    if (!send_first_messages(worker, session)) {
        session_drop(worker, session, "a first message did not go out");
        return;
    }
    worker->connecting--;
    session->state = SESSION_OPEN;
    if (session->is_stalled) {
        stats->stalled++;
        epoll_ctl(worker->epoll, EPOLL_CTL_DEL, session->fd, NULL);
    } else if (session->is_expected) {
        expect_sessions(worker, 1);
    }
    atomic_store(&stats->last_open_ns, bench_now_ns());
    atomic_fetch_add(&stats->opened, 1);
}

/* The first line of a refusal says why. */
static void refuse(struct worker *worker, struct session *session, size_t len)
{
    char fault[128];
    size_t line = 0;
    while (line < len && line < 80 && worker->buffer[line] >= ' ' && worker->buffer[line] < 127) {
        line++;
    }
    snprintf(fault, sizeof fault, "no upgrade: \"%.*s\"", (int)line, (const char *)worker->buffer);
    session_drop(worker, session, fault);
}

/* Reads once; true when there may be more that epoll does not know of. */
static bool read_once(struct worker *worker, struct session *session)
{
    size_t kept = session->tail_len;
    ssize_t n = bench_tls_receive(session->tls, session->fd, worker->buffer + kept,
                                  WORKER_BUFFER_SIZE - kept);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            session_drop(worker, session,
                         session->state == SESSION_OPEN ? "a session ended without a close"
                                                        : "the connection ended in the upgrade");
        }
        return false;
    }
    if (kept > 0) {
        memcpy(worker->buffer, session->tail, kept);
        free(session->tail);
        session->tail = NULL;
        session->tail_len = 0;
    }
    size_t len = kept + (size_t)n;
    size_t at = 0;
    if (session->state == SESSION_UPGRADING) {
        int head = wire_check_answer(worker->buffer, len);
        if (head < 0) {
            refuse(worker, session, len);
            return false;
        }
        if (head == 0) {
            keep_tail(worker, session, worker->buffer, len, WIRE_HEAD_MAX);
            return session->tls && session->state != SESSION_GONE;
        }
        open_session(worker, session);
        at = (size_t)head;
    }
    if (session->state == SESSION_OPEN && !session->is_stalled) {
        take_frames(worker, session, at, len);
    }
    return session->tls && session->state == SESSION_OPEN && !session->is_stalled;
}

void session_read(struct worker *worker, struct session *session)
{
    while (read_once(worker, session)) {
    }
}
