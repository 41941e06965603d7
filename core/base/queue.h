/* queue.h - a bounded first-in first-out queue of pointers between threads.  [any thread]
 *
 * The ring grows as needed up to the limit, so an idle queue is small. Consumers take
 * items in batches, one lock for each batch.
 */
#ifndef KJ_BASE_QUEUE_H
#define KJ_BASE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum kj__queue_result { KJ__QUEUE_PUSHED, KJ__QUEUE_FULL, KJ__QUEUE_CLOSED, KJ__QUEUE_NO_MEMORY };

struct kj__queue {
    pthread_mutex_t lock;
    pthread_cond_t has_items, has_room;
    void **ring;     /* guarded by lock, as is all below */
    size_t capacity; /* of ring; a power of two, or 0 */
    size_t head, count, limit;
    size_t room_waiters;
    bool closed;
};

void kj__queue_init(struct kj__queue *queue, size_t limit);

/* Items still inside are forgotten; take them first. */
void kj__queue_fini(struct kj__queue *queue);

/* Never blocks. *was_empty (may be NULL) says whether a consumer may need waking. */
enum kj__queue_result kj__queue_push(struct kj__queue *queue, void *item, bool *was_empty);

/* The same, but waits for room. For consumers that never wait themselves. */
enum kj__queue_result kj__queue_push_wait(struct kj__queue *queue, void *item, bool *was_empty);

/* Takes up to `max` items at once; 0 when there are none. */
size_t kj__queue_take(struct kj__queue *queue, void **items, size_t max);

/* The same, but waits for one; 0 means closed and empty. */
size_t kj__queue_take_wait(struct kj__queue *queue, void **items, size_t max);

/* Waits for an item and leaves it there; false means closed and empty. */
bool kj__queue_wait(struct kj__queue *queue);

/* How many items wait. */
size_t kj__queue_count(struct kj__queue *queue);

/* Pushes are refused from now on; what is inside can still be taken. */
void kj__queue_close(struct kj__queue *queue);

#endif
