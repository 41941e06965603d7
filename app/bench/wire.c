/* wire.c - see wire.h.
 *
 * Every handshake carries the key of RFC 6455's example, so that the right answer is known
 * without computing a SHA-1.
 */
#include "bench/wire.h"

#include <ctype.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char accept_key[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/* ---- URLs ---- */

static const struct {
    const char *scheme, *port;
    bool tls;
} schemes[] = {
    {"ws://", "80", false},
    {"http://", "80", false},
    {"wss://", "443", true},
    {"https://", "443", true},
};

/* Splits HOST, HOST:PORT, [V6] or [V6]:PORT; `host` has room for the whole authority. The
 * port lies in it, and stays what it was where there is none. */
static bool split_authority(const char *authority, char *host, const char **port)
{
    const char *start = authority + (*authority == '[');
    size_t host_len = strcspn(start, *authority == '[' ? "]" : ":");
    const char *after = start + host_len + (*authority == '[' && start[host_len] == ']');
    memcpy(host, start, host_len);
    host[host_len] = '\0';
    if (*after == ':') {
        *port = after + 1;
    }
    return host_len > 0 && (*after == '\0' || *after == ':') &&
           strspn(*port, "0123456789") == strlen(*port) && **port;
}

bool wire_target_parse(const char *url, struct bench_target *target, struct kj_error *error)
{
    char host[sizeof target->authority];
    size_t i = 0;
    size_t count = sizeof schemes / sizeof *schemes;
    while (i < count && strncasecmp(url, schemes[i].scheme, strlen(schemes[i].scheme)) != 0) {
        i++;
    }
    if (i == count) {
        kj_error_set(error, 0, "%s: a URL starts with ws://, wss://, http:// or https://", url);
        return false;
    }
    const char *rest = url + strlen(schemes[i].scheme);
    size_t len = strcspn(rest, "/?");
    const char *port = schemes[i].port;
    target->tls = schemes[i].tls;
    target->path = rest[len] ? rest + len : "/";
    if (len < sizeof target->authority) {
        memcpy(target->authority, rest, len);
        target->authority[len] = '\0';
    }
    if (len >= sizeof target->authority || strpbrk(url, " \r\n") || *target->path == '?' ||
        !split_authority(target->authority, host, &port)) {
        kj_error_set(error, 0, "%s: not SCHEME://HOST:PORT/PATH", url);
        return false;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code) {
        kj_error_set(error, 0, "%s: %s", url, gai_strerror(code));
        return false;
    }
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    target->address_len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

/* ---- messages given as text ---- */

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* Turns pairs of digits into bytes, and leaves {PAYLOAD} as it stands, to be replaced later. */
static bool unhex(const char *text, struct bench_bytes *bytes)
{
    static const char slot[] = "{PAYLOAD}";
    while (*text) {
        if (strncmp(text, slot, strlen(slot)) == 0) {
            memcpy(bytes->data + bytes->len, slot, strlen(slot));
            bytes->len += strlen(slot);
            text += strlen(slot);
            continue;
        }
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0) {
            return false;
        }
        bytes->data[bytes->len++] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return true;
}

bool wire_message_parse(const char *text, struct bench_message *message)
{
    static const char prefix[] = "hex:";
    *message = (struct bench_message){.is_binary = strncmp(text, prefix, strlen(prefix)) == 0};
    message->bytes.data = malloc(strlen(text) + 1);
    if (!message->bytes.data) {
        return false;
    }
    if (message->is_binary) {
        return unhex(text + strlen(prefix), &message->bytes);
    }
    message->bytes.len = strlen(text);
    memcpy(message->bytes.data, text, message->bytes.len);
    return true;
}

/* ---- the handshake ---- */

size_t wire_request(char *out, size_t size, const struct bench_target *target,
                    enum kj_encoding encoding, const char *const *headers)
{
    const char *type = encoding == KJ_ENCODING_MSGPACK ? "application/msgpack" : "application/json";
    int len = snprintf(out, size,
                       "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "Accept: %s\r\nContent-Type: %s\r\n",
                       target->path, target->authority, type, type);
    for (; *headers && len > 0 && (size_t)len < size; headers++) {
        len += snprintf(out + len, size - (size_t)len, "%s\r\n", *headers);
    }
    if (len > 0 && (size_t)len < size) {
        len += snprintf(out + len, size - (size_t)len, "\r\n");
    }
    return len > 0 && (size_t)len < size ? (size_t)len : 0;
}

int wire_check_answer(const uint8_t *bytes, size_t len)
{
    static const char expected[] = "HTTP/1.1 101";
    size_t known = len < strlen(expected) ? len : strlen(expected);
    if (memcmp(bytes, expected, known) != 0) {
        return -1;
    }
    const uint8_t *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (!end) {
        return len < WIRE_HEAD_MAX ? 0 : -1;
    }
    size_t head = (size_t)(end - bytes) + 4;
    return memmem(bytes, head, accept_key, strlen(accept_key)) ? (int)head : -1;
}

/* ---- frames ---- */

enum { FINAL_BIT = 0x80, RESERVED_BITS = 0x70, OPCODE_BITS = 0x0f, MASK_BIT = 0x80 };

enum { LENGTH_BITS = 0x7f, LENGTH_16 = 126, LENGTH_64 = 127, MASK_SIZE = 4, CONTROL_MAX = 125 };

size_t wire_frame(uint8_t *out, enum wire_opcode opcode, const uint8_t *payload, size_t len)
{
    static const uint8_t mask[MASK_SIZE] = {0x2b, 0x7e, 0x15, 0x16};
    size_t at = 0;
    out[at++] = (uint8_t)(FINAL_BIT | opcode);
    if (len < LENGTH_16) {
        out[at++] = (uint8_t)(MASK_BIT | len);
    } else {
        size_t size = len <= UINT16_MAX ? 2 : 8;
        out[at++] = (uint8_t)(MASK_BIT | (size == 2 ? LENGTH_16 : LENGTH_64));
        for (size_t i = size; i-- > 0;) {
            out[at++] = (uint8_t)((uint64_t)len >> (8 * i));
        }
    }
    memcpy(out + at, mask, MASK_SIZE);
    at += MASK_SIZE;
    for (size_t i = 0; i < len; i++) {
        out[at++] = payload[i] ^ mask[i % MASK_SIZE];
    }
    return at;
}

static bool is_allowed(uint8_t first, uint8_t second)
{
    uint8_t opcode = first & OPCODE_BITS;
    bool is_control = opcode >= WIRE_CLOSE && opcode <= WIRE_PONG;
    if (first & RESERVED_BITS || second & MASK_BIT || (!is_control && opcode > WIRE_BINARY)) {
        return false;
    }
    return !is_control || (first & FINAL_BIT && (second & LENGTH_BITS) <= CONTROL_MAX);
}

int64_t wire_read(const uint8_t *bytes, size_t len, struct wire_frame *frame, size_t *need)
{
    *need = 2;
    if (len < 2) {
        return 0;
    }
    if (!is_allowed(bytes[0], bytes[1])) {
        return -1;
    }
    uint64_t payload = bytes[1] & LENGTH_BITS;
    size_t extended = payload == LENGTH_16 ? 2 : payload == LENGTH_64 ? 8 : 0;
    *need = 2 + extended;
    if (len < *need) {
        return 0;
    }
    if (extended) {
        payload = 0;
        for (size_t i = 0; i < extended; i++) {
            payload = payload << 8 | bytes[2 + i];
        }
    }
    if (payload > UINT32_MAX || (extended == 2 && payload < LENGTH_16) ||
        (extended == 8 && payload <= UINT16_MAX)) {
        return -1;
    }
    *need += (size_t)payload;
    if (len < *need) {
        return 0;
    }
    *frame = (struct wire_frame){.opcode = (enum wire_opcode)(bytes[0] & OPCODE_BITS),
                                 .is_final = (bytes[0] & FINAL_BIT) != 0,
                                 .payload = bytes + 2 + extended,
                                 .len = (size_t)payload,
                                 .size = *need};
    return (int64_t)*need;
}
