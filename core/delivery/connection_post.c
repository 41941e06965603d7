/* connection_post.c - what other threads ask of a connection, as jobs for its shard. */
#include "delivery/connection.h"
#include "delivery/delivery.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

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
                 void (*run)(struct kj__job *job, struct kj__shard *shard),
                 bool (*take)(struct kj__shard *shard, struct kj__job *job))
{
    struct connection_job *job = malloc(sizeof *job);
    if (!job) {
        return false;
    }
    *job = values;
    job->job.run = run;
    job->connection = kj__connection_ref(connection);
    if (!take(connection->shard, &job->job)) {
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
    if (!kj__shard_add(shard, job->connection) || shard->is_draining) {
        kj__connection_abort(job->connection, KJ__CAUSE_SERVER);
    }
    finish(job);
}

bool kj__connection_announce(struct kj__connection *connection)
{
    /* Nothing comes of it until there is more: an event, or the socket. */
    connection->is_announced = true;
    return post(connection, (struct connection_job){0}, run_announce, kj__shard_post_quietly);
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
    kj__list_unlink(&connection->round_link); /* no longer among the prepared */
    kj__writer_register(&shard->writer, connection->fd);
    connection->state = KJ__CONNECTION_OPEN;
    connection->was_open = true;
    connection->last_pong_ms = shard->now_ms;
    connection->next_ping_ms = shard->now_ms + connection->endpoint->ping_interval_ms;
    kj__connection_arm_timer(connection);
    connection->endpoint->protocol->on_open(connection);
    if (connection->tls) {
        /* What came behind the handshake may be decrypted already. */
        kj__connection_on_readable(connection);
    }
    finish(job);
}

bool kj__connection_attach(struct kj__connection *connection, int fd, struct kj__tls *tls)
{
    bool is_posted = post(connection, (struct connection_job){.fd = fd, .tls = tls}, run_attach,
                          kj__shard_post);
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
    post(connection, (struct connection_job){0}, run_abandon, kj__shard_post);
}

static void run_rearm(struct kj__job *base, struct kj__shard *shard)
{
    (void)shard;
    struct connection_job *job = (struct connection_job *)base;
    if (job->connection->state == KJ__CONNECTION_OPEN) {
        kj__connection_arm_timer(job->connection);
    }
    finish(job);
}

static bool try_post(struct kj__shard *shard, struct kj__job *job)
{
    return kj__shard_try_post(shard, job) == KJ_OK;
}

void kj__connection_set_expiry(struct kj__connection *connection, int64_t expires_ms)
{
    atomic_store(&connection->expires_ms, expires_ms);
    if (connection->is_announced) {
        /* The shard itself may call, so it must not wait for room. Without room or memory for the
         * job the expiry is seen to at the next ping. */
        post(connection, (struct connection_job){0}, run_rearm, try_post);
    }
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
         run_close, kj__shard_post);
}
