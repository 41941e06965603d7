/* latency.c - see latency.h. */
#include "base/latency.h"

#include <string.h>

enum { SUB_BITS = 3, SUBS = 1 << SUB_BITS };

/* Below SUBS a bucket for each; then SUBS for each power of two. */
static unsigned bucket_of(uint64_t us)
{
    if (us < SUBS) {
        return (unsigned)us;
    }
    unsigned power = 63 - (unsigned)__builtin_clzll(us);
    unsigned bucket = (power - SUB_BITS + 1) * SUBS + (unsigned)(us >> (power - SUB_BITS)) % SUBS;
    return bucket < KJ__LATENCY_BUCKETS ? bucket : KJ__LATENCY_BUCKETS - 1;
}

/* The middle of a bucket. */
static double value_of(unsigned bucket)
{
    if (bucket < SUBS) {
        return bucket;
    }
    unsigned shift = bucket / SUBS - 1;
    double width = (double)(1ULL << shift);
    return (double)(SUBS + bucket % SUBS) * width + (width - 1) / 2;
}

/* Begins windows until `now` lies in one. */
static void turn(struct kj__latency *latency, uint64_t now_ms)
{
    if (now_ms < latency->window_end_ms) {
        return;
    }
    if (now_ms >= latency->window_end_ms + KJ__LATENCY_WINDOW_MS) {
        memset(latency->buckets, 0, sizeof latency->buckets);
    } else {
        latency->current ^= 1;
        memset(latency->buckets[latency->current], 0, sizeof latency->buckets[0]);
    }
    latency->window_end_ms = now_ms + KJ__LATENCY_WINDOW_MS;
}

void kj__latency_add(struct kj__latency *latency, uint64_t now_ms, uint64_t us)
{
    turn(latency, now_ms);
    latency->buckets[latency->current][bucket_of(us)]++;
    latency->count++;
    latency->sum_us += us;
}

double kj__latency_quantile(struct kj__latency *latency, uint64_t now_ms, double quantile)
{
    turn(latency, now_ms);
    uint64_t total = 0;
    for (unsigned i = 0; i < KJ__LATENCY_BUCKETS; i++) {
        total += latency->buckets[0][i] + latency->buckets[1][i];
    }
    double wanted = quantile * (double)total;
    uint64_t seen = 0;
    for (unsigned i = 0; total > 0 && i < KJ__LATENCY_BUCKETS; i++) {
        seen += latency->buckets[0][i] + latency->buckets[1][i];
        if (seen > 0 && (double)seen >= wanted) {
            return value_of(i);
        }
    }
    return -1;
}
