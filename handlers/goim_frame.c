/* goim_frame.c - packets of goim: a header of 16 bytes, big-endian, and a body.
 *
 *   0  length of all, 4 bytes     4  length of the header, 2     6  version, 2
 *   8  operation, 4              12  sequence, 4                16  body
 */
#include "handlers/goim.h"

#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    AT_HEADER_LEN = 4,
    AT_VERSION = 6,
    AT_OP = 8,
    AT_SEQ = 12,
    CLOSE_INTERNAL = 1011,
};

/* ---- reading ---- */

static uint32_t read_32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

size_t goim_packet_len(const uint8_t *data, size_t len, void *ctx)
{
    (void)ctx;
    if (len < sizeof(uint32_t)) {
        return 0;
    }
    uint32_t packet = read_32(data);
    if (packet < KJ_GOIM_HEADER_SIZE || packet > INT32_MAX) {
        return SIZE_MAX;
    }
    bool has_header_len = len >= AT_VERSION;
    return has_header_len &&
                   (data[AT_HEADER_LEN] != 0 || data[AT_HEADER_LEN + 1] != KJ_GOIM_HEADER_SIZE)
               ? SIZE_MAX
               : packet;
}

bool goim_packet_read(uint8_t *data, size_t len, struct goim_packet *packet)
{
    if (len < KJ_GOIM_HEADER_SIZE || goim_packet_len(data, len, NULL) != len) {
        return false;
    }
    *packet = (struct goim_packet){.op = (int32_t)read_32(data + AT_OP),
                                   .seq = (int32_t)read_32(data + AT_SEQ),
                                   .body = data + KJ_GOIM_HEADER_SIZE,
                                   .len = len - KJ_GOIM_HEADER_SIZE};
    return true;
}

/* ---- writing ---- */

static void write_32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static void write_header(uint8_t *at, int32_t op, int32_t seq, size_t body_len)
{
    write_32(at, (uint32_t)(KJ_GOIM_HEADER_SIZE + body_len));
    write_32(at + AT_HEADER_LEN, (uint32_t)KJ_GOIM_HEADER_SIZE << 16 | VERSION);
    write_32(at + AT_OP, (uint32_t)op);
    write_32(at + AT_SEQ, (uint32_t)seq);
}

void goim_send(struct kj_client *client, int32_t op, int32_t seq, const void *body, size_t len)
{
    uint8_t *packet = malloc(KJ_GOIM_HEADER_SIZE + len);
    enum kj_status status = KJ_ENOMEM;
    if (packet) {
        write_header(packet, op, seq, len);
        if (len > 0) {
            memcpy(packet + KJ_GOIM_HEADER_SIZE, body, len);
        }
        status = kj_client_send(client, KJ_FRAME_BINARY, packet, KJ_GOIM_HEADER_SIZE + len);
    }
    if (status && status != KJ_ECLOSED) {
        kj_client_close(client, CLOSE_INTERNAL, kj_status_text(status));
    }
    free(packet);
}

void goim_send_fault(struct kj_client *client, int32_t op, int32_t seq, int code,
                     const char *message)
{
    json_t *fault = json_pack("{s:i, s:s}", "code", code, "message", message);
    char *text = fault ? json_dumps(fault, JSON_COMPACT) : NULL;
    goim_send(client, op, seq, text, text ? strlen(text) : 0);
    free(text);
    json_decref(fault);
}

/* ---- pushes ---- */

/* Who comes and goes is told by nothing here. */
static bool is_message(const struct kj_push *push)
{
    return kj_push_presence(push) == KJ_PRESENCE_NONE;
}

static size_t size_of(const struct kj_push *const *pushes, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size_t len;
        if (is_message(pushes[i])) {
            kj_push_body(pushes[i], &len);
            size += KJ_GOIM_HEADER_SIZE + len;
        }
    }
    return size;
}

static void write_pushes(uint8_t *at, const struct kj_push *const *pushes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len;
        const uint8_t *body = kj_push_body(pushes[i], &len);
        int64_t op = kj_push_op(pushes[i]);
        if (is_message(pushes[i])) {
            write_header(at, op > 0 && op <= INT32_MAX ? (int32_t)op : GOIM_MESSAGE, 0, len);
            if (len > 0) {
                memcpy(at + KJ_GOIM_HEADER_SIZE, body, len);
            }
            at += KJ_GOIM_HEADER_SIZE + len;
        }
    }
}

/* `outer` is the size of what is put around them. */
static enum kj_status add_pushes(const struct kj_push *const *pushes, size_t count, size_t outer,
                                 struct kj_frames *frames)
{
    size_t size = size_of(pushes, count);
    if (size == 0) {
        return KJ_OK;
    }
    uint8_t *bytes = malloc(outer + size);
    if (!bytes) {
        return KJ_ENOMEM;
    }
    if (outer > 0) {
        write_header(bytes, GOIM_BATCH, 0, size);
    }
    write_pushes(bytes + outer, pushes, count);
    enum kj_status status = kj_frames_add(frames, KJ_FRAME_BINARY, bytes, outer + size);
    free(bytes);
    return status;
}

enum kj_status goim_encode(unsigned encoding, const struct kj_push *const *pushes, size_t count,
                           struct kj_frames *frames, void *ctx)
{
    (void)encoding;
    (void)ctx;
    return add_pushes(pushes, count, KJ_GOIM_HEADER_SIZE, frames);
}

enum kj_status goim_encode_stream(unsigned encoding, const struct kj_push *const *pushes,
                                  size_t count, struct kj_frames *frames, void *ctx)
{
    (void)encoding;
    (void)ctx;
    return add_pushes(pushes, count, 0, frames);
}
