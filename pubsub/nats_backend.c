/* nats_backend.c - what callers of the NATS backend run; see nats_courier.h. */
#include "base/clock.h"
#include "codec/publication.h"
#include "pubsub/nats_courier.h"
#include "pubsub/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_RECONNECT_WAIT_MS = 500 };

static struct kj__nats *nats_of(struct kj_pubsub *base)
{
    return KJ__CONTAINER_OF(base, struct kj__nats, base);
}

static struct kj__nats_subscription *nats_subscription_of(struct kj_subscription *base)
{
    return KJ__CONTAINER_OF(base, struct kj__nats_subscription, base);
}

void kj__nats_wake(struct kj__nats *self)
{
    self->woken = true;
    pthread_cond_signal(&self->work);
}

void kj__nats_move(struct kj__nats_subscription *subscription, enum kj__nats_place place)
{
    struct kj__nats *self = subscription->owner;
    kj__list_unlink(&subscription->node);
    kj__list_append(&self->places[place], &subscription->node);
    subscription->place = place;
    if (place == KJ__NATS_JOINING || place == KJ__NATS_LEAVING) {
        atomic_store(&self->rearrange, true);
    }
}

struct kj__nats_subscription *kj__nats_first(struct kj__nats *self, enum kj__nats_place place)
{
    struct kj__list *list = &self->places[place];
    return kj__list_is_empty(list)
               ? NULL
               : KJ__CONTAINER_OF(list->next, struct kj__nats_subscription, node);
}

void kj__nats_discard(struct kj__nats *self, struct kj_publication *publication)
{
    kj_publication_unref(publication);
    KJ__HUB_COUNT(&self->hub, discarded);
}

static enum kj_status refuse(struct kj__nats *self, struct kj__alarm *why)
{
    KJ__HUB_COUNT(&self->hub, refused);
    kj__alarm_raise(why, &self->hub.reporter);
    return KJ_EFULL;
}

/* Leaves a publication, request or answer to the courier. */
static enum kj_status enqueue(struct kj__nats *self, struct kj_publication *publication)
{
    bool was_empty = false;
    switch (kj__backlog_push(&self->outgoing, publication, &was_empty)) {
    case KJ__BACKLOG_PUSHED:
        break;
    case KJ__BACKLOG_TOO_MANY:
        return refuse(self, self->too_many);
    case KJ__BACKLOG_TOO_LARGE:
        return refuse(self, self->too_large);
    case KJ__BACKLOG_CLOSED:
        return KJ_ECLOSED;
    case KJ__BACKLOG_NO_MEMORY:
        return KJ_ENOMEM;
    }
    atomic_fetch_add(&self->queued, 1);
    if (was_empty) {
        pthread_mutex_lock(&self->lock);
        kj__nats_wake(self);
        pthread_mutex_unlock(&self->lock);
    }
    return KJ_OK;
}

static enum kj_status nats_publish(struct kj_pubsub *base, struct kj_publication *publication)
{
    struct kj__nats *self = nats_of(base);
    enum kj_status status = enqueue(self, publication);
    if (!status) {
        KJ__HUB_COUNT(&self->hub, published);
    }
    return status;
}

static enum kj_status nats_request(struct kj_pubsub *base, const struct kj_publication *publication,
                                   const struct kj_request_options *options)
{
    struct kj__nats *self = nats_of(base);
    char address[KJ__REQUEST_ADDRESS_SIZE];
    const struct kj__publication_change change = {.reply_to = address,
                                                  .response_mode = options->mode};
    struct kj_publication *copy;
    enum kj_status status = kj__hub_open_request(&self->hub, options, address);
    if (status) {
        return status;
    }
    status = kj__publication_copy(publication, &change, &copy);
    if (!status) {
        status = enqueue(self, copy);
        kj_publication_unref(copy);
    }
    if (status && !kj__requests_withdraw(&self->hub.requests, address)) {
        return KJ_OK; /* it was settled meanwhile, and so its handler is told */
    }
    if (!status) {
        KJ__HUB_COUNT(&self->hub, published);
    }
    return status;
}

static enum kj_status nats_send_answer(struct kj__hub *hub, struct kj_publication *answer)
{
    return enqueue(KJ__CONTAINER_OF(hub, struct kj__nats, hub), answer);
}

static void nats_unsubscribe(struct kj_pubsub *base, struct kj_subscription *subscription)
{
    struct kj__nats *self = nats_of(base);
    pthread_mutex_lock(&self->lock);
    kj__nats_move(nats_subscription_of(subscription), KJ__NATS_LEAVING);
    kj__nats_wake(self);
    pthread_mutex_unlock(&self->lock);
    kj__subscription_stop(subscription);
}

static enum kj_status nats_subscribe(struct kj_pubsub *base, const char *topic,
                                     const struct kj_subscribe_options *options,
                                     kj_pubsub_handler handler, void *ctx,
                                     struct kj_subscription **out)
{
    struct kj__nats *self = nats_of(base);
    struct kj__nats_subscription *subscription = calloc(1, sizeof *subscription);
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
        kj__nats_move(subscription, KJ__NATS_JOINING);
        *out = &subscription->base; /* before the handler can run and ask for it */
        kj__nats_wake(self);
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
static enum kj_status ping_result(const struct kj__nats *self, uint64_t ticket)
{
    if (self->closing) {
        return KJ_ECLOSED;
    }
    if (self->ping_answered >= ticket) {
        return self->ping_status;
    }
    return atomic_load(&self->link) == KJ__NATS_UP ? KJ_ETIMEOUT : KJ_EDISCONNECTED;
}

static enum kj_status nats_ping(struct kj_pubsub *base, uint32_t timeout_ms)
{
    struct kj__nats *self = nats_of(base);
    uint64_t deadline = kj__clock_monotonic_ms() + timeout_ms;
    pthread_mutex_lock(&self->lock);
    uint64_t ticket = ++self->ping_wanted;
    self->ping_after = atomic_load(&self->queued);
    if (self->ping_deadline_ms < deadline) {
        self->ping_deadline_ms = deadline;
    }
    atomic_store(&self->pinged, true);
    kj__nats_wake(self);
    while (!self->closing && self->ping_answered < ticket &&
           atomic_load(&self->link) != KJ__NATS_AWAY &&
           kj__condition_wait_until(&self->changed, &self->lock, deadline)) {
    }
    enum kj_status status = ping_result(self, ticket);
    pthread_mutex_unlock(&self->lock);
    return status;
}

static void nats_close(struct kj_pubsub *base)
{
    struct kj__nats *self = nats_of(base);
    pthread_mutex_lock(&self->lock);
    self->closing = true;
    atomic_store(&self->link, KJ__NATS_AWAY);
    for (enum kj__nats_place place = KJ__NATS_JOINING; place <= KJ__NATS_JOINED; place++) {
        struct kj__list *list = &self->places[place];
        for (struct kj__list *n = list->next; n != list; n = n->next) {
            kj__subscription_silence(
                &KJ__CONTAINER_OF(n, struct kj__nats_subscription, node)->base);
        }
    }
    kj__nats_wake(self);
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);

    kj__backlog_close(&self->outgoing);
    struct kj_publication *publication;
    while ((publication = kj__backlog_take(&self->outgoing))) {
        kj__nats_discard(self, publication);
    }
    kj__requests_close(&self->hub.requests);
}

/* Releases what kj_pubsub_nats_new made before it started the courier. */
static void fini(struct kj__nats *self)
{
    struct kj__reporter *reporter = &self->hub.reporter;
    kj__alarm_release(self->away, reporter);
    kj__alarm_release(self->back, reporter);
    kj__alarm_release(self->too_many, reporter);
    kj__alarm_release(self->too_large, reporter);
    kj__alarm_release(self->inbox_full, reporter);
    kj__alarm_release(self->unsendable, reporter);
    kj__alarm_release(self->undecodable, reporter);
    kj__backlog_fini(&self->outgoing);
    pthread_cond_destroy(&self->work);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    kj__nats_wire_free(self->wire);
}

/* Any subscription not yet ended, or NULL. */
static struct kj__nats_subscription *first_open(struct kj__nats *self)
{
    /* One look at both lists: the courier moves subscriptions from one to the other. */
    pthread_mutex_lock(&self->lock);
    struct kj__nats_subscription *subscription = kj__nats_first(self, KJ__NATS_JOINING);
    if (!subscription) {
        subscription = kj__nats_first(self, KJ__NATS_JOINED);
    }
    pthread_mutex_unlock(&self->lock);
    return subscription;
}

/* Gives up the lists' references that the courier did not come to; it has ended. */
static void forget_left(struct kj__nats *self)
{
    struct kj__list *left = &self->places[KJ__NATS_LEAVING];
    while (!kj__list_is_empty(left)) {
        struct kj__nats_subscription *subscription = kj__nats_first(self, KJ__NATS_LEAVING);
        kj__list_unlink(&subscription->node);
        kj__subscription_unref(&subscription->base);
    }
}

/* Until libnats calls for none of them. */
static void wait_for_inboxes(struct kj__nats *self)
{
    pthread_mutex_lock(&self->lock);
    while (self->inboxes > 0) {
        pthread_cond_wait(&self->changed, &self->lock);
    }
    pthread_mutex_unlock(&self->lock);
}

static void nats_free(struct kj_pubsub *base)
{
    struct kj__nats *self = nats_of(base);
    nats_close(base);
    kj__requests_stop(&self->hub.requests);
    for (struct kj__nats_subscription *s = first_open(self); s; s = first_open(self)) {
        nats_unsubscribe(base, &s->base);
    }
    pthread_join(self->courier, NULL);
    forget_left(self);
    wait_for_inboxes(self);
    kj__hub_wait(&self->hub);
    fini(self);
    kj__hub_fini(&self->hub);
    free(self);
}

static bool nats_is_away(struct kj_pubsub *base)
{
    return atomic_load(&nats_of(base)->link) != KJ__NATS_UP;
}

static const struct kj_pubsub_ops nats_ops = {
    .name = "nats",
    .publish = nats_publish,
    .request = nats_request,
    .subscribe = nats_subscribe,
    .unsubscribe = nats_unsubscribe,
    .stats = nats_stats,
    .ping = nats_ping,
    .close = nats_close,
    .free = nats_free,
    .is_away = nats_is_away,
};

/* Whether the file has the two parts a .creds file is made of. */
static bool is_credentials_file(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    char line[4096];
    bool token = false, seed = false;
    while (fgets(line, sizeof line, file)) {
        token = token || strstr(line, "BEGIN NATS USER JWT");
        seed = seed || strstr(line, "BEGIN USER NKEY SEED");
    }
    fclose(file);
    return token && seed;
}

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
    if (options->credentials_file && !is_credentials_file(options->credentials_file)) {
        kj_error_set(error, 0, "nats credentials_file: no token and seed can be read from %s",
                     options->credentials_file);
        return KJ_EINVAL;
    }
    return KJ_OK;
}

static bool make_alarms(struct kj__nats *self, const char *urls)
{
    self->away = kj__alarm_new(KJ_EDISCONNECTED,
                               "the broker at %.256s is away; trying on until it is back", urls);
    self->back = kj__alarm_new(KJ_OK, "the broker is back");
    self->too_many = kj__alarm_new(KJ_EFULL,
                                   "publications are refused because %zu wait for the broker "
                                   "already; see to the broker or raise publish_queue_limit",
                                   self->outgoing.queue.limit);
    self->too_large = kj__alarm_new(
        KJ_EFULL,
        "publications are refused because those that wait for the broker come to %" PRIu64
        " bytes; see to the broker or raise publish_queue_bytes",
        self->outgoing.byte_limit);
    self->inbox_full = kj__alarm_new(KJ_EFULL, "publications are dropped because they arrive "
                                               "faster than they can be decoded");
    self->unsendable = kj__alarm_new(KJ_EIO, "a publication is lost because it cannot be sent; "
                                             "is it larger than the broker's max_payload?");
    self->undecodable = kj__alarm_new(KJ_EPARSE, "a message was ignored because it is not a "
                                                 "publication; who else uses this topic?");
    return self->away && self->back && self->too_many && self->too_large && self->inbox_full &&
           self->unsendable && self->undecodable;
}

static void init(struct kj__nats *self, const struct kj_pubsub_nats_options *options)
{
    self->base.ops = &nats_ops;
    self->reconnect_wait_ms = options->reconnect_wait_ms ? options->reconnect_wait_ms
                                                         : DEFAULT_RECONNECT_WAIT_MS;
    kj__backlog_init(&self->outgoing, options->publish_queue_limit, options->publish_queue_bytes);
    pthread_mutex_init(&self->lock, NULL);
    kj__condition_init(&self->work);
    kj__condition_init(&self->changed);
    for (enum kj__nats_place place = KJ__NATS_JOINING; place < KJ__NATS_PLACE_COUNT; place++) {
        kj__list_init(&self->places[place]);
    }
}

/* Takes over nothing: on failure all is released but `self` itself. */
static enum kj_status start(struct kj__nats *self, const struct kj__nats_urls *urls,
                            const struct kj_pubsub_nats_options *options)
{
    const struct kj__hub_setup setup = {.module = "pubsub.nats",
                                        .errors = &options->errors,
                                        .request_limit = options->request_limit,
                                        .send = nats_send_answer};
    if (!kj__hub_init(&self->hub, &setup)) {
        return KJ_ENOMEM;
    }
    init(self, options);
    if (kj__nats_wire_new(self, urls, options) == KJ_OK && make_alarms(self, urls->shown) &&
        kj__thread_start(&self->courier, "kj-nats", kj__nats_run_courier, self)) {
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
    if (!status) {
        status = kj__nats_wire_check_tls(options, &urls, error);
    }
    struct kj__nats *self = status ? NULL : calloc(1, sizeof *self);
    if (!status) {
        kj__nats_urls_shuffle(&urls);
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
