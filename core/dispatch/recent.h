/* recent.h - the latest events of one shard, for sessions that come back; see replay.h.
 *
 * Events are kept by reference, in the order of their numbers and without a gap, and the oldest is
 * given up where there are too many or they take too much. One that did not reach the shard leaves
 * a gap: then what was before it is given up.
 *
 * Threads: the shard's.
 */
#ifndef KJ_DISPATCH_RECENT_H
#define KJ_DISPATCH_RECENT_H

#include "dispatch/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj__recent {
    struct kj__message **ring; /* references; the message of a number is at its rest by capacity */
    uint32_t capacity;         /* 0: nothing is kept */
    size_t bytes_max, bytes;   /* as the weights of the messages have them */
    uint64_t first;            /* the oldest that is kept; last + 1: none is */
    uint64_t last;             /* the latest the shard was given */
};

/* `capacity` 0: keeps nothing. False when there is no memory. */
bool kj__recent_init(struct kj__recent *recent, uint32_t capacity, size_t bytes_max);
void kj__recent_fini(struct kj__recent *recent);

/* The message, which has its number, is the shard's latest; a reference is kept. */
void kj__recent_add(struct kj__recent *recent, struct kj__message *message);

/* The message of a number from `first` to `last`, borrowed. */
static inline struct kj__message *kj__recent_at(const struct kj__recent *recent, uint64_t number)
{
    return recent->ring[number % recent->capacity];
}

#endif
