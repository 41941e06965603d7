/* delivery.h - the shards: one thread and one epoll set each, owning their connections.
 *
 * A shard works in rounds: it waits, reads what arrived, runs a batch of the jobs posted to
 * it, meets deadlines, and then writes every connection that has something queued, once. So
 * with k messages waiting a connection gets them in one write, and with one waiting it gets
 * it at once.
 */
#ifndef KJ_DELIVERY_DELIVERY_H
#define KJ_DELIVERY_DELIVERY_H

#include "base/counters.h"
#include "base/queue.h"
#include "delivery/connection.h"

#include <kujata/status.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KJ__ENDPOINTS_MAX = 8,
    KJ__ROUND_JOBS = 256,        /* jobs run before a flush; well below a session's queue */
    KJ__INBOX_LIMIT = 65536,     /* jobs waiting; a poster waits beyond it */
    KJ__READ_BUFFER_SIZE = 65536 /* shared by all connections of a shard */
};

/* Work for a shard. `run` is called there once and disposes of the job. */
struct kj__job {
    void (*run)(struct kj__job *job, struct kj__shard *shard);
};

/* The connections of one endpoint on one shard, dense and in no order. */
struct kj__members {
    struct kj__connection **items;
    size_t count, capacity;
};

/* What a shard did since it last added to the server's counters. */
struct kj__tally {
    uint64_t frames_in, bytes_in, frames_out, bytes_out, events_queued;
};

struct kj__shard {
    struct kj__delivery *delivery;
    int epoll_fd;
    int wake_fd; /* an eventfd: jobs are waiting */
    pthread_t thread;
    bool is_running;
    struct kj__queue inbox; /* of struct kj__job */
    struct kj__wheel wheel;
    uint64_t now_ms; /* as of this round */
    struct kj__members members[KJ__ENDPOINTS_MAX];
    struct kj__list dirty;  /* connections to flush at the end of the round */
    struct kj__list closed; /* connections to release at the end of the round */
    size_t connections;     /* announced and not closed */
    struct kj__tally tally;
    uint32_t drain_timeout_ms;
    _Atomic bool drain_is_wanted; /* set once, by kj__delivery_stop */
    bool is_draining;
    uint64_t drain_deadline_ms;
    uint8_t read_buffer[KJ__READ_BUFFER_SIZE];
    uint8_t tls_scratch[KJ__TLS_RECORD_MAX]; /* where frames are joined into a record */
};

struct kj__delivery {
    struct kj__shard *shards;
    size_t shard_count;
    struct kj__counters *counters;                     /* borrowed */
    struct kj__endpoint *endpoints[KJ__ENDPOINTS_MAX]; /* borrowed; fixed once started */
    unsigned endpoint_count;
    _Atomic size_t next_shard;
};

/* `shard_count` 0: one per core. */
enum kj_status kj__delivery_new(size_t shard_count, struct kj__counters *counters,
                                struct kj__delivery **delivery);

/* Before the start. The endpoint must outlive the delivery. */
void kj__delivery_add_endpoint(struct kj__delivery *delivery, struct kj__endpoint *endpoint);

enum kj_status kj__delivery_start(struct kj__delivery *delivery);

/* Posts in order to a shard; waits while its inbox is full, which ends since a shard never
 * waits for a peer. False once the shard stopped: the job was not taken.  [any thread but a
 * shard's] */
bool kj__shard_post(struct kj__shard *shard, struct kj__job *job);

/* Sends every connection what it has queued and then a close 1001, and waits until all are
 * gone or the time is over; then aborts the rest and joins the threads. Idempotent. */
void kj__delivery_stop(struct kj__delivery *delivery, uint32_t drain_timeout_ms);

void kj__delivery_free(struct kj__delivery *delivery); /* stops first; NULL is fine */

/* ---- on the shard ---- */

static inline const struct kj__members *kj__shard_members(const struct kj__shard *shard,
                                                          const struct kj__endpoint *endpoint)
{
    return &shard->members[endpoint->index];
}

/* Queues a connection for the flush at the end of the round. */
void kj__shard_mark_dirty(struct kj__shard *shard, struct kj__connection *connection);

/* Membership; called by connection.c. */
bool kj__shard_add_member(struct kj__shard *shard, struct kj__connection *connection);
void kj__shard_remove_member(struct kj__shard *shard, struct kj__connection *connection);

#endif
