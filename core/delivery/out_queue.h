/* out_queue.h - the frames waiting for one connection, oldest first.
 *
 * Empty it costs nothing but itself: the first few frames lie inside, and a ring is allocated
 * only for a backlog. Control frames overtake data, but never split a frame half written.
 *
 * Threads: the shard that owns the connection.
 */
#ifndef KJ_DELIVERY_OUT_QUEUE_H
#define KJ_DELIVERY_OUT_QUEUE_H

#include "delivery/out_frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { KJ__OUT_QUEUE_INLINE = 4 };

struct kj__out_queue {
    struct kj__out_frame **ring; /* NULL: `few` is the ring */
    struct kj__out_frame *few[KJ__OUT_QUEUE_INLINE];
    uint32_t capacity; /* of the ring; a power of two */
    uint32_t head, count;
    uint32_t controls;   /* control frames at the front (behind a frame half written) */
    size_t bytes;        /* of all frames, the written part of the first included */
    size_t head_written; /* bytes of the first frame that have left */
};

void kj__out_queue_init(struct kj__out_queue *queue);
void kj__out_queue_fini(struct kj__out_queue *queue);

static inline bool kj__out_queue_is_empty(const struct kj__out_queue *queue)
{
    return queue->count == 0;
}

/* The length of the frame that has left in part; 0 when there is none. */
size_t kj__out_queue_under_way(const struct kj__out_queue *queue);

/* Adds a reference of its own at the end, or for a control frame at the front. False when
 * there is no memory. */
bool kj__out_queue_push(struct kj__out_queue *queue, struct kj__out_frame *frame);

/* Adds at the end whatever the frame is: a close that lets queued data go first. */
bool kj__out_queue_push_last(struct kj__out_queue *queue, struct kj__out_frame *frame);

/* Drops the oldest data frame of which nothing was written and that may be dropped; false when
 * there is none. */
bool kj__out_queue_drop_oldest(struct kj__out_queue *queue);

/* Drops every data frame of which nothing was written; returns how many. A close that was put
 * last goes too. */
uint32_t kj__out_queue_drop_data(struct kj__out_queue *queue);

/* Drops everything; returns how many data frames had not left whole. */
uint32_t kj__out_queue_clear(struct kj__out_queue *queue);

/* Points `vector` at what is to be written next; returns how many entries were filled. */
int kj__out_queue_gather(const struct kj__out_queue *queue, struct iovec *vector, int max);

/* `len` bytes have left; returns how many frames are done with. */
uint32_t kj__out_queue_written(struct kj__out_queue *queue, size_t len);

#endif
