/* listener.c - see http.h. The only file that includes civetweb. */
#include "base/log.h"
#include "http/handover.h"
#include "http/http.h"
#include "rest/api.h"

#include <civetweb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    OPTION_TEXT_SIZE = 16,
    READ_CHUNK = 16384,
    /* A client that is told 413 mid-upload is read on for a while, so that closing does not
     * reset the connection before it sees the answer. */
    DRAIN_MAX = 16 * 1024 * 1024
};

struct kj__http {
    struct kj__http_options options;
    struct mg_context *civetweb;
    struct kj__handover handover;
    uint16_t port;
    _Atomic bool is_ready; /* the handlers are set */
};

/* What civetweb keeps for a connection between the callbacks of one upgrade. */
struct upgrade {
    const struct kj__http_upgrade *endpoint;
    void *session;
    bool is_attached;
};

static struct kj__http *http_of(const struct mg_connection *connection)
{
    return mg_get_user_data(mg_get_context(connection));
}

/* ---- answers ---- */

static void append_date(struct kj__buffer *head)
{
    char text[64];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    kj__buffer_printf(head, "Date: %s\r\n", text);
}

/* civetweb's own rule: it keeps a connection of HTTP/1.1 unless the client says close, and one
 * of HTTP/1.0 only if the client says keep-alive. */
static void append_connection(struct kj__buffer *head, struct mg_connection *connection,
                              bool must_close)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    const char *header = mg_get_header(connection, "Connection");
    bool is_old = !info || !info->http_version || strcmp(info->http_version, "1.1") != 0;
    if (must_close || (header && strcasestr(header, "close"))) {
        kj__buffer_append_text(head, "Connection: close\r\n");
    } else if (is_old) {
        bool is_kept = header && strcasestr(header, "keep-alive");
        kj__buffer_printf(head, "Connection: %s\r\n", is_kept ? "keep-alive" : "close");
    }
}

static const char *reason_phrase(struct mg_connection *connection, int status)
{
    /* civetweb misspells this one. */
    return status == 422 ? "Unprocessable Entity" : mg_get_response_code_text(connection, status);
}

static void send_response(struct mg_connection *connection, struct kj__http_response *response,
                          bool is_head, bool must_close)
{
    struct kj__buffer out;
    kj__buffer_init(&out);
    kj__buffer_printf(&out, "HTTP/1.1 %d %s\r\n", response->status,
                      reason_phrase(connection, response->status));
    size_t cursor = 0;
    const char *name;
    const char *value;
    while (kj__fields_next(&response->headers, &cursor, &name, &value)) {
        kj__buffer_printf(&out, "%s: %s\r\n", name, value);
    }
    append_date(&out);
    if (response->status != 204) {
        kj__buffer_printf(&out, "Content-Length: %zu\r\n", response->body.len);
    }
    append_connection(&out, connection, must_close);
    kj__buffer_append_text(&out, "\r\n");
    if (!is_head && response->status != 204) {
        kj__buffer_append(&out, response->body.data, response->body.len);
    }
    if (must_close) {
        mg_disable_connection_keep_alive(connection);
    }
    if (out.failed || mg_write(connection, out.data, out.len) != (int)out.len) {
        KJ__COUNT(http_of(connection)->options.counters, http_write_failed);
        mg_disable_connection_keep_alive(connection);
    }
    kj__buffer_fini(&out);
}

static void fill_error(struct kj__http_response *response, int status, const char *description)
{
    const char *title = status == 413   ? "Request Entity Too Large"
                        : status == 404 ? "Not Found"
                        : status >= 500 ? "Internal Server Error"
                                        : "Bad Request";
    kj__http_response_error(
        response, KJ_ENCODING_JSON,
        &(struct kj_api_error){
            .code = status, .title = title, .description = description, .subject = "kujata"});
}

static void send_error(struct mg_connection *connection, int status, const char *description)
{
    struct kj__http_response response;
    kj__http_response_init(&response);
    fill_error(&response, status, description);
    send_response(connection, &response, false, true);
    kj__http_response_fini(&response);
}

/* What gorilla, and so bahamut, answers to a handshake that is none. */
static void send_bad_handshake(struct mg_connection *connection)
{
    struct kj__http_response response;
    const char *version = mg_get_header(connection, "Sec-WebSocket-Version");
    const char *upgrade = mg_get_header(connection, "Upgrade");
    const char *fault =
        !upgrade || strcasecmp(upgrade, "websocket") != 0
            ? "websocket: the client is not using the websocket protocol: 'websocket' token not "
              "found in 'Upgrade' header"
        : !version || strcmp(version, "13") != 0
            ? "websocket: unsupported version: 13 not found in 'Sec-Websocket-Version' header"
        : !mg_get_header(connection, "Sec-WebSocket-Key")
            ? "websocket: not a websocket handshake: 'Sec-WebSocket-Key' header is missing or blank"
            : "websocket: the client is not using the websocket protocol: 'upgrade' token not "
              "found in 'Connection' header";
    kj__http_response_init(&response);
    fill_error(&response, 400, fault);
    kj__fields_add(&response.headers, "Sec-WebSocket-Version", "13");
    send_response(connection, &response, false, true);
    kj__http_response_fini(&response);
}

/* Whether a request that is no handshake asks for the websocket endpoint. */
static bool is_for_endpoint(const struct kj__http *http, const struct mg_request_info *info)
{
    const struct kj__http_upgrade *upgrade = http->options.upgrade;
    return upgrade && info && info->local_uri && strcmp(info->local_uri, upgrade->path) == 0 &&
           strcmp(info->request_method, "GET") == 0;
}

/* ---- requests ---- */

static bool read_headers(const struct mg_request_info *info, struct kj__fields *headers)
{
    for (int i = 0; i < info->num_headers; i++) {
        if (!kj__fields_add(headers, info->http_headers[i].name, info->http_headers[i].value)) {
            return false;
        }
    }
    return true;
}

static void drain(struct mg_connection *connection)
{
    char chunk[READ_CHUNK];
    long drained = 0;
    int got;
    while (drained < DRAIN_MAX && (got = mg_read(connection, chunk, sizeof chunk)) > 0) {
        drained += got;
    }
}

/* Reads the whole body, declared or chunked. Returns 0, or the status to refuse with. */
static int read_body(struct mg_connection *connection, const struct mg_request_info *info,
                     size_t limit, struct kj__buffer *body)
{
    if (info->content_length <= 0 && !mg_get_header(connection, "Transfer-Encoding")) {
        return 0;
    }
    if (info->content_length > 0 && (uint64_t)info->content_length > limit) {
        return 413;
    }
    for (;;) {
        uint8_t *room = kj__buffer_reserve(body, READ_CHUNK);
        int got = room ? mg_read(connection, room, READ_CHUNK) : -1;
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
    return info->content_length > 0 && body->len < (size_t)info->content_length ? 400 : 0;
}

/* Faults of the request that civetweb lets through. NULL: none. */
static const char *find_fault(struct mg_connection *connection, const struct mg_request_info *info)
{
    if (strcmp(info->http_version, "1.1") != 0 && strcmp(info->http_version, "1.0") != 0) {
        return "This HTTP version is not supported";
    }
    if (mg_get_header(connection, "Content-Length") &&
        mg_get_header(connection, "Transfer-Encoding")) {
        return "A request has either Content-Length or Transfer-Encoding";
    }
    return NULL;
}

static void refuse(struct kj__http *http, struct mg_connection *connection, int status,
                   const char *description)
{
    KJ__COUNT(http->options.counters, http_malformed);
    send_error(connection, status, description);
}

static void serve(struct kj__http *http, struct mg_connection *connection,
                  const struct mg_request_info *info, const struct kj__fields *headers,
                  const struct kj__buffer *body)
{
    struct kj__http_request request = {
        .method = info->request_method,
        .path = info->request_uri,
        .query = info->query_string ? info->query_string : "",
        .headers = headers,
        .body = body->data,
        .body_len = body->len,
        .remote_address = info->remote_addr,
    };
    struct kj__http_response response;
    kj__http_response_init(&response);
    http->options.handle(http->options.ctx, &request, &response);
    send_response(connection, &response, strcmp(info->request_method, "HEAD") == 0, false);
    kj__http_response_fini(&response);
}

static int on_request(struct mg_connection *connection, void *data)
{
    struct kj__http *http = data;
    const struct mg_request_info *info = mg_get_request_info(connection);
    const char *fault = find_fault(connection, info);
    if (fault) {
        refuse(http, connection, 400, fault);
        return 1;
    }
    if (is_for_endpoint(http, info)) {
        KJ__COUNT(http->options.counters, http_malformed);
        send_bad_handshake(connection);
        return 1;
    }
    struct kj__fields headers;
    struct kj__buffer body;
    kj__fields_init(&headers, true);
    kj__buffer_init(&body);
    int status = read_headers(info, &headers)
                     ? read_body(connection, info, http->options.body_bytes, &body)
                     : 503;
    if (status == 413) {
        KJ__COUNT(http->options.counters, http_body_too_large);
        drain(connection);
        send_error(connection, 413, "The body is too large");
    } else if (status) {
        refuse(http, connection, status, status == 400 ? "The body ended early" : "Out of memory");
    } else {
        serve(http, connection, info, &headers, &body);
    }
    kj__buffer_fini(&body);
    kj__fields_fini(&headers);
    return 1;
}

/* ---- upgrades ---- */

static bool fill_request(const struct mg_request_info *info, struct kj__fields *headers,
                         struct kj__http_request *request)
{
    kj__fields_init(headers, true);
    *request = (struct kj__http_request){
        .method = info->request_method,
        .path = info->request_uri,
        .query = info->query_string ? info->query_string : "",
        .headers = headers,
        .remote_address = info->remote_addr,
    };
    return read_headers(info, headers);
}

/* As in bahamut, any key will do that is not empty. */
static bool has_key(const struct kj__fields *headers)
{
    const char *key = kj__fields_get(headers, "Sec-WebSocket-Key");
    return key && key[0];
}

static void *prepare(struct kj__http *http, struct mg_connection *connection)
{
    const struct kj__http_upgrade *endpoint = http->options.upgrade;
    const struct mg_request_info *info = mg_get_request_info(connection);
    struct kj__http_request request;
    struct kj__fields headers;
    struct kj__http_response response;
    kj__http_response_init(&response);
    void *session = NULL;
    if (!fill_request(info, &headers, &request)) {
        fill_error(&response, 503, "Out of memory");
    } else if (strcmp(info->local_uri, endpoint->path) != 0) {
        fill_error(&response, 404, "Unable to find the requested resource");
    } else if (find_fault(connection, info) || info->content_length > 0 || !has_key(&headers)) {
        KJ__COUNT(http->options.counters, http_malformed);
        fill_error(&response, 400, "This is not a websocket handshake");
    } else {
        session = endpoint->prepare(endpoint->ctx, &request, &response);
    }
    if (!session) {
        send_response(connection, &response, false, true);
    }
    kj__http_response_fini(&response);
    kj__fields_fini(&headers);
    return session;
}

/* Before the 101; non-zero refuses. */
static int on_ws_connect(const struct mg_connection *const_connection, void *data)
{
    struct kj__http *http = data;
    /* civetweb's callback type says const, but answering a refusal is meant to be done here. */
    struct mg_connection *connection = (struct mg_connection *)const_connection;
    struct mg_request_info *info = (struct mg_request_info *)mg_get_request_info(connection);
    /* civetweb would grant whatever subprotocol was asked for, and go on granting it to later
     * clients of the connection's slot that asked for none. */
    info->acceptedWebSocketSubprotocol = NULL;
    struct upgrade *upgrade = calloc(1, sizeof *upgrade);
    if (!upgrade) {
        send_error(connection, 503, "Out of memory");
        return 1;
    }
    upgrade->endpoint = http->options.upgrade;
    upgrade->session = prepare(http, connection);
    if (!upgrade->session) {
        free(upgrade);
        return 1;
    }
    mg_set_user_connection_data(connection, upgrade);
    return 0;
}

/* After the 101. */
static void on_ws_ready(struct mg_connection *connection, void *data)
{
    struct kj__http *http = data;
    struct upgrade *upgrade = mg_get_user_connection_data(connection);
    const struct mg_request_info *info = mg_get_request_info(connection);
    int fd = kj__handover_take(&http->handover, info->remote_addr, (uint16_t)info->remote_port,
                               http->port);
    if (fd < 0) {
        static struct kj__log_limit limit;
        KJ__COUNT(http->options.counters, handover_failed);
        kj__log_limited(&limit, KJ__LOG_ERROR, "http",
                        "a websocket was dropped: no descriptor is free; raise the limit of "
                        "open files (ulimit -n)");
        return;
    }
    upgrade->is_attached = true;
    upgrade->endpoint->attach(upgrade->endpoint->ctx, upgrade->session, fd);
}

/* Called only for frames that lay behind the handshake in one read: RFC 6455 4.1 has the
 * client wait for the 101. */
static int on_ws_data(struct mg_connection *connection, int bits, char *bytes, size_t len,
                      void *data)
{
    (void)bits;
    (void)bytes;
    (void)len;
    struct kj__http *http = data;
    struct upgrade *upgrade = mg_get_user_connection_data(connection);
    KJ__COUNT(http->options.counters, early_frames);
    upgrade->endpoint->on_early_frame(upgrade->endpoint->ctx, upgrade->session);
    return 0;
}

static void on_connection_close(const struct mg_connection *connection)
{
    struct upgrade *upgrade = mg_get_user_connection_data(connection);
    if (!upgrade) {
        return;
    }
    mg_set_user_connection_data(connection, NULL);
    if (!upgrade->is_attached) {
        upgrade->endpoint->abandon(upgrade->endpoint->ctx, upgrade->session);
    }
    upgrade->endpoint->release(upgrade->endpoint->ctx, upgrade->session);
    free(upgrade);
}

/* ---- civetweb's own complaints ---- */

static int on_http_error(struct mg_connection *connection, int status, const char *message)
{
    const struct kj__http *http = http_of(connection);
    if (is_for_endpoint(http, mg_get_request_info(connection))) {
        KJ__COUNT(http->options.counters, http_malformed);
        send_bad_handshake(connection);
        return 0;
    }
    refuse(http_of(connection), connection, status,
           status == 404 ? "Unable to find the requested resource" : message);
    return 0;
}

/* civetweb listens before it knows the handlers. */
static int on_begin_request(struct mg_connection *connection)
{
    if (atomic_load_explicit(&http_of(connection)->is_ready, memory_order_acquire)) {
        return 0;
    }
    send_error(connection, 503, "The server is starting");
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

static enum kj_status start_civetweb(struct kj__http *http, struct kj_error *error)
{
    const struct kj__http_options *options = &http->options;
    char threads[OPTION_TEXT_SIZE];
    char head_timeout[OPTION_TEXT_SIZE];
    char keep_alive[OPTION_TEXT_SIZE];
    (void)snprintf(threads, sizeof threads, "%u", options->threads);
    (void)snprintf(head_timeout, sizeof head_timeout, "%u", options->head_timeout_ms);
    (void)snprintf(keep_alive, sizeof keep_alive, "%u", options->keep_alive_ms);
    /* Without tcp_nodelay small answers wait 40 ms for the peer's acknowledgement. */
    const char *const settings[] = {"listening_ports",
                                    options->listen,
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
                                    "tcp_nodelay",
                                    "1",
                                    "connection_queue",
                                    "1024",
                                    "listen_backlog",
                                    "4096",
                                    NULL};
    struct mg_callbacks callbacks = {
        .begin_request = on_begin_request,
        .http_error = on_http_error,
        .log_message = on_log_message,
        .connection_close = on_connection_close,
    };
    struct mg_init_data init = {.callbacks = &callbacks,
                                .user_data = http,
                                .configuration_options = (const char **)settings};
    char text[256] = "";
    unsigned code = 0;
    struct mg_error_data failure = {.code = &code, .text = text, .text_buffer_size = sizeof text};
    http->civetweb = mg_start2(&init, &failure);
    if (!http->civetweb) {
        kj_error_set(error, 0, "cannot listen on %s: %s", options->listen, text);
        return KJ_EIO;
    }
    return KJ_OK;
}

static void add_handlers(struct kj__http *http)
{
    mg_set_request_handler(http->civetweb, "**", on_request, http);
    if (http->options.upgrade) {
        mg_set_websocket_handler(http->civetweb, http->options.upgrade->path, on_ws_connect,
                                 on_ws_ready, on_ws_data, NULL, http);
    }
    atomic_store_explicit(&http->is_ready, true, memory_order_release);
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
    if (!kj__handover_init(&made->handover)) {
        kj_error_set(error, 0, "no descriptor is free; raise the limit of open files (ulimit -n)");
        free(made);
        return KJ_EIO;
    }
    mg_init_library(MG_FEATURES_DEFAULT);
    enum kj_status status = start_civetweb(made, error);
    if (status) {
        kj__handover_fini(&made->handover);
        mg_exit_library();
        free(made);
        return status;
    }
    struct mg_server_port port = {0};
    mg_get_server_ports(made->civetweb, 1, &port);
    made->port = (uint16_t)port.port;
    add_handlers(made);
    *http = made;
    return KJ_OK;
}

uint16_t kj__http_port(const struct kj__http *http)
{
    return http->port;
}

void kj__http_stop(struct kj__http *http)
{
    if (http) {
        mg_stop(http->civetweb);
        mg_exit_library();
        kj__handover_fini(&http->handover);
        free(http);
    }
}
