/* listener.c - see http.h: civetweb started, stopped, and its requests passed on. */
#include "base/clock.h"
#include "base/log.h"
#include "http/exchange.h"
#include "http/listen_fault.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    OPTION_TEXT_SIZE = 16,
    LISTEN_TEXT_SIZE = 80,
    READ_CHUNK = 16384,
    STOP_INTERVAL_MS = 5,
    DRAIN_TIMEOUT_MS = 2000,
    WAITING_SHARE = 8, /* of the numbers below the floor, for connections without a request */
};

/* Connections civetweb accepts ahead of its workers: more wait in the kernel as well. */
#define CONNECTION_QUEUE 96

#define TEXT_OF(number) TEXT_OF_VALUE(number)
#define TEXT_OF_VALUE(number) #number

static bool expects_continue(const struct mg_connection *connection)
{
    const char *expect = mg_get_header(connection, "Expect");
    return expect && strcasecmp(expect, "100-continue") == 0;
}

static bool has_body(const struct mg_connection *connection, const struct mg_request_info *info)
{
    return info->content_length > 0 || mg_get_header(connection, "Transfer-Encoding");
}

/* Reads the whole body, declared or chunked. Returns 0, or the status to refuse with. */
static int read_body(struct mg_connection *connection, const struct mg_request_info *info,
                     size_t limit, struct kj__buffer *body)
{
    if (info->content_length > 0 && (uint64_t)info->content_length > limit) {
        return 413;
    }
    if (expects_continue(connection)) {
        mg_printf(connection, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    size_t end = info->content_length > 0 ? (size_t)info->content_length : SIZE_MAX;
    while (body->len < end) {
        size_t left = end - body->len;
        size_t size = left < READ_CHUNK ? left : READ_CHUNK;
        uint8_t *room = kj__buffer_reserve(body, size);
        int got = room ? mg_read(connection, room, size) : -1;
        if (!room || got < 0) {
            return room ? 400 : 503;
        }
        body->len += (size_t)got;
        if (body->len > limit) {
            return 413;
        }
        if (got == 0) {
            break;
        }
    }
    return info->content_length > 0 && body->len < end ? 400 : 0;
}

/* The same, with an end to how long the client may take. */
static int take_body(struct kj__http *http, struct mg_connection *connection,
                     const struct mg_request_info *info, struct kj__buffer *body)
{
    if (!has_body(connection, info)) {
        return 0;
    }
    struct kj__guard_entry guarded;
    kj__guard_enter(&http->guard, &guarded, kj__exchange_find(connection), SHUT_RD,
                    http->options.exchange_timeout_ms);
    int status = read_body(connection, info, http->options.body_bytes, body);
    kj__guard_leave(&http->guard, &guarded);
    return guarded.is_over && status == 400 ? 408 : status;
}

/* A client that has its 413 while it still sends is read on for a moment: closing at once would
 * reset the connection, and it might never see the answer. */
static void drain(struct kj__http *http, struct mg_connection *connection)
{
    struct kj__guard_entry guarded;
    char chunk[READ_CHUNK];
    kj__guard_enter(&http->guard, &guarded, kj__exchange_find(connection), SHUT_RD,
                    DRAIN_TIMEOUT_MS);
    while (mg_read(connection, chunk, sizeof chunk) > 0) {
    }
    kj__guard_leave(&http->guard, &guarded);
}

static void refuse_body(struct kj__http *http, struct mg_connection *connection, int status)
{
    struct kj__counters *counters = http->options.counters;
    if (status == 413) {
        KJ__COUNT(counters, http_body_too_large);
        kj__exchange_send_error(connection, 413, "The body is too large");
        if (!expects_continue(connection)) {
            drain(http, connection);
        }
    } else if (status == 408) {
        KJ__COUNT(counters, http_body_too_slow);
        kj__exchange_send_error(connection, 408, "The body took too long");
    } else {
        kj__exchange_refuse(connection, status,
                            status == 400 ? "The body ended early, or its chunks are malformed"
                                          : "Out of memory");
    }
}

static void serve(struct kj__http *http, struct mg_connection *connection,
                  const struct mg_request_info *info, const struct kj__fields *headers,
                  const struct kj__buffer *body)
{
    struct kj__certificate *certificate;
    char address[KJ__PROXIED_ADDRESS_SIZE];
    if (kj__tls_certificate_of_worker(&certificate)) {
        kj__exchange_send_error(connection, 503, "Out of memory");
        return;
    }
    struct kj__http_request request = {
        .method = info->request_method,
        .path = kj__exchange_path(info),
        .query = info->query_string ? info->query_string : "",
        .headers = headers,
        .body = body->data,
        .body_len = body->len,
        .remote_address = kj__exchange_remote_address(connection, headers, address),
        .certificate = certificate,
    };
    struct kj__http_response response;
    kj__http_response_init(&response);
    http->options.handle(http->options.ctx, &request, &response);
    kj__exchange_send(connection, &response, false);
    kj__http_response_fini(&response);
}

static void answer(struct kj__http *http, struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    const char *fault = kj__exchange_find_fault(connection);
    if (fault) {
        kj__exchange_refuse(connection, 400, fault);
        return;
    }
    if (kj__upgrade_is_meant(connection)) {
        kj__upgrade_refuse(connection);
        return;
    }
    struct kj__fields headers;
    struct kj__buffer body;
    kj__fields_init(&headers, true);
    kj__buffer_init(&body);
    int status = kj__exchange_read_headers(info, &headers)
                     ? take_body(http, connection, info, &body)
                     : 503;
    if (status) {
        refuse_body(http, connection, status);
    } else {
        serve(http, connection, info, &headers, &body);
    }
    kj__buffer_fini(&body);
    kj__fields_fini(&headers);
}

static int on_request(struct mg_connection *connection, void *data)
{
    struct kj__http *http = data;
    atomic_fetch_add(&http->exchanges, 1);
    answer(http, connection);
    atomic_fetch_sub(&http->exchanges, 1);
    return 1;
}

/* Who may ask for what is for core/rest; civetweb would look for a file of passwords, /.htpasswd,
 * with each request. */
static int allow_all(struct mg_connection *connection, void *data)
{
    (void)connection;
    (void)data;
    return 1;
}

/* ---- civetweb's own complaints ---- */

static int on_http_error(struct mg_connection *connection, int status, const char *message)
{
    if (kj__upgrade_is_meant(connection)) {
        kj__upgrade_refuse(connection);
        return 0;
    }
    kj__exchange_refuse(connection, status,
                        status == 404   ? "Unable to find the requested resource"
                        : status == 400 ? "The head of the request is malformed"
                                        : message);
    return 0;
}

/* civetweb listens before it knows the handlers. */
static int on_begin_request(struct mg_connection *connection)
{
    if (atomic_load_explicit(&kj__http_of(connection)->is_ready, memory_order_acquire)) {
        return 0;
    }
    kj__exchange_send_error(connection, 503, "The server is starting or stopping");
    return 1;
}

/* Its TLS handshake failed, be it for a client that speaks plain HTTP. */
static bool was_refused(const struct kj__http *http)
{
    return http->has_tls && !kj__tls_of_worker();
}

static void on_close(const struct mg_connection *connection)
{
    struct kj__http *http = kj__http_of(connection);
    if (was_refused(http)) {
        KJ__COUNT(http->options.counters, tls_handshakes_failed);
    }
    kj__upgrade_on_close(connection);
    kj__door_on_close(&http->door, connection);
}

static void on_closed(const struct mg_connection *connection)
{
    (void)connection;
    kj__tls_forget_worker();
    kj__upgrade_on_closed();
}

/* Whenever civetweb asks for its context: at the start, and at the end, to know that it is not
 * civetweb's to free. */
static int give_tls(void **context, void *data)
{
    struct kj__http *http = data;
    *context = http->tls.first;
    return 1;
}

static int on_log_message(const struct mg_connection *connection, const char *message)
{
    (void)connection;
    static struct kj__log_limit limit;
    kj__log_limited(&limit, KJ__LOG_DEBUG, "http", "civetweb: %s", message);
    return 1;
}

/* ---- life ---- */

static void *on_thread_start(const struct mg_context *context, int type)
{
    (void)context;
    (void)type;
    return NULL;
}

static const char *option_of(const struct kj__http_options *options)
{
    return options->option ? options->option : "listen (--listen)";
}

/* Splits "ADDR:PORT" or "[ADDR]:PORT"; civetweb's own syntax has more, such as lists, which
 * nothing here expects. */
static bool parse_listen(struct kj__http *http, const char *listen)
{
    const char *colon = strrchr(listen, ':');
    http->is_ipv6 = listen[0] == '[' && colon && colon > listen && colon[-1] == ']';
    const char *start = listen + http->is_ipv6;
    size_t len = colon ? (size_t)(colon - start) - http->is_ipv6 : sizeof http->address;
    struct in6_addr address;
    if (len >= sizeof http->address || !colon[1] || strspn(colon + 1, "0123456789") > 5 ||
        colon[1 + strspn(colon + 1, "0123456789")] || atoi(colon + 1) > UINT16_MAX) {
        return false;
    }
    memcpy(http->address, start, len);
    if (inet_pton(http->is_ipv6 ? AF_INET6 : AF_INET, http->address, &address) != 1) {
        return false;
    }
    http->is_wildcard = http->is_ipv6 ? IN6_IS_ADDR_UNSPECIFIED(&address)
                                      : strcmp(http->address, "0.0.0.0") == 0;
    return true;
}

/* In civetweb's words. All IPv6 addresses take IPv4 in too, as everywhere on Linux. */
static void format_ports(const struct kj__http *http, char *text, size_t size)
{
    const char *listen = http->options.listen;
    bool is_both = http->is_ipv6 && http->is_wildcard;
    (void)snprintf(text, size, "%s%s%s", is_both ? "+" : "",
                   is_both ? strrchr(listen, ':') + 1 : listen, http->has_tls ? "s" : "");
}

static enum kj_status start_civetweb(struct kj__http *http, struct kj_error *error)
{
    const struct kj__http_options *options = &http->options;
    char threads[OPTION_TEXT_SIZE];
    char head_timeout[OPTION_TEXT_SIZE];
    char keep_alive[OPTION_TEXT_SIZE];
    char ports[LISTEN_TEXT_SIZE];
    format_ports(http, ports, sizeof ports);
    (void)snprintf(threads, sizeof threads, "%u", options->threads);
    (void)snprintf(head_timeout, sizeof head_timeout, "%u", options->head_timeout_ms);
    (void)snprintf(keep_alive, sizeof keep_alive, "%u", options->keep_alive_ms);
    /* Without tcp_nodelay small answers wait 40 ms for the peer's acknowledgement. */
    const char *const settings[] = {"listening_ports",
                                    ports,
                                    "num_threads",
                                    threads,
                                    "request_timeout_ms",
                                    head_timeout,
                                    "enable_keep_alive",
                                    "yes",
                                    "keep_alive_timeout_ms",
                                    keep_alive,
                                    "max_request_size",
                                    "16384",
                                    "decode_url",
                                    "no", /* once is for core/rest */
                                    "tcp_nodelay",
                                    "1",
                                    "connection_queue",
                                    TEXT_OF(CONNECTION_QUEUE),
                                    "access_control_allow_methods",
                                    "", /* preflights are for core/rest */
                                    "listen_backlog",
                                    "4096",
                                    NULL};
    struct mg_callbacks callbacks = {
        .begin_request = on_begin_request,
        .http_error = on_http_error,
        .log_message = on_log_message,
        .init_thread = on_thread_start,
        .connection_close = on_close,
        .connection_closed = on_closed,
        .external_ssl_ctx = http->has_tls ? give_tls : NULL,
    };
    struct mg_init_data init = {.callbacks = &callbacks,
                                .user_data = http,
                                .configuration_options = (const char **)settings};
    char text[256] = "";
    unsigned code = 0;
    struct mg_error_data failure = {.code = &code, .text = text, .text_buffer_size = sizeof text};
    http->civetweb = mg_start2(&init, &failure);
    if (!http->civetweb) {
        kj_error_set(error, 0, "option %s: cannot listen on %s: %s", option_of(options),
                     options->listen, kj__listen_fault(options->listen, text));
        return KJ_EIO;
    }
    return KJ_OK;
}

static void open_door(struct kj__http *http)
{
    const struct kj__http_options *options = &http->options;
    int listener = kj__handover_find_listener(http->handover.floor, http->address, http->port);
    if (!KJ__OWN_CIVETWEB || listener < 0) {
        return;
    }
    const struct kj__door_options door = {
        .is_tls = http->has_tls,
        .head_timeout_ms = options->head_timeout_ms,
        .waiting = options->handshakes ? options->handshakes : UINT32_MAX,
        .room = kj__http_room(http),
        .waiting_always = (uint32_t)http->handover.floor / WAITING_SHARE,
        .per_address = options->handshakes_per_address,
        .workers = options->threads,
        .counters = options->counters,
    };
    if (!kj__door_open(&http->door, listener, &door)) {
        kj__log(KJ__LOG_WARNING, "http",
                "no descriptor is free for the door: silent connections hold workers");
    }
}

/* Last of all, since clients may wait for the file. */
static enum kj_status open_unix(struct kj__http *http, struct kj_error *error)
{
    const char *path = http->options.listen_unix;
    if (!path) {
        return KJ_OK;
    }
    enum kj_status status = kj__unix_listener_open(&http->unix_listener, path, error);
    if (!status &&
        (http->door.listener < 0 || !kj__door_add_unix(&http->door, http->unix_listener.fd))) {
        kj_error_set(error, 0, "no descriptor is free; raise the limit of open files (ulimit -n)");
        status = KJ_EIO;
    }
    return status;
}

static void add_handlers(struct kj__http *http)
{
    mg_set_auth_handler(http->civetweb, "**", allow_all, NULL);
    mg_set_request_handler(http->civetweb, "**", on_request, http);
    kj__upgrade_add_handlers(http);
    atomic_store_explicit(&http->is_ready, true, memory_order_release);
}

/* Debian's binary says that it can, and breaks on the first connection. */
static enum kj_status check_features(const struct kj__http *http, struct kj_error *error)
{
    static const char advice[] = "run scripts/civetweb, configure and build again";
    if (http->options.tls && !(KJ__OWN_CIVETWEB && mg_check_feature(MG_FEATURES_TLS))) {
        kj_error_set(error, 0,
                     "option tls_certificate (--tls-cert): this build has no TLS, as it uses the "
                     "system's binary of civetweb; %s",
                     advice);
        return KJ_EUNSUPPORTED;
    }
    if (http->options.listen_unix && !KJ__OWN_CIVETWEB) {
        kj_error_set(
            error, 0,
            "option listen_unix (--listen-unix): this build has no such sockets, as it uses "
            "the system's binary of civetweb; %s",
            advice);
        return KJ_EUNSUPPORTED;
    }
    if (http->is_ipv6 && !mg_check_feature(MG_FEATURES_IPV6)) {
        kj_error_set(
            error, 0,
            "option listen (--listen): this build has no IPv6, as it uses the system's binary of "
            "civetweb; %s",
            advice);
        return KJ_EUNSUPPORTED;
    }
    return KJ_OK;
}

static enum kj_status prepare(struct kj__http *http, struct kj_error *error)
{
    const struct kj__http_options *options = &http->options;
    if (!parse_listen(http, options->listen)) {
        kj_error_set(error, 0,
                     "option %s: \"%s\" is not ADDR:PORT, such as 127.0.0.1:8080 or [::1]:8080",
                     option_of(options), options->listen);
        return KJ_EINVAL;
    }
    enum kj_status status = check_features(http, error);
    if (!status && options->tls) {
        status = kj__tls_context_init(&http->tls, options->tls, error);
        http->has_tls = !status;
    }
    if (status) {
        return status;
    }
    if (!kj__handover_init(&http->handover, http->is_wildcard,
                           options->threads + CONNECTION_QUEUE)) {
        kj_error_set(error, 0, "no descriptor is free; raise the limit of open files (ulimit -n)");
        return KJ_EIO;
    }
    if (!kj__guard_start(&http->guard)) {
        kj_error_set(error, 0, "no thread is to be had");
        return KJ_ENOMEM;
    }
    http->has_guard = true;
    return KJ_OK;
}

static void free_http(struct kj__http *http)
{
    if (http->has_guard) {
        kj__guard_stop(&http->guard);
    }
    kj__door_fini(&http->door);
    kj__unix_listener_fini(&http->unix_listener);
    kj__handover_fini(&http->handover);
    if (http->has_tls) {
        kj__tls_context_fini(&http->tls);
    }
    free(http);
}

enum kj_status kj__http_start(const struct kj__http_options *options, struct kj__http **http,
                              struct kj_error *error)
{
    *http = NULL;
    struct kj__http *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    made->options = *options;
    made->handover.dead_fd = -1;
    kj__door_init(&made->door);
    kj__unix_listener_init(&made->unix_listener);
    enum kj_status status = prepare(made, error);
    if (status) {
        free_http(made);
        return status;
    }
    mg_init_library(MG_FEATURES_DEFAULT);
    status = start_civetweb(made, error);
    if (status) {
        mg_exit_library();
        free_http(made);
        return status;
    }
    struct mg_server_port port = {0};
    mg_get_server_ports(made->civetweb, 1, &port);
    made->port = (uint16_t)port.port;
    open_door(made);
    add_handlers(made);
    status = open_unix(made, error);
    if (status) {
        kj__http_stop(made, 0);
        return status;
    }
    *http = made;
    return KJ_OK;
}

enum kj_status kj__http_reload_tls(struct kj__http *http, struct kj_error *error)
{
    if (!http->has_tls) {
        kj_error_set(error, 0, "option tls_certificate (--tls-cert): the server has none");
        return KJ_EUNSUPPORTED;
    }
    enum kj_status status = kj__tls_context_reload(&http->tls, error);
    if (status) {
        KJ__COUNT(http->options.counters, tls_reloads_failed);
    } else {
        KJ__COUNT(http->options.counters, tls_reloads);
    }
    return status;
}

struct ssl_st *kj__http_new_tls(struct kj__http *http)
{
    return http->has_tls ? kj__tls_context_new_ssl(&http->tls) : NULL;
}

int kj__http_move_take(struct kj__http *http, int fd)
{
    int moved = kj__handover_copy(&http->handover, fd);
    close(fd);
    return moved < 0 ? -1 : moved;
}

uint16_t kj__http_port(const struct kj__http *http)
{
    return http->port;
}

uint32_t kj__http_room(const struct kj__http *http)
{
    return (uint32_t)http->handover.room;
}

/* mg_stop makes civetweb drop what it has not written yet. */
static void finish_exchanges(struct kj__http *http, uint32_t timeout_ms)
{
    uint64_t deadline = kj__clock_monotonic_ms() + timeout_ms;
    atomic_store(&http->is_ready, false);
    while (atomic_load(&http->exchanges) > 0 && kj__clock_monotonic_ms() < deadline) {
        struct timespec pause = {.tv_nsec = STOP_INTERVAL_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
}

void kj__http_stop(struct kj__http *http, uint32_t timeout_ms)
{
    if (http) {
        kj__handover_shut_listener(http->handover.floor, http->address, http->port);
        kj__unix_listener_shut(&http->unix_listener);
        finish_exchanges(http, timeout_ms);
        kj__door_hang_up(&http->door);
        kj__door_wake(&http->door);
        mg_stop(http->civetweb);
        mg_exit_library();
        free_http(http);
    }
}
