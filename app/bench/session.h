/* session.h - one websocket of a worker, and what arrives on it.
 *
 * Sessions lie in one array of their worker. None has a buffer: all read into the worker's, and
 * a frame cut off at its end waits in memory of its own until the rest comes.
 */
#ifndef KUJATA_APP_BENCH_SESSION_H
#define KUJATA_APP_BENCH_SESSION_H

#include "bench/bench.h"
#include "bench/order.h"
#include "bench/tls.h"

enum session_state {
    SESSION_NEW = 0,
    SESSION_CONNECTING, /* waits for the connection, or for TLS */
    SESSION_UPGRADING,  /* waits for the answer to the upgrade */
    SESSION_OPEN,
    SESSION_GONE,
};

struct session {
    int fd;
    uint32_t tail_len;
    uint8_t *tail; /* bytes of a frame cut off, or NULL */
    struct order order;
    uint16_t run; /* of the events that `order` is about */
    uint16_t target, config;
    uint8_t state; /* enum session_state */
    bool is_expected, is_stalled, in_message;
    struct bench_tls *tls; /* NULL without */
};

/* How many sessions of this worker have an event; at its number modulo the size. */
struct arrival {
    uint32_t number, count;
};

struct worker {
    const struct bench_settings *settings;
    struct bench_shared *shared;
    struct bench_worker_stats *stats;
    struct bench_tls_context *tls;
    struct session *sessions;
    uint32_t index, workers;
    uint32_t count, started, connecting;
    uint32_t expected; /* open sessions that should have every event */
    uint64_t deliveries;
    uint64_t cpu_start_ns;
    int epoll;
    uint8_t *buffer;
    uint8_t *out; /* for frames on their way out */
    struct arrival arrivals[BENCH_IN_FLIGHT_MAX];
};

enum { WORKER_BUFFER_SIZE = 2 << 20, WORKER_OUT_SIZE = 1 << 16 };

/* Reads what has arrived. */
void session_read(struct worker *worker, struct session *session);

/* Sends a frame, whole or not at all: false when it does not fit. */
bool session_send(struct worker *worker, struct session *session, int opcode,
                  const uint8_t *payload, size_t len);

bool session_send_message(struct worker *worker, struct session *session,
                          const struct bench_message *message);

/* Closes the socket. A `fault` makes it a failure, and is kept when it is the first. */
void session_drop(struct worker *worker, struct session *session, const char *fault);

#endif
