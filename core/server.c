/* server.c - the one place that knows every part of a node and joins them. */
#include "base/counters.h"
#include "base/log.h"
#include "delivery/delivery.h"
#include "dispatch/events.h"
#include "http/http.h"
#include "rest/api.h"

#include <kujata/server.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS_MAX = 256, HTTP_THREADS_MAX = 1024 };

/* At stop, how long publications under way may take to reach the shards. */
enum { QUIET_TIMEOUT_MS = 500 };

enum life { LIFE_NEW = 0, LIFE_STARTING, LIFE_STARTED, LIFE_STOPPING, LIFE_STOPPED };

struct kj_server {
    struct kj_server_options options; /* defaults filled in; strings and arrays are ours */
    char *listen, *topic, *push_endpoint;
    char **allowed_origins;
    void *authenticator_copies[3];
    struct kj__counters counters;
    struct kj__api api;
    struct kj__delivery *delivery;
    struct kj__events events;
    struct kj__http_upgrade upgrade;
    struct kj__http *http;
    bool has_push;
    pthread_mutex_t life_lock;
    pthread_cond_t life_changed;
    enum life life; /* guarded by life_lock */
};

/* ---- options ---- */

static void use_default(uint32_t *value, uint32_t fallback)
{
    if (*value == 0) {
        *value = fallback;
    }
}

static void fill_limits(struct kj_limits *limits)
{
    use_default(&limits->body_bytes, 1024 * 1024);
    use_default(&limits->message_bytes, 64 * 1024);
    use_default(&limits->message_fragments, 1024);
    use_default(&limits->session_queue_bytes, 1024 * 1024);
    use_default(&limits->session_queue_messages, 4096);
    use_default(&limits->sessions, 100000);
    use_default(&limits->head_timeout_ms, 5000);
    use_default(&limits->keep_alive_ms, 2000);
    use_default(&limits->exchange_timeout_ms, 30000);
    use_default(&limits->ping_interval_ms, 15000);
    use_default(&limits->pong_timeout_ms, 30000);
    use_default(&limits->write_stall_ms, 10000);
    use_default(&limits->close_timeout_ms, 2000);
    use_default(&limits->drain_timeout_ms, 5000);
}

/* The endpoint takes precedence over a route, so it must not hide one. */
static enum kj_status check_endpoint(const struct kj_server_options *options,
                                     struct kj_error *error)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-._~/";
    const char *path = options->push_endpoint;
    if (!path) {
        return KJ_OK;
    }
    if (path[0] != '/' || !path[1] || path[strspn(path, allowed)]) {
        kj_error_set(error, 0,
                     "option push_endpoint: \"%s\" is not a slash and a path of letters, digits "
                     "and -._~/",
                     path);
        return KJ_EINVAL;
    }
    for (size_t i = 0; i < kj_model_identity_count(options->model); i++) {
        const char *category = kj_identity_category(kj_model_identity_at(options->model, i));
        if (strcmp(path + 1, category) == 0) {
            kj_error_set(error, 0, "option push_endpoint: \"%s\" is where %s are served", path,
                         category);
            return KJ_EINVAL;
        }
    }
    return KJ_OK;
}

static enum kj_status check_origins(const struct kj_server_options *options, struct kj_error *error)
{
    const char *const *origin = options->allowed_origins;
    for (; origin && *origin; origin++) {
        const char *scheme = strstr(*origin, "://");
        bool is_origin = scheme && scheme[3] && !strchr(scheme + 3, '/');
        if (strcmp(*origin, "*") != 0 && !is_origin) {
            kj_error_set(error, 0,
                         "option allowed_origins: \"%s\" is neither * nor SCHEME://HOST[:PORT]",
                         *origin);
            return KJ_EINVAL;
        }
    }
    return KJ_OK;
}

static enum kj_status check_options(const struct kj_server_options *options, struct kj_error *error)
{
    if (!options->model) {
        kj_error_set(error, 0, "option model: a server needs one");
        return KJ_EINVAL;
    }
    if (options->shards > SHARDS_MAX) {
        kj_error_set(error, 0, "option shards: at most %d", SHARDS_MAX);
        return KJ_EINVAL;
    }
    if (options->http_threads > HTTP_THREADS_MAX) {
        kj_error_set(error, 0, "option http_threads: at most %d", HTTP_THREADS_MAX);
        return KJ_EINVAL;
    }
    if (options->queue_policy < KJ_QUEUE_DROP_NEWEST ||
        options->queue_policy > KJ_QUEUE_DISCONNECT) {
        kj_error_set(error, 0, "option queue_policy: unknown policy %d", options->queue_policy);
        return KJ_EINVAL;
    }
    if (options->topic && !kj_topic_is_valid(options->topic)) {
        kj_error_set(error, 0, "option topic: \"%s\" is not words joined by dots", options->topic);
        return KJ_EINVAL;
    }
    enum kj_status status = check_endpoint(options, error);
    return status ? status : check_origins(options, error);
}

/* A healthy peer must have had a ping to answer before its pong is overdue. */
static enum kj_status check_limits(const struct kj_limits *limits, struct kj_error *error)
{
    if (limits->pong_timeout_ms > limits->ping_interval_ms) {
        return KJ_OK;
    }
    kj_error_set(error, 0,
                 "limits pong_timeout_ms (%u) and ping_interval_ms (%u): the first must be longer "
                 "than the second",
                 limits->pong_timeout_ms, limits->ping_interval_ms);
    return KJ_EINVAL;
}

static bool copy_text(char **to, const char *text, const char *fallback)
{
    *to = strdup(text ? text : fallback);
    return *to != NULL;
}

static bool copy_origins(struct kj_server *server, const char *const *origins)
{
    size_t count = 0;
    while (origins && origins[count]) {
        count++;
    }
    server->allowed_origins = calloc(count + 1, sizeof *server->allowed_origins);
    for (size_t i = 0; server->allowed_origins && i < count; i++) {
        if (!copy_text(&server->allowed_origins[i], origins[i], "")) {
            return false;
        }
    }
    return server->allowed_origins != NULL;
}

/* Copies an array of handlers into `*slot`; true for an empty one. */
static bool copy_array(void **slot, const void *items, size_t count, size_t size)
{
    if (count == 0) {
        return true;
    }
    *slot = calloc(count, size);
    if (!*slot) {
        return false;
    }
    memcpy(*slot, items, count * size);
    return true;
}

static bool copy_options(struct kj_server *server, const struct kj_server_options *options)
{
    server->options = *options;
    fill_limits(&server->options.limits);
    use_default(&server->options.http_threads, 32);
    return copy_text(&server->listen, options->listen, "127.0.0.1:8080") &&
           copy_text(&server->topic, options->topic, "events") &&
           copy_text(&server->push_endpoint, options->push_endpoint, "/events") &&
           copy_origins(server, options->allowed_origins) &&
           copy_array(&server->authenticator_copies[0], options->session_authenticators,
                      options->session_authenticator_count,
                      sizeof *options->session_authenticators) &&
           copy_array(&server->authenticator_copies[1], options->request_authenticators,
                      options->request_authenticator_count,
                      sizeof *options->request_authenticators) &&
           copy_array(&server->authenticator_copies[2], options->authorizers,
                      options->authorizer_count, sizeof *options->authorizers);
}

/* ---- between HTTP and push ---- */

static void publish_event(struct kj_event *event, void *ctx)
{
    struct kj_server *server = ctx;
    /* The REST answer does not depend on it; a failure is counted and logged there. */
    (void)kj__events_publish(&server->events, event);
}

static void handle_request(void *ctx, const struct kj__http_request *request,
                           struct kj__http_response *response)
{
    struct kj_server *server = ctx;
    kj__api_handle(&server->api, request, response);
}

static void *prepare_session(void *ctx, const struct kj__http_request *request,
                             struct kj__http_response *response)
{
    struct kj_server *server = ctx;
    struct kj__refusal refusal;
    struct kj_session *session = kj__events_prepare(
        &server->events,
        &(struct kj__handshake){.headers = request->headers,
                                .query = request->query,
                                .remote_address = request->remote_address},
        &refusal);
    if (!session) {
        kj__http_response_error(response, refusal.encoding, &refusal.error);
    }
    return session;
}

static void attach_session(void *ctx, void *session, int fd)
{
    (void)ctx;
    kj__connection_attach(&((struct kj_session *)session)->connection, fd);
}

static void abandon_session(void *ctx, void *session)
{
    (void)ctx;
    kj__connection_abandon(&((struct kj_session *)session)->connection);
}

static void refuse_early_frame(void *ctx, void *session)
{
    (void)ctx;
    kj__connection_close_later(&((struct kj_session *)session)->connection,
                               KJ__CLOSE_PROTOCOL_ERROR, "frame before the handshake ended",
                               KJ__CAUSE_PROTOCOL_ERROR);
}

static void release_session(void *ctx, void *session)
{
    (void)ctx;
    kj__connection_unref(&((struct kj_session *)session)->connection);
}

/* ---- life ---- */

static void init_api(struct kj_server *server)
{
    struct kj__api *api = &server->api;
    kj__api_init(api, server->options.model, &server->counters);
    api->authenticators = server->authenticator_copies[1];
    api->authenticator_count = server->options.request_authenticator_count;
    api->authorizers = server->authenticator_copies[2];
    api->authorizer_count = server->options.authorizer_count;
    if (server->has_push) {
        api->publish = publish_event;
        api->publish_ctx = server;
    }
}

static enum kj_status init_push(struct kj_server *server)
{
    enum kj_status status = kj__delivery_new(server->options.shards, &server->counters,
                                             &server->delivery);
    if (status) {
        return status;
    }
    kj__events_init(&server->events,
                    &(struct kj__events_options){
                        .delivery = server->delivery,
                        .pubsub = server->options.pubsub,
                        .counters = &server->counters,
                        .topic = server->topic,
                        .dispatch = &server->options.dispatch,
                        .publish = &server->options.publish,
                        .authenticators = server->authenticator_copies[0],
                        .authenticator_count = server->options.session_authenticator_count,
                        .allowed_origins = (const char *const *)server->allowed_origins,
                        .limits = &server->options.limits,
                        .queue_policy = server->options.queue_policy,
                    });
    server->has_push = true;
    server->upgrade = (struct kj__http_upgrade){
        .path = server->push_endpoint,
        .prepare = prepare_session,
        .attach = attach_session,
        .abandon = abandon_session,
        .on_early_frame = refuse_early_frame,
        .release = release_session,
        .ctx = server,
    };
    return KJ_OK;
}

enum kj_status kj_server_new(const struct kj_server_options *options, struct kj_server **server,
                             struct kj_error *error)
{
    *server = NULL;
    enum kj_status status = check_options(options, error);
    if (status) {
        return status;
    }
    struct kj_server *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    pthread_mutex_init(&made->life_lock, NULL);
    pthread_cond_init(&made->life_changed, NULL);
    kj__map_init(&made->api.processors);
    status = copy_options(made, options) ? KJ_OK : KJ_ENOMEM;
    if (!status && options->pubsub) {
        status = init_push(made);
    }
    if (status) {
        kj_error_set(error, 0, "cannot make a server: %s", kj_status_text(status));
    } else {
        status = check_limits(&made->options.limits, error);
    }
    if (status) {
        kj_server_free(made);
        return status;
    }
    init_api(made);
    *server = made;
    return KJ_OK;
}

enum kj_status kj_server_register(struct kj_server *server, const char *identity,
                                  const struct kj_processor *processor)
{
    return kj__api_register(&server->api, identity, processor);
}

static enum kj_status start_parts(struct kj_server *server, struct kj_error *error)
{
    if (server->has_push) {
        enum kj_status status = kj__delivery_start(server->delivery);
        if (!status) {
            status = kj__events_start(&server->events);
        }
        if (status) {
            kj_error_set(error, 0, "cannot start push on topic \"%s\": %s", server->topic,
                         kj_status_text(status));
            return status;
        }
    }
    const struct kj_limits *limits = &server->options.limits;
    return kj__http_start(
        &(struct kj__http_options){.listen = server->listen,
                                   .threads = server->options.http_threads,
                                   .body_bytes = limits->body_bytes,
                                   .head_timeout_ms = limits->head_timeout_ms,
                                   .keep_alive_ms = limits->keep_alive_ms,
                                   .exchange_timeout_ms = limits->exchange_timeout_ms,
                                   .handle = handle_request,
                                   .ctx = server,
                                   .upgrade = server->has_push ? &server->upgrade : NULL,
                                   .counters = &server->counters},
        &server->http, error);
}

static void set_life(struct kj_server *server, enum life life)
{
    pthread_mutex_lock(&server->life_lock);
    server->life = life;
    pthread_cond_broadcast(&server->life_changed);
    pthread_mutex_unlock(&server->life_lock);
}

/* In the order of the flow: no new sessions, no new requests, no new events, then what the
 * sessions have queued. */
static void stop_parts(struct kj_server *server)
{
    if (server->has_push) {
        kj__events_close(&server->events);
    }
    kj__http_stop(server->http, server->options.limits.drain_timeout_ms);
    server->http = NULL;
    if (server->has_push) {
        kj__events_stop(&server->events, QUIET_TIMEOUT_MS);
        kj__delivery_stop(server->delivery, server->options.limits.drain_timeout_ms);
    }
}

enum kj_status kj_server_start(struct kj_server *server, struct kj_error *error)
{
    pthread_mutex_lock(&server->life_lock);
    bool may_start = server->life == LIFE_NEW;
    if (may_start) {
        server->life = LIFE_STARTING;
    }
    pthread_mutex_unlock(&server->life_lock);
    if (!may_start) {
        kj_error_set(error, 0, "a server starts once");
        return KJ_EINVAL;
    }
    enum kj_status status = start_parts(server, error);
    if (status) {
        stop_parts(server);
    }
    set_life(server, status ? LIFE_STOPPED : LIFE_STARTED);
    return status;
}

uint16_t kj_server_port(const struct kj_server *server)
{
    return server->http ? kj__http_port(server->http) : 0;
}

enum kj_status kj_server_push(struct kj_server *server, const struct kj_event *event)
{
    return server->has_push ? kj__events_publish(&server->events, event) : KJ_EUNSUPPORTED;
}

void kj_server_stop(struct kj_server *server)
{
    pthread_mutex_lock(&server->life_lock);
    while (server->life == LIFE_STARTING || server->life == LIFE_STOPPING) {
        pthread_cond_wait(&server->life_changed, &server->life_lock);
    }
    bool is_mine = server->life == LIFE_STARTED;
    if (is_mine) {
        server->life = LIFE_STOPPING;
    }
    pthread_mutex_unlock(&server->life_lock);
    if (is_mine) {
        stop_parts(server);
        set_life(server, LIFE_STOPPED);
    }
}

enum kj_status kj_server_run(struct kj_server *server, struct kj_error *error)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    enum kj_status status = kj_server_start(server, error);
    if (!status) {
        int caught;
        sigwait(&signals, &caught);
        kj_server_stop(server);
    }
    return status;
}

void kj_server_free(struct kj_server *server)
{
    if (!server) {
        return;
    }
    kj_server_stop(server);
    kj__delivery_free(server->delivery);
    if (server->has_push) {
        kj__events_fini(&server->events);
    }
    kj__api_fini(&server->api);
    for (size_t i = 0; i < sizeof server->authenticator_copies / sizeof(void *); i++) {
        free(server->authenticator_copies[i]);
    }
    for (char **origin = server->allowed_origins; origin && *origin; origin++) {
        free(*origin);
    }
    free(server->allowed_origins);
    free(server->push_endpoint);
    free(server->topic);
    free(server->listen);
    pthread_cond_destroy(&server->life_changed);
    pthread_mutex_destroy(&server->life_lock);
    free(server);
}

/* ---- counters ---- */

void kj_server_counters(const struct kj_server *server,
                        void (*visit)(const char *name, uint64_t value, void *ctx), void *ctx)
{
#define VISIT_COUNTER(member, name)                                                                \
    visit(name, atomic_load_explicit(&server->counters.member, memory_order_relaxed), ctx);
    KJ__COUNTER_MAP(VISIT_COUNTER)
#undef VISIT_COUNTER
}

struct wanted_counter {
    const char *name;
    uint64_t value;
};

static void pick_counter(const char *name, uint64_t value, void *ctx)
{
    struct wanted_counter *wanted = ctx;
    if (strcmp(name, wanted->name) == 0) {
        wanted->value = value;
    }
}

uint64_t kj_server_counter(const struct kj_server *server, const char *name)
{
    struct wanted_counter wanted = {.name = name};
    kj_server_counters(server, pick_counter, &wanted);
    return wanted.value;
}
