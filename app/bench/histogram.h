/* histogram.h - counts of durations, in buckets whose width grows with the value.
 *
 * Values below 256 are exact; above, each power of two is cut into 128 buckets, so that a value
 * read back is within 0.4 % of one that was recorded. A plain struct without pointers: it may
 * lie in memory that processes share. Nothing here locks.
 */
#ifndef KUJATA_APP_BENCH_HISTOGRAM_H
#define KUJATA_APP_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_PARTS = 128, HISTOGRAM_BUCKETS = 58 * HISTOGRAM_PARTS };

/* All zero is an empty one. */
struct histogram {
    uint64_t count;
    uint64_t maximum; /* exact */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *histogram, uint64_t value);

void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that `share` (0 to 1) of those recorded do not exceed; 0 when there are none. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif
