/* local.c - the backend inside one process.
 *
 * One lock guards the index of subscriptions. A publisher holds it while it finds who
 * matches and pushes a reference into each queue, which never waits, or takes the turn to call
 * the handler itself once the lock is given up; so all subscriptions see the publications of a
 * topic in the same order. Lock order: index, queue, reporter.
 */
#include "base/map.h"
#include "codec/publication.h"
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
    struct kj__list claimed;   /* of one publication, whose publisher calls the handler */
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

/* One publication on its way to those who match. */
struct distribution {
    struct kj_publication *publication;
    const char *reply_to; /* NULL: nobody waits for an answer */
    struct kj__list groups;
    struct kj__list claimed; /* of local_subscription.claimed */
    size_t receivers;
};

/* Each receiver of a request has a copy, since each may answer. */
static enum kj_status push_request(struct local_subscription *subscription,
                                   const struct distribution *distribution)
{
    struct kj_publication *copy;
    enum kj_status status = kj_publication_duplicate(distribution->publication, NULL, &copy);
    if (status) {
        return status;
    }
    status = kj__desk_attach(subscription->base.hub->desk, copy, distribution->reply_to);
    if (!status) {
        kj__subscription_push(&subscription->base, copy);
    }
    kj_publication_unref(copy);
    return status;
}

/* Lock held. */
static void push(struct local_subscription *subscription, struct distribution *distribution)
{
    distribution->receivers++;
    if (!distribution->reply_to && kj__subscription_claim(&subscription->base)) {
        kj__list_append(&distribution->claimed, &subscription->claimed);
    } else if (!distribution->reply_to) {
        kj__subscription_push(&subscription->base, distribution->publication);
    } else if (push_request(subscription, distribution)) {
        KJ__HUB_COUNT(subscription->base.hub, dropped);
    }
}

/* Pushes, or notes that a member of a group matches; lock held. */
static void offer(struct local_subscription *subscription, struct distribution *distribution)
{
    struct local_group *group = subscription->group;
    if (!group) {
        push(subscription, distribution);
        return;
    }
    if (group->candidate_count++ == 0) {
        kj__list_append(&distribution->groups, &group->node);
    }
    kj__list_append(&group->candidates, &subscription->candidate);
}

/* Gives the publication to the candidate whose turn it is; lock held. */
static void settle(struct local_group *group, struct distribution *distribution)
{
    size_t chosen = group->turn++ % group->candidate_count;
    for (size_t i = 0; i < group->candidate_count; i++) {
        struct local_subscription *candidate = KJ__CONTAINER_OF(
            group->candidates.next, struct local_subscription, candidate);
        kj__list_unlink(&candidate->candidate);
        if (i == chosen) {
            push(candidate, distribution);
        }
    }
    group->candidate_count = 0;
    kj__list_unlink(&group->node);
}

/* Lock held. */
static void distribute(struct local_pubsub *self, struct distribution *distribution)
{
    const char *name = kj_publication_topic(distribution->publication);
    kj__list_init(&distribution->groups);
    kj__list_init(&distribution->claimed);
    struct local_topic *topic = kj__map_get(&self->topics, name);
    if (topic) {
        for (struct kj__list *n = topic->members.next; n != &topic->members; n = n->next) {
            offer(KJ__CONTAINER_OF(n, struct local_subscription, place), distribution);
        }
    }
    for (struct kj__list *n = self->patterns.next; n != &self->patterns; n = n->next) {
        struct local_subscription *subscription = KJ__CONTAINER_OF(n, struct local_subscription,
                                                                   place);
        if (kj__topic_matches(subscription->base.topic, name)) {
            offer(subscription, distribution);
        }
    }
    while (!kj__list_is_empty(&distribution->groups)) {
        settle(KJ__CONTAINER_OF(distribution->groups.next, struct local_group, node), distribution);
    }
}

/* Without the lock: a handler may publish. */
static void run_claimed(struct distribution *distribution)
{
    while (!kj__list_is_empty(&distribution->claimed)) {
        struct local_subscription *subscription = KJ__CONTAINER_OF(
            distribution->claimed.next, struct local_subscription, claimed);
        kj__list_unlink(&subscription->claimed);
        kj__subscription_run_claimed(&subscription->base, distribution->publication);
    }
}

static enum kj_status send(struct local_pubsub *self, struct distribution *distribution)
{
    pthread_mutex_lock(&self->lock);
    bool closed = self->closed;
    if (!closed) {
        KJ__HUB_COUNT(&self->hub, published);
        distribute(self, distribution);
    }
    pthread_mutex_unlock(&self->lock);
    if (!closed) {
        run_claimed(distribution);
    }
    return closed ? KJ_ECLOSED : KJ_OK;
}

static enum kj_status local_publish(struct kj_pubsub *base, struct kj_publication *publication)
{
    struct distribution distribution = {.publication = publication};
    if (!kj__publication_replier(publication)) {
        return send(local_of(base), &distribution);
    }
    /* One that was received is passed on without its way back. */
    enum kj_status status = kj_publication_duplicate(publication, NULL, &distribution.publication);
    if (!status) {
        status = send(local_of(base), &distribution);
        kj_publication_unref(distribution.publication);
    }
    return status;
}

static enum kj_status local_request(struct kj_pubsub *base,
                                    const struct kj_publication *publication,
                                    const struct kj_request_options *options)
{
    struct local_pubsub *self = local_of(base);
    struct kj__requests *requests = &self->hub.requests;
    char address[KJ__REQUEST_ADDRESS_SIZE];
    const struct kj__publication_change change = {.response_mode = options->mode};
    struct distribution distribution = {.reply_to = address};
    enum kj_status status = kj__publication_copy(publication, &change, &distribution.publication);
    if (status) {
        return status;
    }
    status = kj__hub_open_request(&self->hub, options, address);
    if (!status) {
        status = send(self, &distribution);
        if (status && !kj__requests_withdraw(requests, address)) {
            status = KJ_OK; /* it was settled meanwhile, and so its handler is told */
        } else if (!status && distribution.receivers == 0) {
            kj__requests_fail(requests, address, KJ_ENOTFOUND);
        }
    }
    kj_publication_unref(distribution.publication);
    return status;
}

static enum kj_status local_send_answer(struct kj__hub *hub, struct kj_publication *answer)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum kj_status status = kj__publication_message(answer, &bytes, &len);
    if (!status) {
        kj__requests_answer(&hub->requests, kj_publication_topic(answer), bytes, len);
    }
    free(bytes);
    return status;
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
    kj__list_init(&subscription->claimed);
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
    kj__requests_close(&self->hub.requests);
}

static void local_free(struct kj_pubsub *base)
{
    struct local_pubsub *self = local_of(base);
    local_close(base);
    kj__requests_stop(&self->hub.requests);
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
    .request = local_request,
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
    const struct kj__hub_setup setup = {.module = "pubsub.local",
                                        .errors = &options->errors,
                                        .request_limit = options->request_limit,
                                        .send = local_send_answer};
    struct local_pubsub *self = calloc(1, sizeof *self);
    if (!self || !kj__hub_init(&self->hub, &setup)) {
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
