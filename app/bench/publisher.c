/* publisher.c - see publisher.h. */
#include "bench/publisher.h"

#include "bench/tls.h"
#include "bench/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_MAX = 4 << 20, REQUEST_HEAD_MAX = 4096 };

struct bench_publisher {
    const struct bench_settings *settings;
    struct bench_tls_context *tls_context;
    struct bench_tls *tls;
    int fd;
    struct bench_bytes request; /* as it goes out, but for the mark and a mask */
    size_t mark_at;
    uint8_t *frame; /* room for the masked request; websockets only */
    uint8_t *answer;
};

static bool fail(char fault[BENCH_FAULT_SIZE], const char *what, int error)
{
    snprintf(fault, BENCH_FAULT_SIZE, "publishing: %.160s%s%s", what, error ? ": " : "",
             error ? strerror(error) : "");
    return false;
}

/* ---- what is sent ---- */

/* The template with the payload in place of {PAYLOAD}: room for the mark, then filling. */
static bool make_body(const struct bench_settings *settings, struct bench_bytes *body,
                      size_t *mark_at)
{
    static const char slot[] = "{PAYLOAD}";
    const struct bench_bytes *template = &settings->template.bytes;
    const uint8_t *found = memmem(template->data, template->len, slot, strlen(slot));
    size_t before = (size_t)(found - template->data);
    size_t after = template->len - before - strlen(slot);
    body->len = before + settings->payload + after;
    body->data = malloc(body->len);
    if (!body->data) {
        return false;
    }
    memcpy(body->data, template->data, before);
    memset(body->data + before, 'x', settings->payload);
    memcpy(body->data + before + settings->payload, found + strlen(slot), after);
    *mark_at = before;
    return true;
}

static bool make_request(struct bench_publisher *publisher)
{
    const struct bench_settings *settings = publisher->settings;
    const struct bench_target *target = &settings->publish_target;
    struct bench_bytes body;
    if (!make_body(settings, &body, &publisher->mark_at)) {
        return false;
    }
    if (settings->publish == BENCH_PUBLISH_WEBSOCKET) {
        publisher->request = body;
        publisher->frame = malloc(body.len + WIRE_HEADER_MAX);
        return publisher->frame != NULL;
    }
    char head[REQUEST_HEAD_MAX];
    int len = snprintf(head, sizeof head,
                       "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\n"
                       "Content-Length: %zu\r\n",
                       target->path, target->authority, settings->content_type, body.len);
    for (size_t i = 0; i < settings->headers.count && len < (int)sizeof head; i++) {
        len += snprintf(head + len, sizeof head - (size_t)len, "%s\r\n",
                        settings->headers.items[i]);
    }
    if (len < (int)sizeof head) {
        len += snprintf(head + len, sizeof head - (size_t)len, "\r\n");
    }
    publisher->request.len = (size_t)len + body.len;
    publisher->request.data = len < (int)sizeof head ? malloc(publisher->request.len) : NULL;
    if (publisher->request.data) {
        memcpy(publisher->request.data, head, (size_t)len);
        memcpy(publisher->request.data + len, body.data, body.len);
    }
    publisher->mark_at += (size_t)len;
    free(body.data);
    return publisher->request.data != NULL;
}

/* ---- the connection ---- */

static void hang_up(struct bench_publisher *publisher)
{
    bench_tls_free(publisher->tls);
    publisher->tls = NULL;
    if (publisher->fd >= 0) {
        close(publisher->fd);
    }
    publisher->fd = -1;
}

static bool dial(struct bench_publisher *publisher, char fault[BENCH_FAULT_SIZE])
{
    const struct bench_target *target = &publisher->settings->publish_target;
    uint32_t timeout_ms = publisher->settings->timeout_ms;
    struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    int on = 1;
    publisher->fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (publisher->fd < 0) {
        return fail(fault, target->authority, errno);
    }
    setsockopt(publisher->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(publisher->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(publisher->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    while (connect(publisher->fd, (const struct sockaddr *)&target->address, target->address_len)) {
        if (errno != EINTR) {
            return fail(fault, target->authority, errno == EINPROGRESS ? ETIMEDOUT : errno);
        }
    }
    if (!target->tls) {
        return true;
    }
    publisher->tls = bench_tls_new(publisher->tls_context, publisher->fd, target->authority);
    return (publisher->tls && bench_tls_handshake(publisher->tls) == 0) ||
           fail(fault, "the TLS handshake failed", 0);
}

static bool send_all(struct bench_publisher *publisher, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = bench_tls_send(publisher->tls, publisher->fd, bytes, len);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* A signal lets what is under way come to its end. */
static ssize_t receive(struct bench_publisher *publisher, size_t at, size_t size)
{
    ssize_t n;
    do {
        n = bench_tls_receive(publisher->tls, publisher->fd, publisher->answer + at, size);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* ---- HTTP ---- */

/* How long the answer is in all, from its head; 0 when it cannot be told. */
static size_t answer_size(const char *answer, const char *head_end)
{
    static const char name[] = "\nContent-Length:";
    size_t head = (size_t)(head_end - answer) + 4;
    int status = atoi(answer + strlen("HTTP/1.1 "));
    if (status == 204 || status == 304) {
        return head;
    }
    for (const char *at = answer; at < head_end; at++) {
        if (strncasecmp(at, name, strlen(name)) == 0) {
            return head + strtoul(at + strlen(name), NULL, 10);
        }
    }
    return 0;
}

/* Its status line and the beginning of its body, which says why. */
static bool fail_answer(char fault[BENCH_FAULT_SIZE], const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n") + strlen("\r\n\r\n");
    size_t line = strcspn(answer, "\r\n");
    snprintf(fault, BENCH_FAULT_SIZE, "publishing: %.*s: %.160s", line < 60 ? (int)line : 60,
             answer, body);
    for (char *at = fault; *at; at++) {
        *at = *at >= ' ' && *at <= '~' ? *at : '?';
    }
    return false;
}

static bool fail_receiving(char fault[BENCH_FAULT_SIZE], int error)
{
    bool is_late = error == EAGAIN;
    return fail(fault, is_late ? "no answer within --timeout-ms" : "no whole answer",
                is_late ? 0 : error);
}

/* Reads one answer; true for a 2xx. *ended: the server closed before a byte of it. */
static bool read_answer(struct bench_publisher *publisher, bool *ended,
                        char fault[BENCH_FAULT_SIZE])
{
    char *answer = (char *)publisher->answer;
    size_t len = 0;
    size_t size = 0;
    *ended = false;
    while (size == 0 || len < size) {
        ssize_t n = receive(publisher, len, ANSWER_MAX - len);
        if (n <= 0) {
            *ended = len == 0 && (n == 0 || errno == ECONNRESET);
            return fail_receiving(fault, n < 0 ? errno : 0);
        }
        len += (size_t)n;
        answer[len] = '\0';
        const char *head_end = size == 0 ? strstr(answer, "\r\n\r\n") : NULL;
        size = head_end ? answer_size(answer, head_end) : size;
        if ((head_end && size == 0) || size > ANSWER_MAX) {
            return fail(fault, "an answer without a length, or too long", 0);
        }
    }
    if (len < strlen("HTTP/1.1 2") || answer[strlen("HTTP/1.1 ")] != '2') {
        return fail_answer(fault, answer);
    }
    return true;
}

static bool post(struct bench_publisher *publisher, char fault[BENCH_FAULT_SIZE])
{
    bool was_idle = publisher->fd >= 0;
    for (;;) {
        bool ended = false;
        if (publisher->fd < 0 && !dial(publisher, fault)) {
            hang_up(publisher);
            return false;
        }
        bool sent = send_all(publisher, publisher->request.data, publisher->request.len);
        if (sent && read_answer(publisher, &ended, fault)) {
            return true;
        }
        hang_up(publisher);
        /* A server may end an idle connection at any time: that is no failure of this event. */
        if (!was_idle || (sent && !ended)) {
            return sent ? false : fail(fault, "sending", errno);
        }
        was_idle = false;
    }
}

/* ---- websockets ---- */

static bool send_message(struct bench_publisher *publisher, uint8_t *room,
                         const struct bench_message *message)
{
    size_t size = wire_frame(room, message->is_binary ? WIRE_BINARY : WIRE_TEXT,
                             message->bytes.data, message->bytes.len);
    return send_all(publisher, room, size);
}

static bool open_websocket(struct bench_publisher *publisher, char fault[BENCH_FAULT_SIZE])
{
    const struct bench_settings *settings = publisher->settings;
    size_t len = wire_request((char *)publisher->answer, ANSWER_MAX, &settings->publish_target,
                              (enum kj_encoding)settings->encoding, settings->headers.items);
    if (!dial(publisher, fault)) {
        return false;
    }
    if (len == 0 || !send_all(publisher, publisher->answer, len)) {
        return fail(fault, "the upgrade did not go out", errno);
    }
    int head = 0;
    for (len = 0; head == 0;) {
        ssize_t n = receive(publisher, len, WIRE_HEAD_MAX - len);
        len += n > 0 ? (size_t)n : 0;
        head = n > 0 ? wire_check_answer(publisher->answer, len) : -1;
    }
    if (head < 0) {
        return fail(fault, "no upgrade", 0);
    }
    for (size_t i = 0; i < settings->publish_sends.count; i++) {
        if (!send_message(publisher, publisher->answer, &settings->publisher_sends[i])) {
            return fail(fault, "a first message did not go out", errno);
        }
    }
    return true;
}

/* What the server tells the publisher is read, so that it does not fill the connection, and
 * ignored: pings too, so a server must not expect answers within the run. */
static bool publish_message(struct bench_publisher *publisher, char fault[BENCH_FAULT_SIZE])
{
    while (!publisher->tls &&
           recv(publisher->fd, publisher->answer, ANSWER_MAX, MSG_DONTWAIT) > 0) {
    }
    const struct bench_message message = {publisher->request,
                                          publisher->settings->template.is_binary};
    return send_message(publisher, publisher->frame, &message) || fail(fault, "sending", errno);
}

/* ---- both ---- */

struct bench_publisher *bench_publisher_new(const struct bench_settings *settings,
                                            char fault[BENCH_FAULT_SIZE])
{
    bool is_websocket = settings->publish == BENCH_PUBLISH_WEBSOCKET;
    struct bench_publisher *publisher = calloc(1, sizeof *publisher);
    if (!publisher) {
        fail(fault, "no memory", 0);
        return NULL;
    }
    publisher->settings = settings;
    publisher->fd = -1;
    publisher->answer = malloc(ANSWER_MAX + 1);
    if (!publisher->answer || !make_request(publisher)) {
        fail(fault, "no memory", 0);
        goto fail;
    }
    if (settings->publish_target.tls) {
        publisher->tls_context = bench_tls_context_new(settings->ca, settings->insecure);
        if (!publisher->tls_context) {
            fail(fault, "--ca cannot be read", 0);
            goto fail;
        }
    }
    if (is_websocket ? !open_websocket(publisher, fault) : !dial(publisher, fault)) {
        goto fail;
    }
    return publisher;
fail:
    bench_publisher_free(publisher);
    return NULL;
}

void bench_publisher_free(struct bench_publisher *publisher)
{
    static const uint8_t normal_closure[2] = {1000 >> 8, 1000 & 0xff};
    if (publisher) {
        if (publisher->frame && publisher->fd >= 0) {
            size_t size = wire_frame(publisher->frame, WIRE_CLOSE, normal_closure,
                                     sizeof normal_closure);
            send_all(publisher, publisher->frame, size);
        }
        hang_up(publisher);
        bench_tls_context_free(publisher->tls_context);
        free(publisher->request.data);
        free(publisher->frame);
        free(publisher->answer);
        free(publisher);
    }
}

bool bench_publish(struct bench_publisher *publisher, uint32_t number, uint64_t planned_ns,
                   char fault[BENCH_FAULT_SIZE])
{
    const struct bench_mark mark = {publisher->settings->run, number, planned_ns};
    bench_mark_write((char *)publisher->request.data + publisher->mark_at, &mark);
    return publisher->settings->publish == BENCH_PUBLISH_POST ? post(publisher, fault)
                                                              : publish_message(publisher, fault);
}
