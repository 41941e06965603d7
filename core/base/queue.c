/* queue.c - see queue.h. */
#include "base/queue.h"

#include <stdlib.h>

enum { QUEUE_FIRST_CAPACITY = 64 };

void kj__queue_init(struct kj__queue *queue, size_t limit)
{
    *queue = (struct kj__queue){.limit = limit};
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->has_items, NULL);
    pthread_cond_init(&queue->has_room, NULL);
}

void kj__queue_fini(struct kj__queue *queue)
{
    free(queue->ring);
    pthread_cond_destroy(&queue->has_room);
    pthread_cond_destroy(&queue->has_items);
    pthread_mutex_destroy(&queue->lock);
}

/* Doubles the ring, laying the items out from its start; lock held. */
static bool grow(struct kj__queue *queue)
{
    size_t capacity = queue->capacity ? queue->capacity * 2 : QUEUE_FIRST_CAPACITY;
    void **ring = malloc(capacity * sizeof *ring);
    if (!ring) {
        return false;
    }
    for (size_t i = 0; i < queue->count; i++) {
        ring[i] = queue->ring[(queue->head + i) & (queue->capacity - 1)];
    }
    free(queue->ring);
    queue->ring = ring;
    queue->capacity = capacity;
    queue->head = 0;
    return true;
}

static enum kj__queue_result push(struct kj__queue *queue, void *item, bool wait, bool *was_empty)
{
    enum kj__queue_result result = KJ__QUEUE_PUSHED;
    pthread_mutex_lock(&queue->lock);
    while (wait && !queue->closed && queue->count == queue->limit) {
        queue->room_waiters++;
        pthread_cond_wait(&queue->has_room, &queue->lock);
        queue->room_waiters--;
    }
    if (queue->closed) {
        result = KJ__QUEUE_CLOSED;
    } else if (queue->count == queue->limit) {
        result = KJ__QUEUE_FULL;
    } else if (queue->count == queue->capacity && !grow(queue)) {
        result = KJ__QUEUE_NO_MEMORY;
    } else {
        if (was_empty) {
            *was_empty = queue->count == 0;
        }
        queue->ring[(queue->head + queue->count++) & (queue->capacity - 1)] = item;
        pthread_cond_signal(&queue->has_items);
    }
    pthread_mutex_unlock(&queue->lock);
    return result;
}

enum kj__queue_result kj__queue_push(struct kj__queue *queue, void *item, bool *was_empty)
{
    return push(queue, item, false, was_empty);
}

enum kj__queue_result kj__queue_push_wait(struct kj__queue *queue, void *item, bool *was_empty)
{
    return push(queue, item, true, was_empty);
}

static size_t take(struct kj__queue *queue, void **items, size_t max, bool wait)
{
    pthread_mutex_lock(&queue->lock);
    while (wait && queue->count == 0 && !queue->closed) {
        pthread_cond_wait(&queue->has_items, &queue->lock);
    }
    size_t taken = queue->count < max ? queue->count : max;
    for (size_t i = 0; i < taken; i++) {
        items[i] = queue->ring[queue->head];
        queue->head = (queue->head + 1) & (queue->capacity - 1);
    }
    queue->count -= taken;
    if (taken && queue->room_waiters) {
        pthread_cond_broadcast(&queue->has_room);
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

size_t kj__queue_take(struct kj__queue *queue, void **items, size_t max)
{
    return take(queue, items, max, false);
}

size_t kj__queue_take_wait(struct kj__queue *queue, void **items, size_t max)
{
    return take(queue, items, max, true);
}

bool kj__queue_wait(struct kj__queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && !queue->closed) {
        pthread_cond_wait(&queue->has_items, &queue->lock);
    }
    bool has_items = queue->count > 0;
    pthread_mutex_unlock(&queue->lock);
    return has_items;
}

size_t kj__queue_count(struct kj__queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t count = queue->count;
    pthread_mutex_unlock(&queue->lock);
    return count;
}

void kj__queue_close(struct kj__queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->has_items);
    pthread_cond_broadcast(&queue->has_room);
    pthread_mutex_unlock(&queue->lock);
}
