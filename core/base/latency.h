/* latency.h - how long things take: quantiles of the last minutes.
 *
 * Times fall into buckets that grow with them, eight to each doubling, so a quantile is right
 * within an eighth. They are forgotten after five to ten minutes. Not safe for concurrent use.
 */
#ifndef KJ_BASE_LATENCY_H
#define KJ_BASE_LATENCY_H

#include <stdint.h>

enum { KJ__LATENCY_BUCKETS = 256, KJ__LATENCY_WINDOW_MS = 300000 };

struct kj__latency {
    uint32_t buckets[2][KJ__LATENCY_BUCKETS]; /* the current window's, and the one before */
    uint64_t window_end_ms;
    unsigned current;
    uint64_t count; /* since the start, as is sum_us */
    uint64_t sum_us;
};

/* All zero is an empty one. Times are in microseconds. */
void kj__latency_add(struct kj__latency *latency, uint64_t now_ms, uint64_t us);

/* In microseconds; negative when nothing is remembered. `quantile` is from 0 to 1. */
double kj__latency_quantile(struct kj__latency *latency, uint64_t now_ms, double quantile);

#endif
