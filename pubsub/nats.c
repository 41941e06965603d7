/* nats.c - the courier of the NATS backend: joins, sends, receives.
 *
 * We are in touch with the broker (KJ__NATS_UP) when both lines stand and the broker has
 * confirmed all subscriptions: only then is anything published, so our own subscriptions
 * hear it. Messages arrive on a libnats thread that only decodes and pushes.
 */
#include "base/clock.h"
#include "codec/publication.h"
#include "pubsub/nats_wire.h"
#include "pubsub/thread.h"

#include <limits.h>

enum {
    SEND_RETRY_MS = 50,
    LAST_FLUSH_MS = 500,
    /* Bounds the wait for a confirmation, after which it is asked for again. */
    CONFIRM_MS = 1000,
    /* Messages libnats may hold for its own thread, which never waits. */
    INBOX_LIMIT = 65536,
    INBOX_BYTES = 64 << 20,
};

/* Lock held. */
static bool all_lines_up(const struct kj__nats *self)
{
    return self->wire->lines[KJ__NATS_SUBSCRIBING].up && self->wire->lines[KJ__NATS_PUBLISHING].up;
}

/* Lock held. */
static void link_is_up(struct kj__nats *self)
{
    atomic_store(&self->link, KJ__NATS_UP);
    self->refusal_told = false;
    if (self->away_told) {
        self->away_told = false;
        kj__alarm_raise(self->back, &self->hub.reporter);
    }
    pthread_cond_broadcast(&self->changed);
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
        kj__alarm_raise(subscription->owner->inbox_full, &subscription->base.hub->reporter);
    }
}

/* Gives a publication whose sender waits for an answer the way back. Where the message names no
 * subject for it, or none one may publish to, no answer is expected, whatever its mode says. */
static enum kj_status attach_reply(struct kj__hub *hub, struct kj_publication *publication,
                                   const char *reply_to)
{
    bool is_wanted = reply_to && kj_topic_is_valid(reply_to);
    return is_wanted ? kj__desk_attach(hub->desk, publication, reply_to) : KJ_OK;
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
    } else if (attach_reply(hub, publication, natsMsg_GetReply(message))) {
        KJ__HUB_COUNT(hub, dropped);
        kj_publication_unref(publication);
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

/* Up to version 3.5 libnats's reader, between finding the subscription of a message and taking its
 * lock, holds nothing of it: what is destroyed then is used all the same. So a handle goes once the
 * reader has read what the broker sent behind such a message, or is gone itself. */
static void forget_handle(struct kj__nats_subscription *subscription)
{
    natsSubscription_Destroy(subscription->handle);
    subscription->handle = NULL;
}

/* A limit of libnats: no lower than that of the queue behind it. */
static int inbox_limit(uint64_t queue_limit, int least)
{
    return queue_limit < (uint64_t)least ? least
           : queue_limit < INT_MAX       ? (int)queue_limit
                                         : INT_MAX;
}

/* False when libnats would not have it; the subscription is then joining still. */
static bool join(struct kj__nats *self, struct kj__nats_subscription *subscription)
{
    struct kj_subscription *base = &subscription->base;
    natsConnection *connection = self->wire->lines[KJ__NATS_SUBSCRIBING].connection;
    natsSubscription *handle = NULL;
    kj__subscription_ref(base); /* given back by on_complete */
    natsStatus status = base->group
                            ? natsConnection_QueueSubscribe(&handle, connection, base->topic,
                                                            base->group, on_message, subscription)
                            : natsConnection_Subscribe(&handle, connection, base->topic, on_message,
                                                       subscription);
    self->wire->confirmed = false;
    if (status == NATS_OK) {
        natsSubscription_SetPendingLimits(handle,
                                          inbox_limit(base->backlog.queue.limit, INBOX_LIMIT),
                                          inbox_limit(base->backlog.byte_limit, INBOX_BYTES));
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

/* Tells the broker, if it knows of them, that they are over. */
static void let_go_all(struct kj__nats *self)
{
    for (;;) {
        pthread_mutex_lock(&self->lock);
        struct kj__nats_subscription *subscription = kj__nats_first(self, KJ__NATS_LEAVING);
        if (subscription) {
            kj__nats_move(subscription, KJ__NATS_LEFT);
        }
        pthread_mutex_unlock(&self->lock);
        if (!subscription) {
            return;
        }
        natsSubscription_Unsubscribe(subscription->handle);
        self->wire->confirmed = false; /* a group's publications are the others' from now on */
    }
}

/* Of those that left, once no reader can know of them any more. */
static void forget_all(struct kj__nats *self)
{
    for (;;) {
        pthread_mutex_lock(&self->lock);
        struct kj__nats_subscription *subscription = kj__nats_first(self, KJ__NATS_LEFT);
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
        if (self->wire->lines[KJ__NATS_SUBSCRIBING].connection) {
            join_all(self);
        }
    }
}

/* After the end of the connection: subscriptions that go on are to join the next one. */
static void leave_all(struct kj__nats *self)
{
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
    forget_all(self);
}

static void hang_up(struct kj__nats *self, struct kj__nats_line *line)
{
    kj__nats_hang_up(line);
    if (line == &self->wire->lines[KJ__NATS_SUBSCRIBING]) {
        leave_all(self);
    } else {
        kj__nats_close_inbox(self);
    }
}

/* Makes the first connection, and the next one after libnats has given one up. */
static bool try_to_dial(struct kj__nats *self, struct kj__nats_line *line)
{
    if (self->wire->retry_at_ms > 0) {
        return false;
    }
    if (!kj__nats_dial(line)) {
        self->wire->retry_at_ms = kj__clock_monotonic_ms() + self->reconnect_wait_ms;
        return false;
    }
    atomic_store(&self->rearrange, true); /* for those that waited for a connection */
    return true;
}

/* Clears away what libnats has given up, and dials what is missing. */
static void mend(struct kj__nats *self)
{
    for (size_t i = 0; i < KJ__NATS_LINE_COUNT; i++) {
        struct kj__nats_line *line = &self->wire->lines[i];
        pthread_mutex_lock(&self->lock);
        bool ended = line->ended;
        pthread_mutex_unlock(&self->lock);
        if (ended) {
            hang_up(self, line);
            self->wire->retry_at_ms = kj__clock_monotonic_ms() + self->reconnect_wait_ms;
        }
        if (!line->connection && !try_to_dial(self, line)) {
            return;
        }
    }
}

/* Waits until the broker knows of all that has been written to that line; in short steps,
 * so that who closes the backend does not wait for a ping with a long time. */
static natsStatus flush(const struct kj__nats *self, size_t line, uint64_t until_ms)
{
    natsConnection *connection = self->wire->lines[line].connection;
    natsStatus status = NATS_TIMEOUT;
    uint64_t now = kj__clock_monotonic_ms();
    while (status == NATS_TIMEOUT && now < until_ms) {
        uint64_t left = until_ms - now;
        status = natsConnection_FlushTimeout(connection,
                                             left < CONFIRM_MS ? (int64_t)left : CONFIRM_MS);
        if (atomic_load(&self->link) != KJ__NATS_UP) {
            break;
        }
        now = kj__clock_monotonic_ms();
    }
    return status;
}

/* Whether the broker knows all subscriptions; asks it when that is in doubt. */
static bool confirm(struct kj__nats *self)
{
    if (!self->wire->confirmed) {
        uint64_t until_ms = kj__clock_monotonic_ms() + CONFIRM_MS;
        self->wire->confirmed = flush(self, KJ__NATS_SUBSCRIBING, until_ms) == NATS_OK;
        if (self->wire->confirmed) {
            forget_all(self);
        }
    }
    return self->wire->confirmed;
}

/* Finds out whether we are in touch with the broker. */
static void settle(struct kj__nats *self)
{
    pthread_mutex_lock(&self->lock);
    bool due = all_lines_up(self) && atomic_load(&self->link) != KJ__NATS_UP && !self->closing;
    pthread_mutex_unlock(&self->lock);
    if (!due) {
        return;
    }
    self->wire->confirmed = false;
    if (!confirm(self)) {
        self->wire->retry_at_ms = kj__clock_monotonic_ms() + SEND_RETRY_MS;
        return;
    }
    pthread_mutex_lock(&self->lock);
    if (all_lines_up(self) && !self->closing) {
        link_is_up(self);
    }
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

static natsStatus write_message(struct kj__nats *self, const struct kj_publication *publication)
{
    natsConnection *connection = self->wire->lines[KJ__NATS_PUBLISHING].connection;
    const char *reply_to = kj__publication_reply_to(publication);
    uint8_t *bytes = NULL;
    size_t len = 0;
    natsStatus status = reply_to ? kj__nats_open_inbox(self) : NATS_OK;
    if (status != NATS_OK) {
        return status;
    }
    if (kj__publication_message(publication, &bytes, &len)) {
        status = NATS_NO_MEMORY;
    } else if (len > INT32_MAX) {
        status = NATS_MAX_PAYLOAD;
    } else if (reply_to) {
        status = natsConnection_PublishRequest(connection, kj_publication_topic(publication),
                                               reply_to, bytes, (int)len);
    } else {
        status = natsConnection_Publish(connection, kj_publication_topic(publication), bytes,
                                        (int)len);
    }
    free(bytes);
    return status;
}

/* False when the publication has to wait for the broker. */
static bool send_one(struct kj__nats *self, struct kj_publication *publication)
{
    struct kj__hub *hub = &self->hub;
    const char *reply_to = kj__publication_reply_to(publication);
    if (reply_to && !kj__requests_is_open(&hub->requests, reply_to)) {
        KJ__HUB_COUNT(hub, discarded); /* its time was over while it waited for the broker */
        return true;
    }
    natsStatus status = write_message(self, publication);
    if (is_passing(status)) {
        return false;
    }
    if (status != NATS_OK) {
        KJ__HUB_COUNT(hub, failed);
        kj__alarm_raise(self->unsendable, &hub->reporter);
        if (reply_to) {
            kj__requests_fail(&hub->requests, reply_to, KJ_EIO);
        }
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
    uint64_t until_ms = self->ping_deadline_ms;
    if (late || due) {
        atomic_store(&self->pinged, false);
    }
    pthread_mutex_unlock(&self->lock);
    if (!due) {
        return;
    }
    rearrange(self); /* a subscription made before the ping reaches the broker before it */
    natsStatus status = flush(self, KJ__NATS_SUBSCRIBING, until_ms);
    if (status == NATS_OK) {
        status = flush(self, KJ__NATS_PUBLISHING, until_ms);
    }
    pthread_mutex_lock(&self->lock);
    self->ping_answered = ticket;
    self->ping_status = status == NATS_OK        ? KJ_OK
                        : status == NATS_TIMEOUT ? KJ_ETIMEOUT
                                                 : KJ_EDISCONNECTED;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

/* What left is not kept until there is something to send. */
static void forget_when_idle(struct kj__nats *self)
{
    pthread_mutex_lock(&self->lock);
    bool some_left = !kj__list_is_empty(&self->places[KJ__NATS_LEFT]);
    pthread_mutex_unlock(&self->lock);
    if (some_left && !confirm(self)) {
        self->wire->retry_at_ms = kj__clock_monotonic_ms() + SEND_RETRY_MS;
    }
}

/* Sends while the link is up. A subscription made before a publication joins before it. */
static void send_all(struct kj__nats *self)
{
    while (atomic_load(&self->link) == KJ__NATS_UP) {
        answer_ping(self);
        if (!self->wire->in_hand) {
            self->wire->in_hand = kj__backlog_take(&self->outgoing);
        }
        if (!self->wire->in_hand) {
            forget_when_idle(self);
            return;
        }
        rearrange(self);
        if (!confirm(self) || !send_one(self, self->wire->in_hand)) {
            self->wire->retry_at_ms = kj__clock_monotonic_ms() + SEND_RETRY_MS;
            return;
        }
        kj_publication_unref(self->wire->in_hand);
        self->wire->in_hand = NULL;
        self->wire->handled++;
    }
}

/* Waits until there is something to do; false when closing. */
static bool wait_for_work(struct kj__nats *self)
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
    bool open = !self->closing;
    pthread_mutex_unlock(&self->lock);
    return open;
}

void *kj__nats_run_courier(void *arg)
{
    struct kj__nats *self = arg;
    struct kj__nats_line *publishing = &self->wire->lines[KJ__NATS_PUBLISHING];
    do {
        mend(self);
        rearrange(self);
        settle(self);
        send_all(self);
    } while (wait_for_work(self));
    if (self->wire->in_hand) {
        kj__nats_discard(self, self->wire->in_hand);
    }
    if (publishing->connection &&
        natsConnection_Status(publishing->connection) == NATS_CONN_STATUS_CONNECTED) {
        /* libnats resets the socket, which would lose what the kernel still holds. */
        natsConnection_FlushTimeout(publishing->connection, LAST_FLUSH_MS);
    }
    hang_up(self, publishing);
    hang_up(self, &self->wire->lines[KJ__NATS_SUBSCRIBING]);
    nats_ReleaseThreadMemory();
    return NULL;
}
