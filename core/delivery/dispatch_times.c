/* dispatch_times.c - see dispatch_times.h. */
#include "delivery/dispatch_times.h"

#include "base/clock.h"
#include "base/metrics.h"

#include <stdio.h>

enum { NS_PER_US = 1000, US_PER_SECOND = 1000000, LABEL_SIZE = 32 };

static const uint32_t bounds_us[KJ__DISPATCH_BUCKETS - 1] = {
    50,    100,   250,    500,    1000,   2500,    5000,    10000,
    25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000};

void kj__dispatch_round_end(struct kj__dispatch_round *round,
                            struct kj__dispatch_histogram *histogram)
{
    if (round->count == 0) {
        return;
    }
    uint32_t counts[KJ__DISPATCH_BUCKETS] = {0};
    uint64_t sum_us = 0;
    int64_t now_ns = kj__clock_monotonic_ns();
    for (size_t i = 0; i < round->count; i++) {
        uint64_t us = (uint64_t)(now_ns - round->received_ns[i]) / NS_PER_US;
        size_t bucket = 0;
        while (bucket < KJ__DISPATCH_BUCKETS - 1 && us > bounds_us[bucket]) {
            bucket++;
        }
        counts[bucket]++;
        sum_us += us;
    }
    for (size_t i = 0; i < KJ__DISPATCH_BUCKETS; i++) {
        if (counts[i]) {
            atomic_fetch_add_explicit(&histogram->counts[i], counts[i], memory_order_relaxed);
        }
    }
    atomic_fetch_add_explicit(&histogram->sum_us, sum_us, memory_order_relaxed);
    round->count = 0;
}

void kj__dispatch_metrics(const struct kj__dispatch_histogram *histogram, struct kj__buffer *out)
{
    static const char name[] = "dispatch_duration_seconds";
    uint64_t total = 0;
    kj__metrics_head(out, name, KJ__HISTOGRAM,
                     "Time from a publication's arrival until a shard has written it to its "
                     "sessions.");
    for (size_t i = 0; i < KJ__DISPATCH_BUCKETS; i++) {
        char label[LABEL_SIZE] = "le=\"+Inf\"";
        total += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        if (i < KJ__DISPATCH_BUCKETS - 1) {
            (void)snprintf(label, sizeof label, "le=\"%g\"", (double)bounds_us[i] / US_PER_SECOND);
        }
        kj__metrics_number(out, "dispatch_duration_seconds_bucket", label, total);
    }
    kj__metrics_real(out, "dispatch_duration_seconds_sum", "",
                     (double)atomic_load_explicit(&histogram->sum_us, memory_order_relaxed) /
                         US_PER_SECOND);
    kj__metrics_number(out, "dispatch_duration_seconds_count", "", total);
}
