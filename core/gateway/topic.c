/* topic.c - see topic.h: the table of topics, and who is in them. What is delivered to them is in
 * lot.c. */
#include "gateway/topic.h"

#include "base/clock.h"
#include "base/log.h"
#include "gateway/client.h"
#include "gateway/subject.h"

#include <stdlib.h>
#include <string.h>

/* ---- the table; lock held ---- */

struct kj__topic *kj__topic_find(struct kj_gateway *gateway, const char *words)
{
    return kj__map_get(&gateway->topics, words);
}

static struct kj__topic *allocate(struct kj_gateway *gateway, enum kj_topic_kind kind,
                                  const char *name, const char *words)
{
    size_t shards = gateway->options.delivery->shard_count;
    size_t name_size = strlen(name) + 1;
    size_t words_size = strlen(words) + 1;
    struct kj__topic *topic = calloc(1, sizeof *topic + shards * sizeof topic->sides[0] +
                                            gateway->form_count * sizeof *topic->form_members +
                                            name_size + words_size);
    if (!topic) {
        return NULL;
    }
    topic->form_members = (_Atomic uint32_t *)&topic->sides[shards];
    char *texts = (char *)&topic->form_members[gateway->form_count];
    topic->name = memcpy(texts, name, name_size);
    topic->words = memcpy(texts + name_size, words, words_size);
    atomic_init(&topic->refs, 1);
    topic->gateway = gateway;
    topic->kind = kind;
    kj__list_init(&topic->members);
    kj__list_init(&topic->linger_link);
    kj__list_init(&topic->stop.link);
    topic->stop.topic = topic;
    return topic;
}

void kj__topic_unref(struct kj__topic *topic)
{
    if (atomic_fetch_sub_explicit(&topic->refs, 1, memory_order_acq_rel) == 1) {
        free(topic->publishers.items);
        free(topic);
    }
}

static enum kj_status subscribe(struct kj__topic *topic)
{
    const struct kj__gateway_options *options = &topic->gateway->options;
    struct kj__buffer subject;
    kj__buffer_init(&subject);
    kj__buffer_printf(&subject, "%s.%s", options->prefix, topic->words);
    kj__buffer_append_byte(&subject, '\0');
    enum kj_status status = subject.failed
                                ? KJ_ENOMEM
                                : kj_pubsub_subscribe(
                                      options->pubsub, (const char *)subject.data,
                                      &(struct kj_subscribe_options){.shares_thread = true},
                                      kj__gateway_on_publication, topic, &topic->subscription);
    kj__buffer_fini(&subject);
    return status;
}

/* Finds the topic, or makes and subscribes to it. */
static enum kj_status get(struct kj_gateway *gateway, enum kj_topic_kind kind, const char *name,
                          const char *words, struct kj__topic **topic)
{
    *topic = kj__topic_find(gateway, words);
    if (*topic) {
        return KJ_OK;
    }
    if (gateway->topics.count >= gateway->options.topics) {
        static struct kj__log_limit limit;
        KJ__COUNT(gateway->options.counters, gateway_topics_over_limit);
        kj__log_limited(&limit, KJ__LOG_WARNING, "gateway",
                        "a room or user was refused: there are %zu already; see gateway_topics "
                        "(--gateway-limit-topics)",
                        gateway->topics.count);
        return KJ_ELIMIT;
    }
    struct kj__topic *made = allocate(gateway, kind, name, words);
    if (!made || !kj__map_put(&gateway->topics, words, made, NULL)) {
        free(made);
        return KJ_ENOMEM;
    }
    enum kj_status status = subscribe(made);
    if (status) {
        static struct kj__log_limit limit;
        KJ__COUNT(gateway->options.counters, gateway_subscribe_failed);
        kj__log_limited(&limit, KJ__LOG_ERROR, "gateway", "cannot subscribe to %.200s: %s", words,
                        kj_status_text(status));
        kj__map_remove(&gateway->topics, words);
        kj__topic_unref(made);
        return status;
    }
    KJ__COUNT(gateway->options.counters, gateway_topics);
    *topic = made;
    return KJ_OK;
}

/* A topic has its first client, or has lost its last. */
static void count_kind(struct kj__topic *topic, bool is_there)
{
    struct kj_gateway *gateway = topic->gateway;
    size_t *count = topic->kind == KJ_TOPIC_ROOM   ? &gateway->room_count
                    : topic->kind == KJ_TOPIC_USER ? &gateway->user_count
                                                   : NULL;
    if (count && is_there) {
        ++*count;
    } else if (count) {
        --*count;
    }
}

static void add_member(struct kj__topic *topic, struct kj__membership *membership)
{
    const struct kj_client *client = membership->client;
    membership->topic = topic;
    atomic_fetch_add_explicit(&topic->refs, 1, memory_order_relaxed);
    kj__list_append(&topic->members, &membership->link);
    if (topic->member_count++ == 0) {
        kj__list_unlink(&topic->linger_link);
        kj__list_append(&topic->gateway->occupied[topic->kind], &topic->stop.link);
        count_kind(topic, true);
    }
    /* Before the client hears that it is in, so that what is published then is encoded and posted
     * for it. */
    atomic_fetch_add(&topic->form_members[kj__client_form(client)], 1);
    atomic_fetch_add(&topic->sides[kj__side_of(client)->index].members, 1);
}

static void remove_member(struct kj__membership *membership)
{
    struct kj__topic *topic = membership->topic;
    struct kj_gateway *gateway = topic->gateway;
    const struct kj_client *client = membership->client;
    atomic_fetch_sub(&topic->sides[kj__side_of(client)->index].members, 1);
    atomic_fetch_sub(&topic->form_members[kj__client_form(client)], 1);
    kj__list_unlink(&membership->link);
    if (--topic->member_count == 0) {
        kj__list_unlink(&topic->stop.link);
        count_kind(topic, false);
        topic->linger_until_ms = kj__clock_monotonic_ms() + gateway->options.linger_ms;
        bool is_first = kj__list_is_empty(&gateway->lingering);
        kj__list_append(&gateway->lingering, &topic->linger_link);
        if (is_first) {
            pthread_cond_signal(&gateway->changed);
        }
    }
}

uint64_t kj__topics_sweep(struct kj_gateway *gateway, uint64_t now_ms, bool is_end)
{
    while (!kj__list_is_empty(&gateway->lingering)) {
        struct kj__topic *topic = KJ__CONTAINER_OF(gateway->lingering.next, struct kj__topic,
                                                   linger_link);
        if (!is_end && topic->linger_until_ms > now_ms) {
            return topic->linger_until_ms;
        }
        kj__list_unlink(&topic->linger_link);
        kj__map_remove(&gateway->topics, topic->words);
        KJ__UNCOUNT(gateway->options.counters, gateway_topics);
        /* Who joins from here on makes another. The end waits for a handler that runs, which may
         * wait for a shard, which may wait for the lock. */
        pthread_mutex_unlock(&gateway->lock);
        kj_pubsub_unsubscribe(gateway->options.pubsub, topic->subscription);
        kj__topic_unref(topic);
        pthread_mutex_lock(&gateway->lock);
    }
    return UINT64_MAX;
}

/* ---- on the shard ---- */

static enum kj_status enter(struct kj__membership *membership, enum kj_topic_kind kind,
                            const char *name)
{
    struct kj_gateway *gateway = membership->client->mount->gateway;
    struct kj__buffer words;
    kj__buffer_init(&words);
    kj__topic_words(kind, name, &words);
    enum kj_status status = words.failed ? KJ_ENOMEM : KJ_OK;
    if (!status) {
        struct kj__topic *topic;
        pthread_mutex_lock(&gateway->lock);
        status = get(gateway, kind, name, (const char *)words.data, &topic);
        if (!status) {
            add_member(topic, membership);
        }
        pthread_mutex_unlock(&gateway->lock);
    }
    kj__buffer_fini(&words);
    return status;
}

void kj__membership_uncount(struct kj__membership *membership)
{
    struct kj_gateway *gateway = membership->topic->gateway;
    pthread_mutex_lock(&gateway->lock);
    if (!kj__list_is_empty(&membership->link)) {
        remove_member(membership);
    }
    pthread_mutex_unlock(&gateway->lock);
}

enum kj_status kj__membership_new(struct kj_client *client, enum kj_topic_kind kind,
                                  const char *name, struct kj__membership **membership)
{
    *membership = NULL;
    struct kj__membership *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    made->client = client;
    kj__list_init(&made->link);
    enum kj_status status = enter(made, kind, name);
    if (status) {
        free(made);
        return status;
    }
    if (!kj__lot_seat(made)) {
        kj__membership_uncount(made);
        kj__topic_unref(made->topic);
        free(made);
        return KJ_ENOMEM;
    }
    *membership = made;
    return KJ_OK;
}

void kj__membership_end(struct kj__membership *membership)
{
    struct kj__gateway_side *side = kj__side_of(membership->client);
    kj__lot_leave(membership);
    kj__membership_uncount(membership);
    /* Whoever settles its seat right now looks at it once more. */
    kj__list_append(&side->ended, &membership->link);
}
