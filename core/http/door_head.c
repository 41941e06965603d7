/* door_head.c - whether what a connection begins with is there whole; see door.h. */
#include "http/door.h"

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

bool kj__door_head_is_handshake(const uint8_t *bytes, size_t len)
{
    static const char key[] = "Sec-WebSocket-Key:";
    static const char *const bodies[] = {"Content-Length", "Transfer-Encoding"};
    bool has_key = false;
    for (size_t i = 0; i < len; i++) {
        const char *line = (const char *)bytes + i + 1;
        if (bytes[i] != '\n' || len - i - 1 < sizeof key) {
            continue;
        }
        has_key |= strncasecmp(line, key, sizeof key - 1) == 0;
        for (size_t j = 0; j < sizeof bodies / sizeof *bodies; j++) {
            if (strncasecmp(line, bodies[j], strlen(bodies[j])) == 0) {
                return false;
            }
        }
    }
    return has_key && memcmp(bytes, "GET ", 4) == 0;
}
