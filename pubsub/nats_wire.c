/* nats_wire.c - see nats_wire.h. libnats's callbacks only set flags and wake the courier. */
#include "pubsub/nats_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* A broker that reads nothing for this long is left, which bounds every call that has
     * to wait for the courier. */
    WRITE_DEADLINE_MS = 5000,
    /* A broker behind a dead link is noticed after two of these. */
    KEEPALIVE_MS = 10000,
    KEEPALIVE_MISSES = 2,
};

/* Both lines break when the broker dies: that is one disconnect. Lock held. */
static void link_is_away(struct kj__nats *self)
{
    if (atomic_exchange(&self->link, KJ__NATS_AWAY) == KJ__NATS_UP) {
        KJ__HUB_COUNT(&self->hub, disconnects);
    }
    if (!self->away_told) {
        self->away_told = true;
        kj__alarm_raise(self->away, &self->hub.reporter);
    }
    pthread_cond_broadcast(&self->changed);
}

static void on_reconnected(natsConnection *connection, void *closure)
{
    struct kj__nats_line *line = closure;
    struct kj__nats *self = line->owner;
    (void)connection;
    pthread_mutex_lock(&self->lock);
    line->up = true;
    kj__nats_wake(self);
    pthread_mutex_unlock(&self->lock);
}

static void on_disconnected(natsConnection *connection, void *closure)
{
    struct kj__nats_line *line = closure;
    struct kj__nats *self = line->owner;
    (void)connection;
    pthread_mutex_lock(&self->lock);
    line->up = false;
    if (!self->closing) {
        link_is_away(self);
    }
    pthread_mutex_unlock(&self->lock);
}

static void on_ended(natsConnection *connection, void *closure)
{
    struct kj__nats_line *line = closure;
    struct kj__nats *self = line->owner;
    (void)connection;
    pthread_mutex_lock(&self->lock);
    line->up = false;
    line->ended = true;
    if (!self->closing) {
        link_is_away(self);
    }
    kj__nats_wake(self);
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

/* Why the broker will not have us is told once for each time it goes away; what it refuses
 * while it is there, each time. */
static void report_refusal(struct kj__nats *self, const char *why)
{
    pthread_mutex_lock(&self->lock);
    bool told = self->refusal_told;
    self->refusal_told = atomic_load(&self->link) != KJ__NATS_UP;
    pthread_mutex_unlock(&self->lock);
    if (told) {
        return;
    }
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
        struct kj__nats_line *line = closure;
        report_refusal(line->owner, natsStatus_GetText(status));
    }
}

static void tell_refusal(struct kj__nats *self, natsStatus status)
{
    const char *why = nats_GetLastError(NULL);
    const char *after_place = why ? strstr(why, "): ") : NULL; /* "(conn.c:12): text" */
    bool unreachable = status == NATS_NO_SERVER || status == NATS_TIMEOUT ||
                       status == NATS_IO_ERROR;
    if (!unreachable) {
        report_refusal(self, after_place ? after_place + 3 : natsStatus_GetText(status));
    }
}

bool kj__nats_dial(struct kj__nats_line *line)
{
    struct kj__nats *self = line->owner;
    pthread_mutex_lock(&self->lock);
    line->up = true; /* now, because callbacks may follow before the next call returns */
    pthread_mutex_unlock(&self->lock);
    natsStatus status = natsConnection_Connect(&line->connection, line->options);
    if (status == NATS_OK) {
        return true;
    }
    line->connection = NULL;
    pthread_mutex_lock(&self->lock);
    line->up = false;
    if (!self->closing) {
        link_is_away(self);
    }
    pthread_mutex_unlock(&self->lock);
    tell_refusal(self, status);
    return false;
}

static void on_answer(natsConnection *connection, natsSubscription *handle, natsMsg *message,
                      void *closure)
{
    struct kj__nats *self = closure;
    struct kj__requests *requests = &self->hub.requests;
    const char *address = natsMsg_GetSubject(message);
    (void)connection;
    (void)handle;
    if (natsMsg_IsNoResponders(message)) {
        kj__requests_fail(requests, address, KJ_ENOTFOUND);
    } else {
        kj__requests_answer(requests, address, (const uint8_t *)natsMsg_GetData(message),
                            (size_t)natsMsg_GetDataLength(message));
    }
    natsMsg_Destroy(message);
}

static void on_inbox_ended(void *closure)
{
    struct kj__nats *self = closure;
    pthread_mutex_lock(&self->lock);
    self->inboxes--;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock); /* the backend may be gone from here on */
}

natsStatus kj__nats_open_inbox(struct kj__nats *self)
{
    struct kj__nats_wire *wire = self->wire;
    char pattern[KJ__REQUEST_PREFIX_SIZE + 1];
    if (wire->inbox) {
        return NATS_OK;
    }
    (void)snprintf(pattern, sizeof pattern, "%s*", self->hub.requests.prefix);
    natsStatus status = natsConnection_Subscribe(
        &wire->inbox, wire->lines[KJ__NATS_PUBLISHING].connection, pattern, on_answer, self);
    if (status != NATS_OK) {
        return status;
    }
    pthread_mutex_lock(&self->lock);
    self->inboxes++;
    pthread_mutex_unlock(&self->lock);
    status = natsSubscription_SetOnCompleteCB(wire->inbox, on_inbox_ended, self);
    if (status != NATS_OK) { /* over already because the connection just ended */
        on_inbox_ended(self);
        kj__nats_close_inbox(self);
    }
    return status;
}

void kj__nats_close_inbox(struct kj__nats *self)
{
    natsSubscription_Destroy(self->wire->inbox);
    self->wire->inbox = NULL;
}

void kj__nats_hang_up(struct kj__nats_line *line)
{
    struct kj__nats *self = line->owner;
    if (!line->connection) {
        return;
    }
    natsConnection_Destroy(line->connection);
    line->connection = NULL;
    pthread_mutex_lock(&self->lock);
    while (!line->ended) {
        pthread_cond_wait(&self->changed, &self->lock);
    }
    line->ended = false;
    pthread_mutex_unlock(&self->lock);
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

/* The files were found good: see kj__nats_wire_check_tls. */
static natsStatus set_tls(natsOptions *to, const struct kj__nats_urls *urls,
                          const struct kj_pubsub_nats_options *options)
{
    if (!urls->is_secure) {
        return NATS_OK;
    }
    const char *certificate = options->tls_certificate;
    const char *key = options->tls_key ? options->tls_key : certificate;
    natsStatus status = natsOptions_SetSecure(to, true);
    if (status == NATS_OK) {
        status = natsOptions_SetExpectedHostname(to, options->tls_name ? options->tls_name
                                                                       : urls->host);
    }
    if (status == NATS_OK && options->tls_ca) {
        status = natsOptions_LoadCATrustedCertificates(to, options->tls_ca);
    }
    if (status == NATS_OK && certificate) {
        status = natsOptions_LoadCertificatesChain(to, certificate, key);
    }
    return status;
}

/* How the connection behaves when the broker does not. */
static natsStatus set_resilience(natsOptions *to, struct kj__nats_line *line)
{
    const natsStatus results[] = {
        natsOptions_SetMaxReconnect(to, -1),
        natsOptions_SetReconnectWait(to, line->owner->reconnect_wait_ms),
        /* Publications wait in our queue, where they are bounded and counted; libnats takes
         * one at most before it says that it is reconnecting. */
        natsOptions_SetReconnectBufSize(to, 1),
        natsOptions_SetWriteDeadline(to, WRITE_DEADLINE_MS),
        natsOptions_SetPingInterval(to, KEEPALIVE_MS),
        natsOptions_SetMaxPingsOut(to, KEEPALIVE_MISSES),
        natsOptions_SetDisconnectedCB(to, on_disconnected, line),
        natsOptions_SetReconnectedCB(to, on_reconnected, line),
        natsOptions_SetClosedCB(to, on_ended, line),
        natsOptions_SetErrorHandler(to, on_trouble, line),
    };
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        if (results[i] != NATS_OK) {
            return results[i];
        }
    }
    return NATS_OK;
}

static natsStatus make_options(struct kj__nats_line *line, const struct kj__nats_urls *urls,
                               const struct kj_pubsub_nats_options *options)
{
    natsStatus status = natsOptions_Create(&line->options);
    if (status != NATS_OK) {
        return status;
    }
    natsOptions *to = line->options;
    status = natsOptions_SetServers(to, (const char **)urls->list, urls->count);
    if (status == NATS_OK) {
        /* Shuffled already: both lines keep to one order, and so mostly to one broker. */
        status = natsOptions_SetNoRandomize(to, true);
    }
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
    if (status == NATS_OK) {
        status = set_tls(to, urls, options);
    }
    return status == NATS_OK ? set_resilience(to, line) : status;
}

/* Tries a file on options that are thrown away. */
static bool is_good_file(natsStatus (*load)(natsOptions *, const char *, const char *),
                         const char *file, const char *key)
{
    natsOptions *options = NULL;
    bool is_good = natsOptions_Create(&options) == NATS_OK && load(options, file, key) == NATS_OK;
    natsOptions_Destroy(options);
    return is_good;
}

static natsStatus load_authority(natsOptions *options, const char *file, const char *unused)
{
    (void)unused;
    return natsOptions_LoadCATrustedCertificates(options, file);
}

enum kj_status kj__nats_wire_check_tls(const struct kj_pubsub_nats_options *options,
                                       const struct kj__nats_urls *urls, struct kj_error *error)
{
    const char *certificate = options->tls_certificate;
    const char *key = options->tls_key ? options->tls_key : certificate;
    bool is_asked = options->tls_ca || certificate || options->tls_key || options->tls_name;
    if (is_asked && !urls->is_secure) {
        kj_error_set(error, 0, "nats tls options: the urls begin with nats://, not tls://");
    } else if (urls->is_secure && !urls->host && !options->tls_name) {
        kj_error_set(error, 0, "nats tls_name: is needed, since the urls have several hosts");
    } else if (options->tls_key && !certificate) {
        kj_error_set(error, 0, "nats tls_key: there is no tls_certificate it belongs to");
    } else if (options->tls_ca && !is_good_file(load_authority, options->tls_ca, NULL)) {
        kj_error_set(error, 0, "nats tls_ca: no certificates can be read from %s", options->tls_ca);
    } else if (certificate && !is_good_file(natsOptions_LoadCertificatesChain, certificate, key)) {
        kj_error_set(error, 0,
                     "nats tls_certificate: no certificate and key that belong together "
                     "can be read from %s and %s",
                     certificate, key);
    } else {
        return KJ_OK;
    }
    return KJ_EINVAL;
}

enum kj_status kj__nats_wire_new(struct kj__nats *self, const struct kj__nats_urls *urls,
                                 const struct kj_pubsub_nats_options *options)
{
    self->wire = calloc(1, sizeof *self->wire);
    if (!self->wire) {
        return KJ_ENOMEM;
    }
    for (size_t i = 0; i < KJ__NATS_LINE_COUNT; i++) {
        struct kj__nats_line *line = &self->wire->lines[i];
        line->owner = self;
        if (make_options(line, urls, options) != NATS_OK) {
            return KJ_ENOMEM;
        }
    }
    return KJ_OK;
}

void kj__nats_wire_free(struct kj__nats_wire *wire)
{
    if (wire) {
        for (size_t i = 0; i < KJ__NATS_LINE_COUNT; i++) {
            natsOptions_Destroy(wire->lines[i].options);
        }
        free(wire);
    }
}
