/* dispatch_times.h - how long publications take to reach their sessions' sockets.
 *
 * Measured for each publication and shard: from its arrival at the node to the end of the round
 * in which the shard delivered it, when every session it goes to has had its socket call. What a
 * full socket keeps back is not waited for. The times of a round are plain numbers of the shard;
 * they are added to the node's at its end.
 */
#ifndef KJ_DELIVERY_DISPATCH_TIMES_H
#define KJ_DELIVERY_DISPATCH_TIMES_H

#include "base/buffer.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { KJ__DISPATCH_BUCKETS = 17, KJ__DISPATCH_ROUND_MAX = 1024 };

/* A node's. [any thread] */
struct kj__dispatch_histogram {
    _Atomic uint64_t counts[KJ__DISPATCH_BUCKETS]; /* of the bucket alone; the last is endless */
    _Atomic uint64_t sum_us;
};

/* A shard's, of one round. */
struct kj__dispatch_round {
    int64_t received_ns[KJ__DISPATCH_ROUND_MAX];
    size_t count;
};

/* A publication that arrived then was delivered in this round; those beyond KJ__DISPATCH_ROUND_MAX
 * are not measured. */
static inline void kj__dispatch_round_note(struct kj__dispatch_round *round, int64_t received_ns)
{
    if (round->count < KJ__DISPATCH_ROUND_MAX) {
        round->received_ns[round->count++] = received_ns;
    }
}

/* The round is over: everything is written. Cheap when there was nothing. */
void kj__dispatch_round_end(struct kj__dispatch_round *round,
                            struct kj__dispatch_histogram *histogram);

void kj__dispatch_metrics(const struct kj__dispatch_histogram *histogram, struct kj__buffer *out);

#endif
