/* nats.c - the courier of the NATS backend; the only file that sees libnats.
 *
 * Messages arrive on a libnats thread that only decodes and pushes; libnats's other
 * callbacks only set flags. The courier dials until a first connection stands. After that
 * libnats reconnects by itself and renews subscriptions; it gives up when a broker refuses
 * the credentials twice, and the courier dials anew.
 */
#include "base/clock.h"
#include "pubsub/nats_courier.h"
#include "pubsub/thread.h"

#include <limits.h>
#include <nats/nats.h>
#include <stdlib.h>
#include <string.h>

enum {
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
    INBOX_BYTES = 64 << 20,
};

struct kj__nats_wire {
    natsOptions *options;
    natsConnection *connection; /* NULL: none yet, or given up */
    void *in_hand;              /* the publication to send next, or NULL */
    uint64_t handled;           /* publications taken from the queue and done with */
    bool refusal_told;          /* since the broker was last there */
    uint64_t retry_at_ms;       /* when to look again unasked; 0: never */
};

/* Lock held. */
static void link_is_up(struct kj__nats *self)
{
    atomic_store(&self->link, KJ__NATS_UP);
    if (self->away_told) {
        self->away_told = false;
        kj__alarm_raise(self->back, &self->hub.reporter);
    }
    kj__nats_wake(self);
    pthread_cond_broadcast(&self->changed);
}

/* Lock held. */
static void link_is_away(struct kj__nats *self)
{
    atomic_store(&self->link, KJ__NATS_AWAY);
    if (!self->away_told) {
        self->away_told = true;
        kj__alarm_raise(self->away, &self->hub.reporter);
    }
    pthread_cond_broadcast(&self->changed);
}

static void on_reconnected(natsConnection *connection, void *closure)
{
    struct kj__nats *self = closure;
    (void)connection;
    pthread_mutex_lock(&self->lock);
    if (!self->closing) {
        link_is_up(self);
    }
    pthread_mutex_unlock(&self->lock);
}

static void on_disconnected(natsConnection *connection, void *closure)
{
    struct kj__nats *self = closure;
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
    struct kj__nats *self = closure;
    (void)connection;
    pthread_mutex_lock(&self->lock);
    self->ended = true;
    if (!self->closing) {
        link_is_away(self);
    }
    kj__nats_wake(self);
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static void report_refusal(struct kj__nats *self, const char *why)
{
    struct kj__alarm *alarm = kj__alarm_new(KJ_EREFUSED, "the broker refuses: %.256s", why);
    if (alarm) {
        kj__alarm_raise(alarm, &self->hub.reporter);
        kj__alarm_release(alarm, &self->hub.reporter);
    }
}

static void on_trouble(natsConnection *connection, natsSubscription *handle, natsStatus status,
                       void *closure)
{
    (void)connection;
    (void)handle;
    if (status != NATS_SLOW_CONSUMER) { /* what was dropped is seen in on_message */
        report_refusal(closure, natsStatus_GetText(status));
    }
}

/* Counts what libnats dropped because its own thread was too slow. It drops only while
 * messages wait, so one of these calls comes after every drop. */
static void count_inbox_drops(struct kj__nats_subscription *subscription, natsSubscription *handle)
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
    struct kj__nats_subscription *subscription = closure;
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

/* Tells why the broker will not have us, once for each time it goes away. */
static void tell_refusal(struct kj__nats *self, natsStatus status)
{
    const char *why = nats_GetLastError(NULL);
    const char *after_place = why ? strstr(why, "): ") : NULL; /* "(conn.c:12): text" */
    bool unreachable = status == NATS_NO_SERVER || status == NATS_TIMEOUT ||
                       status == NATS_IO_ERROR;
    if (!unreachable && !self->wire->refusal_told) {
        self->wire->refusal_told = true;
        report_refusal(self, after_place ? after_place + 3 : natsStatus_GetText(status));
    }
}

/* Makes the first connection, and the next one after libnats has given one up. */
static void dial(struct kj__nats *self)
{
    natsStatus status = natsConnection_Connect(&self->wire->connection, self->wire->options);
    pthread_mutex_lock(&self->lock);
    if (!self->closing && status == NATS_OK) {
        link_is_up(self);
    } else if (!self->closing) {
        link_is_away(self);
    }
    pthread_mutex_unlock(&self->lock);
    if (status == NATS_OK) {
        self->wire->refusal_told = false;
        atomic_store(&self->rearrange, true); /* for those that waited for a connection */
    } else {
        self->wire->connection = NULL;
        self->wire->retry_at_ms = kj__clock_monotonic_ms() + self->reconnect_wait_ms;
        tell_refusal(self, status);
    }
}

/* Tells the broker, if it knows of the subscription, that it is over. */
static void forget_handle(struct kj__nats_subscription *subscription)
{
    natsSubscription_Destroy(subscription->handle);
    subscription->handle = NULL;
}

/* No lower than the limit of the queue behind it. */
static int inbox_limit(const struct kj_subscription *subscription)
{
    size_t limit = subscription->queue.limit;
    return limit < INBOX_LIMIT ? INBOX_LIMIT : limit < INT_MAX ? (int)limit : INT_MAX;
}

/* False when libnats would not have it; the subscription is then joining still. */
static bool join(struct kj__nats *self, struct kj__nats_subscription *subscription)
{
    struct kj_subscription *base = &subscription->base;
    natsSubscription *handle = NULL;
    kj__subscription_ref(base); /* given back by on_complete */
    natsStatus status = base->group
                            ? natsConnection_QueueSubscribe(&handle, self->wire->connection,
                                                            base->topic, base->group, on_message,
                                                            subscription)
                            : natsConnection_Subscribe(&handle, self->wire->connection, base->topic,
                                                       on_message, subscription);
    if (status == NATS_OK) {
        natsSubscription_SetPendingLimits(handle, inbox_limit(base), INBOX_BYTES);
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
    if (subscription->place == KJ__NATS_JOINED) {
        kj__nats_move(subscription, KJ__NATS_JOINING);
    }
    pthread_mutex_unlock(&self->lock);
    return false;
}

static void let_go_all(struct kj__nats *self)
{
    for (;;) {
        pthread_mutex_lock(&self->lock);
        struct kj__nats_subscription *subscription = kj__nats_first(self, KJ__NATS_LEAVING);
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

static void join_all(struct kj__nats *self)
{
    for (;;) {
        pthread_mutex_lock(&self->lock);
        struct kj__nats_subscription *subscription = kj__nats_first(self, KJ__NATS_JOINING);
        if (subscription) {
            kj__nats_move(subscription, KJ__NATS_JOINED);
        }
        pthread_mutex_unlock(&self->lock);
        if (!subscription) {
            return;
        }
        if (!join(self, subscription)) {
            self->wire->retry_at_ms = kj__clock_monotonic_ms() + self->reconnect_wait_ms;
            return;
        }
    }
}

static void rearrange(struct kj__nats *self)
{
    if (atomic_exchange(&self->rearrange, false)) {
        let_go_all(self);
        if (self->wire->connection) {
            join_all(self);
        }
    }
}

/* Ends the connection and waits until libnats calls back no more for it. Subscriptions that
 * go on are to join the next one. */
static void hang_up(struct kj__nats *self)
{
    if (!self->wire->connection) {
        return;
    }
    for (;;) {
        pthread_mutex_lock(&self->lock);
        struct kj__nats_subscription *subscription = kj__nats_first(self, KJ__NATS_JOINED);
        if (subscription) {
            kj__nats_move(subscription, KJ__NATS_JOINING);
        }
        pthread_mutex_unlock(&self->lock);
        if (!subscription) {
            break;
        }
        forget_handle(subscription);
    }
    let_go_all(self);
    natsConnection_Destroy(self->wire->connection);
    self->wire->connection = NULL;
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
static bool send_one(struct kj__nats *self, struct kj_publication *publication)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    natsStatus status = NATS_MAX_PAYLOAD;
    if (kj_publication_encode(publication, &bytes, &len)) {
        status = NATS_NO_MEMORY;
    } else if (len <= INT32_MAX) {
        status = natsConnection_Publish(self->wire->connection, kj_publication_topic(publication),
                                        bytes, (int)len);
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

static void answer_ping(struct kj__nats *self)
{
    if (!atomic_load(&self->pinged)) {
        return;
    }
    pthread_mutex_lock(&self->lock);
    uint64_t ticket = self->ping_wanted;
    uint64_t now = kj__clock_monotonic_ms();
    bool late = now >= self->ping_deadline_ms;
    bool due = !late && self->wire->handled >= self->ping_after;
    uint64_t left = due ? self->ping_deadline_ms - now : 0;
    if (late || due) {
        atomic_store(&self->pinged, false);
    }
    pthread_mutex_unlock(&self->lock);
    if (!due) {
        return;
    }
    rearrange(self); /* a subscription made before the ping reaches the broker before it */
    natsStatus status = natsConnection_FlushTimeout(self->wire->connection, (int64_t)left);
    pthread_mutex_lock(&self->lock);
    self->ping_answered = ticket;
    self->ping_status = status == NATS_OK        ? KJ_OK
                        : status == NATS_TIMEOUT ? KJ_ETIMEOUT
                                                 : KJ_EDISCONNECTED;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

/* Sends while the link is up. A subscription made before a publication joins before it. */
static void send_all(struct kj__nats *self)
{
    while (atomic_load(&self->link) == KJ__NATS_UP) {
        answer_ping(self);
        if (!self->wire->in_hand && kj__queue_take(&self->outgoing, &self->wire->in_hand, 1) == 0) {
            return;
        }
        rearrange(self);
        if (!send_one(self, self->wire->in_hand)) {
            self->wire->retry_at_ms = kj__clock_monotonic_ms() + SEND_RETRY_MS;
            return;
        }
        kj_publication_unref(self->wire->in_hand);
        self->wire->in_hand = NULL;
        self->wire->handled++;
    }
}

/* Waits until there is something to do; false when closing. */
static bool wait_for_work(struct kj__nats *self, bool *ended)
{
    pthread_mutex_lock(&self->lock);
    while (!self->woken && !self->closing) {
        if (self->wire->retry_at_ms == 0) {
            pthread_cond_wait(&self->work, &self->lock);
        } else if (!kj__condition_wait_until(&self->work, &self->lock, self->wire->retry_at_ms)) {
            break;
        }
    }
    self->woken = false;
    if (self->wire->retry_at_ms <= kj__clock_monotonic_ms()) {
        self->wire->retry_at_ms = 0;
    }
    *ended = self->ended;
    bool open = !self->closing;
    pthread_mutex_unlock(&self->lock);
    return open;
}

void *kj__nats_run_courier(void *arg)
{
    struct kj__nats *self = arg;
    bool ended = false;
    dial(self);
    while (wait_for_work(self, &ended)) {
        if (ended) {
            hang_up(self);
            self->wire->retry_at_ms = kj__clock_monotonic_ms() + self->reconnect_wait_ms;
        } else if (!self->wire->connection && self->wire->retry_at_ms == 0) {
            dial(self);
        }
        rearrange(self);
        send_all(self);
    }
    if (self->wire->in_hand) {
        kj__nats_discard(self, self->wire->in_hand);
    }
    if (self->wire->connection &&
        natsConnection_Status(self->wire->connection) == NATS_CONN_STATUS_CONNECTED) {
        /* libnats resets the socket, which would lose what the kernel still holds. */
        natsConnection_FlushTimeout(self->wire->connection, LAST_FLUSH_MS);
    }
    hang_up(self);
    nats_ReleaseThreadMemory();
    return NULL;
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
static natsStatus set_resilience(natsOptions *to, struct kj__nats *self)
{
    const natsStatus results[] = {
        natsOptions_SetMaxReconnect(to, -1),
        natsOptions_SetReconnectWait(to, self->reconnect_wait_ms),
        /* Publications wait in our queue, where they are bounded and counted; libnats takes
         * one at most before it says that it is reconnecting. */
        natsOptions_SetReconnectBufSize(to, 1),
        natsOptions_SetWriteDeadline(to, WRITE_DEADLINE_MS),
        natsOptions_SetPingInterval(to, KEEPALIVE_MS),
        natsOptions_SetMaxPingsOut(to, KEEPALIVE_MISSES),
        natsOptions_SetDisconnectedCB(to, on_disconnected, self),
        natsOptions_SetReconnectedCB(to, on_reconnected, self),
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

static natsStatus make_options(struct kj__nats *self, const struct kj__nats_urls *urls,
                               const struct kj_pubsub_nats_options *options)
{
    natsStatus status = natsOptions_Create(&self->wire->options);
    if (status != NATS_OK) {
        return status;
    }
    natsOptions *to = self->wire->options;
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

enum kj_status kj__nats_wire_new(struct kj__nats *self, const struct kj__nats_urls *urls,
                                 const struct kj_pubsub_nats_options *options)
{
    self->wire = calloc(1, sizeof *self->wire);
    if (!self->wire) {
        return KJ_ENOMEM;
    }
    return make_options(self, urls, options) == NATS_OK ? KJ_OK : KJ_ENOMEM;
}

void kj__nats_wire_free(struct kj__nats_wire *wire)
{
    if (wire) {
        natsOptions_Destroy(wire->options);
        free(wire);
    }
}
