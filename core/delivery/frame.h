/* frame.h - RFC 6455 frames, without a socket.
 *
 * The reader is fed whatever arrived, in pieces of any size, and calls back with whole
 * messages and control frames. It is strict: masks by role, reserved bits and opcodes,
 * lengths in their shortest form, control frames whole and short, close codes and reasons,
 * UTF-8 as it arrives. A message that lies whole in the input is handed over in place;
 * only one that is incomplete is copied.
 *
 * Threads: none of its own; one reader belongs to one thread.
 */
#ifndef KJ_DELIVERY_FRAME_H
#define KJ_DELIVERY_FRAME_H

#include "base/buffer.h"
#include "base/utf8.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kj__opcode {
    KJ__FRAME_CONTINUATION = 0x0,
    KJ__FRAME_TEXT = 0x1,
    KJ__FRAME_BINARY = 0x2,
    KJ__FRAME_CLOSE = 0x8,
    KJ__FRAME_PING = 0x9,
    KJ__FRAME_PONG = 0xa,
};

/* Close codes of RFC 6455 section 7.4. */
enum {
    KJ__CLOSE_NORMAL = 1000,
    KJ__CLOSE_GOING_AWAY = 1001,
    KJ__CLOSE_PROTOCOL_ERROR = 1002,
    KJ__CLOSE_UNSUPPORTED = 1003,
    KJ__CLOSE_NO_CODE = 1005, /* never sent: the peer's close had no code */
    KJ__CLOSE_INVALID_DATA = 1007,
    KJ__CLOSE_POLICY = 1008,
    KJ__CLOSE_TOO_LARGE = 1009,
    KJ__CLOSE_INTERNAL = 1011,
    KJ__CLOSE_TRY_LATER = 1013,
};

enum { KJ__FRAME_HEADER_MAX = 14, KJ__CONTROL_PAYLOAD_MAX = 125, KJ__REASON_SIZE = 40 };

enum kj__frame_role {
    KJ__FRAME_SERVER = 0, /* peers mask, we do not */
    KJ__FRAME_CLIENT,     /* the other way round */
};

struct kj__frame_limits {
    size_t message_bytes; /* over it: 1009 */
    size_t fragments;     /* of one message; over it: 1008 */
    bool check_utf8;      /* in text messages */
    enum kj__frame_role role;
};

/* What the reader calls. A callback that returns false ends the reading at once: the rest of
 * the input is left alone. `data` is valid during the call and may be written to. */
struct kj__frame_events {
    bool (*on_message)(void *ctx, enum kj__opcode opcode, uint8_t *data, size_t len);
    bool (*on_ping)(void *ctx, const uint8_t *data, size_t len);
    bool (*on_pong)(void *ctx);
    /* The peer's close: its code, or KJ__CLOSE_NO_CODE. */
    bool (*on_close)(void *ctx, uint16_t code);
};

/* Small while nothing is incomplete. */
struct kj__frame_reader {
    struct kj__buffer *message; /* fragments so far; NULL while there are none */
    uint64_t payload_left;      /* of the frame being read */
    uint32_t fragments;
    uint8_t header[KJ__FRAME_HEADER_MAX];
    uint8_t header_len;     /* bytes of the header so far */
    uint8_t mask_offset;    /* payload bytes so far, modulo 4 */
    uint8_t message_opcode; /* 0: no message under way */
    uint8_t frame_opcode;
    bool in_payload, is_final;
    struct kj__utf8 utf8;
    uint8_t control_len;
    uint8_t *control; /* an incomplete control frame's payload; NULL while there is none */
};

void kj__frame_reader_init(struct kj__frame_reader *reader);
void kj__frame_reader_fini(struct kj__frame_reader *reader);

/* Whether it is between messages, as after its init: nothing is lost when it is thrown away. */
static inline bool kj__frame_reader_is_idle(const struct kj__frame_reader *reader)
{
    return reader->header_len == 0 && !reader->in_payload && reader->message_opcode == 0;
}

/* How a feed ended. Neither a code nor is_stopped: all was taken, go on. */
struct kj__frame_outcome {
    bool is_stopped;              /* a callback returned false */
    uint16_t code;                /* the connection must be failed with this; 0: not so */
    char reason[KJ__REASON_SIZE]; /* for the close frame and the log, in bahamut's words */
};

/* Feeds bytes, which are unmasked in place. After anything but "go on" the reader is only good
 * for kj__frame_reader_fini. */
struct kj__frame_outcome kj__frame_reader_feed(struct kj__frame_reader *reader,
                                               const struct kj__frame_limits *limits,
                                               uint8_t *bytes, size_t len,
                                               const struct kj__frame_events *events, void *ctx);

/* Writes the header of an unmasked final frame and returns its length (2, 4 or 10). */
size_t kj__frame_header(uint8_t header[KJ__FRAME_HEADER_MAX], enum kj__opcode opcode, size_t len);

/* Appends one whole final frame, masked with random bytes for the client's role. */
void kj__frame_append(struct kj__buffer *out, enum kj__frame_role role, enum kj__opcode opcode,
                      const uint8_t *payload, size_t len);

/* Appends a close frame; `reason` may be NULL, KJ__CLOSE_NO_CODE sends none. */
void kj__frame_append_close(struct kj__buffer *out, enum kj__frame_role role, uint16_t code,
                            const char *reason);

#endif
