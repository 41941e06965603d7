/* subscription.h - what every backend does alike: queues, handlers, silence, numbers.
 *
 * A subscription owns a bounded queue and one thread that calls the handler, or shares that thread
 * (lane.h), so promises 1, 3, 4, 5, 7 and 8 of pubsub.h are kept here once. A backend finds the
 * subscriptions a publication is for and pushes it; a hub holds what the subscriptions of one
 * backend share.
 */
#ifndef KJ_PUBSUB_SUBSCRIPTION_H
#define KJ_PUBSUB_SUBSCRIPTION_H

#include "pubsub/backlog.h"
#include "pubsub/lane.h"
#include "pubsub/reply.h"
#include "pubsub/report.h"
#include "pubsub/requests.h"

#include <stdatomic.h>

struct kj__hub_counters {
    _Atomic uint64_t published, refused, failed, delivered;
    _Atomic uint64_t dropped, undecodable, discarded, disconnects;
    _Atomic uint64_t replies, unanswered;
};

struct kj__hub {
    struct kj__reporter reporter;
    struct kj__hub_counters counters;
    struct kj__requests requests;
    struct kj__desk *desk; /* a reference */
    struct kj__alarm *too_many_requests, *unanswered;
    struct kj__lane lane;
    pthread_mutex_t lock;
    pthread_cond_t gone;
    size_t alive; /* subscriptions not yet freed; guarded by lock */
};

/* A backend's own subscription starts with this and is allocated with calloc. */
struct kj_subscription {
    _Atomic uint32_t refs; /* the owner, the consumer thread, and what the backend adds */
    struct kj__hub *hub;
    struct kj__backlog backlog;
    bool shares_thread;
    pthread_t consumer;   /* unless it shares one */
    pthread_mutex_t turn; /* held around each call of the handler, but on a shared thread */
    bool (*may_run_here)(void *ctx);
    struct kj__list ready; /* in the lane's list */
    _Atomic bool silent;   /* once true the handler is not called again */
    kj_pubsub_handler handler;
    void *ctx;
    uint32_t reply_timeout_ms;
    char *topic;
    char *group;                            /* NULL: none */
    struct kj__alarm *too_many, *too_large; /* dropped at the full queue, by its two bounds */
};

struct kj__subscription_setup {
    const char *topic; /* copied, as is the group */
    const struct kj_subscribe_options *options;
    kj_pubsub_handler handler;
    void *ctx;
};

#define KJ__HUB_COUNT(hub, member) KJ__HUB_COUNT_BY(hub, member, 1)
#define KJ__HUB_COUNT_BY(hub, member, by)                                                          \
    atomic_fetch_add_explicit(&(hub)->counters.member, (by), memory_order_relaxed)

struct kj__hub_setup {
    const char *module; /* static; as the log names it */
    const struct kj_pubsub_errors *errors;
    uint32_t request_limit;
    kj__send_answer send; /* how the backend carries an answer */
};

bool kj__hub_init(struct kj__hub *hub, const struct kj__hub_setup *setup);

/* Opens a request, as kj__requests_open; a refusal is counted and reported. [any thread] */
enum kj_status kj__hub_open_request(struct kj__hub *hub, const struct kj_request_options *options,
                                    char address[KJ__REQUEST_ADDRESS_SIZE]);

/* Waits until the last subscription is freed. No answer is sent from then on. */
void kj__hub_wait(struct kj__hub *hub);

/* Tells what is still to be reported. No subscription is left. */
void kj__hub_fini(struct kj__hub *hub);

void kj__hub_stats(const struct kj__hub *hub, struct kj_pubsub_stats *stats); /* [any thread] */

/* Fills a zeroed subscription and starts its thread, which waits for the first push. On
 * success the caller holds one reference, given up by kj__subscription_stop. On KJ_ENOMEM
 * the memory is still the caller's. */
enum kj_status kj__subscription_init(struct kj_subscription *subscription, struct kj__hub *hub,
                                     const struct kj__subscription_setup *setup);

struct kj_subscription *kj__subscription_ref(struct kj_subscription *subscription);
void kj__subscription_unref(struct kj_subscription *subscription);

/* Has at most `max` of those that wait handled; whether there are more.  [the lane] */
bool kj__subscription_run(struct kj_subscription *subscription, int max);

/* Queues a reference of its own, or drops, counts and reports. Never blocks. [any thread] */
void kj__subscription_push(struct kj_subscription *subscription,
                           struct kj_publication *publication);

/* Instead of a push: the turn to call the handler, and a reference, where nothing waits for it and
 * it may run on this thread. What is pushed meanwhile waits for kj__subscription_run_claimed.
 *                                                                      [any thread] */
bool kj__subscription_claim(struct kj_subscription *subscription);

/* Calls the handler, and gives the turn and the reference back.         [who claimed] */
void kj__subscription_run_claimed(struct kj_subscription *subscription,
                                  struct kj_publication *publication);

/* No further handler call begins; what is queued is discarded and counted. Does not wait
 * for a handler that runs.                                             [any thread] */
void kj__subscription_silence(struct kj_subscription *subscription);

/* Silences, waits for a handler that runs (unless called from it) and gives up the owner's
 * reference. The backend has made sure that it pushes no more.         [any thread] */
void kj__subscription_stop(struct kj_subscription *subscription);

#endif
