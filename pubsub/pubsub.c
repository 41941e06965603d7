/* pubsub.c - the calls of pubsub.h: checked once here, then handed to the backend. */
#include "pubsub/topic.h"

#include <assert.h>
#include <kujata/pubsub.h>
#include <stddef.h>

static const struct kj_pubsub_ops *ops_of(const struct kj_pubsub *pubsub)
{
    const struct kj_pubsub_ops *ops = pubsub->ops;
    assert(ops && ops->name && ops->publish && ops->subscribe && ops->unsubscribe);
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
