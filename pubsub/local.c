/* local.c - the backend inside one process.
 *
 * One lock guards the index of subscriptions. A publisher holds it while it finds who
 * matches and pushes a reference into each queue, which never waits; so all subscriptions
 * see the publications of a topic in the same order. Lock order: index, queue, reporter.
 */
#include "base/map.h"
#include "pubsub/subscription.h"
#include "pubsub/topic.h"

#include <kujata/pubsub_local.h>
#include <stdlib.h>
#include <string.h>

struct local_pubsub {
    struct kj_pubsub base;
    struct kj__hub hub;
    pthread_mutex_t lock;
    bool closed;              /* guarded by lock, as is all below */
    struct kj__map topics;    /* from a topic to its local_topic */
    struct kj__list patterns; /* of local_subscription.place */
    struct kj__map groups;    /* from a name to its local_group */
    struct kj__list open;     /* of local_subscription.open: all of them */
};

/* The subscriptions to one topic without wildcards; never empty. */
struct local_topic {
    struct kj__list members; /* of local_subscription.place */
};

struct local_group {
    size_t members;
    struct kj__list node;       /* in the list of groups one publication has met */
    struct kj__list candidates; /* members that match it; both are empty between two */
    size_t candidate_count;
    size_t turn; /* counts publications, so that members take turns */
};

struct local_subscription {
    struct kj_subscription base;
    struct kj__list open;
    struct kj__list place;
    struct kj__list candidate;
    struct local_topic *topic; /* NULL: among the patterns */
    struct local_group *group; /* NULL: none */
};

static struct local_pubsub *local_of(struct kj_pubsub *base)
{
    return KJ__CONTAINER_OF(base, struct local_pubsub, base);
}

static struct local_subscription *local_subscription_of(struct kj_subscription *base)
{
    return KJ__CONTAINER_OF(base, struct local_subscription, base);
}

/* Pushes, or notes that a member of a group matches; lock held. */
static void offer(struct local_subscription *subscription, struct kj_publication *publication,
                  struct kj__list *groups)
{
    struct local_group *group = subscription->group;
    if (!group) {
        kj__subscription_push(&subscription->base, publication);
        return;
    }
    if (group->candidate_count++ == 0) {
        kj__list_append(groups, &group->node);
    }
    kj__list_append(&group->candidates, &subscription->candidate);
}

/* Gives the publication to the candidate whose turn it is; lock held. */
static void settle(struct local_group *group, struct kj_publication *publication)
{
    size_t chosen = group->turn++ % group->candidate_count;
    for (size_t i = 0; i < group->candidate_count; i++) {
        struct local_subscription *candidate = KJ__CONTAINER_OF(
            group->candidates.next, struct local_subscription, candidate);
        kj__list_unlink(&candidate->candidate);
        if (i == chosen) {
            kj__subscription_push(&candidate->base, publication);
        }
    }
    group->candidate_count = 0;
    kj__list_unlink(&group->node);
}

/* Lock held. */
static void distribute(struct local_pubsub *self, struct kj_publication *publication)
{
    const char *name = kj_publication_topic(publication);
    struct kj__list groups;
    kj__list_init(&groups);
    struct local_topic *topic = kj__map_get(&self->topics, name);
    if (topic) {
        for (struct kj__list *n = topic->members.next; n != &topic->members; n = n->next) {
            offer(KJ__CONTAINER_OF(n, struct local_subscription, place), publication, &groups);
        }
    }
    for (struct kj__list *n = self->patterns.next; n != &self->patterns; n = n->next) {
        struct local_subscription *subscription = KJ__CONTAINER_OF(n, struct local_subscription,
                                                                   place);
        if (kj__topic_matches(subscription->base.topic, name)) {
            offer(subscription, publication, &groups);
        }
    }
    while (!kj__list_is_empty(&groups)) {
        settle(KJ__CONTAINER_OF(groups.next, struct local_group, node), publication);
    }
}

static enum kj_status local_publish(struct kj_pubsub *base, struct kj_publication *publication)
{
    struct local_pubsub *self = local_of(base);
    pthread_mutex_lock(&self->lock);
    bool closed = self->closed;
    if (!closed) {
        KJ__HUB_COUNT(&self->hub, published);
        distribute(self, publication);
    }
    pthread_mutex_unlock(&self->lock);
    return closed ? KJ_ECLOSED : KJ_OK;
}

/* The entry of that name, made if need be; lock held. */
static struct local_topic *topic_named(struct local_pubsub *self, const char *name)
{
    struct local_topic *topic = kj__map_get(&self->topics, name);
    if (topic) {
        return topic;
    }
    topic = malloc(sizeof *topic);
    if (topic) {
        kj__list_init(&topic->members);
        if (!kj__map_put(&self->topics, name, topic, NULL)) {
            free(topic);
            topic = NULL;
        }
    }
    return topic;
}

/* Likewise. */
static struct local_group *group_named(struct local_pubsub *self, const char *name)
{
    struct local_group *group = kj__map_get(&self->groups, name);
    if (group) {
        return group;
    }
    group = calloc(1, sizeof *group);
    if (group) {
        kj__list_init(&group->node);
        kj__list_init(&group->candidates);
        if (!kj__map_put(&self->groups, name, group, NULL)) {
            free(group);
            group = NULL;
        }
    }
    return group;
}

/* Takes a subscription out of the index; a no-op for one that never got there; lock held. */
static void unlink_subscription(struct local_pubsub *self, struct local_subscription *subscription)
{
    kj__list_unlink(&subscription->open);
    kj__list_unlink(&subscription->place);
    struct local_topic *topic = subscription->topic;
    if (topic && kj__list_is_empty(&topic->members)) {
        free(kj__map_remove(&self->topics, subscription->base.topic));
    }
    struct local_group *group = subscription->group;
    if (group && --group->members == 0) {
        free(kj__map_remove(&self->groups, subscription->base.group));
    }
}

/* Lock held. */
static enum kj_status link_subscription(struct local_pubsub *self,
                                        struct local_subscription *subscription)
{
    const struct kj_subscription *base = &subscription->base;
    if (self->closed) {
        return KJ_ECLOSED;
    }
    if (base->group) {
        subscription->group = group_named(self, base->group);
        if (!subscription->group) {
            return KJ_ENOMEM;
        }
        subscription->group->members++;
    }
    struct kj__list *list = &self->patterns;
    if (!kj__topic_has_wildcard(base->topic)) {
        subscription->topic = topic_named(self, base->topic);
        if (!subscription->topic) {
            return KJ_ENOMEM;
        }
        list = &subscription->topic->members;
    }
    kj__list_append(list, &subscription->place);
    kj__list_append(&self->open, &subscription->open);
    return KJ_OK;
}

static void local_unsubscribe(struct kj_pubsub *base, struct kj_subscription *subscription)
{
    struct local_pubsub *self = local_of(base);
    pthread_mutex_lock(&self->lock);
    unlink_subscription(self, local_subscription_of(subscription));
    pthread_mutex_unlock(&self->lock);
    kj__subscription_stop(subscription);
}

static enum kj_status local_subscribe(struct kj_pubsub *base, const char *topic,
                                      const struct kj_subscribe_options *options,
                                      kj_pubsub_handler handler, void *ctx,
                                      struct kj_subscription **out)
{
    struct local_pubsub *self = local_of(base);
    struct local_subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription) {
        return KJ_ENOMEM;
    }
    kj__list_init(&subscription->open);
    kj__list_init(&subscription->place);
    kj__list_init(&subscription->candidate);
    struct kj__subscription_setup setup = {topic, options, handler, ctx};
    enum kj_status status = kj__subscription_init(&subscription->base, &self->hub, &setup);
    if (status) {
        free(subscription);
        return status;
    }
    pthread_mutex_lock(&self->lock);
    status = link_subscription(self, subscription);
    if (!status) {
        *out = &subscription->base; /* before the handler can run and ask for it */
    }
    pthread_mutex_unlock(&self->lock);
    if (status) {
        local_unsubscribe(base, &subscription->base);
    }
    return status;
}

static void local_stats(struct kj_pubsub *base, struct kj_pubsub_stats *stats)
{
    kj__hub_stats(&local_of(base)->hub, stats);
}

static enum kj_status local_ping(struct kj_pubsub *base, uint32_t timeout_ms)
{
    struct local_pubsub *self = local_of(base);
    (void)timeout_ms;
    pthread_mutex_lock(&self->lock);
    bool closed = self->closed;
    pthread_mutex_unlock(&self->lock);
    return closed ? KJ_ECLOSED : KJ_OK;
}

static void local_close(struct kj_pubsub *base)
{
    struct local_pubsub *self = local_of(base);
    pthread_mutex_lock(&self->lock);
    self->closed = true;
    for (struct kj__list *n = self->open.next; n != &self->open; n = n->next) {
        kj__subscription_silence(&KJ__CONTAINER_OF(n, struct local_subscription, open)->base);
    }
    pthread_mutex_unlock(&self->lock);
}

static void local_free(struct kj_pubsub *base)
{
    struct local_pubsub *self = local_of(base);
    local_close(base);
    while (!kj__list_is_empty(&self->open)) {
        local_unsubscribe(
            base, &KJ__CONTAINER_OF(self->open.next, struct local_subscription, open)->base);
    }
    kj__hub_wait(&self->hub);
    kj__hub_fini(&self->hub);
    kj__map_fini(&self->topics, NULL);
    kj__map_fini(&self->groups, NULL);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static const struct kj_pubsub_ops local_ops = {
    .name = "local",
    .publish = local_publish,
    .subscribe = local_subscribe,
    .unsubscribe = local_unsubscribe,
    .stats = local_stats,
    .ping = local_ping,
    .close = local_close,
    .free = local_free,
};

enum kj_status kj_pubsub_local_new(const struct kj_pubsub_local_options *options,
                                   struct kj_pubsub **pubsub)
{
    static const struct kj_pubsub_local_options defaults;
    options = options ? options : &defaults;
    *pubsub = NULL;
    struct local_pubsub *self = calloc(1, sizeof *self);
    if (!self || !kj__hub_init(&self->hub, "pubsub.local", &options->errors)) {
        free(self);
        return KJ_ENOMEM;
    }
    self->base.ops = &local_ops;
    pthread_mutex_init(&self->lock, NULL);
    kj__map_init(&self->topics);
    kj__list_init(&self->patterns);
    kj__map_init(&self->groups);
    kj__list_init(&self->open);
    *pubsub = &self->base;
    return KJ_OK;
}
