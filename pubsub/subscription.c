/* subscription.c - see subscription.h. */
#include "pubsub/subscription.h"

#include "pubsub/thread.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_REPLY_TIMEOUT_MS = 60000, TURN = 64 /* publications */ };

static void release_alarms(struct kj__hub *hub)
{
    kj__alarm_release(hub->too_many_requests, &hub->reporter);
    kj__alarm_release(hub->unanswered, &hub->reporter);
}

bool kj__hub_init(struct kj__hub *hub, const struct kj__hub_setup *setup)
{
    memset(&hub->counters, 0, sizeof hub->counters);
    hub->alive = 0;
    if (!kj__reporter_init(&hub->reporter, setup->module, setup->errors)) {
        return false;
    }
    kj__requests_init(&hub->requests, setup->request_limit);
    hub->desk = kj__desk_new(hub, setup->send);
    hub->too_many_requests = kj__alarm_new(
        KJ_EFULL,
        "requests are refused because %" PRIu32
        " wait for an answer already; see to those who answer or raise request_limit",
        hub->requests.limit);
    hub->unanswered = kj__alarm_new(KJ_ETIMEOUT, "a publication that asks for an answer got none "
                                                 "in time; its handler is to call "
                                                 "kj_publication_reply within reply_timeout_ms");
    if (!hub->desk || !hub->too_many_requests || !hub->unanswered) {
        kj__desk_close(hub->desk);
        kj__requests_fini(&hub->requests);
        release_alarms(hub);
        kj__reporter_fini(&hub->reporter);
        return false;
    }
    kj__lane_init(&hub->lane);
    pthread_mutex_init(&hub->lock, NULL);
    pthread_cond_init(&hub->gone, NULL);
    return true;
}

enum kj_status kj__hub_open_request(struct kj__hub *hub, const struct kj_request_options *options,
                                    char address[KJ__REQUEST_ADDRESS_SIZE])
{
    enum kj_status status = kj__requests_open(&hub->requests, options, address);
    if (status == KJ_EFULL) {
        KJ__HUB_COUNT(hub, refused);
        kj__alarm_raise(hub->too_many_requests, &hub->reporter);
    }
    return status;
}

void kj__hub_wait(struct kj__hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    while (hub->alive > 0) {
        pthread_cond_wait(&hub->gone, &hub->lock);
    }
    pthread_mutex_unlock(&hub->lock);
    kj__desk_close(hub->desk);
    hub->desk = NULL;
}

void kj__hub_fini(struct kj__hub *hub)
{
    kj__desk_close(hub->desk);
    kj__requests_fini(&hub->requests);
    release_alarms(hub);
    kj__lane_fini(&hub->lane);
    kj__reporter_fini(&hub->reporter);
    pthread_cond_destroy(&hub->gone);
    pthread_mutex_destroy(&hub->lock);
}

void kj__hub_stats(const struct kj__hub *hub, struct kj_pubsub_stats *stats)
{
    const struct kj__hub_counters *counters = &hub->counters;
    const struct kj__request_counters *requests = &hub->requests.counters;
    *stats = (struct kj_pubsub_stats){
        .published = atomic_load(&counters->published),
        .refused = atomic_load(&counters->refused),
        .failed = atomic_load(&counters->failed),
        .delivered = atomic_load(&counters->delivered),
        .dropped = atomic_load(&counters->dropped),
        .undecodable = atomic_load(&counters->undecodable),
        .discarded = atomic_load(&counters->discarded),
        .disconnects = atomic_load(&counters->disconnects),
        .requests = atomic_load(&requests->requests),
        .answered = atomic_load(&requests->answered),
        .timed_out = atomic_load(&requests->timed_out),
        .unheard = atomic_load(&requests->unheard),
        .misanswered = atomic_load(&requests->misanswered),
        .abandoned = atomic_load(&requests->abandoned),
        .late_answers = atomic_load(&requests->late_answers),
        .replies = atomic_load(&counters->replies),
        .unanswered = atomic_load(&counters->unanswered),
    };
}

static void hand_over(struct kj_subscription *subscription, struct kj_publication *publication)
{
    if (atomic_load(&subscription->silent)) {
        KJ__HUB_COUNT(subscription->hub, discarded);
    } else {
        KJ__HUB_COUNT(subscription->hub, delivered);
        kj__reply_begin(publication, subscription->reply_timeout_ms);
        subscription->handler(publication, subscription->ctx);
    }
    kj_publication_unref(publication);
}

/* Takes one at a time: what is in the queue is all that waits, so the limit is exact and
 * close can discard it. */
bool kj__subscription_run(struct kj_subscription *subscription, int max)
{
    for (; max > 0; max--) {
        struct kj_publication *publication = kj__backlog_take(&subscription->backlog);
        if (!publication) {
            return false;
        }
        hand_over(subscription, publication);
    }
    return true;
}

static void *consume(void *arg)
{
    struct kj_subscription *subscription = arg;
    /* What waits is taken in its turn, so that nothing published later overtakes it. */
    while (kj__backlog_wait(&subscription->backlog)) {
        pthread_mutex_lock(&subscription->turn);
        kj__subscription_run(subscription, TURN);
        pthread_mutex_unlock(&subscription->turn);
    }
    kj__subscription_unref(subscription);
    return NULL;
}

static void discard_queued(struct kj_subscription *subscription)
{
    struct kj_publication *publication;
    while ((publication = kj__backlog_take(&subscription->backlog))) {
        kj_publication_unref(publication);
        KJ__HUB_COUNT(subscription->hub, discarded);
    }
}

static void fini(struct kj_subscription *subscription)
{
    discard_queued(subscription);
    kj__backlog_fini(&subscription->backlog);
    pthread_mutex_destroy(&subscription->turn);
    kj__alarm_release(subscription->too_many, &subscription->hub->reporter);
    kj__alarm_release(subscription->too_large, &subscription->hub->reporter);
    free(subscription->topic);
    free(subscription->group);
}

static bool make_alarms(struct kj_subscription *subscription)
{
    subscription->too_many = kj__alarm_new(
        KJ_EFULL,
        "subscription to %.160s: publications are dropped because %zu wait already; "
        "make its handler faster or raise queue_limit",
        subscription->topic, subscription->backlog.queue.limit);
    subscription->too_large = kj__alarm_new(
        KJ_EFULL,
        "subscription to %.160s: publications are dropped because those that wait come to "
        "%" PRIu64 " bytes; make its handler faster or raise queue_bytes",
        subscription->topic, subscription->backlog.byte_limit);
    return subscription->too_many && subscription->too_large;
}

static bool start_thread(struct kj_subscription *subscription)
{
    if (subscription->shares_thread) {
        return kj__lane_start(&subscription->hub->lane);
    }
    kj__subscription_ref(subscription);
    bool is_started = kj__thread_start(&subscription->consumer, "kj-subscription", consume,
                                       subscription);
    if (!is_started) {
        atomic_fetch_sub(&subscription->refs, 1);
    }
    return is_started;
}

enum kj_status kj__subscription_init(struct kj_subscription *subscription, struct kj__hub *hub,
                                     const struct kj__subscription_setup *setup)
{
    const struct kj_subscribe_options *options = setup->options;
    subscription->hub = hub;
    subscription->handler = setup->handler;
    subscription->ctx = setup->ctx;
    subscription->reply_timeout_ms = options->reply_timeout_ms ? options->reply_timeout_ms
                                                               : DEFAULT_REPLY_TIMEOUT_MS;
    subscription->shares_thread = options->shares_thread;
    kj__list_init(&subscription->ready);
    atomic_init(&subscription->refs, 1);
    pthread_mutex_init(&subscription->turn, NULL);
    subscription->may_run_here = options->shares_thread ? NULL : options->may_run_here;
    kj__backlog_init(&subscription->backlog, options->queue_limit, options->queue_bytes);
    subscription->topic = strdup(setup->topic);
    subscription->group = options->group ? strdup(options->group) : NULL;
    if (!subscription->topic || (options->group && !subscription->group) ||
        !make_alarms(subscription)) {
        fini(subscription);
        return KJ_ENOMEM;
    }
    pthread_mutex_lock(&hub->lock);
    hub->alive++;
    pthread_mutex_unlock(&hub->lock);
    if (!start_thread(subscription)) {
        pthread_mutex_lock(&hub->lock);
        hub->alive--;
        pthread_mutex_unlock(&hub->lock);
        fini(subscription);
        return KJ_ENOMEM;
    }
    return KJ_OK;
}

struct kj_subscription *kj__subscription_ref(struct kj_subscription *subscription)
{
    atomic_fetch_add_explicit(&subscription->refs, 1, memory_order_relaxed);
    return subscription;
}

void kj__subscription_unref(struct kj_subscription *subscription)
{
    if (atomic_fetch_sub_explicit(&subscription->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    struct kj__hub *hub = subscription->hub;
    fini(subscription);
    free(subscription);
    pthread_mutex_lock(&hub->lock);
    if (--hub->alive == 0) {
        pthread_cond_broadcast(&hub->gone);
    }
    pthread_mutex_unlock(&hub->lock); /* the hub may be gone from here on */
}

void kj__subscription_push(struct kj_subscription *subscription, struct kj_publication *publication)
{
    switch (kj__backlog_push(&subscription->backlog, publication, NULL)) {
    case KJ__BACKLOG_PUSHED:
        if (subscription->shares_thread) {
            kj__lane_add(&subscription->hub->lane, subscription);
        }
        break;
    case KJ__BACKLOG_CLOSED:
        KJ__HUB_COUNT(subscription->hub, discarded);
        break;
    case KJ__BACKLOG_TOO_LARGE:
        KJ__HUB_COUNT(subscription->hub, dropped);
        kj__alarm_raise(subscription->too_large, &subscription->hub->reporter);
        break;
    case KJ__BACKLOG_TOO_MANY:
    case KJ__BACKLOG_NO_MEMORY:
        KJ__HUB_COUNT(subscription->hub, dropped);
        kj__alarm_raise(subscription->too_many, &subscription->hub->reporter);
        break;
    }
}

bool kj__subscription_claim(struct kj_subscription *subscription)
{
    if (!subscription->may_run_here || pthread_mutex_trylock(&subscription->turn) != 0) {
        return false;
    }
    if (kj__backlog_is_empty(&subscription->backlog) &&
        subscription->may_run_here(subscription->ctx)) {
        kj__subscription_ref(subscription);
        return true;
    }
    pthread_mutex_unlock(&subscription->turn);
    return false;
}

void kj__subscription_run_claimed(struct kj_subscription *subscription,
                                  struct kj_publication *publication)
{
    hand_over(subscription, kj_publication_ref(publication));
    pthread_mutex_unlock(&subscription->turn);
    kj__subscription_unref(subscription);
}

void kj__subscription_silence(struct kj_subscription *subscription)
{
    atomic_store(&subscription->silent, true);
    kj__backlog_close(&subscription->backlog);
    discard_queued(subscription);
}

void kj__subscription_stop(struct kj_subscription *subscription)
{
    kj__subscription_silence(subscription);
    if (subscription->shares_thread) {
        kj__lane_remove(&subscription->hub->lane, subscription);
    } else if (pthread_equal(pthread_self(), subscription->consumer)) {
        pthread_detach(subscription->consumer);
    } else {
        pthread_join(subscription->consumer, NULL);
        pthread_mutex_lock(&subscription->turn); /* a publisher may be in the handler */
        pthread_mutex_unlock(&subscription->turn);
    }
    kj__subscription_unref(subscription);
}
