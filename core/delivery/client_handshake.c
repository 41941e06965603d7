/* client_handshake.c - see client_handshake.h.
 *
 * The accept value is looked for but not compared: that takes SHA-1, which nothing here
 * brings along. It guards against servers that answer 101 without knowing websockets, and
 * those do not send the header either.
 */
#include "delivery/client_handshake.h"

#include "base/clock.h"
#include "base/fields.h"
#include "base/id.h"
#include "codec/encoding.h"
#include "delivery/client_tls.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TIMEOUT_DEFAULT_MS = 10000,
    HEAD_MAX = 16 * 1024,
    BODY_MAX = 4096, /* of a refusal; a server keeps it under 1,024 */
    HOST_MAX = 255,
    PORT_MAX = 5,
    KEY_LEN = 24,
    STATUS_SWITCHING = 101,
};

struct target {
    bool is_tls;
    char host[HOST_MAX + 1];
    char port[PORT_MAX + 1];
    const char *authority; /* as it stands in the URL, for the Host header */
    size_t authority_len;
    const char *path; /* with the query; "" means "/" */
};

/* One handshake under way. */
struct handshake {
    const struct kj_subscriber_options *options;
    struct target target;
    struct kj__buffer *in; /* what arrived; the head is cut off at its front in the end */
    size_t head_len;
    struct kj__fields headers;
    long status;
    uint64_t deadline_ms;
    struct kj__client *client;
    struct kj_error *error;
};

bool kj__client_wait(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now = kj__clock_monotonic_ms();
        struct pollfd ready = {.fd = fd, .events = events};
        int count = poll(&ready, 1, kj__clock_left_ms(now, deadline_ms));
        if (count > 0) {
            return true;
        }
        if (count == 0 || errno != EINTR) {
            return false;
        }
    }
}

enum kj_status kj__client_send(const struct kj__client *client, struct kj__buffer *out,
                               uint64_t deadline_ms)
{
    size_t sent = 0;
    while (sent < out->len || kj__tls_has_unsent(client->tls)) {
        struct iovec left = {.iov_base = out->data + sent, .iov_len = out->len - sent};
        ssize_t n = kj__socket_write(client->fd, client->tls, &left, 1, NULL);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno != EAGAIN && errno != EINTR) {
            return KJ_EIO;
        } else if (!kj__client_wait(client->fd, POLLOUT, deadline_ms)) {
            return KJ_ETIMEOUT;
        }
    }
    out->len = 0;
    return KJ_OK;
}

ssize_t kj__client_receive(const struct kj__client *client, uint8_t *bytes, size_t size)
{
    ssize_t got = kj__socket_read(client->fd, client->tls, bytes, size);
    if (got < 0 && errno == EINTR) {
        errno = EAGAIN;
    }
    return got;
}

bool kj__client_has_more(const struct kj__client *client)
{
    return kj__tls_has_more(client->tls);
}

void kj__client_close(struct kj__client *client)
{
    kj__tls_free(client->tls);
    client->tls = NULL;
    if (client->fd >= 0) {
        close(client->fd);
        client->fd = -1;
    }
}

/* ---- the URL ---- */

static enum kj_status bad_url(struct handshake *handshake, const char *fault)
{
    kj_error_set(handshake->error, 0, "%s: %s", handshake->options->url, fault);
    return KJ_EINVAL;
}

static bool is_plain(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Splits HOST, HOST:PORT, [V6] or [V6]:PORT. */
static bool split_authority(struct target *target)
{
    const char *host = target->authority;
    const char *end = host + target->authority_len;
    const char *host_end;
    if (host < end && *host == '[') {
        host_end = memchr(host, ']', target->authority_len);
        if (!host_end) {
            return false;
        }
        host++;
    } else {
        host_end = memchr(host, ':', target->authority_len);
        host_end = host_end ? host_end : end;
    }
    const char *after = host_end < end && *host_end == ']' ? host_end + 1 : host_end;
    size_t host_len = (size_t)(host_end - host);
    size_t port_len = after < end ? (size_t)(end - after) - 1 : 0;
    if (host_len == 0 || host_len > HOST_MAX || port_len > PORT_MAX ||
        (after < end && (*after != ':' || port_len == 0))) {
        return false;
    }
    memcpy(target->host, host, host_len);
    const char *standard = target->is_tls ? "443" : "80";
    memcpy(target->port, port_len ? after + 1 : standard, port_len ? port_len : strlen(standard));
    return strspn(target->port, "0123456789") == strlen(target->port);
}

static enum kj_status parse_url(struct handshake *handshake)
{
    static const struct {
        const char *text;
        bool is_tls;
    } schemes[] = {{"ws://", false}, {"http://", false}, {"wss://", true}, {"https://", true}};
    const char *url = handshake->options->url;
    const char *rest = NULL;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (strncasecmp(url, schemes[i].text, strlen(schemes[i].text)) == 0) {
            rest = url + strlen(schemes[i].text);
            handshake->target.is_tls = schemes[i].is_tls;
        }
    }
    if (!rest) {
        return bad_url(handshake, "a URL starts with ws://, wss://, http:// or https://");
    }
    const char *since = handshake->options->since;
    if (since && (!is_plain(since) || since[strcspn(since, "#&")])) {
        kj_error_set(handshake->error, 0, "since: \"%.100s\" is no place in a stream", since);
        return KJ_EINVAL;
    }
    if (!is_plain(url) || strchr(url, '#')) {
        return bad_url(handshake, "a URL has no blanks, control characters or '#'");
    }
    struct target *target = &handshake->target;
    target->authority = rest;
    target->authority_len = strcspn(rest, "/?");
    target->path = rest + target->authority_len;
    if (!split_authority(target)) {
        return bad_url(handshake, "expected HOST:PORT behind the scheme");
    }
    return KJ_OK;
}

/* ---- the connection ---- */

static enum kj_status connect_one(struct handshake *handshake, const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return KJ_EIO;
    }
    int fault = connect(fd, address->ai_addr, address->ai_addrlen) ? errno : 0;
    if (fault == EINPROGRESS) {
        socklen_t len = sizeof fault;
        if (!kj__client_wait(fd, POLLOUT, handshake->deadline_ms)) {
            fault = ETIMEDOUT;
        } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &len)) {
            fault = errno;
        }
    }
    if (fault) {
        close(fd);
        errno = fault;
        return fault == ETIMEDOUT ? KJ_ETIMEOUT : KJ_EIO;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    handshake->client->fd = fd;
    return KJ_OK;
}

static enum kj_status connect_any(struct handshake *handshake)
{
    const struct target *target = &handshake->target;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    int fault = getaddrinfo(target->host, target->port, &hints, &addresses);
    if (fault) {
        kj_error_set(handshake->error, 0, "%s: %s", target->host, gai_strerror(fault));
        return KJ_EIO;
    }
    enum kj_status status = KJ_EIO;
    for (const struct addrinfo *at = addresses; at && status; at = at->ai_next) {
        status = connect_one(handshake, at);
    }
    if (status) {
        kj_error_set(handshake->error, 0, "cannot connect to %.*s: %s", (int)target->authority_len,
                     target->authority, strerror(errno));
    }
    freeaddrinfo(addresses);
    return status;
}

/* Where TLS is broken, it may know why: a server that wants a certificate of ours, for one, says
 * so only after a handshake in TLS 1.3 that looks complete from here. */
static void set_io_error(struct handshake *handshake, const char *what, enum kj_status status)
{
    struct kj__tls *tls = handshake->client->tls;
    if (tls && !kj__tls_fault(tls)) {
        uint8_t unwanted;
        (void)kj__tls_read(tls, &unwanted, sizeof unwanted); /* what it told us before it left */
    }
    const char *fault = tls ? kj__tls_fault(tls) : NULL;
    kj_error_set(handshake->error, 0, "%s: %s", what, fault ? fault : kj_status_text(status));
}

/* ---- the question ---- */

/* Base64 of sixteen random bytes: the last character before the padding carries two bits. */
static void make_key(char key[KEY_LEN + 1])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t random[KEY_LEN - 2];
    kj__random_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) {
        key[i] = digits[random[i] & 0x3f];
    }
    key[sizeof random - 1] = "AQgw"[random[sizeof random - 1] & 0x3];
    memcpy(key + sizeof random, "==", 3);
}

/* What the options add to the URL's query. */
static void append_query(const struct handshake *handshake, struct kj__buffer *out)
{
    const struct kj_subscriber_options *options = handshake->options;
    char mark = strchr(handshake->target.path, '?') ? '&' : '?';
    if (options->since) {
        kj__buffer_printf(out, "%csince=%s", mark, options->since);
    } else if (options->resume) {
        kj__buffer_printf(out, "%cresume", mark);
    }
}

static enum kj_status ask(struct handshake *handshake)
{
    const struct kj_subscriber_options *options = handshake->options;
    const struct target *target = &handshake->target;
    const char *encoding = kj_encoding_name(options->encoding);
    char key[KEY_LEN + 1];
    make_key(key);
    struct kj__buffer out;
    kj__buffer_init(&out);
    kj__buffer_printf(&out, "GET %s%s", *target->path == '/' ? "" : "/", target->path);
    append_query(handshake, &out);
    kj__buffer_printf(&out,
                      " HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: %s\r\nAccept: %s\r\nContent-Type: %s\r\n",
                      (int)target->authority_len, target->authority, key, encoding, encoding);
    if (options->token) {
        kj__buffer_printf(&out, "Authorization: Bearer %s\r\n", options->token);
    }
    kj__buffer_append_text(&out, "\r\n");
    enum kj_status status = KJ_ENOMEM;
    if (!out.failed) {
        status = kj__client_send(handshake->client, &out, handshake->deadline_ms);
    }
    if (status) {
        set_io_error(handshake, "sending the handshake", status);
    }
    kj__buffer_fini(&out);
    return status;
}

/* ---- the answer ---- */

/* Reads what is there, waiting for it. KJ_ECLOSED at the end of the stream. */
static enum kj_status receive_more(struct handshake *handshake)
{
    enum { CHUNK = 4096 };
    uint8_t *room = kj__buffer_reserve(handshake->in, CHUNK);
    if (!room) {
        return KJ_ENOMEM;
    }
    for (;;) {
        ssize_t n = kj__client_receive(handshake->client, room, CHUNK);
        if (n > 0) {
            handshake->in->len += (size_t)n;
            return KJ_OK;
        }
        if (n == 0) {
            return KJ_ECLOSED;
        }
        if (errno != EAGAIN) {
            return KJ_EIO;
        }
        if (!kj__client_wait(handshake->client->fd, POLLIN, handshake->deadline_ms)) {
            return KJ_ETIMEOUT;
        }
    }
}

static bool parse_header(struct handshake *handshake, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (!colon) {
        return false;
    }
    const char *value = colon + 1;
    const char *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    return kj__fields_add_len(&handshake->headers, line, (size_t)(colon - line), value,
                              (size_t)(end - value));
}

static bool parse_head(struct handshake *handshake)
{
    const char *line = (const char *)handshake->in->data;
    const char *head_end = line + handshake->head_len - 2;
    if (handshake->head_len < 16 || memchr(line, 0, handshake->head_len) ||
        strncmp(line, "HTTP/1.1 ", 9) != 0) {
        return false;
    }
    handshake->status = strtol(line + 9, NULL, 10);
    line = (const char *)memmem(line, handshake->head_len, "\r\n", 2) + 2;
    while (line < head_end) {
        const char *end = memmem(line, (size_t)(head_end + 2 - line), "\r\n", 2);
        if (!end || !parse_header(handshake, line, (size_t)(end - line))) {
            return false;
        }
        line = end + 2;
    }
    return true;
}

static enum kj_status read_head(struct handshake *handshake)
{
    struct kj__buffer *in = handshake->in;
    const uint8_t *blank = NULL;
    while (!blank) {
        enum kj_status status = in->len < HEAD_MAX ? receive_more(handshake) : KJ_ELIMIT;
        if (status) {
            bool is_plain = !handshake->client->tls && in->len == 0;
            set_io_error(handshake,
                         status == KJ_ECLOSED && is_plain
                             ? "no answer (the URL of a server that speaks TLS is wss://...)"
                             : "waiting for the server's answer",
                         status);
            return status == KJ_ETIMEOUT ? KJ_ETIMEOUT : KJ_EIO;
        }
        blank = memmem(in->data, in->len, "\r\n\r\n", 4);
    }
    handshake->head_len = (size_t)(blank - in->data) + 4;
    if (!parse_head(handshake)) {
        kj_error_set(handshake->error, 0, "the server's answer is not HTTP");
        return KJ_EIO;
    }
    return KJ_OK;
}

/* The description of a refusal's first error, or NULL; lives as long as *body. */
static const char *refusal_text(struct handshake *handshake, json_t **body)
{
    const struct kj__buffer *in = handshake->in;
    const char *type = kj__fields_get(&handshake->headers, "Content-Type");
    const char *length = kj__fields_get(&handshake->headers, "Content-Length");
    size_t wanted = length ? strtoul(length, NULL, 10) : BODY_MAX;
    wanted = handshake->head_len + (wanted < BODY_MAX ? wanted : BODY_MAX);
    while (in->len < wanted && !receive_more(handshake)) {
        /* Until the body is whole, too long, or the server has ended it. */
    }
    enum kj_encoding encoding = type && strcasestr(type, "msgpack") ? KJ_ENCODING_MSGPACK
                                                                    : KJ_ENCODING_JSON;
    if (kj__value_decode(encoding, in->data + handshake->head_len, in->len - handshake->head_len,
                         body, NULL)) {
        return NULL;
    }
    return json_string_value(json_object_get(json_array_get(*body, 0), "description"));
}

static enum kj_status check_answer(struct handshake *handshake)
{
    const char *upgrade = kj__fields_get(&handshake->headers, "Upgrade");
    if (handshake->status != STATUS_SWITCHING) {
        json_t *body = NULL;
        const char *text = refusal_text(handshake, &body);
        kj_error_set(handshake->error, (size_t)handshake->status, "the server answered %ld%s%s",
                     handshake->status, text ? ": " : "", text ? text : "");
        json_decref(body);
        return KJ_EREFUSED;
    }
    if (!upgrade || strcasecmp(upgrade, "websocket") != 0 ||
        !kj__fields_get(&handshake->headers, "Sec-WebSocket-Accept")) {
        kj_error_set(handshake->error, 0, "the server's 101 is not a websocket handshake");
        return KJ_EREFUSED;
    }
    return KJ_OK;
}

/* One that is too long is none of ours. */
static void keep_position(struct handshake *handshake)
{
    const char *position = kj__fields_get(&handshake->headers, "X-Seq");
    size_t len = position ? strlen(position) : 0;
    if (len > 0 && len < KJ__CLIENT_POSITION_SIZE) {
        memcpy(handshake->client->position, position, len + 1);
    }
}

static enum kj_status start_tls(struct handshake *handshake)
{
    if (!handshake->target.is_tls) {
        return KJ_OK;
    }
    return kj__client_tls_start(handshake->options, handshake->target.host, handshake->client->fd,
                                handshake->deadline_ms, &handshake->client->tls, handshake->error);
}

enum kj_status kj__client_handshake(const struct kj_subscriber_options *options,
                                    struct kj__client *client, struct kj__buffer *rest,
                                    struct kj_error *error)
{
    uint32_t timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_DEFAULT_MS;
    struct handshake handshake = {.options = options,
                                  .in = rest,
                                  .deadline_ms = kj__clock_monotonic_ms() + timeout_ms,
                                  .client = client,
                                  .error = error};
    kj__fields_init(&handshake.headers, true);
    enum kj_status status = parse_url(&handshake);
    if (!status && options->token && !is_plain(options->token)) {
        kj_error_set(error, 0, "a token has no blanks or control characters");
        status = KJ_EINVAL;
    }
    status = status ? status : connect_any(&handshake);
    status = status ? status : start_tls(&handshake);
    status = status ? status : ask(&handshake);
    status = status ? status : read_head(&handshake);
    status = status ? status : check_answer(&handshake);
    if (!status) {
        keep_position(&handshake);
        kj__buffer_consume(rest, handshake.head_len);
    }
    kj__fields_fini(&handshake.headers);
    return status;
}
