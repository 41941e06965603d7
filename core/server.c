/* server.c - the one place that knows every part of a node and joins them. */
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "core/announce.h"
#include "core/server_endpoints.h"
#include "core/server_gateway.h"
#include "core/server_http.h"
#include "core/server_metrics.h"
#include "core/server_options.h"
#include "core/server_routes.h"
#include "core/server_spec.h"
#include "core/server_streams.h"
#include "delivery/delivery.h"
#include "dispatch/events.h"
#include "http/health.h"
#include "http/http.h"
#include "http/tls_context.h"
#include "rest/api.h"
#include "rest/idempotency.h"

#include <kujata/server.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* At stop, how long publications under way may take to reach the shards. */
enum { QUIET_TIMEOUT_MS = 500 };

/* How long the backend may take to answer when somebody asks whether the node is ready. */
enum { READY_TIMEOUT_MS = 1000 };

enum { NS_PER_US = 1000 };

/* Of the workers, this part may wait for the answers of others; see rest/idempotency.h. */
enum { WAITING_WORKERS_PART = 4 };

enum life { LIFE_NEW = 0, LIFE_STARTING, LIFE_STARTED, LIFE_STOPPING, LIFE_STOPPED };

struct kj_server {
    struct kj__server_options options;
    struct kj__counters counters;
    struct kj__api api;
    struct kj__idempotency idempotency;
    struct kj__delivery *delivery;
    struct kj__events events;
    struct kj__server_mounts mounts;
    struct kj__server_endpoints endpoints;
    struct kj__server_routes routes;
    struct kj__server_streams streams;
    struct kj__server_http policy;
    struct kj__announce *announce; /* NULL: gateways hear nothing */
    struct kj__http *http;
    struct kj__health *health;
    struct kj__traffic traffic;
    bool has_push;
    pthread_mutex_t life_lock;
    pthread_cond_t life_changed;
    enum life life; /* guarded by life_lock */
};

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
    if (kj__server_routes_handle(&server->routes, request, response)) {
        return;
    }
    int64_t before = kj__clock_monotonic_ns();
    kj__api_handle(&server->api, request, response);
    int64_t took = kj__clock_monotonic_ns() - before;
    const char *path = kj__policy_route_path(&server->api.policy, request->path);
    kj__traffic_count(&server->traffic, request->method, path ? path : "", response->status,
                      (uint64_t)took / NS_PER_US);
}

/* ---- health ---- */

static bool is_alive(struct kj_error *error, void *ctx)
{
    const struct kj_server *server = ctx;
    const struct kj_health_handler *handler = &server->options.values.health;
    return !handler->is_healthy || handler->is_healthy(error, handler->ctx);
}

static bool is_ready(struct kj_error *error, void *ctx)
{
    struct kj_server *server = ctx;
    pthread_mutex_lock(&server->life_lock);
    enum life life = server->life;
    pthread_mutex_unlock(&server->life_lock);
    if (life != LIFE_STARTED) {
        kj_error_set(error, 0, "%s", life == LIFE_STARTING ? "starting" : "stopping");
        return false;
    }
    if (server->has_push &&
        kj_pubsub_ping(server->options.values.pubsub, READY_TIMEOUT_MS) != KJ_OK) {
        kj_error_set(error, 0, "the backend does not answer");
        return false;
    }
    return true;
}

static struct kj__server_numbers numbers_of(const struct kj_server *server)
{
    return (struct kj__server_numbers){.counters = &server->counters,
                                       .pubsub = server->options.values.pubsub,
                                       .source = &server->options.values.counter_source};
}

static void add_metrics(struct kj__buffer *out, void *ctx)
{
    struct kj_server *server = ctx;
    kj__server_metrics(numbers_of(server), &server->traffic, server->delivery, out);
}

static enum kj_status start_health(struct kj_server *server, struct kj_error *error)
{
    const struct kj_server_options *options = &server->options.values;
    if (!options->health_listen) {
        return KJ_OK;
    }
    return kj__health_start(
        &(struct kj__health_options){.listen = options->health_listen,
                                     .head_timeout_ms = options->limits.head_timeout_ms,
                                     .is_alive = is_alive,
                                     .is_ready = is_ready,
                                     .add_metrics = add_metrics,
                                     .ctx = server},
        &server->health, error);
}

/* ---- life ---- */

static void init_api(struct kj_server *server)
{
    const struct kj_server_options *options = &server->options.values;
    struct kj__api *api = &server->api;
    api->authenticators = options->request_authenticators;
    api->authenticator_count = options->request_authenticator_count;
    api->authorizers = options->authorizers;
    api->authorizer_count = options->authorizer_count;
    api->page_objects = options->limits.page_objects;
    api->page_bytes = options->limits.page_bytes;
    api->strict_flags = options->strict_flags;
    api->idempotency = options->ignore_idempotency_keys ? NULL : &server->idempotency;
    server->idempotency.limits = (struct kj__idempotency_limits){
        .answers = options->limits.idempotency_answers,
        .bytes = options->limits.idempotency_bytes,
        .age_ms = options->limits.idempotency_age_ms,
        .wait_ms = options->limits.idempotency_wait_ms,
        .waiters = options->http_threads / WAITING_WORKERS_PART,
    };
    api->audit = options->audit;
    api->credentials = (struct kj__credentials){.cookie = options->token_cookie,
                                                .in_query = options->token_in_query,
                                                .allowed_origins = options->allowed_origins};
    if (server->has_push) {
        api->publish = publish_event;
        api->publish_ctx = server;
    }
}

static enum kj_status init_push(struct kj_server *server)
{
    const struct kj_server_options *options = &server->options.values;
    enum kj_status status = kj__delivery_new(options->shards, options->io, &server->counters,
                                             &server->delivery);
    if (status) {
        return status;
    }
    status = kj__events_init(&server->events,
                             &(struct kj__events_options){
                                 .delivery = server->delivery,
                                 .pubsub = options->pubsub,
                                 .counters = &server->counters,
                                 .model = options->model,
                                 .topic = options->topic,
                                 .subject_hierarchies = options->subject_hierarchies,
                                 .node_prefix = options->gateway_prefix,
                                 .dispatch = &options->dispatch,
                                 .publish = &options->publish,
                                 .authenticators = options->session_authenticators,
                                 .authenticator_count = options->session_authenticator_count,
                                 .renewal_threads = options->renewal_threads,
                                 .audit = &options->audit,
                                 .token_cookie = options->token_cookie,
                                 .allowed_origins = options->allowed_origins,
                                 .limits = &options->limits,
                                 .queue_policy = options->queue_policy,
                             });
    server->has_push = true; /* to be finished, whatever its status */
    server->mounts.events = &server->events;
    server->endpoints.events = &server->events;
    server->endpoints.policy = &server->policy;
    server->streams.events = &server->events;
    server->streams.policy = &server->policy;
    kj__server_endpoints_add(&server->endpoints, options->push_endpoint, NULL);
    return status;
}

enum kj_status kj_server_new(const struct kj_server_options *options, struct kj_server **server,
                             struct kj_error *error)
{
    *server = NULL;
    struct kj_server *made = calloc(1, sizeof *made);
    if (!made) {
        kj_error_set(error, 0, "no memory for a server");
        return KJ_ENOMEM;
    }
    pthread_mutex_init(&made->life_lock, NULL);
    pthread_cond_init(&made->life_changed, NULL);
    kj__api_init(&made->api, options->model, &made->counters);
    kj__idempotency_init(&made->idempotency, &made->counters);
    kj__traffic_init(&made->traffic, options->model);
    enum kj_status status = kj__server_options_copy(&made->options, options, error);
    if (!status) {
        status = kj__server_http_init(&made->policy, &options->http, &made->api, error);
    }
    if (!status) {
        status = kj__server_spec_add(&made->options.values, &options->http, &made->api, error);
    }
    if (!status) {
        status = kj__server_routes_init(
            &made->routes,
            &(struct kj__server_routes_parts){.options = &made->options.values,
                                              .policy = &made->api.policy,
                                              .counters = &made->counters,
                                              .traffic = &made->traffic},
            error);
        made->options.values.api_keys = NULL; /* of which there are digests now */
    }
    if (!status) {
        status = kj__announce_new(options, &made->counters, &made->announce, error);
    }
    if (!status && options->pubsub) {
        status = init_push(made);
        if (status) {
            kj_error_set(error, 0, "%s: %s",
                         status == KJ_EUNSUPPORTED ? "option io (--io): io_uring cannot be had here"
                                                   : "cannot make the shards",
                         kj_status_text(status));
        }
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

static bool is_new(struct kj_server *server)
{
    pthread_mutex_lock(&server->life_lock);
    bool is_new = server->life == LIFE_NEW;
    pthread_mutex_unlock(&server->life_lock);
    return is_new;
}

/* A protocol, to be mounted at a path or an address. */
static enum kj_status check_mount(struct kj_server *server, const char *place,
                                  struct kj_error *error)
{
    if (!server->has_push) {
        kj_error_set(error, 0, "\"%.200s\": a server without a backend has no clients", place);
        return KJ_EUNSUPPORTED;
    }
    if (!is_new(server)) {
        kj_error_set(error, 0, "\"%.200s\": protocols are mounted before the start", place);
        return KJ_EINVAL;
    }
    return KJ_OK;
}

enum kj_status kj_server_listen(struct kj_server *server, const struct kj_stream_options *options,
                                const struct kj_protocol *protocol, struct kj_error *error)
{
    enum kj_status status = check_mount(server, options->listen, error);
    return status
               ? status
               : kj__server_streams_add(&server->streams, &server->mounts, &server->options.values,
                                        &(struct kj__stream_request){options, protocol}, error);
}

uint16_t kj_server_stream_port(const struct kj_server *server, size_t index)
{
    return kj__server_streams_port(&server->streams, index);
}

enum kj_status kj_server_mount(struct kj_server *server, const char *path,
                               const struct kj_protocol *protocol, struct kj_error *error)
{
    enum kj_status status = check_mount(server, path, error);
    if (status) {
        return status;
    }
    if (kj__server_routes_have(&server->routes, path)) {
        kj_error_set(error, 0, "path \"%.200s\": a route is there", path);
        return KJ_EEXIST;
    }
    return kj__server_mounts_add(&server->mounts, &server->endpoints, &server->options.values,
                                 &(struct kj__mount_request){path, protocol}, error);
}

enum kj_status kj_server_add_route(struct kj_server *server, const struct kj_route *route,
                                   struct kj_error *error)
{
    const char *path = route->path ? route->path : "";
    if (!is_new(server)) {
        kj_error_set(error, 0, "route \"%.200s\": routes are added before the start", path);
        return KJ_EINVAL;
    }
    if (route->listener == KJ_LISTENER_PUBLIC &&
        kj__server_endpoints_have(&server->endpoints, path)) {
        kj_error_set(error, 0, "route \"%.200s\": a websocket endpoint is there", path);
        return KJ_EEXIST;
    }
    return kj__server_routes_add(&server->routes, route, error);
}

struct kj_gateway *kj_server_gateway(struct kj_server *server)
{
    return server->mounts.gateway;
}

static enum kj_status start_parts(struct kj_server *server, struct kj_error *error)
{
    if (server->has_push) {
        enum kj_status status = kj__delivery_start(server->delivery);
        if (!status) {
            status = kj__events_start(&server->events);
        }
        if (!status && server->mounts.gateway) {
            status = kj__gateway_start(server->mounts.gateway);
        }
        if (status) {
            kj_error_set(error, 0, "cannot start push on topic \"%s\": %s",
                         server->options.values.topic, kj_status_text(status));
            return status;
        }
    }
    const struct kj_server_options *options = &server->options.values;
    const struct kj_limits *limits = &options->limits;
    const struct kj__tls_files tls = {.certificate = options->tls_certificate,
                                      .key = options->tls_key,
                                      .client_ca = options->tls_client_ca,
                                      .client_certificate = options->tls_client_certificate};
    enum kj_status status = kj__http_start(
        &(struct kj__http_options){.listen = options->listen,
                                   .listen_unix = options->listen_unix,
                                   .tls = options->tls_certificate ? &tls : NULL,
                                   .threads = options->http_threads,
                                   .body_bytes = limits->body_bytes,
                                   .head_timeout_ms = limits->head_timeout_ms,
                                   .keep_alive_ms = limits->keep_alive_ms,
                                   .no_keep_alive = options->http.no_keep_alive,
                                   .exchange_timeout_ms = limits->exchange_timeout_ms,
                                   .handshakes = limits->handshakes,
                                   .handshakes_per_address = limits->handshakes_per_address,
                                   .proxies = &server->policy.proxies,
                                   .handle = handle_request,
                                   .ctx = server,
                                   .upgrades = server->endpoints.upgrades,
                                   .upgrade_count = server->endpoints.count,
                                   .counters = &server->counters},
        &server->http, error);
    if (!status) {
        status = kj__server_streams_start(&server->streams, server->http, error);
    }
    return status ? status : kj__server_routes_start(&server->routes, error);
}

static void set_life(struct kj_server *server, enum life life)
{
    pthread_mutex_lock(&server->life_lock);
    server->life = life;
    pthread_cond_broadcast(&server->life_changed);
    pthread_mutex_unlock(&server->life_lock);
}

/* In the order of the flow: no new sessions, requests, events, then what sessions have queued. */
static void stop_parts(struct kj_server *server)
{
    if (server->has_push) {
        kj__events_close(&server->events);
    }
    kj__server_routes_stop(&server->routes);
    kj__server_streams_stop(&server->streams);
    kj__http_stop(server->http, server->options.values.limits.drain_timeout_ms);
    server->http = NULL;
    if (server->has_push) {
        kj__events_stop(&server->events, QUIET_TIMEOUT_MS);
        if (server->mounts.gateway) {
            kj__gateway_stop(server->mounts.gateway);
        }
        kj__delivery_stop(server->delivery, server->options.values.limits.drain_timeout_ms);
    }
}

static enum kj_status announce_start(const struct kj_server *server, struct kj_error *error)
{
    const struct kj_life_handler *handler = &server->options.values.life;
    struct kj_error own = {.text = ""};
    if (!handler->on_start || handler->on_start(&own, handler->ctx)) {
        return KJ_OK;
    }
    kj_error_set(error, 0, "%s", own.text[0] ? own.text : "the start was refused");
    return KJ_EREFUSED;
}

static void announce_stop(const struct kj_server *server)
{
    const struct kj_life_handler *handler = &server->options.values.life;
    if (handler->on_stop) {
        handler->on_stop(handler->ctx);
    }
}

static void stop_health(struct kj_server *server)
{
    kj__health_stop(server->health);
    server->health = NULL;
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
    enum kj_status status = kj__server_http_list_routes(&server->policy, &server->api);
    if (status) {
        kj_error_set(error, 0, "cannot list the routes: %s", kj_status_text(status));
    }
    /* First and last, so that it can say so while the node starts and stops. */
    if (!status) {
        status = start_health(server, error);
    }
    if (!status) {
        status = start_parts(server, error);
    }
    if (!status) {
        status = announce_start(server, error);
    }
    if (!status && kj__announce_start(server->announce, &server->api)) {
        announce_stop(server);
        kj_error_set(error, 0, "no memory for announcements to gateways");
        status = KJ_ENOMEM;
    }
    if (status) {
        stop_parts(server);
        stop_health(server);
    } else if (server->has_push) {
        kj__server_http_log_room(server->http, server->options.values.limits.sessions);
    }
    set_life(server, status ? LIFE_STOPPED : LIFE_STARTED);
    return status;
}

uint16_t kj_server_port(const struct kj_server *server)
{
    return server->http ? kj__http_port(server->http) : 0;
}

uint16_t kj_server_health_port(const struct kj_server *server)
{
    return server->health ? kj__health_port(server->health) : 0;
}

uint16_t kj_server_api_port(const struct kj_server *server)
{
    return server->routes.api ? kj__http_port(server->routes.api) : 0;
}

enum kj_status kj_server_reload_tls(struct kj_server *server, struct kj_error *error)
{
    struct kj_error unwanted;
    error = error ? error : &unwanted;
    enum kj_status status = KJ_ECLOSED;
    pthread_mutex_lock(&server->life_lock); /* so that it does not stop meanwhile */
    if (server->life == LIFE_STARTED) {
        status = kj__http_reload_tls(server->http, error);
        status = status ? status : kj__server_routes_reload_tls(&server->routes, error);
    } else {
        kj_error_set(error, 0, "the server is not running");
    }
    pthread_mutex_unlock(&server->life_lock);
    if (status) {
        kj__log(KJ__LOG_ERROR, "server", "the TLS files were not loaded: %s", error->text);
    } else {
        kj__log(KJ__LOG_INFO, "server", "the TLS files were loaded again");
    }
    return status;
}

enum kj_status kj_server_push(struct kj_server *server, const struct kj_event *event)
{
    return server->has_push ? kj__events_publish(&server->events, event) : KJ_EUNSUPPORTED;
}

void kj_server_set_read_only(struct kj_server *server, bool is_read_only)
{
    atomic_store_explicit(&server->api.policy.is_read_only, is_read_only, memory_order_relaxed);
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
        kj__announce_stop(server->announce); /* while what gateways still send is served */
        announce_stop(server);
        stop_parts(server);
        stop_health(server);
        set_life(server, LIFE_STOPPED);
    }
}

void kj_server_free(struct kj_server *server)
{
    if (!server) {
        return;
    }
    kj_server_stop(server);
    if (server->has_push) {
        kj__delivery_stop(server->delivery, 0); /* which may never have started */
        kj__server_streams_fini(&server->streams);
        kj__server_mounts_fini(&server->mounts);
        kj__events_fini(&server->events);
    }
    kj__delivery_free(server->delivery);
    kj__api_fini(&server->api);
    kj__idempotency_fini(&server->idempotency);
    kj__traffic_fini(&server->traffic);
    kj__announce_free(server->announce);
    kj__server_routes_fini(&server->routes);
    kj__server_http_fini(&server->policy);
    kj__server_options_fini(&server->options);
    pthread_cond_destroy(&server->life_changed);
    pthread_mutex_destroy(&server->life_lock);
    free(server);
}

size_t kj_server_end_sessions(struct kj_server *server, uint64_t credential)
{
    return server->has_push ? kj__endings_end(&server->events.endings, credential) : 0;
}

/* ---- counters ---- */

void kj_server_count_auth_reload(struct kj_server *server, bool was_good)
{
    if (was_good) {
        KJ__COUNT(&server->counters, auth_reloads);
    } else {
        KJ__COUNT(&server->counters, auth_reloads_failed);
    }
}

void kj_server_counters(const struct kj_server *server,
                        void (*visit)(const char *name, uint64_t value, void *ctx), void *ctx)
{
    kj__server_counters_visit(numbers_of(server), visit, ctx);
}

uint64_t kj_server_counter(const struct kj_server *server, const char *name)
{
    return kj__server_counters_find(numbers_of(server), name);
}
