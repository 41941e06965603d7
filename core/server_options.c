/* server_options.c - see server_options.h. */
#include "core/server_options.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS_MAX = 256, HTTP_THREADS_MAX = 1024, HTTP_THREADS_DEFAULT = 32 };
enum { RENEWAL_THREADS_MAX = 256, RENEWAL_THREADS_DEFAULT = 4 };
enum { RESUME_EVENTS_MAX = 1 << 24 };
enum {
    GATEWAY_LINGER_DEFAULT_MS = 5000,
    GATEWAY_TOPICS_DEFAULT = 262144,
    GATEWAY_THREADS_DEFAULT = 8,
    GATEWAY_THREADS_MAX = 256,
};

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
    use_default(&limits->handshakes_per_address, 16384);
    use_default(&limits->head_timeout_ms, 5000);
    use_default(&limits->keep_alive_ms, 2000);
    use_default(&limits->exchange_timeout_ms, 30000);
    use_default(&limits->ping_interval_ms, 15000);
    use_default(&limits->pong_timeout_ms, 30000);
    use_default(&limits->write_stall_ms, 10000);
    use_default(&limits->close_timeout_ms, 2000);
    use_default(&limits->drain_timeout_ms, 5000);
    use_default(&limits->page_objects, 10000);
    use_default(&limits->page_bytes, 16 * 1024 * 1024);
    use_default(&limits->idempotency_answers, 10000);
    use_default(&limits->idempotency_bytes, 16 * 1024 * 1024);
    use_default(&limits->idempotency_age_ms, 600000);
    use_default(&limits->idempotency_wait_ms, 2000);
    use_default(&limits->bad_config_wait_ms, 1000);
    use_default(&limits->bad_config_wait_max_ms, 10000);
    use_default(&limits->resume_events, 1024);
    use_default(&limits->resume_bytes, 4 * 1024 * 1024);
}

/* Whether a path is that of a category. */
static bool is_collection(const char *path, const char *prefix, const char *category)
{
    size_t len = prefix ? strlen(prefix) : 0;
    return (!prefix || strncmp(path, prefix, len) == 0) && path[len] == '/' &&
           strcmp(path + len + 1, category) == 0;
}

/* The endpoint takes precedence over a route, so it must not hide one. */
enum kj_status kj__server_options_check_path(const struct kj_server_options *options,
                                             const char *what, const char *path,
                                             struct kj_error *error)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-._~/";
    if (path[0] != '/' || !path[1] || path[strspn(path, allowed)]) {
        kj_error_set(error, 0,
                     "%s: \"%s\" is not a slash and a path of letters, digits "
                     "and -._~/",
                     what, path);
        return KJ_EINVAL;
    }
    for (size_t i = 0; i < kj_model_identity_count(options->model); i++) {
        const char *category = kj_identity_category(kj_model_identity_at(options->model, i));
        if (is_collection(path, options->http.api_prefix, category)) {
            kj_error_set(error, 0, "%s: \"%s\" is where %s are served", what, path, category);
            return KJ_EINVAL;
        }
    }
    return KJ_OK;
}

static enum kj_status check_endpoint(const struct kj_server_options *options,
                                     struct kj_error *error)
{
    return options->push_endpoint
               ? kj__server_options_check_path(options, "option push_endpoint (--push-endpoint)",
                                               options->push_endpoint, error)
               : KJ_OK;
}

static enum kj_status check_gateway(const struct kj_server_options *options, struct kj_error *error)
{
    if (!options->gateway_prefix || kj_topic_is_valid(options->gateway_prefix)) {
        return KJ_OK;
    }
    kj_error_set(error, 0,
                 "option gateway_prefix (--gateway-topic): \"%.200s\" is not words joined by dots",
                 options->gateway_prefix);
    return KJ_EINVAL;
}

static enum kj_status check_origins(const struct kj_server_options *options, struct kj_error *error)
{
    const char *const *origin = options->allowed_origins;
    for (; origin && *origin; origin++) {
        const char *scheme = strstr(*origin, "://");
        bool is_origin = scheme && scheme[3] && !strchr(scheme + 3, '/');
        if (strcmp(*origin, "*") != 0 && !is_origin) {
            kj_error_set(error, 0,
                         "option allowed_origins (--allow-origin): \"%s\" is neither * nor "
                         "SCHEME://HOST[:PORT]",
                         *origin);
            return KJ_EINVAL;
        }
    }
    return KJ_OK;
}

static enum kj_status check_tls(const struct kj_server_options *options, struct kj_error *error)
{
    enum kj_client_certificate asked = options->tls_client_certificate;
    const char *fault = NULL;
    if (!options->tls_certificate && (options->tls_key || options->tls_client_ca || asked)) {
        fault = "option tls_certificate (--tls-cert): the other TLS options need it";
    } else if (asked < KJ_CLIENT_CERTIFICATE_DEFAULT || asked > KJ_CLIENT_CERTIFICATE_REQUIRED) {
        fault = "option tls_client_certificate (--tls-client-cert): unknown value";
    } else if (asked > KJ_CLIENT_CERTIFICATE_NONE && !options->tls_client_ca) {
        fault = "option tls_client_ca (--tls-client-ca): needed to check clients' certificates";
    }
    if (fault) {
        kj_error_set(error, 0, "%s", fault);
        return KJ_EINVAL;
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
    if (options->gateway_threads > GATEWAY_THREADS_MAX) {
        kj_error_set(error, 0, "option gateway_threads: at most %d", GATEWAY_THREADS_MAX);
        return KJ_EINVAL;
    }
    if (options->renewal_threads > RENEWAL_THREADS_MAX) {
        kj_error_set(error, 0, "option renewal_threads: at most %d", RENEWAL_THREADS_MAX);
        return KJ_EINVAL;
    }
    if (options->queue_policy < KJ_QUEUE_DROP_NEWEST ||
        options->queue_policy > KJ_QUEUE_DISCONNECT) {
        kj_error_set(error, 0, "option queue_policy: unknown policy %d", options->queue_policy);
        return KJ_EINVAL;
    }
    if (options->io < KJ_IO_AUTO || options->io > KJ_IO_URING) {
        kj_error_set(error, 0, "option io: unknown value %d", options->io);
        return KJ_EINVAL;
    }
    if (options->topic && !kj_topic_is_valid(options->topic)) {
        kj_error_set(error, 0, "option topic (--topic): \"%s\" is not words joined by dots",
                     options->topic);
        return KJ_EINVAL;
    }
    const char *cookie = options->token_cookie;
    if (cookie && (!*cookie || cookie[strcspn(cookie, "=;, \t")])) {
        kj_error_set(error, 0, "option token_cookie (--auth-cookie): \"%s\" is no cookie's name",
                     cookie);
        return KJ_EINVAL;
    }
    enum kj_status status = check_endpoint(options, error);
    status = status ? status : check_tls(options, error);
    status = status ? status : check_gateway(options, error);
    return status ? status : check_origins(options, error);
}

/* A healthy peer must have had a ping to answer before its pong is overdue. */
static enum kj_status check_limits(const struct kj_limits *limits, struct kj_error *error)
{
    if (limits->resume_events > RESUME_EVENTS_MAX) {
        kj_error_set(error, 0, "limit resume_events: at most %d", RESUME_EVENTS_MAX);
        return KJ_EINVAL;
    }
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

static bool copy_optional(char **to, const char *text)
{
    *to = text ? strdup(text) : NULL;
    return *to || !text;
}

static bool copy_tls(struct kj__server_options *copy, const struct kj_server_options *options)
{
    return copy_optional(&copy->tls_certificate, options->tls_certificate) &&
           copy_optional(&copy->tls_key,
                         options->tls_key ? options->tls_key : options->tls_certificate) &&
           copy_optional(&copy->tls_client_ca, options->tls_client_ca);
}

static bool copy_origins(struct kj__server_options *copy, const char *const *origins)
{
    size_t count = 0;
    while (origins && origins[count]) {
        count++;
    }
    copy->allowed_origins = calloc(count + 1, sizeof *copy->allowed_origins);
    for (size_t i = 0; copy->allowed_origins && i < count; i++) {
        if (!copy_text(&copy->allowed_origins[i], origins[i], "")) {
            return false;
        }
    }
    return copy->allowed_origins != NULL;
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

static bool copy_all(struct kj__server_options *copy, const struct kj_server_options *options)
{
    return copy_text(&copy->listen, options->listen, "127.0.0.1:8080") &&
           copy_optional(&copy->listen_unix, options->listen_unix) &&
           (!options->health_listen ||
            copy_text(&copy->health_listen, options->health_listen, "")) &&
           copy_optional(&copy->api_listen, options->api_listen) &&
           copy_text(&copy->topic, options->topic, "events") &&
           copy_text(&copy->push_endpoint, options->push_endpoint, "/events") &&
           copy_optional(&copy->token_cookie, options->token_cookie) &&
           copy_text(&copy->gateway_prefix, options->gateway_prefix, "gateway") &&
           copy_origins(copy, options->allowed_origins) && copy_tls(copy, options) &&
           copy_array(&copy->session_authenticators, options->session_authenticators,
                      options->session_authenticator_count,
                      sizeof *options->session_authenticators) &&
           copy_array(&copy->request_authenticators, options->request_authenticators,
                      options->request_authenticator_count,
                      sizeof *options->request_authenticators) &&
           copy_array(&copy->authorizers, options->authorizers, options->authorizer_count,
                      sizeof *options->authorizers);
}

/* Lets the values lead to the copies. */
static void point_at_copies(struct kj__server_options *copy)
{
    struct kj_server_options *values = &copy->values;
    values->listen = copy->listen;
    values->listen_unix = copy->listen_unix;
    values->health_listen = copy->health_listen;
    values->api_listen = copy->api_listen;
    values->topic = copy->topic;
    values->push_endpoint = copy->push_endpoint;
    values->gateway_prefix = copy->gateway_prefix;
    values->tls_certificate = copy->tls_certificate;
    values->tls_key = copy->tls_key;
    values->tls_client_ca = copy->tls_client_ca;
    values->token_cookie = copy->token_cookie;
    values->allowed_origins = (const char *const *)copy->allowed_origins;
    values->session_authenticators = copy->session_authenticators;
    values->request_authenticators = copy->request_authenticators;
    values->authorizers = copy->authorizers;
}

enum kj_status kj__server_options_copy(struct kj__server_options *copy,
                                       const struct kj_server_options *options,
                                       struct kj_error *error)
{
    *copy = (struct kj__server_options){.values = *options};
    /* What points somewhere is kept by server_http.c. */
    copy->values.http = (struct kj_http_policy){.no_keep_alive = options->http.no_keep_alive};
    copy->values.announce = (struct kj_announce_options){0}; /* announce.c does the same */
    fill_limits(&copy->values.limits);
    if (options->no_resume) {
        copy->values.limits.resume_events = 0;
    }
    use_default(&copy->values.http_threads, HTTP_THREADS_DEFAULT);
    use_default(&copy->values.renewal_threads, RENEWAL_THREADS_DEFAULT);
    use_default(&copy->values.gateway_linger_ms, GATEWAY_LINGER_DEFAULT_MS);
    use_default(&copy->values.gateway_topics, GATEWAY_TOPICS_DEFAULT);
    use_default(&copy->values.gateway_threads, GATEWAY_THREADS_DEFAULT);
    enum kj_status status = check_options(options, error);
    if (!status) {
        status = check_limits(&copy->values.limits, error);
    }
    if (status) {
        return status;
    }
    if (!copy_all(copy, options)) {
        kj_error_set(error, 0, "no memory for the options");
        kj__server_options_fini(copy);
        return KJ_ENOMEM;
    }
    point_at_copies(copy);
    return KJ_OK;
}

void kj__server_options_fini(struct kj__server_options *copy)
{
    for (char **origin = copy->allowed_origins; origin && *origin; origin++) {
        free(*origin);
    }
    free(copy->allowed_origins);
    free(copy->session_authenticators);
    free(copy->request_authenticators);
    free(copy->authorizers);
    free(copy->token_cookie);
    free(copy->tls_client_ca);
    free(copy->tls_key);
    free(copy->tls_certificate);
    free(copy->gateway_prefix);
    free(copy->push_endpoint);
    free(copy->topic);
    free(copy->api_listen);
    free(copy->health_listen);
    free(copy->listen_unix);
    free(copy->listen);
    *copy = (struct kj__server_options){0};
}
