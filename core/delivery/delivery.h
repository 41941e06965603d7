/* delivery.h - the shards: one thread and one epoll set each, owning their connections.
 *
 * A shard works in rounds: it waits, reads what arrived, runs a batch of the jobs posted to
 * it, meets deadlines, and then writes to every connection that is to get something, once,
 * looking for further jobs between batches of writes. So with k messages waiting a connection
 * gets them in one write, and with one waiting it gets it at once.
 *
 * A connection may end anywhere, also while its protocol or a handler sends to it. The protocol is
 * told between the steps of a round, when nothing of a protocol's is running.
 */
#ifndef KJ_DELIVERY_DELIVERY_H
#define KJ_DELIVERY_DELIVERY_H

#include "base/counters.h"
#include "base/queue.h"
#include "delivery/connection.h"
#include "delivery/credential_index.h"
#include "delivery/dispatch_times.h"
#include "delivery/writer.h"

#include <kujata/status.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KJ__ROUND_JOBS = 256,             /* jobs run between two batches of writes */
    KJ__LOGGED_MAX = 64 << 20,        /* bytes of frames in audiences' logs; beyond it jobs wait */
    KJ__INBOX_LIMIT = 65536,          /* jobs waiting; a poster waits beyond it */
    KJ__READ_BUFFER_SIZE = 65536,     /* shared by all connections of a shard */
    KJ__JOIN_BUFFER_SIZE = 4 * 65536, /* the same, for small frames joined for one write */
    KJ__SEAL_BUFFER_SIZE = 4 * 65536, /* and for the records of a batch of writes */
};

/* Work for a shard. `run` is called there once and disposes of the job. */
struct kj__job {
    void (*run)(struct kj__job *job, struct kj__shard *shard);
};

/* Something to be done on a shard at a time, besides the deadlines of connections. */
struct kj__chore {
    struct kj__wheel_entry entry; /* initialised; in no wheel but the shard's `chores`, unless it
                                   * is to run in the next round */
    void (*run)(struct kj__chore *chore, struct kj__shard *shard);
};

/* What a shard did since it last added to the server's counters. */
struct kj__tally {
    uint64_t frames_in, bytes_in, frames_out, bytes_out, events_queued;
};

/* A shard's state as of its last round, for other threads to read. */
struct kj__shard_gauges {
    _Atomic uint64_t connections, queue_bytes, queue_messages;
};

struct kj__shard {
    struct kj__delivery *delivery;
    int epoll_fd;
    int wake_fd;           /* an eventfd: jobs are waiting */
    _Atomic bool is_woken; /* by a write to it that the shard has not seen */
    pthread_t thread;
    bool is_running;
    struct kj__queue inbox; /* of struct kj__job */
    struct kj__wheel wheel; /* of connections */
    struct kj__wheel chores;
    struct kj__list next_round;          /* chores to run in the next round */
    uint64_t now_ms;                     /* as of this round */
    struct kj__connection **connections; /* announced and not closed; in no order */
    size_t connection_count, connection_capacity;
    size_t unreleased;        /* announced and not released */
    struct kj__list prepared; /* connections without a socket yet */
    struct kj__list dirty;    /* connections to flush at the end of the round */
    struct kj__list ended;    /* connections whose protocol has not been told yet */
    struct kj__list closed;   /* connections to release at the end of the round */
    struct kj__list behind;   /* audiences with members behind */
    struct kj__list flushing; /* audiences whose writes are under way */
    struct kj__batch batch;   /* those writes */
    size_t logged_bytes;      /* of frames in the audiences' logs */
    struct kj__writer writer;
    struct kj__out_frame *ping; /* the same for all */
    struct kj__tally tally;
    size_t queue_bytes, queue_messages; /* waiting for sockets that take no more */
    struct kj__shard_gauges gauges;
    struct kj__dispatch_round dispatch;
    uint32_t drain_timeout_ms;
    _Atomic bool drain_is_wanted; /* set once, by kj__delivery_stop */
    bool is_draining;
    /* Run when the drain begins, while connections are open: what was to be sent later is sent.
     * NULL: there is nothing. Set before the start. */
    struct kj__chore *before_drain;
    uint64_t jobs_ran;  /* ever */
    int64_t flush_ns;   /* the time the last flush of the audiences took */
    bool has_more_jobs; /* the inbox may hold some, without a wake to come */
    uint64_t drain_deadline_ms;
    uint8_t read_buffer[KJ__READ_BUFFER_SIZE];
    uint8_t joined_frames[KJ__JOIN_BUFFER_SIZE];
    uint8_t sealed_records[KJ__SEAL_BUFFER_SIZE];
    uint8_t tls_scratch[KJ__TLS_RECORD_MAX]; /* where frames are joined into a record */
};

struct kj__delivery {
    struct kj__shard *shards;
    size_t shard_count;
    struct kj__counters *counters; /* borrowed */
    _Atomic size_t next_shard;
    struct kj__dispatch_histogram dispatch;
    struct kj__credential_index credential_index;
};

/* `shard_count` 0: one for each core this process may use. KJ_EUNSUPPORTED: `io` cannot be
 * had here. */
enum kj_status kj__delivery_new(size_t shard_count, enum kj_io io, struct kj__counters *counters,
                                struct kj__delivery **delivery);

enum kj_status kj__delivery_start(struct kj__delivery *delivery);

/* Posts in order to a shard; waits while its inbox is full, which ends since a shard never
 * waits for a peer. False once the shard stopped: the job was not taken.  [any thread but a
 * shard's] */
bool kj__shard_post(struct kj__shard *shard, struct kj__job *job);

/* The same without waiting, for any thread at all. KJ_EFULL or KJ_ECLOSED: the job was not
 * taken.                                                               [any thread] */
enum kj_status kj__shard_try_post(struct kj__shard *shard, struct kj__job *job);

/* As kj__shard_post without waking the shard, which runs the job before the next that is posted. */
bool kj__shard_post_quietly(struct kj__shard *shard, struct kj__job *job);

/* Sends every connection what it has queued and then a close 1001, and waits until all are
 * gone or the time is over; then aborts the rest and joins the threads. Idempotent. */
void kj__delivery_stop(struct kj__delivery *delivery, uint32_t drain_timeout_ms);

void kj__delivery_free(struct kj__delivery *delivery); /* stops first; NULL is fine */

/* ---- on the shard ---- */

/* Lets the shard's sums know what waits for a connection's socket. */
void kj__shard_count_waiting(struct kj__shard *shard, struct kj__connection *connection);

/* Has a chore run in the next round, which then comes at once: so what is too much for one round
 * is done in several. One that is waiting for it already is fine. */
void kj__shard_run_next(struct kj__shard *shard, struct kj__chore *chore);

/* Queues a connection for the flush at the end of the round. */
void kj__shard_mark_dirty(struct kj__shard *shard, struct kj__connection *connection);

/* Runs jobs that arrived since the round began, between batches of writes. The last had `written`
 * writes (0: there was none), and whether something has arrived says how large the next may be. */
void kj__shard_take_more(struct kj__shard *shard, size_t written);

/* The connections of a shard, the prepared ones apart as well; for connection.c. */
bool kj__shard_add(struct kj__shard *shard, struct kj__connection *connection);
void kj__shard_remove(struct kj__shard *shard, struct kj__connection *connection);

#endif
