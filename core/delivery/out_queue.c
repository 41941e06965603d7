/* out_queue.c - see out_queue.h. */
#include "delivery/out_queue.h"

#include <kujata/server.h>
#include <stdlib.h>

static struct kj__out_frame **slot(const struct kj__out_queue *queue, uint32_t index)
{
    struct kj__out_frame *const *ring = queue->ring ? queue->ring : queue->few;
    return (struct kj__out_frame **)&ring[(queue->head + index) & (queue->capacity - 1)];
}

void kj__out_queue_init(struct kj__out_queue *queue)
{
    *queue = (struct kj__out_queue){.capacity = KJ__OUT_QUEUE_INLINE};
}

size_t kj__out_queue_under_way(const struct kj__out_queue *queue)
{
    return queue->head_written > 0 ? (*slot(queue, 0))->len : 0;
}

/* Gives the ring back once nothing waits. */
static void shrink(struct kj__out_queue *queue)
{
    if (queue->count == 0) {
        free(queue->ring);
        kj__out_queue_init(queue);
    }
}

uint32_t kj__out_queue_clear(struct kj__out_queue *queue)
{
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < queue->count; i++) {
        struct kj__out_frame *frame = *slot(queue, i);
        dropped += !frame->is_control;
        kj__out_frame_unref(frame);
    }
    queue->count = 0;
    shrink(queue);
    return dropped;
}

void kj__out_queue_fini(struct kj__out_queue *queue)
{
    kj__out_queue_clear(queue);
}

static bool grow(struct kj__out_queue *queue)
{
    struct kj__out_frame **ring = malloc((size_t)queue->capacity * 2 * sizeof *ring);
    if (!ring) {
        return false;
    }
    for (uint32_t i = 0; i < queue->count; i++) {
        ring[i] = *slot(queue, i);
    }
    free(queue->ring);
    queue->ring = ring;
    queue->capacity *= 2;
    queue->head = 0;
    return true;
}

bool kj__out_queue_push_last(struct kj__out_queue *queue, struct kj__out_frame *frame)
{
    if (queue->count == queue->capacity && !grow(queue)) {
        return false;
    }
    *slot(queue, queue->count++) = kj__out_frame_ref(frame);
    queue->bytes += frame->len;
    return true;
}

bool kj__out_queue_push(struct kj__out_queue *queue, struct kj__out_frame *frame)
{
    if (!kj__out_queue_push_last(queue, frame)) {
        return false;
    }
    if (frame->is_control) {
        uint32_t place = queue->controls + (queue->head_written > 0);
        for (uint32_t i = queue->count - 1; i > place; i--) {
            *slot(queue, i) = *slot(queue, i - 1);
        }
        *slot(queue, place) = frame;
        queue->controls++;
    }
    return true;
}

/* Takes the frame at `index` out of the order. */
static void remove_at(struct kj__out_queue *queue, uint32_t index)
{
    struct kj__out_frame *frame = *slot(queue, index);
    for (uint32_t i = index; i > 0; i--) {
        *slot(queue, i) = *slot(queue, i - 1);
    }
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->count--;
    queue->bytes -= frame->len;
    kj__out_frame_unref(frame);
}

static bool may_drop(const struct kj__out_frame *frame)
{
    return !frame->is_notice && frame->policy != 1 + KJ_QUEUE_DISCONNECT;
}

bool kj__out_queue_drop_oldest(struct kj__out_queue *queue)
{
    uint32_t index = queue->controls + (queue->head_written > 0);
    while (index < queue->count && !may_drop(*slot(queue, index))) {
        index++;
    }
    if (index >= queue->count) {
        return false;
    }
    remove_at(queue, index);
    shrink(queue);
    return true;
}

uint32_t kj__out_queue_drop_data(struct kj__out_queue *queue)
{
    uint32_t kept = queue->controls + (queue->head_written > 0);
    uint32_t dropped = 0;
    while (queue->count > kept) {
        struct kj__out_frame *frame = *slot(queue, --queue->count);
        queue->bytes -= frame->len;
        dropped += !frame->is_control;
        kj__out_frame_unref(frame);
    }
    shrink(queue);
    return dropped;
}

int kj__out_queue_gather(const struct kj__out_queue *queue, struct iovec *vector, int max)
{
    int count = 0;
    size_t skip = queue->head_written;
    for (uint32_t i = 0; i < queue->count && count < max; i++) {
        struct kj__out_frame *frame = *slot(queue, i);
        vector[count].iov_base = frame->bytes + skip;
        vector[count].iov_len = frame->len - skip;
        skip = 0;
        count++;
    }
    return count;
}

uint32_t kj__out_queue_written(struct kj__out_queue *queue, size_t len)
{
    uint32_t done = 0;
    while (queue->count > 0) {
        struct kj__out_frame *frame = *slot(queue, 0);
        size_t left = frame->len - queue->head_written;
        if (len < left) {
            break;
        }
        len -= left;
        /* A half-written control frame has left `controls` when its first byte went. */
        if (queue->controls > 0 && queue->head_written == 0) {
            queue->controls--;
        }
        queue->head_written = 0;
        queue->bytes -= frame->len;
        queue->head = (queue->head + 1) & (queue->capacity - 1);
        queue->count--;
        kj__out_frame_unref(frame);
        done++;
    }
    if (len > 0 && queue->count > 0) {
        if (queue->head_written == 0 && queue->controls > 0) {
            queue->controls--;
        }
        queue->head_written += len;
    }
    shrink(queue);
    return done;
}
