/* ws_echo.c - echoes text and binary messages on "/", for conformance suites.
 *
 *   ws_echo --listen ADDR:PORT
 *
 * It goes through the same hand-over, shards and frame codec as /events, with UTF-8 checked in
 * text messages and room for the suites' 16 MiB messages. Port 0 picks one and prints it.
 */
#include "base/counters.h"
#include "delivery/delivery.h"
#include "http/http.h"
#include "rest/api.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_BYTES = 64 * 1024 * 1024,
    FRAGMENTS = 1024 * 1024,
    QUEUE_MESSAGES = 65536,
    DRAIN_MS = 1000
};

struct echo {
    struct kj__counters counters;
    struct kj__delivery *delivery;
    struct kj__endpoint endpoint;
};

static void on_open(struct kj__connection *connection)
{
    (void)connection;
}

static void on_message(struct kj__connection *connection, enum kj__opcode opcode, uint8_t *data,
                       size_t len)
{
    struct kj__out_frame *frame = kj__out_frame_new(opcode, data, len);
    if (!frame) {
        kj__connection_close(connection, KJ__CLOSE_INTERNAL, NULL, KJ__CAUSE_OVER_LIMIT, false);
        return;
    }
    kj__connection_send(connection, frame);
    kj__out_frame_unref(frame);
}

static void on_closed(struct kj__connection *connection, bool was_open)
{
    (void)connection;
    (void)was_open;
}

static void release(struct kj__connection *connection)
{
    free(connection);
}

static const struct kj__protocol echo_protocol = {
    .name = "echo",
    .on_open = on_open,
    .on_message = on_message,
    .on_closed = on_closed,
    .release = release,
};

static void handle(void *ctx, const struct kj__http_request *request,
                   struct kj__http_response *response)
{
    (void)ctx;
    (void)request;
    kj__http_response_error(response, KJ_ENCODING_JSON,
                            &(struct kj_api_error){.code = 400,
                                                   .title = "Bad Request",
                                                   .description = "This is a websocket endpoint"});
}

static void *prepare(void *ctx, const struct kj__http_request *request,
                     struct kj__http_response *response)
{
    (void)request;
    (void)response;
    struct echo *echo = ctx;
    struct kj__connection *connection = malloc(sizeof *connection);
    if (connection) {
        kj__connection_init(connection, echo->delivery, &echo->endpoint, true);
        kj__connection_announce(connection);
    }
    return connection;
}

static void attach(void *ctx, void *session, int fd, struct ssl_st *ssl)
{
    (void)ctx;
    (void)ssl; /* the listener is plain */
    kj__connection_attach(session, fd, NULL);
}

static void abandon(void *ctx, void *session)
{
    (void)ctx;
    kj__connection_abandon(session);
}

static void on_early_frame(void *ctx, void *session)
{
    (void)ctx;
    kj__connection_close_later(session, KJ__CLOSE_PROTOCOL_ERROR, "early frame",
                               KJ__CAUSE_PROTOCOL_ERROR);
}

static void release_session(void *ctx, void *session)
{
    (void)ctx;
    kj__connection_unref(session);
}

static int run(struct echo *echo, const char *listen)
{
    const struct kj__http_upgrade upgrade = {
        .path = "/",
        .prepare = prepare,
        .attach = attach,
        .abandon = abandon,
        .on_early_frame = on_early_frame,
        .release = release_session,
        .ctx = echo,
    };
    const struct kj__http_options options = {
        .listen = listen,
        .threads = 8,
        .body_bytes = 1024,
        .head_timeout_ms = 5000,
        .keep_alive_ms = 1000,
        .exchange_timeout_ms = 10000,
        .handle = handle,
        .ctx = echo,
        .upgrades = &upgrade,
        .upgrade_count = 1,
        .counters = &echo->counters,
    };
    struct kj_error error = {{0}, 0};
    struct kj__http *http;
    if (kj__http_start(&options, &http, &error)) {
        (void)fprintf(stderr, "ws_echo: %s\n", error.text);
        return 1;
    }
    printf("ws_echo: listening on ws://127.0.0.1:%u\n", kj__http_port(http));
    (void)fflush(stdout);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    int caught;
    sigwait(&signals, &caught);
    kj__http_stop(http, DRAIN_MS);
    kj__delivery_stop(echo->delivery, DRAIN_MS);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], "--listen") != 0) {
        (void)fprintf(stderr, "usage: ws_echo --listen ADDR:PORT\n");
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    static struct echo echo;
    if (kj__delivery_new(2, KJ_IO_AUTO, &echo.counters, &echo.delivery)) {
        return 1;
    }
    echo.endpoint = (struct kj__endpoint){
        .protocol = &echo_protocol,
        .message_bytes = MESSAGE_BYTES,
        .message_fragments = FRAGMENTS,
        .queue_bytes = 4u * MESSAGE_BYTES,
        .queue_messages = QUEUE_MESSAGES,
        .queue_policy = KJ_QUEUE_DISCONNECT,
        .ping_interval_ms = 15000,
        .pong_timeout_ms = 30000,
        .write_stall_ms = 10000,
        .close_timeout_ms = 2000,
    };
    int result = kj__delivery_start(echo.delivery) ? 1 : run(&echo, argv[2]);
    kj__delivery_free(echo.delivery);
    return result;
}
