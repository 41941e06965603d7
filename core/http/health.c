/* health.c - see health.h. */
#include "http/health.h"

#include "base/log.h"
#include "base/metrics.h"
#include "http/door.h"
#include "http/handover.h"
#include "http/listen_fault.h"

#include <civetweb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 2, WAITING_MAX = 64, OPTION_TEXT_SIZE = 16, ADDRESS_SIZE = 64 };

/* Below it lies the listening socket's number: it is among the first. */
enum { NUMBERS_LOOKED_AT = 4096 };

struct kj__health {
    struct kj__health_options options;
    struct mg_context *civetweb;
    struct kj__door door;
    struct kj__counters counters; /* of the door: those of the node are about its clients */
    char address[ADDRESS_SIZE];
    uint16_t port;
};

/* ---- answers ---- */

static void send_text(struct mg_connection *connection, int status, const char *media_type,
                      const void *body, size_t len)
{
    mg_printf(connection,
              "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
              "Cache-Control: no-store\r\n%sConnection: close\r\n\r\n",
              status, mg_get_response_code_text(connection, status), media_type, len,
              status == 405 ? "Allow: GET\r\n" : "");
    mg_write(connection, body, len);
}

static void send_line(struct mg_connection *connection, int status, const char *line)
{
    char text[sizeof(struct kj_error) + 1];
    int len = snprintf(text, sizeof text, "%s\n", line);
    send_text(connection, status, "text/plain; charset=utf-8", text,
              (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

static void send_verdict(struct mg_connection *connection, const struct kj__health *health,
                         bool (*check)(struct kj_error *error, void *ctx), int bad_status)
{
    struct kj_error error = {0};
    if (check(&error, health->options.ctx)) {
        mg_printf(connection, "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n"
                              "Connection: close\r\n\r\n");
    } else {
        send_line(connection, bad_status, error.text[0] ? error.text : "no");
    }
}

static void send_metrics(struct mg_connection *connection, const struct kj__health *health)
{
    struct kj__buffer out;
    kj__buffer_init(&out);
    health->options.add_metrics(&out, health->options.ctx);
    if (out.failed) {
        send_line(connection, 503, "Out of memory");
    } else {
        send_text(connection, 200, KJ__METRICS_MEDIA_TYPE, out.data, out.len);
    }
    kj__buffer_fini(&out);
}

static int on_request(struct mg_connection *connection, void *data)
{
    const struct kj__health *health = data;
    const struct mg_request_info *info = mg_get_request_info(connection);
    const char *path = info->local_uri ? info->local_uri : "";
    if (strcmp(info->request_method, "GET") != 0) {
        send_line(connection, 405, "Only GET is served here");
    } else if (strcmp(path, "/") == 0) {
        send_verdict(connection, health, health->options.is_alive, 500);
    } else if (strcmp(path, "/ready") == 0) {
        send_verdict(connection, health, health->options.is_ready, 503);
    } else if (strcmp(path, "/metrics") == 0) {
        send_metrics(connection, health);
    } else {
        send_line(connection, 404, "There are /, /ready and /metrics");
    }
    return 1;
}

/* ---- civetweb ---- */

static int on_http_error(struct mg_connection *connection, int status, const char *message)
{
    send_line(connection, status, message);
    return 0;
}

static int on_log_message(const struct mg_connection *connection, const char *message)
{
    (void)connection;
    static struct kj__log_limit limit;
    kj__log_limited(&limit, KJ__LOG_DEBUG, "health", "civetweb: %s", message);
    return 1;
}

static void on_close(const struct mg_connection *connection)
{
    struct kj__health *health = mg_get_user_data(mg_get_context(connection));
    kj__door_on_close(&health->door, connection);
}

static enum kj_status start_civetweb(struct kj__health *health, struct kj_error *error)
{
    char workers[OPTION_TEXT_SIZE];
    char timeout[OPTION_TEXT_SIZE];
    (void)snprintf(workers, sizeof workers, "%d", WORKERS);
    (void)snprintf(timeout, sizeof timeout, "%u", health->options.head_timeout_ms);
    const char *const settings[] = {"listening_ports",
                                    health->options.listen,
                                    "num_threads",
                                    workers,
                                    "request_timeout_ms",
                                    timeout,
                                    "enable_keep_alive",
                                    "no",
                                    "tcp_nodelay",
                                    "1",
                                    NULL};
    struct mg_callbacks callbacks = {
        .http_error = on_http_error, .log_message = on_log_message, .connection_close = on_close};
    struct mg_init_data init = {.callbacks = &callbacks,
                                .user_data = health,
                                .configuration_options = (const char **)settings};
    char text[256] = "";
    unsigned code = 0;
    struct mg_error_data failure = {.code = &code, .text = text, .text_buffer_size = sizeof text};
    health->civetweb = mg_start2(&init, &failure);
    if (!health->civetweb) {
        kj_error_set(error, 0, "option health_listen (--health): cannot listen on %s: %s",
                     health->options.listen, kj__listen_fault(health->options.listen, text));
        return KJ_EIO;
    }
    return KJ_OK;
}

/* Two workers are soon held by connections that do not ask. */
static void open_door(struct kj__health *health)
{
    const struct kj__door_options door = {.head_timeout_ms = health->options.head_timeout_ms,
                                          .waiting = WAITING_MAX,
                                          .waiting_always = WAITING_MAX,
                                          .per_address = WAITING_MAX,
                                          .workers = WORKERS,
                                          .counters = &health->counters};
    int listener = kj__handover_find_listener(NUMBERS_LOOKED_AT, health->address, health->port);
    if (KJ__OWN_CIVETWEB && listener >= 0 && !kj__door_open(&health->door, listener, &door)) {
        kj__log(KJ__LOG_WARNING, "health", "no descriptor is free for the door");
    }
}

/* ---- life ---- */

/* "ADDR:PORT" or "[ADDR]:PORT"; civetweb's own syntax has more, such as lists. */
static bool parse_listen(struct kj__health *health, const char *listen)
{
    const char *colon = strrchr(listen, ':');
    bool has_brackets = listen[0] == '[' && colon && colon > listen && colon[-1] == ']';
    const char *start = listen + has_brackets;
    size_t len = colon ? (size_t)(colon - start) - has_brackets : sizeof health->address;
    if (len >= sizeof health->address || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")]) {
        return false;
    }
    memcpy(health->address, start, len);
    return !strchr(health->address, ',');
}

enum kj_status kj__health_start(const struct kj__health_options *options,
                                struct kj__health **health, struct kj_error *error)
{
    *health = NULL;
    struct kj__health *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    made->options = *options;
    kj__door_init(&made->door);
    enum kj_status status = KJ_OK;
    if (!parse_listen(made, options->listen)) {
        kj_error_set(error, 0, "option health_listen (--health): \"%s\" is not ADDR:PORT",
                     options->listen);
        status = KJ_EINVAL;
    } else {
        mg_init_library(MG_FEATURES_DEFAULT);
        status = start_civetweb(made, error);
        if (status) {
            mg_exit_library();
        }
    }
    if (status) {
        kj__door_fini(&made->door);
        free(made);
        return status;
    }
    struct mg_server_port port = {0};
    mg_get_server_ports(made->civetweb, 1, &port);
    made->port = (uint16_t)port.port;
    open_door(made);
    mg_set_request_handler(made->civetweb, "**", on_request, made);
    *health = made;
    return KJ_OK;
}

uint16_t kj__health_port(const struct kj__health *health)
{
    return health->port;
}

void kj__health_stop(struct kj__health *health)
{
    if (health) {
        kj__handover_shut_listener(NUMBERS_LOOKED_AT, health->address, health->port);
        kj__door_hang_up(&health->door);
        kj__door_wake(&health->door);
        mg_stop(health->civetweb);
        mg_exit_library();
        kj__door_fini(&health->door);
        free(health);
    }
}
