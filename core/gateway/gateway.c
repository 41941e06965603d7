/* gateway.c - see gateway.h: its life, what arrives, and who is there. */
#include "gateway/gateway.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "gateway/client.h"
#include "gateway/subject.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NS_PER_MS = 1000000, MS_PER_S = 1000 };

/* At stop, how long pushes under way may take to reach the shards. */
enum { QUIET_TIMEOUT_MS = 500, QUIET_INTERVAL_MS = 10 };

/* ---- what arrives, on a thread of the backend ---- */

/* NULL: there is nothing to be done for it. */
static struct kj_push *decode(struct kj_gateway *gateway, const struct kj_publication *publication)
{
    size_t len;
    const uint8_t *data = kj_publication_data(publication, &len);
    struct kj_push *push;
    KJ__COUNT(gateway->options.counters, gateway_received);
    enum kj_status status = kj__push_decode(data, len, &push);
    if (status) {
        static struct kj__log_limit limit;
        KJ__COUNT(gateway->options.counters, gateway_undecodable);
        kj__log_limited(&limit, KJ__LOG_WARNING, "gateway",
                        "a publication on %.200s is no push: %s", kj_publication_topic(publication),
                        kj_status_text(status));
    }
    if (push && push->parts.node == gateway->node) {
        kj__home_deliver(gateway); /* what was published before it */
        if (push->parts.is_for_others) {
            kj__push_unref(push);
            return NULL;
        }
    }
    return push;
}

void kj__gateway_post(struct kj_gateway *gateway, struct kj_push *push, struct kj__topic *topic,
                      struct kj_client *client)
{
    struct kj__parcel *parcel = kj__parcel_new_take(gateway, push, topic, client);
    if (parcel) {
        kj__parcel_post(parcel);
        kj__parcel_unref(parcel);
    } else {
        KJ__COUNT(gateway->options.counters, dropped_no_memory);
    }
}

void kj__gateway_on_publication(struct kj_publication *publication, void *ctx)
{
    struct kj__topic *topic = ctx;
    struct kj_push *push = decode(topic->gateway, publication);
    if (!push) {
        return;
    }
    if (push->parts.what == KJ__WHAT_LOGIN) {
        kj__users_on_login(topic, push);
        kj__push_unref(push);
    } else {
        kj__topic_note_number(topic, push->parts.node, push->parts.sequence);
        kj__gateway_post(topic->gateway, push, topic, NULL);
    }
}

/* A reference, or NULL. */
static struct kj_client *find_client(struct kj_gateway *gateway, const char *id)
{
    pthread_mutex_lock(&gateway->lock);
    struct kj_client *client = kj__map_get(&gateway->clients, id);
    if (client) {
        kj_client_ref(client);
    }
    pthread_mutex_unlock(&gateway->lock);
    return client;
}

/* For one session of this node. */
static void on_node_publication(struct kj_publication *publication, void *ctx)
{
    struct kj_gateway *gateway = ctx;
    struct kj_push *push = decode(gateway, publication);
    if (!push) {
        return;
    }
    if (push->parts.what == KJ__WHAT_MARK) {
        atomic_store(&gateway->has_mark, true);
        kj__push_unref(push);
        return;
    }
    struct kj_client *client = find_client(gateway, push->parts.name);
    if (client) {
        kj__gateway_post(gateway, push, NULL, client);
        kj_client_unref(client);
    } else {
        KJ__COUNT(gateway->options.counters, gateway_session_gone);
        kj__push_unref(push);
    }
}

/* ---- the keeper: what may wait, and what others may not wait for ---- */

static struct timespec time_of(uint64_t deadline_ms)
{
    return (struct timespec){.tv_sec = (time_t)(deadline_ms / MS_PER_S),
                             .tv_nsec = (long)(deadline_ms % MS_PER_S) * NS_PER_MS};
}

static void *keep(void *argument)
{
    struct kj_gateway *gateway = argument;
    pthread_mutex_lock(&gateway->lock);
    while (!gateway->is_stopping) {
        kj__users_end_replaced(gateway);
        pthread_mutex_unlock(&gateway->lock);
        kj__home_deliver(gateway);
        pthread_mutex_lock(&gateway->lock);
        uint64_t now_ms = kj__clock_monotonic_ms();
        kj__gateway_run_later(gateway, now_ms);
        uint64_t next_ms = kj__topics_sweep(gateway, now_ms, false);
        uint64_t later_ms = kj__gateway_next_later(gateway);
        next_ms = later_ms < next_ms ? later_ms : next_ms;
        if (gateway->is_stopping || !kj__list_is_empty(&gateway->ending) ||
            !kj__list_is_empty(&gateway->home.waiting)) {
            continue;
        }
        if (next_ms == UINT64_MAX) {
            pthread_cond_wait(&gateway->changed, &gateway->lock);
        } else {
            struct timespec until = time_of(next_ms);
            pthread_cond_timedwait(&gateway->changed, &gateway->lock, &until);
        }
    }
    pthread_mutex_unlock(&gateway->lock);
    kj__home_deliver(gateway);
    return NULL;
}

/* ---- life ---- */

static void say_farewell(struct kj__chore *chore, struct kj__shard *shard)
{
    (void)shard;
    struct kj__gateway_side *side = KJ__CONTAINER_OF(chore, struct kj__gateway_side, farewell);
    kj__broadcast_finish(&side->broadcast);
    kj__side_send_waiting(side);
}

static void init_lock(struct kj_gateway *gateway)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&gateway->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&gateway->lock, NULL);
}

enum kj_status kj__gateway_new(const struct kj__gateway_options *options,
                               struct kj_gateway **gateway)
{
    size_t shards = options->delivery->shard_count;
    *gateway = calloc(1, sizeof **gateway);
    struct kj__gateway_side *sides = calloc(shards, sizeof *sides);
    if (!*gateway || !sides) {
        free(*gateway);
        free(sides);
        *gateway = NULL;
        return KJ_ENOMEM;
    }
    struct kj_gateway *made = *gateway;
    if (kj__workers_init(&made->workers, options->threads, options->counters) ||
        kj__workers_init(&made->outside, options->threads, options->counters)) {
        kj__workers_fini(&made->workers);
        free(made);
        free(sides);
        *gateway = NULL;
        return KJ_ENOMEM;
    }
    made->options = *options;
    made->sides = sides;
    for (size_t i = 0; i < shards; i++) {
        sides[i].shard = &options->delivery->shards[i];
        sides[i].index = i;
        kj__list_init(&sides[i].empty);
        kj__list_init(&sides[i].ended);
        kj__list_init(&sides[i].waiting);
        kj__broadcast_init(&sides[i].broadcast, &sides[i]);
        sides[i].farewell.run = say_farewell;
        sides[i].shard->before_drain = &sides[i].farewell;
    }
    while (made->node == 0) {
        kj__random_bytes(&made->node, sizeof made->node);
        made->node &= (1U << KJ__NODE_BITS) - 1;
    }
    init_lock(made);
    kj__slab_init(&made->clients_slab, sizeof(struct kj_client));
    kj__sequences_init(&made->sequences);
    kj__map_init(&made->clients);
    kj__map_init(&made->addresses);
    kj__map_init(&made->topics);
    for (int i = 0; i < KJ_TOPIC_KIND_COUNT; i++) {
        kj__list_init(&made->occupied[i]);
    }
    kj__list_init(&made->lingering);
    kj__list_init(&made->ending);
    kj__home_init(&made->home);
    kj__list_init(&made->later);
    return KJ_OK;
}

static enum kj_status subscribe_node(struct kj_gateway *gateway)
{
    struct kj__buffer subject;
    kj__buffer_init(&subject);
    kj__buffer_printf(&subject, "%s.", gateway->options.prefix);
    kj__node_words(gateway->node, &subject);
    enum kj_status status = subject.failed
                                ? KJ_ENOMEM
                                : kj_pubsub_subscribe(
                                      gateway->options.pubsub, (const char *)subject.data,
                                      &(struct kj_subscribe_options){.shares_thread = true},
                                      on_node_publication, gateway, &gateway->node_subscription);
    kj__buffer_fini(&subject);
    return status;
}

enum kj_status kj__gateway_start(struct kj_gateway *gateway)
{
    enum kj_status status = subscribe_node(gateway);
    if (!status) {
        status = kj__workers_start(&gateway->workers);
    }
    if (!status) {
        status = kj__workers_start(&gateway->outside);
    }
    if (!status) {
        gateway->has_keeper = pthread_create(&gateway->keeper, NULL, keep, gateway) == 0;
        status = gateway->has_keeper ? KJ_OK : KJ_ENOMEM;
    }
    return status;
}

/* No backend says when it has delivered everything. A mark comes behind what this node has
 * published, or most of it where very much waits; a stretch without a push says the rest. */
static void wait_until_quiet(struct kj_gateway *gateway)
{
    uint64_t deadline = kj__clock_monotonic_ms() + QUIET_TIMEOUT_MS;
    uint64_t seen = UINT64_MAX;
    bool is_marked = !kj_gateway_is_degraded(gateway) && !kj__gateway_mark(gateway);
    while (kj__clock_monotonic_ms() < deadline) {
        uint64_t received = atomic_load(&gateway->options.counters->gateway_received);
        if (received == seen && (!is_marked || atomic_load(&gateway->has_mark))) {
            return;
        }
        seen = received;
        struct timespec pause = {.tv_nsec = QUIET_INTERVAL_MS * NS_PER_MS};
        nanosleep(&pause, NULL);
    }
}

void kj__gateway_stop(struct kj_gateway *gateway)
{
    bool was_closed = atomic_exchange(&gateway->is_closed, true);
    kj__workers_stop(&gateway->workers);
    kj__workers_stop(&gateway->outside);
    if (gateway->has_keeper) {
        pthread_mutex_lock(&gateway->lock);
        gateway->is_stopping = true;
        pthread_cond_signal(&gateway->changed);
        pthread_mutex_unlock(&gateway->lock);
        pthread_join(gateway->keeper, NULL);
        gateway->has_keeper = false;
    }
    if (!was_closed && gateway->node_subscription) {
        wait_until_quiet(gateway);
    }
}

void kj__gateway_free(struct kj_gateway *gateway)
{
    if (!gateway) {
        return;
    }
    kj__gateway_stop(gateway);
    kj_pubsub_unsubscribe(gateway->options.pubsub, gateway->node_subscription);
    for (size_t i = 0; i < gateway->options.delivery->shard_count; i++) {
        gateway->sides[i].shard->before_drain = NULL;
        kj__broadcast_fini(&gateway->sides[i].broadcast);
        kj__side_reap(&gateway->sides[i]);
    }
    pthread_mutex_lock(&gateway->lock);
    kj__users_end_replaced(gateway);
    kj__topics_sweep(gateway, 0, true);
    pthread_mutex_unlock(&gateway->lock);
    kj__home_fini(&gateway->home);
    kj__gateway_drop_later(gateway);
    kj__map_fini(&gateway->topics, NULL);
    kj__map_fini(&gateway->clients, NULL);
    kj__map_fini(&gateway->addresses, NULL);
    kj__workers_fini(&gateway->workers);
    kj__workers_fini(&gateway->outside);
    kj__sequences_fini(&gateway->sequences);
    kj__slab_fini(&gateway->clients_slab);
    pthread_cond_destroy(&gateway->changed);
    pthread_mutex_destroy(&gateway->lock);
    for (size_t i = 0; i < gateway->mount_count; i++) {
        free(gateway->mounts[i]);
    }
    free(gateway->sides);
    free(gateway);
}

/* ---- who is there ---- */

void kj_gateway_count(struct kj_gateway *gateway, struct kj_gateway_counts *counts)
{
    pthread_mutex_lock(&gateway->lock);
    *counts = (struct kj_gateway_counts){.clients = gateway->clients.count,
                                         .users = gateway->user_count,
                                         .rooms = gateway->room_count,
                                         .addresses = gateway->addresses.count};
    pthread_mutex_unlock(&gateway->lock);
    const struct kj__delivery *delivery = gateway->options.delivery;
    for (size_t i = 0; i < delivery->shard_count; i++) {
        struct kj__shard *shard = &delivery->shards[i];
        counts->jobs += kj__queue_count(&shard->inbox);
        counts->frames += atomic_load_explicit(&shard->gauges.queue_messages, memory_order_relaxed);
    }
}

uint32_t kj_gateway_node(const struct kj_gateway *gateway)
{
    return gateway->node;
}

/* Lock held, so that what it returns stays. */
static const struct kj__topic *find_topic(struct kj_gateway *gateway, enum kj_topic_kind kind,
                                          const struct kj__buffer *words)
{
    return words->failed || kind == KJ_TOPIC_SESSION
               ? NULL
               : kj__topic_find(gateway, (const char *)words->data);
}

size_t kj_gateway_member_count(struct kj_gateway *gateway, enum kj_topic_kind kind,
                               const char *name)
{
    struct kj__buffer words;
    if (!kj__topic_name_is_valid(kind, name)) {
        return 0;
    }
    kj__buffer_init(&words);
    kj__topic_words(kind, name, &words);
    pthread_mutex_lock(&gateway->lock);
    const struct kj__topic *topic = find_topic(gateway, kind, &words);
    size_t count = topic ? topic->member_count : 0;
    pthread_mutex_unlock(&gateway->lock);
    kj__buffer_fini(&words);
    return count;
}

static void describe(const struct kj_client *client, struct kj_member *member)
{
    member->client = client->id;
    member->user[0] = '\0';
    if (client->user) {
        memcpy(member->user, client->user, strlen(client->user) + 1); /* valid: not longer */
    }
}

size_t kj_gateway_members(struct kj_gateway *gateway, enum kj_topic_kind kind, const char *name,
                          size_t skip, struct kj_member *members, size_t max)
{
    struct kj__buffer words;
    size_t count = 0;
    if (!kj__topic_name_is_valid(kind, name)) {
        return 0;
    }
    kj__buffer_init(&words);
    kj__topic_words(kind, name, &words);
    pthread_mutex_lock(&gateway->lock);
    const struct kj__topic *topic = find_topic(gateway, kind, &words);
    const struct kj__list *end = topic ? &topic->members : NULL;
    for (const struct kj__list *at = topic ? end->next : NULL; at != end && count < max;
         at = at->next) {
        if (skip > 0) {
            skip--;
        } else {
            describe(KJ__CONTAINER_OF(at, struct kj__membership, link)->client, &members[count++]);
        }
    }
    pthread_mutex_unlock(&gateway->lock);
    kj__buffer_fini(&words);
    return count;
}
