/* worker.c - the loop of one worker process: connects its sessions, then reads. */
#include "bench/session.h"
#include "bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_MAX = 512,
    PHASE_CHECK_MS = 50, /* how long a worker may be late to see the end */
    PORTS_PER_SOURCE = 20000,
    REQUEST_MAX = 8192,
};

/* The number of a session among those of all workers. */
static uint32_t global_index(const struct worker *worker, const struct session *session)
{
    return worker->index + (uint32_t)(session - worker->sessions) * worker->workers;
}

/* ---- connecting ---- */

/* A pair of addresses has 28,000 ports; beyond, other addresses of the loopback network help
 * where the target is on it. */
static bool choose_source(const struct bench_settings *settings, const struct bench_target *target,
                          uint32_t number, int fd)
{
    const struct sockaddr_in *to = (const struct sockaddr_in *)&target->address;
    if (to->sin_family != AF_INET || ntohl(to->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET ||
        settings->sessions / settings->urls.count <= PORTS_PER_SOURCE) {
        return true;
    }
    int on = 1;
    struct sockaddr_in from = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number / PORTS_PER_SOURCE)};
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(fd, (struct sockaddr *)&from, sizeof from) == 0;
}

static void set_interest(struct worker *worker, struct session *session, int operation,
                         uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = session};
    epoll_ctl(worker->epoll, operation, session->fd, &event);
}

static void start_session(struct worker *worker, struct session *session)
{
    const struct bench_settings *settings = worker->settings;
    uint32_t number = global_index(worker, session);
    uint32_t urls = (uint32_t)settings->urls.count;
    session->target = (uint16_t)(number % urls);
    session->is_expected = true;
    if (settings->session_config_count > 0) {
        session->config = (uint16_t)(number / urls % settings->session_config_count);
        session->is_expected = settings->session_configs[session->config].is_expected;
    }
    /* Spread evenly: the whole part of number * share grows by one where a session stalls. */
    session->is_stalled = (uint32_t)((number + 1) * settings->stall_share) >
                          (uint32_t)(number * settings->stall_share);
    const struct bench_target *target = &settings->targets[session->target];
    worker->connecting++;
    session->state = SESSION_CONNECTING;
    session->fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (session->fd < 0) {
        session_drop(worker, session, strerror(errno));
        return;
    }
    int size = (int)settings->receive_buffer;
    if (size > 0) {
        setsockopt(session->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (!choose_source(settings, target, number / urls, session->fd) ||
        (connect(session->fd, (const struct sockaddr *)&target->address, target->address_len) &&
         errno != EINPROGRESS)) {
        session_drop(worker, session, strerror(errno));
        return;
    }
    set_interest(worker, session, EPOLL_CTL_ADD, EPOLLOUT);
}

static void start_sessions(struct worker *worker)
{
    while (worker->started < worker->count && worker->connecting < worker->settings->connecting) {
        start_session(worker, &worker->sessions[worker->started++]);
    }
}

static void send_request(struct worker *worker, struct session *session)
{
    const struct bench_settings *settings = worker->settings;
    size_t len = wire_request((char *)worker->out, REQUEST_MAX, &settings->targets[session->target],
                              (enum kj_encoding)settings->encoding, settings->headers.items);
    if (len == 0 || bench_tls_send(session->tls, session->fd, worker->out, len) != (ssize_t)len) {
        session_drop(worker, session, "the upgrade did not go out");
        return;
    }
    session->state = SESSION_UPGRADING;
    set_interest(worker, session, EPOLL_CTL_MOD, EPOLLIN);
}

/* The connection is there, or failed, or TLS can take a further step. */
static void go_on_connecting(struct worker *worker, struct session *session)
{
    const struct bench_target *target = &worker->settings->targets[session->target];
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &error, &size) || error) {
        session_drop(worker, session, strerror(error));
        return;
    }
    if (target->tls && !session->tls) {
        int on = 1;
        setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        session->tls = bench_tls_new(worker->tls, session->fd, target->authority);
        if (!session->tls) {
            session_drop(worker, session, "no memory for TLS");
            return;
        }
    }
    int wanted = session->tls ? bench_tls_handshake(session->tls) : 0;
    if (wanted < 0) {
        session_drop(worker, session, "the TLS handshake failed");
    } else if (wanted > 0) {
        set_interest(worker, session, EPOLL_CTL_MOD, (uint32_t)wanted);
    } else {
        send_request(worker, session);
    }
}

/* What is not there in time does not come later, in the midst of the measuring. */
static void give_up_connecting(struct worker *worker)
{
    atomic_fetch_add(&worker->stats->failed, worker->count - worker->started);
    worker->count = worker->started;
    for (uint32_t i = 0; i < worker->started; i++) {
        struct session *session = &worker->sessions[i];
        if (session->state == SESSION_CONNECTING || session->state == SESSION_UPGRADING) {
            session_drop(worker, session, "a session did not connect within --timeout-ms");
        }
    }
}

/* ---- the loop ---- */

static void nap(uint32_t nap_us)
{
    if (nap_us > 0) {
        struct timespec pause = {.tv_sec = nap_us / 1000000,
                                 .tv_nsec = (long)(nap_us % 1000000) * 1000};
        nanosleep(&pause, NULL);
    }
}

static void run_once(struct worker *worker)
{
    struct epoll_event events[BATCH_MAX];
    int count = epoll_wait(worker->epoll, events, BATCH_MAX, PHASE_CHECK_MS);
    for (int i = 0; i < count; i++) {
        struct session *session = events[i].data.ptr;
        if (session->state == SESSION_CONNECTING) {
            go_on_connecting(worker, session);
        } else if (session->state != SESSION_GONE) {
            session_read(worker, session);
        }
    }
    start_sessions(worker);
    if (worker->deliveries != atomic_load(&worker->stats->deliveries)) {
        atomic_store(&worker->stats->last_delivery_ns, bench_now_ns());
        atomic_store(&worker->stats->cpu_ns, bench_cpu_ns() - worker->cpu_start_ns);
        atomic_store(&worker->stats->deliveries, worker->deliveries);
    }
    if (worker->connecting == 0) {
        nap(worker->settings->nap_us);
    }
}

static void end_sessions(struct worker *worker)
{
    static const uint8_t normal_closure[2] = {1000 >> 8, 1000 & 0xff};
    for (uint32_t i = 0; i < worker->started; i++) {
        struct session *session = &worker->sessions[i];
        if (session->state == SESSION_OPEN) {
            session_send(worker, session, WIRE_CLOSE, normal_closure, sizeof normal_closure);
        }
        if (session->state != SESSION_GONE) {
            bench_tls_free(session->tls);
            close(session->fd);
            free(session->tail);
        }
    }
}

static bool make_worker(struct worker *worker)
{
    const struct bench_settings *settings = worker->settings;
    bool needs_tls = false;
    for (size_t i = 0; i < settings->urls.count; i++) {
        needs_tls |= settings->targets[i].tls;
    }
    worker->tls = needs_tls ? bench_tls_context_new(settings->ca, settings->insecure) : NULL;
    worker->sessions = calloc(worker->count + 1, sizeof *worker->sessions);
    worker->buffer = malloc(WORKER_BUFFER_SIZE);
    worker->out = malloc(WORKER_OUT_SIZE);
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    return worker->sessions && worker->buffer && worker->out && worker->epoll >= 0 &&
           (worker->tls || !needs_tls);
}

static void free_worker(struct worker *worker)
{
    if (worker->epoll >= 0) {
        close(worker->epoll);
    }
    bench_tls_context_free(worker->tls);
    free(worker->sessions);
    free(worker->buffer);
    free(worker->out);
    free(worker);
}

void bench_worker_run(const struct bench_settings *settings, struct bench_shared *shared,
                      uint32_t index)
{
    struct bench_worker_stats *stats = &shared->workers[index];
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker) {
        snprintf(stats->fault, sizeof stats->fault, "no memory for a worker");
        return;
    }
    worker->settings = settings;
    worker->shared = shared;
    worker->stats = stats;
    worker->index = index;
    worker->workers = settings->processes;
    worker->count = settings->sessions / settings->processes +
                    (index < settings->sessions % settings->processes);
    if (!make_worker(worker)) {
        snprintf(stats->fault, sizeof stats->fault, "a worker needs memory, an epoll, or a --ca");
        atomic_store(&stats->failed, worker->count);
        free_worker(worker);
        return;
    }
    prctl(PR_SET_TIMERSLACK, 1000); /* naps as long as asked for, within a microsecond */
    atomic_store(&stats->begin_ns, bench_now_ns());
    start_sessions(worker);
    for (int phase; (phase = atomic_load(&shared->phase)) != BENCH_ENDING;) {
        run_once(worker);
        if (phase == BENCH_RUNNING && worker->connecting > 0) {
            give_up_connecting(worker);
        }
    }
    end_sessions(worker);
    free_worker(worker);
}
