/* nats.c - the backend that joins nodes through NATS; the only file that sees libnats.
 *
 * libnats holds one lock per connection while it writes and while it shakes hands with a
 * broker, which takes seconds when the broker hangs. So one thread, the courier, makes
 * every call on the connection. Callers leave it publications in a queue and subscriptions
 * in lists, and never wait. Messages arrive on a libnats thread that only decodes and
 * pushes; libnats's other callbacks only set flags. Lock order: `lock`, then a
 * subscription's queue or libnats's own subscription lock, then the reporter.
 *
 * libnats reconnects by itself and renews subscriptions. It gives up for good when a broker
 * refuses the credentials twice; the courier then dials anew.
 */
#include "base/clock.h"
#include "pubsub/nats_url.h"
#include "pubsub/subscription.h"
#include "pubsub/thread.h"

#include <kujata/pubsub_nats.h>
#include <nats/nats.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DEFAULT_RECONNECT_WAIT_MS = 500,
    DEFAULT_PUBLISH_QUEUE_LIMIT = 65536,
    SEND_RETRY_MS = 50,
    LAST_FLUSH_MS = 500,
    /* A broker that reads nothing for this long is left, which bounds every call that has
     * to wait for the courier. */
    WRITE_DEADLINE_MS = 5000,
    /* A broker behind a dead link is noticed after two of these. */
    KEEPALIVE_MS = 10000,
    KEEPALIVE_MISSES = 2,
    /* Messages libnats may hold for its own thread, which never waits. */
    INBOX_LIMIT = 65536,
};

enum link { LINK_STARTING, LINK_UP, LINK_AWAY };

enum place { PLACE_JOINING, PLACE_JOINED, PLACE_LEAVING, PLACE_COUNT };

struct nats_pubsub {
    struct kj_pubsub base;
    struct kj__hub hub;
    struct kj__alarm *away, *back, *overrun, *unsendable, *undecodable;
    struct kj__queue outgoing; /* of kj_publication references */
    natsOptions *options;
    uint32_t reconnect_wait_ms;
    pthread_t courier;

    pthread_mutex_t lock;
    pthread_cond_t work;    /* for the courier */
    pthread_cond_t changed; /* for those who wait for it, or for `ended` */
    _Atomic int link;       /* enum link; written with lock held */
    _Atomic bool pinged;    /* some ping waits for an answer */
    _Atomic bool rearrange; /* some subscription is joining or leaving */
    bool woken;             /* guarded by lock, as is all below up to the courier's */
    bool closing;
    bool ended;     /* libnats is done with the connection and calls back no more */
    bool away_told; /* the application knows that the broker is away */
    struct kj__list places[PLACE_COUNT]; /* of nats_subscription.node; each one referenced */
    uint64_t ping_wanted, ping_answered; /* tickets */
    uint64_t ping_after;                 /* publications to be sent first */
    uint64_t ping_deadline_ms;
    enum kj_status ping_status;

    /* The courier's own. */
    natsConnection *connection; /* NULL: none yet, or given up */
    void *in_hand;              /* the publication to send next, or NULL */
    uint64_t handled;           /* publications taken from the queue and done with */
    uint64_t retry_at_ms;       /* when to look again unasked; 0: never */
};

struct nats_subscription {
    struct kj_subscription base;
    struct kj__list node;
    enum place place;              /* guarded by the backend's lock */
    natsSubscription *handle;      /* the courier's; NULL while libnats has none */
    _Atomic int64_t inbox_dropped; /* what libnats's counter showed last */
    struct nats_pubsub *owner;
};

static struct nats_pubsub *nats_of(struct kj_pubsub *base)
{
    return KJ__CONTAINER_OF(base, struct nats_pubsub, base);
}

static struct nats_subscription *nats_subscription_of(struct kj_subscription *base)
{
    return KJ__CONTAINER_OF(base, struct nats_subscription, base);
}

/* Lock held. */
static void wake(struct nats_pubsub *self)
{
    self->woken = true;
    pthread_cond_signal(&self->work);
}

/* Lock held. */
static void move_to(struct nats_subscription *subscription, enum place place)
{
    struct nats_pubsub *self = subscription->owner;
    kj__list_unlink(&subscription->node);
    kj__list_append(&self->places[place], &subscription->node);
    subscription->place = place;
    if (place != PLACE_JOINED) {
        atomic_store(&self->rearrange, true);
    }
}

/* The first subscription of a list, or NULL; lock held. */
static struct nats_subscription *first_in(struct nats_pubsub *self, enum place place)
{
    struct kj__list *list = &self->places[place];
    return kj__list_is_empty(list) ? NULL
                                   : KJ__CONTAINER_OF(list->next, struct nats_subscription, node);
}

/* Lock held. */
static void link_is_up(struct nats_pubsub *self)
{
    atomic_store(&self->link, LINK_UP);
    if (self->away_told) {
        self->away_told = false;
        kj__alarm_raise(self->back, &self->hub.reporter);
    }
    wake(self);
    pthread_cond_broadcast(&self->changed);
}

/* Lock held. */
static void link_is_away(struct nats_pubsub *self)
{
    atomic_store(&self->link, LINK_AWAY);
    if (!self->away_told) {
        self->away_told = true;
        kj__alarm_raise(self->away, &self->hub.reporter);
    }
    pthread_cond_broadcast(&self->changed);
}

static void on_connected(natsConnection *connection, void *closure)
{
    struct nats_pubsub *self = closure;
    (void)connection;
    pthread_mutex_lock(&self->lock);
    if (!self->closing) {
        link_is_up(self);
    }
    pthread_mutex_unlock(&self->lock);
}

static void on_disconnected(natsConnection *connection, void *closure)
{
    struct nats_pubsub *self = closure;
    (void)connection;
    pthread_mutex_lock(&self->lock);
    if (!self->closing) {
        KJ__HUB_COUNT(&self->hub, disconnects);
        link_is_away(self);
    }
    pthread_mutex_unlock(&self->lock);
}

static void on_ended(natsConnection *connection, void *closure)
{
    struct nats_pubsub *self = closure;
    (void)connection;
    pthread_mutex_lock(&self->lock);
    self->ended = true;
    if (!self->closing) {
        link_is_away(self);
    }
    wake(self);
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static void on_trouble(natsConnection *connection, natsSubscription *handle, natsStatus status,
                       void *closure)
{
    struct nats_pubsub *self = closure;
    (void)connection;
    (void)handle;
    if (status == NATS_SLOW_CONSUMER) {
        return; /* on_message counts what was dropped and reports it */
    }
    struct kj__alarm *alarm = kj__alarm_new(KJ_EREFUSED, "the broker refused a request: %s",
                                            natsStatus_GetText(status));
    if (alarm) {
        kj__alarm_raise(alarm, &self->hub.reporter);
        kj__alarm_release(alarm, &self->hub.reporter);
    }
}

/* Counts what libnats dropped because its own thread was too slow. It drops only while
 * messages wait, so one of these calls comes after every drop. */
static void count_inbox_drops(struct nats_subscription *subscription, natsSubscription *handle)
{
    int64_t dropped = 0;
    if (natsSubscription_GetDropped(handle, &dropped) != NATS_OK) {
        return;
    }
    int64_t seen = atomic_exchange(&subscription->inbox_dropped, dropped);
    int64_t fresh = dropped < seen ? dropped : dropped - seen; /* a new handle starts at 0 */
    if (fresh > 0) {
        KJ__HUB_COUNT_BY(subscription->base.hub, dropped, (uint64_t)fresh);
        kj__alarm_raise(subscription->base.overrun, &subscription->base.hub->reporter);
    }
}

static void on_message(natsConnection *connection, natsSubscription *handle, natsMsg *message,
                       void *closure)
{
    struct nats_subscription *subscription = closure;
    struct kj__hub *hub = subscription->base.hub;
    struct kj_publication *publication = NULL;
    (void)connection;
    count_inbox_drops(subscription, handle);
    enum kj_status status = kj_publication_decode((const uint8_t *)natsMsg_GetData(message),
                                                  (size_t)natsMsg_GetDataLength(message),
                                                  natsMsg_GetSubject(message), &publication);
    if (status) {
        KJ__HUB_COUNT(hub, undecodable);
        kj__alarm_raise(subscription->owner->undecodable, &hub->reporter);
    } else {
        kj__subscription_push(&subscription->base, publication);
        kj_publication_unref(publication);
    }
    natsMsg_Destroy(message);
}

/* No further message comes to the subscription. */
static void on_complete(void *closure)
{
    kj__subscription_unref(closure);
}

static void dial(struct nats_pubsub *self)
{
    natsConnection *connection = NULL;
    natsStatus status = natsConnection_Connect(&connection, self->options);
    self->connection = connection;
    atomic_store(&self->rearrange, true); /* for those that waited for a connection */
    pthread_mutex_lock(&self->lock);
    if (self->closing) {
        /* The loop ends now. */
    } else if (status == NATS_OK) {
        link_is_up(self);
    } else if (status != NATS_NOT_YET_CONNECTED || atomic_load(&self->link) != LINK_UP) {
        link_is_away(self);
    }
    pthread_mutex_unlock(&self->lock);
    self->retry_at_ms = connection ? 0 : kj__clock_monotonic_ms() + self->reconnect_wait_ms;
}

/* Tells the broker, if it knows of the subscription, that it is over. */
static void forget_handle(struct nats_subscription *subscription)
{
    natsSubscription_Destroy(subscription->handle);
    subscription->handle = NULL;
}

/* False when libnats would not have it; the subscription is then joining still. */
static bool join(struct nats_pubsub *self, struct nats_subscription *subscription)
{
    struct kj_subscription *base = &subscription->base;
    natsSubscription *handle = NULL;
    kj__subscription_ref(base); /* given back by on_complete */
    natsStatus status = base->group
                            ? natsConnection_QueueSubscribe(&handle, self->connection, base->topic,
                                                            base->group, on_message, subscription)
                            : natsConnection_Subscribe(&handle, self->connection, base->topic,
                                                       on_message, subscription);
    if (status == NATS_OK) {
        int limit = base->queue.limit > INBOX_LIMIT ? (int)base->queue.limit : INBOX_LIMIT;
        natsSubscription_SetPendingLimits(handle, limit, -1);
        status = natsSubscription_SetOnCompleteCB(handle, on_complete, base);
    }
    if (status == NATS_OK) {
        subscription->handle = handle;
        return true;
    }
    /* Refused, or over already because the connection just ended. */
    natsSubscription_Destroy(handle);
    kj__subscription_unref(base);
    pthread_mutex_lock(&self->lock);
    if (subscription->place == PLACE_JOINED) {
        move_to(subscription, PLACE_JOINING);
    }
    pthread_mutex_unlock(&self->lock);
    return false;
}

static void let_go_all(struct nats_pubsub *self)
{
    for (;;) {
        pthread_mutex_lock(&self->lock);
        struct nats_subscription *subscription = first_in(self, PLACE_LEAVING);
        if (subscription) {
            kj__list_unlink(&subscription->node);
        }
        pthread_mutex_unlock(&self->lock);
        if (!subscription) {
            return;
        }
        forget_handle(subscription);
        kj__subscription_unref(&subscription->base);
    }
}

static void join_all(struct nats_pubsub *self)
{
    for (;;) {
        pthread_mutex_lock(&self->lock);
        struct nats_subscription *subscription = first_in(self, PLACE_JOINING);
        if (subscription) {
            move_to(subscription, PLACE_JOINED);
        }
        pthread_mutex_unlock(&self->lock);
        if (!subscription) {
            return;
        }
        if (!join(self, subscription)) {
            self->retry_at_ms = kj__clock_monotonic_ms() + self->reconnect_wait_ms;
            return;
        }
    }
}

static void rearrange(struct nats_pubsub *self)
{
    if (atomic_exchange(&self->rearrange, false)) {
        let_go_all(self);
        if (self->connection) {
            join_all(self);
        }
    }
}

/* Ends the connection and waits until libnats calls back no more for it. Subscriptions that
 * go on are to join the next one. */
static void hang_up(struct nats_pubsub *self)
{
    if (!self->connection) {
        return;
    }
    for (;;) {
        pthread_mutex_lock(&self->lock);
        struct nats_subscription *subscription = first_in(self, PLACE_JOINED);
        if (subscription) {
            move_to(subscription, PLACE_JOINING);
        }
        pthread_mutex_unlock(&self->lock);
        if (!subscription) {
            break;
        }
        forget_handle(subscription);
    }
    let_go_all(self);
    natsConnection_Destroy(self->connection);
    self->connection = NULL;
    pthread_mutex_lock(&self->lock);
    while (!self->ended) {
        pthread_cond_wait(&self->changed, &self->lock);
    }
    self->ended = false;
    pthread_mutex_unlock(&self->lock);
}

/* Whether the connection may take it later although it does not now. */
static bool is_passing(natsStatus status)
{
    switch (status) {
    case NATS_IO_ERROR:
    case NATS_TIMEOUT:
    case NATS_CONNECTION_CLOSED:
    case NATS_CONNECTION_DISCONNECTED:
    case NATS_STALE_CONNECTION:
    case NATS_INSUFFICIENT_BUFFER: /* libnats is reconnecting, and we know not yet */
    case NATS_NO_SERVER:
    case NATS_SSL_ERROR:
        return true;
    default:
        return false;
    }
}

/* False when the publication has to wait for the broker. */
static bool send_one(struct nats_pubsub *self, struct kj_publication *publication)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    natsStatus status = NATS_MAX_PAYLOAD;
    if (kj_publication_encode(publication, &bytes, &len)) {
        status = NATS_NO_MEMORY;
    } else if (len <= INT32_MAX) {
        status = natsConnection_Publish(self->connection, kj_publication_topic(publication), bytes,
                                        (int)len);
    }
    free(bytes);
    if (is_passing(status)) {
        return false;
    }
    if (status != NATS_OK) {
        KJ__HUB_COUNT(&self->hub, failed);
        kj__alarm_raise(self->unsendable, &self->hub.reporter);
    }
    return true;
}

static void answer_ping(struct nats_pubsub *self)
{
    if (!atomic_load(&self->pinged)) {
        return;
    }
    pthread_mutex_lock(&self->lock);
    uint64_t ticket = self->ping_wanted;
    uint64_t now = kj__clock_monotonic_ms();
    bool late = now >= self->ping_deadline_ms;
    bool due = !late && self->handled >= self->ping_after;
    uint64_t left = due ? self->ping_deadline_ms - now : 0;
    if (late || due) {
        atomic_store(&self->pinged, false);
    }
    pthread_mutex_unlock(&self->lock);
    if (!due) {
        return;
    }
    natsStatus status = natsConnection_FlushTimeout(self->connection, (int64_t)left);
    pthread_mutex_lock(&self->lock);
    self->ping_answered = ticket;
    self->ping_status = status == NATS_OK        ? KJ_OK
                        : status == NATS_TIMEOUT ? KJ_ETIMEOUT
                                                 : KJ_EDISCONNECTED;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

/* Sends while the link is up. A subscription made before a publication joins before it. */
static void send_all(struct nats_pubsub *self)
{
    while (atomic_load(&self->link) == LINK_UP) {
        answer_ping(self);
        if (!self->in_hand && kj__queue_take(&self->outgoing, &self->in_hand, 1) == 0) {
            return;
        }
        rearrange(self);
        if (!send_one(self, self->in_hand)) {
            self->retry_at_ms = kj__clock_monotonic_ms() + SEND_RETRY_MS;
            return;
        }
        kj_publication_unref(self->in_hand);
        self->in_hand = NULL;
        self->handled++;
    }
}

/* Waits until there is something to do; false when closing. */
static bool wait_for_work(struct nats_pubsub *self, bool *ended)
{
    pthread_mutex_lock(&self->lock);
    while (!self->woken && !self->closing) {
        if (self->retry_at_ms == 0) {
            pthread_cond_wait(&self->work, &self->lock);
        } else if (!kj__condition_wait_until(&self->work, &self->lock, self->retry_at_ms)) {
            break;
        }
    }
    self->woken = false;
    if (self->retry_at_ms <= kj__clock_monotonic_ms()) {
        self->retry_at_ms = 0;
    }
    *ended = self->ended;
    bool open = !self->closing;
    pthread_mutex_unlock(&self->lock);
    return open;
}

static void discard(struct nats_pubsub *self, struct kj_publication *publication)
{
    kj_publication_unref(publication);
    KJ__HUB_COUNT(&self->hub, discarded);
}

static void *run_courier(void *arg)
{
    struct nats_pubsub *self = arg;
    bool ended = false;
    dial(self);
    while (wait_for_work(self, &ended)) {
        if (ended) {
            hang_up(self);
            self->retry_at_ms = kj__clock_monotonic_ms() + self->reconnect_wait_ms;
        } else if (!self->connection && self->retry_at_ms == 0) {
            dial(self);
        }
        rearrange(self);
        send_all(self);
    }
    if (self->in_hand) {
        discard(self, self->in_hand);
    }
    if (self->connection && natsConnection_Status(self->connection) == NATS_CONN_STATUS_CONNECTED) {
        /* libnats resets the socket, which would lose what the kernel still holds. */
        natsConnection_FlushTimeout(self->connection, LAST_FLUSH_MS);
    }
    hang_up(self);
    nats_ReleaseThreadMemory();
    return NULL;
}

static enum kj_status nats_publish(struct kj_pubsub *base, struct kj_publication *publication)
{
    struct nats_pubsub *self = nats_of(base);
    bool was_empty = false;
    kj_publication_ref(publication);
    switch (kj__queue_push(&self->outgoing, publication, &was_empty)) {
    case KJ__QUEUE_PUSHED:
        break;
    case KJ__QUEUE_FULL:
        kj_publication_unref(publication);
        KJ__HUB_COUNT(&self->hub, refused);
        kj__alarm_raise(self->overrun, &self->hub.reporter);
        return KJ_EFULL;
    case KJ__QUEUE_CLOSED:
        kj_publication_unref(publication);
        return KJ_ECLOSED;
    case KJ__QUEUE_NO_MEMORY:
        kj_publication_unref(publication);
        return KJ_ENOMEM;
    }
    KJ__HUB_COUNT(&self->hub, published);
    if (was_empty) {
        pthread_mutex_lock(&self->lock);
        wake(self);
        pthread_mutex_unlock(&self->lock);
    }
    return KJ_OK;
}

static void nats_unsubscribe(struct kj_pubsub *base, struct kj_subscription *subscription)
{
    struct nats_pubsub *self = nats_of(base);
    pthread_mutex_lock(&self->lock);
    move_to(nats_subscription_of(subscription), PLACE_LEAVING);
    wake(self);
    pthread_mutex_unlock(&self->lock);
    kj__subscription_stop(subscription);
}

static enum kj_status nats_subscribe(struct kj_pubsub *base, const char *topic,
                                     const struct kj_subscribe_options *options,
                                     kj_pubsub_handler handler, void *ctx,
                                     struct kj_subscription **out)
{
    struct nats_pubsub *self = nats_of(base);
    struct nats_subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription) {
        return KJ_ENOMEM;
    }
    subscription->owner = self;
    kj__list_init(&subscription->node);
    struct kj__subscription_setup setup = {topic, options, handler, ctx};
    enum kj_status status = kj__subscription_init(&subscription->base, &self->hub, &setup);
    if (status) {
        free(subscription);
        return status;
    }
    pthread_mutex_lock(&self->lock);
    bool closing = self->closing;
    if (!closing) {
        kj__subscription_ref(&subscription->base); /* the list's */
        move_to(subscription, PLACE_JOINING);
        *out = &subscription->base; /* before the handler can run and ask for it */
        wake(self);
    }
    pthread_mutex_unlock(&self->lock);
    if (closing) {
        kj__subscription_stop(&subscription->base);
        return KJ_ECLOSED;
    }
    return KJ_OK;
}

static void nats_stats(struct kj_pubsub *base, struct kj_pubsub_stats *stats)
{
    kj__hub_stats(&nats_of(base)->hub, stats);
}

/* What a ping whose time is over, or which was answered, has found; lock held. */
static enum kj_status ping_result(const struct nats_pubsub *self, uint64_t ticket)
{
    if (self->closing) {
        return KJ_ECLOSED;
    }
    if (self->ping_answered >= ticket) {
        return self->ping_status;
    }
    return atomic_load(&self->link) == LINK_UP ? KJ_ETIMEOUT : KJ_EDISCONNECTED;
}

static enum kj_status nats_ping(struct kj_pubsub *base, uint32_t timeout_ms)
{
    struct nats_pubsub *self = nats_of(base);
    uint64_t deadline = kj__clock_monotonic_ms() + timeout_ms;
    pthread_mutex_lock(&self->lock);
    uint64_t ticket = ++self->ping_wanted;
    self->ping_after = atomic_load(&self->hub.counters.published);
    if (self->ping_deadline_ms < deadline) {
        self->ping_deadline_ms = deadline;
    }
    atomic_store(&self->pinged, true);
    wake(self);
    while (!self->closing && self->ping_answered < ticket &&
           atomic_load(&self->link) != LINK_AWAY &&
           kj__condition_wait_until(&self->changed, &self->lock, deadline)) {
    }
    enum kj_status status = ping_result(self, ticket);
    pthread_mutex_unlock(&self->lock);
    return status;
}

static void nats_close(struct kj_pubsub *base)
{
    struct nats_pubsub *self = nats_of(base);
    pthread_mutex_lock(&self->lock);
    self->closing = true;
    atomic_store(&self->link, LINK_AWAY);
    for (enum place place = PLACE_JOINING; place <= PLACE_JOINED; place++) {
        struct kj__list *list = &self->places[place];
        for (struct kj__list *n = list->next; n != list; n = n->next) {
            kj__subscription_silence(&KJ__CONTAINER_OF(n, struct nats_subscription, node)->base);
        }
    }
    wake(self);
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);

    kj__queue_close(&self->outgoing);
    void *publication;
    while (kj__queue_take(&self->outgoing, &publication, 1) > 0) {
        discard(self, publication);
    }
}

/* Releases what kj_pubsub_nats_new made before it started the courier. */
static void fini(struct nats_pubsub *self)
{
    struct kj__reporter *reporter = &self->hub.reporter;
    kj__alarm_release(self->away, reporter);
    kj__alarm_release(self->back, reporter);
    kj__alarm_release(self->overrun, reporter);
    kj__alarm_release(self->unsendable, reporter);
    kj__alarm_release(self->undecodable, reporter);
    kj__queue_fini(&self->outgoing);
    pthread_cond_destroy(&self->work);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    natsOptions_Destroy(self->options);
}

static void nats_free(struct kj_pubsub *base)
{
    struct nats_pubsub *self = nats_of(base);
    nats_close(base);
    for (enum place place = PLACE_JOINING; place <= PLACE_JOINED;) {
        pthread_mutex_lock(&self->lock);
        struct nats_subscription *subscription = first_in(self, place);
        pthread_mutex_unlock(&self->lock);
        if (subscription) {
            nats_unsubscribe(base, &subscription->base);
        } else {
            place++;
        }
    }
    pthread_join(self->courier, NULL);
    let_go_all(self);
    kj__hub_wait(&self->hub);
    fini(self);
    kj__hub_fini(&self->hub);
    free(self);
}

static const struct kj_pubsub_ops nats_ops = {
    .name = "nats",
    .publish = nats_publish,
    .subscribe = nats_subscribe,
    .unsubscribe = nats_unsubscribe,
    .stats = nats_stats,
    .ping = nats_ping,
    .close = nats_close,
    .free = nats_free,
};

static enum kj_status check_credentials(const struct kj_pubsub_nats_options *options,
                                        struct kj_error *error)
{
    int ways = !!options->user + !!options->token + !!options->credentials_file;
    if (ways > 1 || (options->password && !options->user)) {
        kj_error_set(error, 0,
                     "nats credentials: give either user and password, or token, or "
                     "credentials_file");
        return KJ_EINVAL;
    }
    if (options->credentials_file && access(options->credentials_file, R_OK) != 0) {
        kj_error_set(error, 0, "nats credentials_file: cannot read %s", options->credentials_file);
        return KJ_EINVAL;
    }
    return KJ_OK;
}

static natsStatus set_credentials(natsOptions *to, const struct kj_pubsub_nats_options *options)
{
    natsStatus status = NATS_OK;
    if (options->user) {
        status = natsOptions_SetUserInfo(to, options->user,
                                         options->password ? options->password : "");
    }
    if (status == NATS_OK && options->token) {
        status = natsOptions_SetToken(to, options->token);
    }
    if (status == NATS_OK && options->credentials_file) {
        status = natsOptions_SetUserCredentialsFromFiles(to, options->credentials_file, NULL);
    }
    return status;
}

/* How the connection behaves when the broker does not. */
static natsStatus set_resilience(natsOptions *to, struct nats_pubsub *self)
{
    const natsStatus results[] = {
        natsOptions_SetMaxReconnect(to, -1),
        natsOptions_SetReconnectWait(to, self->reconnect_wait_ms),
        natsOptions_SetRetryOnFailedConnect(to, true, on_connected, self),
        /* Publications wait in our queue, where they are bounded and counted; libnats takes
         * one at most before it says that it is reconnecting. */
        natsOptions_SetReconnectBufSize(to, 1),
        natsOptions_SetWriteDeadline(to, WRITE_DEADLINE_MS),
        natsOptions_SetPingInterval(to, KEEPALIVE_MS),
        natsOptions_SetMaxPingsOut(to, KEEPALIVE_MISSES),
        natsOptions_SetDisconnectedCB(to, on_disconnected, self),
        natsOptions_SetReconnectedCB(to, on_connected, self),
        natsOptions_SetClosedCB(to, on_ended, self),
        natsOptions_SetErrorHandler(to, on_trouble, self),
    };
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        if (results[i] != NATS_OK) {
            return results[i];
        }
    }
    return NATS_OK;
}

static natsStatus make_options(struct nats_pubsub *self, struct kj__nats_urls *urls,
                               const struct kj_pubsub_nats_options *options)
{
    natsStatus status = natsOptions_Create(&self->options);
    if (status != NATS_OK) {
        return status;
    }
    natsOptions *to = self->options;
    status = natsOptions_SetServers(to, (const char **)urls->list, urls->count);
    if (status == NATS_OK) {
        status = natsOptions_SetName(to, options->client_name ? options->client_name : "kujata");
    }
    if (status == NATS_OK) {
        /* One write per publication: its own cost is that of the system call, where
         * libnats's buffer would hold a lone publication back for a millisecond. */
        status = natsOptions_SetSendAsap(to, true);
    }
    if (status == NATS_OK) {
        status = natsOptions_UseGlobalMessageDelivery(to, true);
    }
    if (status == NATS_OK) {
        status = set_credentials(to, options);
    }
    return status == NATS_OK ? set_resilience(to, self) : status;
}

static bool make_alarms(struct nats_pubsub *self, const char *urls)
{
    self->away = kj__alarm_new(KJ_EDISCONNECTED,
                               "the broker at %.256s is away; trying on until it is back", urls);
    self->back = kj__alarm_new(KJ_OK, "the broker is back");
    self->overrun = kj__alarm_new(KJ_EFULL,
                                  "publications are refused because %zu wait for the broker "
                                  "already; see to the broker or raise publish_queue_limit",
                                  self->outgoing.limit);
    self->unsendable = kj__alarm_new(KJ_EIO, "a publication is lost because it cannot be sent; "
                                             "is it larger than the broker's max_payload?");
    self->undecodable = kj__alarm_new(KJ_EPARSE, "a message was ignored because it is not a "
                                                 "publication; who else uses this topic?");
    return self->away && self->back && self->overrun && self->unsendable && self->undecodable;
}

static void init(struct nats_pubsub *self, const struct kj_pubsub_nats_options *options)
{
    uint32_t limit = options->publish_queue_limit ? options->publish_queue_limit
                                                  : DEFAULT_PUBLISH_QUEUE_LIMIT;
    self->base.ops = &nats_ops;
    self->reconnect_wait_ms = options->reconnect_wait_ms ? options->reconnect_wait_ms
                                                         : DEFAULT_RECONNECT_WAIT_MS;
    kj__queue_init(&self->outgoing, limit);
    pthread_mutex_init(&self->lock, NULL);
    kj__condition_init(&self->work);
    kj__condition_init(&self->changed);
    for (enum place place = PLACE_JOINING; place < PLACE_COUNT; place++) {
        kj__list_init(&self->places[place]);
    }
}

/* Takes over nothing: on failure all is released but `self` itself. */
static enum kj_status start(struct nats_pubsub *self, struct kj__nats_urls *urls,
                            const struct kj_pubsub_nats_options *options)
{
    if (!kj__hub_init(&self->hub, "pubsub.nats", &options->errors)) {
        return KJ_ENOMEM;
    }
    init(self, options);
    if (make_options(self, urls, options) == NATS_OK && make_alarms(self, urls->shown) &&
        kj__thread_start(&self->courier, "kj-nats", run_courier, self)) {
        return KJ_OK;
    }
    fini(self);
    kj__hub_fini(&self->hub);
    return KJ_ENOMEM;
}

enum kj_status kj_pubsub_nats_new(const struct kj_pubsub_nats_options *options,
                                  struct kj_pubsub **pubsub, struct kj_error *error)
{
    *pubsub = NULL;
    struct kj__nats_urls urls = {0};
    enum kj_status status = kj__nats_urls_parse(options->urls, &urls, error);
    if (!status) {
        status = check_credentials(options, error);
    }
    struct nats_pubsub *self = status ? NULL : calloc(1, sizeof *self);
    if (!status) {
        status = self ? start(self, &urls, options) : KJ_ENOMEM;
    }
    kj__nats_urls_fini(&urls);
    if (status) {
        free(self);
        return status;
    }
    *pubsub = &self->base;
    return KJ_OK;
}
