/* lane.h - one thread for the handlers of all subscriptions that share it.
 *
 * A subscription with something queued waits for its turn, in which it has a few publications
 * handled; then the next has. So a thousand of them need one thread, and none starves.
 */
#ifndef KJ_PUBSUB_LANE_H
#define KJ_PUBSUB_LANE_H

#include "base/list.h"

#include <pthread.h>
#include <stdbool.h>

struct kj_subscription;

struct kj__lane {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kj__list ready; /* of kj_subscription.ready; guarded by lock, as is all below */
    const struct kj_subscription *running;
    bool is_started, is_closing;
    pthread_t thread;
};

void kj__lane_init(struct kj__lane *lane);

/* Ends the thread. No subscription is left. */
void kj__lane_fini(struct kj__lane *lane);

/* Starts the thread, unless it runs. False when there are no resources for it. */
bool kj__lane_start(struct kj__lane *lane);

/* The subscription has something queued. One that is silent gets no turn. [any thread] */
void kj__lane_add(struct kj__lane *lane, struct kj_subscription *subscription);

/* Takes out a subscription that is silent, and waits while its handler runs, unless called from a
 * handler of the lane.                                                 [any thread] */
void kj__lane_remove(struct kj__lane *lane, struct kj_subscription *subscription);

#endif
