/* out_frame.h - one encoded frame, header and payload, shared by every session it goes to.
 *
 * A server's frames carry no mask, so one buffer serves all. Immutable once made; the count
 * of references is atomic.                                                  [any thread]
 */
#ifndef KJ_DELIVERY_OUT_FRAME_H
#define KJ_DELIVERY_OUT_FRAME_H

#include "delivery/frame.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct kj__out_frame {
    _Atomic uint32_t refs;
    bool is_control; /* overtakes data and is exempt from queue limits */
    bool is_notice;  /* of drops: not dropped to make room, or its count would be lost */
    /* What happens to it when there is no room: 0 is what the endpoint says, else 1 more than an
     * enum kj_queue_policy. One that ends the connection is not dropped to make room either. */
    uint8_t policy;
    size_t len;
    uint8_t bytes[];
};

/* Copies the payload behind its header; NULL when there is no memory, or
 * for 2 GiB and more. */
struct kj__out_frame *kj__out_frame_new(enum kj__opcode opcode, const uint8_t *payload, size_t len);

/* Bytes that go out as they are, for a stream; NULL when there is no memory. */
struct kj__out_frame *kj__out_frame_new_bytes(const uint8_t *bytes, size_t len);

/* A close frame with this code, or without one for KJ__CLOSE_NO_CODE. */
struct kj__out_frame *kj__out_frame_new_close(uint16_t code, const char *reason);

static inline struct kj__out_frame *kj__out_frame_ref(struct kj__out_frame *frame)
{
    atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
    return frame;
}

void kj__out_frame_unref(struct kj__out_frame *frame); /* NULL is fine */

#endif
