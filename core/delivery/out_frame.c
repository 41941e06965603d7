/* out_frame.c - see out_frame.h. */
#include "delivery/out_frame.h"

#include <stdlib.h>
#include <string.h>

/* A frame is sent in one call, which tells its result as an int. */
static struct kj__out_frame *allocate(size_t len, bool is_control)
{
    struct kj__out_frame *frame = len <= INT32_MAX ? malloc(sizeof *frame + len) : NULL;
    if (frame) {
        atomic_init(&frame->refs, 1);
        frame->is_control = is_control;
        frame->is_notice = false;
        frame->policy = 0;
        frame->len = len;
    }
    return frame;
}

struct kj__out_frame *kj__out_frame_new(enum kj__opcode opcode, const uint8_t *payload, size_t len)
{
    uint8_t header[KJ__FRAME_HEADER_MAX];
    size_t header_len = kj__frame_header(header, opcode, len);
    struct kj__out_frame *frame = allocate(header_len + len, opcode >= KJ__FRAME_CLOSE);
    if (frame) {
        memcpy(frame->bytes, header, header_len);
        if (len > 0) {
            memcpy(frame->bytes + header_len, payload, len);
        }
    }
    return frame;
}

struct kj__out_frame *kj__out_frame_new_bytes(const uint8_t *bytes, size_t len)
{
    struct kj__out_frame *frame = allocate(len, false);
    if (frame && len > 0) {
        memcpy(frame->bytes, bytes, len);
    }
    return frame;
}

struct kj__out_frame *kj__out_frame_new_close(uint16_t code, const char *reason)
{
    struct kj__buffer text;
    kj__buffer_init(&text);
    kj__frame_append_close(&text, KJ__FRAME_SERVER, code, reason);
    struct kj__out_frame *frame = text.failed ? NULL : allocate(text.len, true);
    if (frame) {
        memcpy(frame->bytes, text.data, text.len);
    }
    kj__buffer_fini(&text);
    return frame;
}

void kj__out_frame_unref(struct kj__out_frame *frame)
{
    if (frame && atomic_fetch_sub_explicit(&frame->refs, 1, memory_order_acq_rel) == 1) {
        free(frame);
    }
}
