/* wire.h - the client's side of a websocket, as bytes: the handshake and frames.
 *
 * Nothing here does I/O or allocates, but for bench_message_parse and the targets.
 */
#ifndef KUJATA_APP_BENCH_WIRE_H
#define KUJATA_APP_BENCH_WIRE_H

#include "bench/bench.h"

#include <kujata/error.h>

enum { WIRE_HEADER_MAX = 14, WIRE_HEAD_MAX = 8192 };

enum wire_opcode {
    WIRE_CONTINUATION = 0,
    WIRE_TEXT = 1,
    WIRE_BINARY = 2,
    WIRE_CLOSE = 8,
    WIRE_PING = 9,
    WIRE_PONG = 10,
};

/* Splits ws://, wss://, http:// or https:// and resolves the host. */
bool wire_target_parse(const char *url, struct bench_target *target, struct kj_error *error);

/* "hex:0a1b" is binary, everything else text; *message is the caller's to free. */
bool wire_message_parse(const char *text, struct bench_message *message);

/* The upgrade request; 0 when it does not fit. Headers end with NULL. */
size_t wire_request(char *out, size_t size, const struct bench_target *target,
                    enum kj_encoding encoding, const char *const *headers);

/* Looks at an answer: the length of its head once that is whole and says 101 with the right
 * accept value, 0 while it is cut off, -1 when it is anything else. */
int wire_check_answer(const uint8_t *bytes, size_t len);

/* A masked frame; `out` holds WIRE_HEADER_MAX + len bytes. Returns its size. */
size_t wire_frame(uint8_t *out, enum wire_opcode opcode, const uint8_t *payload, size_t len);

/* A frame a server sent. */
struct wire_frame {
    enum wire_opcode opcode;
    bool is_final;
    const uint8_t *payload;
    size_t len;
    size_t size; /* with the header */
};

/* Reads one frame at the front of the bytes: its size, 0 while it is cut off (*need says how
 * many bytes it takes, or at least takes), -1 when no server may send it. */
int64_t wire_read(const uint8_t *bytes, size_t len, struct wire_frame *frame, size_t *need);

#endif
