/* sequence.h - how many pushes this node has published to each topic.
 *
 * Bounded: the topics that came first are forgotten when there are too many, and go on above
 * every number that was forgotten. So the numbers of a topic only grow.
 */
#ifndef KJ_GATEWAY_SEQUENCE_H
#define KJ_GATEWAY_SEQUENCE_H

#include "base/map.h"

#include <pthread.h>
#include <stdint.h>

enum { KJ__SEQUENCES_MAX = 1 << 18, KJ__SEQUENCE_STRIPES = 16 };

/* Some of the topics. */
struct kj__sequence_stripe {
    pthread_mutex_t lock;
    struct kj__map last; /* guarded by lock, as is all below: words to an allocated uint64_t */
    uint64_t floor;      /* no forgotten number is higher */
};

struct kj__sequences {
    struct kj__sequence_stripe stripes[KJ__SEQUENCE_STRIPES];
};

void kj__sequences_init(struct kj__sequences *sequences);
void kj__sequences_fini(struct kj__sequences *sequences);

/* Locks the topic's number, the last that was used, so that what is published until it is unlocked
 * is in the order of its numbers. NULL without memory; locked all the same.  [any thread] */
uint64_t *kj__sequences_lock(struct kj__sequences *sequences, const char *words);
void kj__sequences_unlock(struct kj__sequences *sequences, const char *words);

#endif
