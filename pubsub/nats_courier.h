/* nats_courier.h - the two halves of the NATS backend, and what they share.
 *
 * libnats holds one lock per connection while it writes and while it shakes hands with a
 * broker, which takes seconds when the broker hangs. So one thread, the courier, makes
 * every call on the connections (nats.c, nats_wire.c). Callers leave it publications in a queue and
 * subscriptions in lists, and never wait for it (nats_backend.c). Lock order: `lock`, then
 * a subscription's queue, then the reporter.
 */
#ifndef KJ_PUBSUB_NATS_COURIER_H
#define KJ_PUBSUB_NATS_COURIER_H

#include "pubsub/nats_url.h"
#include "pubsub/subscription.h"

#include <kujata/pubsub_nats.h>

enum kj__nats_link { KJ__NATS_STARTING, KJ__NATS_UP, KJ__NATS_AWAY };

enum kj__nats_place {
    KJ__NATS_JOINING, /* the broker is to hear of it */
    KJ__NATS_JOINED,
    KJ__NATS_LEAVING, /* unsubscribed; the broker is to hear of that */
    KJ__NATS_LEFT,    /* the broker heard; libnats may be reading a message for it still */
    KJ__NATS_PLACE_COUNT
};

struct kj__nats {
    struct kj_pubsub base;
    struct kj__hub hub;
    struct kj__alarm *away, *back, *too_many, *too_large, *inbox_full, *unsendable, *undecodable;
    struct kj__backlog outgoing;
    _Atomic uint64_t queued; /* publications, requests and answers put there so far */
    uint32_t reconnect_wait_ms;
    pthread_t courier;
    struct kj__nats_wire *wire; /* the courier's own */

    pthread_mutex_t lock;
    pthread_cond_t work;    /* for the courier */
    pthread_cond_t changed; /* for those who wait for it, or for the end of a connection */
    _Atomic int link;       /* enum kj__nats_link; written with lock held */
    _Atomic bool pinged;    /* some ping waits for an answer */
    _Atomic bool rearrange; /* some subscription is joining or leaving */
    bool woken;             /* guarded by lock, as is all below */
    bool closing;
    bool away_told;    /* the application knows that the broker is away */
    bool refusal_told; /* and that it will not have us; since it was last there */
    struct kj__list places[KJ__NATS_PLACE_COUNT]; /* of kj__nats_subscription.node; each one
                                                     referenced */
    uint64_t ping_wanted, ping_answered;          /* tickets */
    uint64_t ping_after;                          /* publications to be sent first */
    uint64_t ping_deadline_ms;
    size_t inboxes; /* subscriptions to answers that libnats may still call for */
    enum kj_status ping_status;
};

struct kj__nats_subscription {
    struct kj_subscription base;
    struct kj__list node;
    enum kj__nats_place place;     /* guarded by the backend's lock */
    void *handle;                  /* a natsSubscription; the courier's, who may have none */
    _Atomic int64_t inbox_dropped; /* what libnats's counter showed last */
    struct kj__nats *owner;
};

/* Lock held. */
void kj__nats_wake(struct kj__nats *self);

/* Lock held. */
void kj__nats_move(struct kj__nats_subscription *subscription, enum kj__nats_place place);

/* The first subscription of a list, or NULL; lock held. */
struct kj__nats_subscription *kj__nats_first(struct kj__nats *self, enum kj__nats_place place);

/* Gives up a publication that will not be sent, and counts it. */
void kj__nats_discard(struct kj__nats *self, struct kj_publication *publication);

/* KJ_EINVAL with `error` (may be NULL) filled for what a connection could not use. */
enum kj_status kj__nats_wire_check_tls(const struct kj_pubsub_nats_options *options,
                                       const struct kj__nats_urls *urls, struct kj_error *error);

/* Prepares what the courier needs; kj__nats_wire_free takes it back, half built or not. */
enum kj_status kj__nats_wire_new(struct kj__nats *self, const struct kj__nats_urls *urls,
                                 const struct kj_pubsub_nats_options *options);
void kj__nats_wire_free(struct kj__nats_wire *wire);

/* The courier: runs until `closing`, then ends the connection. `arg` is the backend. */
void *kj__nats_run_courier(void *arg);

#endif
