/* door_head.c - whether what a connection begins with is there whole; see door.h. */
#include "http/door.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum { TLS_RECORD_HEAD = 5, TLS_HANDSHAKE = 0x16 };

/* Exactly as civetweb judges, or a worker would wait after all: it refuses a character that no
 * head has, and takes two bare newlines for an end. */
bool kj__door_head_is_whole(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = bytes[i];
        if ((c < 0x20 && c != '\r' && c != '\n') || c == 0x7f) {
            return true;
        }
        if (c == '\n' && ((i >= 1 && bytes[i - 1] == '\n') ||
                          (i >= 3 && memcmp(&bytes[i - 3], "\r\n\r", 3) == 0))) {
            return true;
        }
    }
    return len >= KJ__HEAD_BYTES_MAX;
}

bool kj__door_hello_is_whole(const uint8_t *bytes, size_t len)
{
    if (len == 0 || len < TLS_RECORD_HEAD) {
        return len > 0 && bytes[0] != TLS_HANDSHAKE;
    }
    return bytes[0] != TLS_HANDSHAKE || len >= KJ__HEAD_BYTES_MAX ||
           len >= TLS_RECORD_HEAD + ((size_t)bytes[3] << 8 | bytes[4]);
}

/* Whether the value of a header line has the word. */
static bool has_word(const char *value, const char *end, const char *word)
{
    size_t len = strlen(word);
    while ((size_t)(end - value) >= len && *value != '\n') {
        if (strncasecmp(value++, word, len) == 0) {
            return true;
        }
    }
    return false;
}

/* As civetweb sees it, whose answer to such a one is short and the last: any line of Connection,
 * the first of Upgrade. */
bool kj__door_head_is_handshake(const uint8_t *bytes, size_t len)
{
    static const char connection[] = "Connection:";
    static const char upgrade[] = "Upgrade:";
    static const char *const bodies[] = {"Content-Length", "Transfer-Encoding"};
    const char *end = (const char *)bytes + len;
    bool asks = false;
    bool is_first = true;
    bool is_websocket = false;
    for (size_t i = 0; i + sizeof "Transfer-Encoding:" < len; i++) {
        const char *line = (const char *)bytes + i + 1;
        if (bytes[i] != '\n') {
            continue;
        }
        if (*line == '\r' || *line == '\n') {
            break; /* another request may follow */
        }
        asks |= strncasecmp(line, connection, sizeof connection - 1) == 0 &&
                has_word(line + sizeof connection - 1, end, "upgrade");
        if (is_first && strncasecmp(line, upgrade, sizeof upgrade - 1) == 0) {
            is_websocket = has_word(line + sizeof upgrade - 1, end, "websocket");
            is_first = false;
        }
        for (size_t j = 0; j < sizeof bodies / sizeof *bodies; j++) {
            if (strncasecmp(line, bodies[j], strlen(bodies[j])) == 0) {
                return false;
            }
        }
    }
    return asks && is_websocket && memcmp(bytes, "GET ", 4) == 0;
}

enum kj__door_look kj__door_look_at(int fd, bool is_tls)
{
    uint8_t bytes[KJ__HEAD_BYTES_MAX];
    ssize_t len = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (len <= 0) {
        return len < 0 && (errno == EAGAIN || errno == EINTR) ? KJ__DOOR_PART : KJ__DOOR_OVER;
    }
    bool is_whole = is_tls ? kj__door_hello_is_whole(bytes, (size_t)len)
                           : kj__door_head_is_whole(bytes, (size_t)len);
    if (!is_whole) {
        return KJ__DOOR_PART;
    }
    return !is_tls && kj__door_head_is_handshake(bytes, (size_t)len) ? KJ__DOOR_HANDSHAKE
                                                                     : KJ__DOOR_WHOLE;
}
