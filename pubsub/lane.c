/* lane.c - see lane.h. */
#include "pubsub/lane.h"

#include "pubsub/subscription.h"
#include "pubsub/thread.h"

enum { TURN = 64 /* publications */ };

void kj__lane_init(struct kj__lane *lane)
{
    *lane = (struct kj__lane){.running = NULL};
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->changed, NULL);
    kj__list_init(&lane->ready);
}

/* Lock held. */
static void append(struct kj__lane *lane, struct kj_subscription *subscription)
{
    if (kj__list_is_empty(&subscription->ready) && !atomic_load(&subscription->silent)) {
        kj__list_append(&lane->ready, &subscription->ready);
    }
}

/* Lock held, but for the handlers. */
static void take_turn(struct kj__lane *lane)
{
    struct kj_subscription *subscription = KJ__CONTAINER_OF(lane->ready.next,
                                                            struct kj_subscription, ready);
    kj__list_unlink(&subscription->ready);
    kj__subscription_ref(subscription); /* its handler may end it */
    lane->running = subscription;
    pthread_mutex_unlock(&lane->lock);
    bool has_more = kj__subscription_run(subscription, TURN);
    pthread_mutex_lock(&lane->lock);
    lane->running = NULL;
    if (has_more) {
        append(lane, subscription);
    }
    pthread_cond_broadcast(&lane->changed);
    pthread_mutex_unlock(&lane->lock);
    kj__subscription_unref(subscription);
    pthread_mutex_lock(&lane->lock);
}

static void *run_lane(void *arg)
{
    struct kj__lane *lane = arg;
    pthread_mutex_lock(&lane->lock);
    while (!lane->is_closing) {
        if (kj__list_is_empty(&lane->ready)) {
            pthread_cond_wait(&lane->changed, &lane->lock);
        } else {
            take_turn(lane);
        }
    }
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

bool kj__lane_start(struct kj__lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    if (!lane->is_started) {
        lane->is_started = kj__thread_start(&lane->thread, "kj-lane", run_lane, lane);
    }
    bool is_started = lane->is_started;
    pthread_mutex_unlock(&lane->lock);
    return is_started;
}

void kj__lane_fini(struct kj__lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    lane->is_closing = true;
    pthread_cond_broadcast(&lane->changed);
    bool is_started = lane->is_started;
    pthread_mutex_unlock(&lane->lock);
    if (is_started) {
        pthread_join(lane->thread, NULL);
    }
    pthread_cond_destroy(&lane->changed);
    pthread_mutex_destroy(&lane->lock);
}

void kj__lane_add(struct kj__lane *lane, struct kj_subscription *subscription)
{
    pthread_mutex_lock(&lane->lock);
    append(lane, subscription);
    pthread_cond_broadcast(&lane->changed);
    pthread_mutex_unlock(&lane->lock);
}

void kj__lane_remove(struct kj__lane *lane, struct kj_subscription *subscription)
{
    pthread_mutex_lock(&lane->lock);
    bool is_handler = lane->is_started && pthread_equal(pthread_self(), lane->thread);
    while (!is_handler && lane->running == subscription) {
        pthread_cond_wait(&lane->changed, &lane->lock);
    }
    kj__list_unlink(&subscription->ready);
    pthread_mutex_unlock(&lane->lock);
}
