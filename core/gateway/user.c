/* user.c - whose a client is, and which of a user's clients may stay.
 *
 * The clients of a user are those in its topic. A newer one ends the older ones that its
 * protocol's policy does not allow beside it: at once on this node, and by a word on the topic on
 * others. Which is newer is decided by time and then by ID, so that two nodes agree; and a node
 * that hears of an older one says its own again, lest two that came at the same moment both stay.
 */
#include "base/clock.h"
#include "gateway/client.h"

#include <stdlib.h>
#include <string.h>

enum { NS_PER_MS = 1000000 };

/* ---- those to be ended; lock held ---- */

/* Whether a policy lets a client with this device stay beside another. */
static bool is_in_conflict(enum kj_user_policy policy, const char *device,
                           const struct kj_client *other)
{
    return policy == KJ_USER_ONE ||
           (policy == KJ_USER_ONE_PER_DEVICE && strcmp(device, kj_client_device(other)) == 0);
}

/* Its shard will be asked to close it, by the keeper: whoever is here may be on a shard itself. */
static void replace(struct kj_client *client)
{
    struct kj_gateway *gateway = client->mount->gateway;
    if (client->end.is_wanted) {
        return;
    }
    client->end.is_wanted = true;
    kj_client_ref(client);
    kj__list_append(&gateway->ending, &client->end.link);
    KJ__COUNT(gateway->options.counters, gateway_clients_replaced);
    pthread_cond_signal(&gateway->changed);
}

static void run_end(struct kj__job *job, struct kj__shard *shard)
{
    (void)shard;
    struct kj__client_end *end = KJ__CONTAINER_OF(job, struct kj__client_end, job);
    struct kj_client *client = KJ__CONTAINER_OF(end, struct kj_client, end);
    kj__client_finish(client, KJ_CLOSE_REPLACED, "replaced");
    kj_client_unref(client);
}

void kj__users_end_replaced(struct kj_gateway *gateway)
{
    while (!kj__list_is_empty(&gateway->ending)) {
        struct kj__client_end *end = KJ__CONTAINER_OF(gateway->ending.next, struct kj__client_end,
                                                      link);
        struct kj_client *client = KJ__CONTAINER_OF(end, struct kj_client, end);
        kj__list_unlink(&end->link);
        end->job.run = run_end;
        pthread_mutex_unlock(&gateway->lock);
        if (!kj__shard_post(client->session.connection.shard, &end->job)) {
            kj_client_unref(client); /* the shard is gone, and so are its clients */
        }
        pthread_mutex_lock(&gateway->lock);
    }
}

/* ---- on this node ---- */

static struct kj__topic *topic_of(const struct kj_client *client)
{
    for (uint32_t i = client->membership_count; i > 0; i--) {
        struct kj__topic *topic = client->memberships[i - 1]->topic;
        if (topic->kind == KJ_TOPIC_USER) {
            return topic;
        }
    }
    return NULL;
}

/* Later than every other of the node. */
static void stamp(struct kj_client *client)
{
    struct kj_gateway *gateway = client->mount->gateway;
    int64_t now_ms = kj__clock_wall_ns() / NS_PER_MS;
    gateway->last_login_ms = now_ms > gateway->last_login_ms ? now_ms : gateway->last_login_ms + 1;
    client->login_ms = gateway->last_login_ms;
}

/* Takes over both texts. */
static void take_user(struct kj_client *client, struct kj__topic *topic, char *user, char *device)
{
    enum kj_user_policy policy = client->mount->protocol.user_policy;
    pthread_mutex_lock(&client->mount->gateway->lock);
    client->user = user;
    client->device = device;
    stamp(client);
    for (struct kj__list *at = topic->members.next; at != &topic->members; at = at->next) {
        struct kj_client *other = KJ__CONTAINER_OF(at, struct kj__membership, link)->client;
        /* One without a user yet is on its way to here, on another shard, and then newer. */
        if (other != client && other->user &&
            is_in_conflict(policy, kj_client_device(client), other)) {
            replace(other);
        }
    }
    pthread_mutex_unlock(&client->mount->gateway->lock);
}

/* ---- between nodes ---- */

struct login {
    char user[KJ_NAME_MAX + 1], device[KJ_NAME_MAX + 1];
    uint64_t client;
    int64_t time_ms;
    enum kj_user_policy policy;
};

static void copy_name(char to[KJ_NAME_MAX + 1], const char *name)
{
    memcpy(to, name, strlen(name) + 1); /* valid, so it is not longer */
}

static void describe(const struct kj_client *client, struct login *login)
{
    copy_name(login->user, client->user);
    copy_name(login->device, kj_client_device(client));
    login->client = client->id;
    login->time_ms = client->login_ms;
    login->policy = client->mount->protocol.user_policy;
}

static void say(const struct kj__topic *topic, const struct login *login)
{
    /* A failure is counted and logged there; the client stays. */
    (void)kj__gateway_say(topic->gateway, topic->words,
                          &(struct kj__push_parts){.what = KJ__WHAT_LOGIN,
                                                   .node = topic->gateway->node,
                                                   .kind = KJ_TOPIC_USER,
                                                   .name = login->user,
                                                   .from = login->device,
                                                   .client = login->client,
                                                   .time_ms = login->time_ms,
                                                   .op = login->policy});
}

static bool is_newer(const struct kj_client *client, const struct kj__push_parts *other)
{
    return client->login_ms != other->time_ms ? client->login_ms > other->time_ms
                                              : client->id > other->client;
}

void kj__users_on_login(struct kj__topic *topic, const struct kj_push *push)
{
    const struct kj__push_parts *parts = &push->parts;
    enum kj_user_policy policy = parts->op == KJ_USER_ONE ? KJ_USER_ONE : KJ_USER_ONE_PER_DEVICE;
    struct login newer;
    bool has_newer = false;
    pthread_mutex_lock(&topic->gateway->lock);
    for (struct kj__list *at = topic->members.next; at != &topic->members; at = at->next) {
        struct kj_client *client = KJ__CONTAINER_OF(at, struct kj__membership, link)->client;
        if (!client->user || client->id == parts->client || client->end.is_wanted) {
            continue;
        }
        enum kj_user_policy own = client->mount->protocol.user_policy;
        if (!is_newer(client, parts)) {
            if (is_in_conflict(policy, parts->from, client)) {
                replace(client);
            }
        } else if (parts->node != topic->gateway->node && !has_newer &&
                   is_in_conflict(own, parts->from, client)) {
            describe(client, &newer);
            has_newer = true;
        }
    }
    pthread_mutex_unlock(&topic->gateway->lock);
    if (has_newer) {
        say(topic, &newer);
    }
}

/* ---- what protocols ask ---- */

enum kj_status kj_client_set_user(struct kj_client *client, const char *user, const char *device)
{
    if (!kj_name_is_valid(user) || (device && *device && !kj_name_is_valid(device))) {
        return KJ_EINVAL;
    }
    if (client->user) {
        return strcmp(client->user, user) == 0 ? KJ_OK : KJ_EEXIST;
    }
    char *user_copy = strdup(user);
    char *device_copy = strdup(device ? device : "");
    enum kj_status status = user_copy && device_copy ? kj__client_enter(client, KJ_TOPIC_USER, user)
                                                     : KJ_ENOMEM;
    if (status) {
        free(user_copy);
        free(device_copy);
        return status;
    }
    struct kj__topic *topic = topic_of(client);
    if (client->mount->protocol.device_topics && device && *device) {
        status = kj__client_enter(client, KJ_TOPIC_DEVICE, device);
    }
    take_user(client, topic, user_copy, device_copy);
    if (client->mount->protocol.user_policy != KJ_USER_MANY) {
        struct login login;
        describe(client, &login);
        say(topic, &login);
    }
    return status;
}
