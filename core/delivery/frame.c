/* frame.c - see frame.h. */
#include "delivery/frame.h"

#include "base/id.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINAL_BIT = 0x80, RESERVED_BITS = 0x70, OPCODE_BITS = 0x0f, MASK_BIT = 0x80 };

enum { LENGTH_BITS = 0x7f, LENGTH_16 = 126, LENGTH_64 = 127, MASK_SIZE = 4 };

/* One call of kj__frame_reader_feed. */
struct feeding {
    struct kj__frame_reader *reader;
    const struct kj__frame_limits *limits;
    const struct kj__frame_events *events;
    void *ctx;
    struct kj__frame_outcome *outcome;
};

__attribute__((format(printf, 3, 4))) static bool fail(const struct feeding *feeding, uint16_t code,
                                                       const char *format, ...)
{
    struct kj__frame_outcome *outcome = feeding->outcome;
    va_list arguments;
    *outcome = (struct kj__frame_outcome){.code = code};
    va_start(arguments, format);
    (void)vsnprintf(outcome->reason, sizeof outcome->reason, format, arguments);
    va_end(arguments);
    return false;
}

static bool is_control(uint8_t opcode)
{
    return (opcode & 0x8) != 0;
}

void kj__frame_reader_init(struct kj__frame_reader *reader)
{
    *reader = (struct kj__frame_reader){0};
}

static void drop_message(struct kj__frame_reader *reader)
{
    if (reader->message) {
        kj__buffer_fini(reader->message);
        free(reader->message);
        reader->message = NULL;
    }
    reader->message_opcode = 0;
    reader->fragments = 0;
    reader->utf8 = (struct kj__utf8){0};
}

static void drop_control(struct kj__frame_reader *reader)
{
    free(reader->control);
    reader->control = NULL;
    reader->control_len = 0;
}

void kj__frame_reader_fini(struct kj__frame_reader *reader)
{
    drop_message(reader);
    drop_control(reader);
}

/* ---- headers ---- */

/* The first two bytes decide how long the header is. */
static size_t header_size(const struct kj__frame_reader *reader)
{
    if (reader->header_len < 2) {
        return 2;
    }
    uint8_t length = reader->header[1] & LENGTH_BITS;
    size_t extended = length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0;
    return 2 + extended + (reader->header[1] & MASK_BIT ? MASK_SIZE : 0);
}

/* Whether an opcode may come now, given the message under way. */
static bool check_opcode(const struct feeding *feeding, uint8_t opcode, bool is_final)
{
    bool in_message = feeding->reader->message_opcode != 0;
    switch (opcode) {
    case KJ__FRAME_CONTINUATION:
        return in_message || fail(feeding, KJ__CLOSE_PROTOCOL_ERROR, "continuation after FIN");
    case KJ__FRAME_TEXT:
    case KJ__FRAME_BINARY:
        return !in_message || fail(feeding, KJ__CLOSE_PROTOCOL_ERROR, "data before FIN");
    case KJ__FRAME_CLOSE:
    case KJ__FRAME_PING:
    case KJ__FRAME_PONG:
        return is_final || fail(feeding, KJ__CLOSE_PROTOCOL_ERROR, "FIN not set on control");
    default:
        return fail(feeding, KJ__CLOSE_PROTOCOL_ERROR, "bad opcode %u", opcode);
    }
}

/* Everything the first two bytes can get wrong, before more is waited for. */
static bool check_start(const struct feeding *feeding)
{
    const uint8_t *header = feeding->reader->header;
    bool is_masked = (header[1] & MASK_BIT) != 0;
    if (header[0] & RESERVED_BITS) {
        return fail(feeding, KJ__CLOSE_PROTOCOL_ERROR, "RSV%d set",
                    header[0] & 0x40   ? 1
                    : header[0] & 0x20 ? 2
                                       : 3);
    }
    if (is_masked != (feeding->limits->role == KJ__FRAME_SERVER)) {
        return fail(feeding, KJ__CLOSE_PROTOCOL_ERROR, "bad MASK");
    }
    uint8_t opcode = header[0] & OPCODE_BITS;
    if (!check_opcode(feeding, opcode, (header[0] & FINAL_BIT) != 0)) {
        return false;
    }
    if (is_control(opcode) && (header[1] & LENGTH_BITS) > KJ__CONTROL_PAYLOAD_MAX) {
        return fail(feeding, KJ__CLOSE_PROTOCOL_ERROR, "len > 125 for control");
    }
    return true;
}

static uint64_t big_endian(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static bool read_length(const struct feeding *feeding, uint64_t *length)
{
    const uint8_t *header = feeding->reader->header;
    *length = header[1] & LENGTH_BITS;
    if (*length < LENGTH_16) {
        return true;
    }
    size_t size = *length == LENGTH_16 ? 2 : 8;
    *length = big_endian(header + 2, size);
    if (*length >> 63) {
        return fail(feeding, KJ__CLOSE_PROTOCOL_ERROR, "length has its high bit set");
    }
    if (*length < LENGTH_16 || (size == 8 && *length <= UINT16_MAX)) {
        return fail(feeding, KJ__CLOSE_PROTOCOL_ERROR, "length not in its shortest form");
    }
    return true;
}

static bool begin_payload(const struct feeding *feeding)
{
    struct kj__frame_reader *reader = feeding->reader;
    uint64_t length;
    if (!read_length(feeding, &length)) {
        return false;
    }
    reader->frame_opcode = reader->header[0] & OPCODE_BITS;
    reader->is_final = (reader->header[0] & FINAL_BIT) != 0;
    reader->payload_left = length;
    reader->mask_offset = 0;
    reader->in_payload = true;
    if (is_control(reader->frame_opcode)) {
        return true;
    }
    size_t before = reader->message ? reader->message->len : 0;
    if (length > feeding->limits->message_bytes - before) {
        return fail(feeding, KJ__CLOSE_TOO_LARGE, "message too large");
    }
    if (++reader->fragments > feeding->limits->fragments) {
        return fail(feeding, KJ__CLOSE_POLICY, "message in too many fragments");
    }
    if (reader->frame_opcode != KJ__FRAME_CONTINUATION) {
        reader->message_opcode = reader->frame_opcode;
    }
    return true;
}

/* Takes header bytes; *used says how many. The header is complete when in_payload is set. */
static bool feed_header(const struct feeding *feeding, const uint8_t *bytes, size_t len,
                        size_t *used)
{
    struct kj__frame_reader *reader = feeding->reader;
    *used = 0;
    while (*used < len) {
        reader->header[reader->header_len++] = bytes[(*used)++];
        if (reader->header_len == 2 && !check_start(feeding)) {
            return false;
        }
        if (reader->header_len >= 2 && reader->header_len == header_size(reader)) {
            return begin_payload(feeding);
        }
    }
    return true;
}

/* ---- payloads ---- */

/* XORs with the mask, eight bytes at a time; `offset` is the place in the frame. */
static void unmask(uint8_t *bytes, size_t len, const uint8_t mask[MASK_SIZE], uint8_t offset)
{
    uint8_t turned[8];
    for (size_t i = 0; i < sizeof turned; i++) {
        turned[i] = mask[(offset + i) % MASK_SIZE];
    }
    uint64_t pattern;
    memcpy(&pattern, turned, sizeof pattern);
    size_t i = 0;
    for (; len - i >= sizeof pattern; i += sizeof pattern) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        word ^= pattern;
        memcpy(bytes + i, &word, sizeof word);
    }
    for (; i < len; i++) {
        bytes[i] ^= turned[i % sizeof turned];
    }
}

/* Codes a peer may send: those RFC 6455 and the registry define for the wire, and the ranges
 * for libraries and applications. */
static bool is_sendable_code(uint16_t code)
{
    if (code >= 3000 && code <= 4999) {
        return true;
    }
    return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

static bool handle_close(const struct feeding *feeding, const uint8_t *payload, size_t len)
{
    if (len == 0) {
        return feeding->events->on_close(feeding->ctx, KJ__CLOSE_NO_CODE);
    }
    if (len == 1) {
        return fail(feeding, KJ__CLOSE_PROTOCOL_ERROR, "close frame of one byte");
    }
    uint16_t code = (uint16_t)big_endian(payload, 2);
    if (!is_sendable_code(code)) {
        return fail(feeding, KJ__CLOSE_PROTOCOL_ERROR, "bad close code %u", code);
    }
    if (!kj__utf8_is_valid(payload + 2, len - 2)) {
        return fail(feeding, KJ__CLOSE_INVALID_DATA, "invalid utf8 payload in close frame");
    }
    return feeding->events->on_close(feeding->ctx, code);
}

static bool handle_control(const struct feeding *feeding, const uint8_t *payload, size_t len)
{
    switch (feeding->reader->frame_opcode) {
    case KJ__FRAME_PING:
        return feeding->events->on_ping(feeding->ctx, payload, len);
    case KJ__FRAME_PONG:
        return feeding->events->on_pong(feeding->ctx);
    default:
        return handle_close(feeding, payload, len);
    }
}

static bool feed_control(const struct feeding *feeding, const uint8_t *bytes, size_t len)
{
    struct kj__frame_reader *reader = feeding->reader;
    if (reader->payload_left == 0 && reader->control_len == 0) {
        return handle_control(feeding, bytes, len);
    }
    if (!reader->control) {
        reader->control = malloc(KJ__CONTROL_PAYLOAD_MAX);
        if (!reader->control) {
            return fail(feeding, KJ__CLOSE_INTERNAL, "out of memory");
        }
    }
    memcpy(reader->control + reader->control_len, bytes, len);
    reader->control_len = (uint8_t)(reader->control_len + len);
    if (reader->payload_left > 0) {
        return true;
    }
    uint8_t *payload = reader->control;
    size_t payload_len = reader->control_len;
    reader->control = NULL;
    reader->control_len = 0;
    bool go_on = handle_control(feeding, payload, payload_len);
    free(payload);
    return go_on;
}

static bool append_to_message(const struct feeding *feeding, const uint8_t *bytes, size_t len)
{
    struct kj__frame_reader *reader = feeding->reader;
    if (!reader->message) {
        reader->message = calloc(1, sizeof *reader->message);
    }
    if (reader->message) {
        kj__buffer_append(reader->message, bytes, len);
    }
    if (!reader->message || reader->message->failed) {
        return fail(feeding, KJ__CLOSE_INTERNAL, "out of memory");
    }
    return true;
}

/* Hands over the message; what was buffered is released first, so that a callback which ends
 * the connection finds the reader clean. */
static bool finish_message(const struct feeding *feeding, uint8_t *bytes, size_t len)
{
    struct kj__frame_reader *reader = feeding->reader;
    enum kj__opcode opcode = (enum kj__opcode)reader->message_opcode;
    if (!kj__utf8_is_complete(&reader->utf8)) {
        return fail(feeding, KJ__CLOSE_INVALID_DATA, "invalid UTF-8");
    }
    struct kj__buffer *message = reader->message;
    reader->message = NULL;
    drop_message(reader);
    if (!message) {
        return feeding->events->on_message(feeding->ctx, opcode, bytes, len);
    }
    bool go_on = feeding->events->on_message(feeding->ctx, opcode, message->data, message->len);
    kj__buffer_fini(message);
    free(message);
    return go_on;
}

static bool feed_data(const struct feeding *feeding, uint8_t *bytes, size_t len)
{
    struct kj__frame_reader *reader = feeding->reader;
    bool is_text = reader->message_opcode == KJ__FRAME_TEXT;
    if (is_text && feeding->limits->check_utf8 && !kj__utf8_feed(&reader->utf8, bytes, len)) {
        return fail(feeding, KJ__CLOSE_INVALID_DATA, "invalid UTF-8");
    }
    bool ends_message = reader->is_final && reader->payload_left == 0;
    bool is_whole = ends_message && !reader->message;
    if (!is_whole && !append_to_message(feeding, bytes, len)) {
        return false;
    }
    return !ends_message || finish_message(feeding, bytes, len);
}

/* Takes payload bytes, as far as this frame goes. */
static bool feed_payload(const struct feeding *feeding, uint8_t *bytes, size_t len, size_t *used)
{
    struct kj__frame_reader *reader = feeding->reader;
    *used = reader->payload_left < len ? (size_t)reader->payload_left : len;
    if (feeding->limits->role == KJ__FRAME_SERVER) {
        unmask(bytes, *used, reader->header + reader->header_len - MASK_SIZE, reader->mask_offset);
        reader->mask_offset = (uint8_t)((reader->mask_offset + *used) % MASK_SIZE);
    }
    reader->payload_left -= *used;
    bool is_complete = reader->payload_left == 0;
    if (is_complete) {
        reader->in_payload = false;
        reader->header_len = 0;
    }
    return is_control(reader->frame_opcode) ? feed_control(feeding, bytes, *used)
                                            : feed_data(feeding, bytes, *used);
}

/* Takes what the next step can take; false when the reading is over. */
static bool feed_some(const struct feeding *feeding, uint8_t **bytes, size_t *len)
{
    struct kj__frame_reader *reader = feeding->reader;
    size_t used = 0;
    if (!reader->in_payload && !feed_header(feeding, *bytes, *len, &used)) {
        return false;
    }
    *bytes += used;
    *len -= used;
    /* A frame without payload is complete with its header. */
    if (!reader->in_payload || (*len == 0 && reader->payload_left > 0)) {
        return true;
    }
    bool go_on = feed_payload(feeding, *bytes, *len, &used);
    *bytes += used;
    *len -= used;
    return go_on;
}

struct kj__frame_outcome kj__frame_reader_feed(struct kj__frame_reader *reader,
                                               const struct kj__frame_limits *limits,
                                               uint8_t *bytes, size_t len,
                                               const struct kj__frame_events *events, void *ctx)
{
    struct kj__frame_outcome outcome = {0};
    const struct feeding feeding = {reader, limits, events, ctx, &outcome};
    while (len > 0) {
        if (!feed_some(&feeding, &bytes, &len)) {
            outcome.is_stopped = outcome.code == 0;
            break;
        }
    }
    return outcome;
}

/* ---- writing ---- */

size_t kj__frame_header(uint8_t header[KJ__FRAME_HEADER_MAX], enum kj__opcode opcode, size_t len)
{
    header[0] = (uint8_t)(FINAL_BIT | opcode);
    if (len < LENGTH_16) {
        header[1] = (uint8_t)len;
        return 2;
    }
    size_t size = len <= UINT16_MAX ? 2 : 8;
    header[1] = size == 2 ? LENGTH_16 : LENGTH_64;
    for (size_t i = 0; i < size; i++) {
        header[2 + i] = (uint8_t)((uint64_t)len >> (8 * (size - 1 - i)));
    }
    return 2 + size;
}

void kj__frame_append(struct kj__buffer *out, enum kj__frame_role role, enum kj__opcode opcode,
                      const uint8_t *payload, size_t len)
{
    uint8_t header[KJ__FRAME_HEADER_MAX];
    size_t header_len = kj__frame_header(header, opcode, len);
    if (role == KJ__FRAME_SERVER) {
        kj__buffer_append(out, header, header_len);
        kj__buffer_append(out, payload, len);
        return;
    }
    header[1] |= MASK_BIT;
    kj__random_bytes(header + header_len, MASK_SIZE);
    kj__buffer_append(out, header, header_len + MASK_SIZE);
    size_t start = out->len;
    kj__buffer_append(out, payload, len);
    if (!out->failed && len > 0) {
        unmask(out->data + start, len, header + header_len, 0);
    }
}

void kj__frame_append_close(struct kj__buffer *out, enum kj__frame_role role, uint16_t code,
                            const char *reason)
{
    uint8_t payload[KJ__CONTROL_PAYLOAD_MAX];
    size_t len = 0;
    if (code != KJ__CLOSE_NO_CODE) {
        payload[0] = (uint8_t)(code >> 8);
        payload[1] = (uint8_t)code;
        size_t reason_len = reason ? strlen(reason) : 0;
        if (reason_len > sizeof payload - 2) {
            reason_len = sizeof payload - 2;
        }
        memcpy(payload + 2, reason ? reason : "", reason_len);
        len = 2 + reason_len;
    }
    kj__frame_append(out, role, KJ__FRAME_CLOSE, payload, len);
}
