/* server_routes.c - see server_routes.h. */
#include "core/server_routes.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/tls_context.h"
#include "rest/route_exchange.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* An application's servers are few, keep their connections, and wait for each other little. */
enum { API_THREADS = 16, API_WAITING = 1024 };

enum { NS_PER_US = 1000, NS_PER_SECOND = 1000000000, METHODS_SIZE = 256 };

/* ---- life ---- */

enum kj_status kj__server_routes_init(struct kj__server_routes *routes,
                                      const struct kj__server_routes_parts *parts,
                                      struct kj_error *error)
{
    const struct kj_server_options *options = parts->options;
    *routes = (struct kj__server_routes){.options = options,
                                         .policy = parts->policy,
                                         .counters = parts->counters,
                                         .traffic = parts->traffic};
    kj__route_table_init(&routes->tables[KJ_LISTENER_PUBLIC]);
    kj__route_table_init(&routes->tables[KJ_LISTENER_API]);
    bool has_keys = options->api_keys && options->api_keys[0];
    const char *fault = NULL;
    if (!options->api_listen && (has_keys || options->api_open)) {
        fault = "option api_listen (--api): keys and api_open are for its listener alone";
    } else if (options->api_listen && !has_keys && !options->api_open) {
        fault = "option api_listen (--api): it needs api_keys (--api-key, --api-key-file), or "
                "api_open (--api-open) where everyone who reaches it may do everything";
    } else if (has_keys && options->api_open) {
        fault = "option api_open (--api-open): there are keys too";
    }
    if (fault) {
        kj_error_set(error, 0, "%s", fault);
        return KJ_EINVAL;
    }
    enum kj_status status = kj__api_keys_init(&routes->keys, options->api_keys, error);
    if (status == KJ_ENOMEM) {
        kj_error_set(error, 0, "no memory for the options");
    }
    return status;
}

void kj__server_routes_fini(struct kj__server_routes *routes)
{
    if (routes->options) {
        kj__api_keys_fini(&routes->keys);
        kj__route_table_fini(&routes->tables[KJ_LISTENER_PUBLIC]);
        kj__route_table_fini(&routes->tables[KJ_LISTENER_API]);
    }
}

enum kj_status kj__server_routes_add(struct kj__server_routes *routes, const struct kj_route *route,
                                     struct kj_error *error)
{
    if (route->listener != KJ_LISTENER_PUBLIC && route->listener != KJ_LISTENER_API) {
        kj_error_set(error, 0, "route \"%.200s\": unknown listener %d",
                     route->path ? route->path : "", route->listener);
        return KJ_EINVAL;
    }
    if (route->listener == KJ_LISTENER_API && !routes->options->api_listen) {
        kj_error_set(error, 0, "route \"%.200s\": there is no API listener: see api_listen (--api)",
                     route->path ? route->path : "");
        return KJ_EINVAL;
    }
    return kj__route_table_add(&routes->tables[route->listener], route, error);
}

bool kj__server_routes_have(const struct kj__server_routes *routes, const char *path)
{
    const struct kj__route_place *place = kj__route_table_find(&routes->tables[KJ_LISTENER_PUBLIC],
                                                               path);
    return place && !place->is_prefix;
}

/* ---- one request ---- */

/* What a path serves, as Allow says it. */
static void put_allow(const struct kj__route_place *place, struct kj_exchange *exchange)
{
    char text[METHODS_SIZE] = "";
    size_t len = 0;
    for (const struct kj__list *at = place->routes.next; at != &place->routes; at = at->next) {
        const char *method = KJ__CONTAINER_OF(at, struct kj__route_entry, link)->method;
        bool is_read = strcmp(method, "GET") == 0;
        int more = snprintf(text + len, sizeof text - len, "%s%s%s", len ? ", " : "", method,
                            is_read ? ", HEAD" : "");
        if (more < 0 || (size_t)more >= sizeof text - len) {
            return;
        }
        len += (size_t)more;
    }
    (void)kj_exchange_add_header(exchange, "Allow", text);
}

static void call(const struct kj__route_place *place, struct kj_exchange *exchange)
{
    const struct kj__route_entry *entry = kj__route_place_method(place, exchange->http->method);
    if (!entry) {
        put_allow(place, exchange);
        kj_exchange_refuse(exchange, 405, "The path has no such method");
    } else if (kj__route_exchange_read(exchange, place)) {
        entry->handle(exchange, entry->ctx);
    }
}

/* Counts an answer under its route's path, or NULL: no route's. */
static void count(struct kj__server_routes *routes, const struct kj__http_request *request,
                  const struct kj__route_place *place, int status, int64_t before_ns)
{
    int64_t took_ns = kj__clock_monotonic_ns() - before_ns;
    KJ__COUNT(routes->counters, http_requests);
    KJ__COUNT(routes->counters, route_requests);
    if (status >= 500) {
        KJ__COUNT(routes->counters, http_errors_5xx);
    } else if (status >= 400) {
        KJ__COUNT(routes->counters, http_errors_4xx);
    }
    kj__traffic_count_route(routes->traffic, request->method, place ? place->path : "other", status,
                            (uint64_t)took_ns / NS_PER_US);
}

/* ---- the public listener ---- */

static bool is_within_rate(struct kj__server_routes *routes, struct kj_exchange *exchange)
{
    static struct kj__log_limit limit;
    char seconds[24];
    int64_t wait_ns = kj__policy_take(routes->policy, NULL);
    if (wait_ns == 0) {
        return true;
    }
    KJ__COUNT(routes->counters, http_rate_limited);
    kj__log_limited(&limit, KJ__LOG_WARNING, "routes",
                    "a request of %s was refused: see request_rate (--rate-limit)",
                    exchange->http->remote_address);
    (void)snprintf(seconds, sizeof seconds, "%" PRId64,
                   (wait_ns + NS_PER_SECOND - 1) / NS_PER_SECOND);
    (void)kj_exchange_add_header(exchange, "Retry-After", seconds);
    kj_exchange_refuse(exchange, 429, "You have exceeded your rate limit");
    return false;
}

bool kj__server_routes_handle(struct kj__server_routes *routes,
                              const struct kj__http_request *request,
                              struct kj__http_response *response)
{
    const struct kj__route_place *place = kj__route_table_find(&routes->tables[KJ_LISTENER_PUBLIC],
                                                               request->path);
    if (!place) {
        return false;
    }
    const struct kj__cors *cors = &routes->policy->cors;
    bool is_preflight = cors->origin && strcmp(request->method, "OPTIONS") == 0;
    int64_t before_ns = kj__clock_monotonic_ns();
    struct kj_exchange exchange;
    kj__route_exchange_init(&exchange, request, routes->options->allowed_origins);
    if (is_preflight) {
        (void)kj_exchange_answer(&exchange, 200, NULL, NULL, 0);
    } else if (is_within_rate(routes, &exchange)) {
        call(place, &exchange);
    }
    kj__route_exchange_finish(&exchange, response);
    kj__route_exchange_fini(&exchange);
    /* Without memory for them a page cannot read the answer, and that is all. */
    (void)kj__cors_put(cors, kj__fields_get(request->headers, "Origin"), is_preflight,
                       &response->headers);
    count(routes, request, place, response->status, before_ns);
    return true;
}

/* ---- the API listener ---- */

static bool has_key(struct kj__server_routes *routes, struct kj_exchange *exchange)
{
    static struct kj__log_limit limit;
    if (routes->options->api_open ||
        kj__api_keys_have(&routes->keys, kj_exchange_token(exchange))) {
        return true;
    }
    KJ__COUNT(routes->counters, api_keys_refused);
    kj__log_limited(&limit, KJ__LOG_WARNING, "routes",
                    "a request of %s at the API listener had no good key: see api_keys (--api-key, "
                    "--api-key-file)",
                    exchange->http->remote_address);
    (void)kj_exchange_add_header(exchange, "WWW-Authenticate", "Bearer");
    kj_exchange_refuse(exchange, 401, "A key is needed: Authorization: Bearer KEY");
    return false;
}

static void handle_api(void *ctx, const struct kj__http_request *request,
                       struct kj__http_response *response)
{
    struct kj__server_routes *routes = ctx;
    const struct kj__route_place *place = kj__route_table_find(&routes->tables[KJ_LISTENER_API],
                                                               request->path);
    int64_t before_ns = kj__clock_monotonic_ns();
    struct kj_exchange exchange;
    kj__route_exchange_init(&exchange, request, NULL);
    if (has_key(routes, &exchange)) {
        if (place) {
            call(place, &exchange);
        } else {
            kj_exchange_refuse(&exchange, 404, "There is no such path");
        }
    }
    kj__route_exchange_finish(&exchange, response);
    kj__route_exchange_fini(&exchange);
    count(routes, request, place, response->status, before_ns);
}

/* With TLS where the server has it: keys are not for all to read. Nobody is asked for a
 * certificate, since keys say who may. */
enum kj_status kj__server_routes_start(struct kj__server_routes *routes, struct kj_error *error)
{
    const struct kj_server_options *options = routes->options;
    const struct kj_limits *limits = &options->limits;
    const struct kj__tls_files tls = {.certificate = options->tls_certificate,
                                      .key = options->tls_key,
                                      .client_certificate = KJ_CLIENT_CERTIFICATE_NONE};
    if (!options->api_listen) {
        return KJ_OK;
    }
    return kj__http_start(
        &(struct kj__http_options){.option = "api_listen (--api)",
                                   .listen = options->api_listen,
                                   .tls = options->tls_certificate ? &tls : NULL,
                                   .threads = API_THREADS,
                                   .body_bytes = limits->body_bytes,
                                   .head_timeout_ms = limits->head_timeout_ms,
                                   .keep_alive_ms = limits->keep_alive_ms,
                                   .no_keep_alive = options->http.no_keep_alive,
                                   .exchange_timeout_ms = limits->exchange_timeout_ms,
                                   .handshakes = API_WAITING,
                                   .handshakes_per_address = API_WAITING,
                                   .handle = handle_api,
                                   .ctx = routes,
                                   .counters = routes->counters},
        &routes->api, error);
}

enum kj_status kj__server_routes_reload_tls(struct kj__server_routes *routes,
                                            struct kj_error *error)
{
    return routes->api ? kj__http_reload_tls(routes->api, error) : KJ_OK;
}

void kj__server_routes_stop(struct kj__server_routes *routes)
{
    kj__http_stop(routes->api, routes->options->limits.drain_timeout_ms);
    routes->api = NULL;
}
