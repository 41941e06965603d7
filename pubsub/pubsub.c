/* pubsub.c - the calls of pubsub.h: checked once here, then handed to the backend. */
#include "pubsub/topic.h"

#include <assert.h>
#include <kujata/pubsub.h>
#include <pthread.h>
#include <stddef.h>

static const struct kj_pubsub_ops *ops_of(const struct kj_pubsub *pubsub)
{
    const struct kj_pubsub_ops *ops = pubsub->ops;
    assert(ops && ops->name && ops->publish && ops->request);
    assert(ops->subscribe && ops->unsubscribe);
    assert(ops->stats && ops->ping && ops->close && ops->free);
    return ops;
}

enum kj_status kj_pubsub_publish(struct kj_pubsub *pubsub, struct kj_publication *publication)
{
    if (!kj_topic_is_valid(kj_publication_topic(publication))) {
        return KJ_EINVAL;
    }
    return ops_of(pubsub)->publish(pubsub, publication);
}

enum kj_status kj_pubsub_request(struct kj_pubsub *pubsub, const struct kj_publication *publication,
                                 const struct kj_request_options *options)
{
    assert(options->on_reply);
    if (!kj_topic_is_valid(kj_publication_topic(publication)) ||
        (options->mode != KJ_RESPONSE_ACK && options->mode != KJ_RESPONSE_PUBLICATION)) {
        return KJ_EINVAL;
    }
    return ops_of(pubsub)->request(pubsub, publication, options);
}

/* A caller that waits for its request. */
struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t settled;
    bool is_settled; /* guarded by lock, as is all below */
    enum kj_status status;
    struct kj_publication *reply;
};

static void wake_waiter(enum kj_status status, struct kj_publication *reply, void *ctx)
{
    struct waiter *waiter = ctx;
    pthread_mutex_lock(&waiter->lock);
    waiter->is_settled = true;
    waiter->status = status;
    waiter->reply = reply ? kj_publication_ref(reply) : NULL;
    pthread_cond_signal(&waiter->settled);
    pthread_mutex_unlock(&waiter->lock);
}

enum kj_status kj_pubsub_request_wait(struct kj_pubsub *pubsub,
                                      const struct kj_publication *publication,
                                      enum kj_response_mode mode, uint32_t timeout_ms,
                                      struct kj_publication **reply)
{
    struct waiter waiter = {.is_settled = false};
    const struct kj_request_options options = {
        .mode = mode, .timeout_ms = timeout_ms, .on_reply = wake_waiter, .ctx = &waiter};
    pthread_mutex_init(&waiter.lock, NULL);
    pthread_cond_init(&waiter.settled, NULL);
    enum kj_status status = kj_pubsub_request(pubsub, publication, &options);
    if (!status) {
        pthread_mutex_lock(&waiter.lock);
        while (!waiter.is_settled) {
            pthread_cond_wait(&waiter.settled, &waiter.lock);
        }
        status = waiter.status;
        pthread_mutex_unlock(&waiter.lock);
    }
    pthread_cond_destroy(&waiter.settled);
    pthread_mutex_destroy(&waiter.lock);
    if (reply) {
        *reply = waiter.reply;
    } else {
        kj_publication_unref(waiter.reply);
    }
    return status;
}

enum kj_status kj_pubsub_subscribe(struct kj_pubsub *pubsub, const char *topic,
                                   const struct kj_subscribe_options *options,
                                   kj_pubsub_handler handler, void *ctx,
                                   struct kj_subscription **subscription)
{
    static const struct kj_subscribe_options defaults;
    assert(topic && handler && subscription);
    *subscription = NULL;
    options = options ? options : &defaults;
    if (!kj__topic_pattern_is_valid(topic) ||
        (options->group && !kj_topic_is_valid(options->group))) {
        return KJ_EINVAL;
    }
    return ops_of(pubsub)->subscribe(pubsub, topic, options, handler, ctx, subscription);
}

void kj_pubsub_unsubscribe(struct kj_pubsub *pubsub, struct kj_subscription *subscription)
{
    if (subscription) {
        ops_of(pubsub)->unsubscribe(pubsub, subscription);
    }
}

void kj_pubsub_stats(struct kj_pubsub *pubsub, struct kj_pubsub_stats *stats)
{
    ops_of(pubsub)->stats(pubsub, stats);
}

enum kj_status kj_pubsub_ping(struct kj_pubsub *pubsub, uint32_t timeout_ms)
{
    return ops_of(pubsub)->ping(pubsub, timeout_ms);
}

bool kj_pubsub_is_away(struct kj_pubsub *pubsub)
{
    const struct kj_pubsub_ops *ops = ops_of(pubsub);
    return ops->is_away && ops->is_away(pubsub);
}

void kj_pubsub_close(struct kj_pubsub *pubsub)
{
    ops_of(pubsub)->close(pubsub);
}

void kj_pubsub_free(struct kj_pubsub *pubsub)
{
    if (pubsub) {
        ops_of(pubsub)->free(pubsub);
    }
}
