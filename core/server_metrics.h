/* server_metrics.h - everything a node counts, as Prometheus reads it. [any thread] */
#ifndef KJ_CORE_SERVER_METRICS_H
#define KJ_CORE_SERVER_METRICS_H

#include "base/counters.h"
#include "delivery/delivery.h"
#include "rest/traffic.h"

#include <kujata/counter.h>

struct kj__server_numbers {
    struct kj__counters *counters;
    struct kj__traffic *traffic;
    struct kj__delivery *delivery; /* NULL: no push */
    const struct kj_counter_source *source;
};

void kj__server_metrics(const struct kj__server_numbers *numbers, struct kj__buffer *out);

/* Where counters are shown one by one. */
struct kj__counter_visit {
    void (*visit)(const char *name, uint64_t value, void *ctx);
    void *ctx;
};

/* See kj_server_counters. */
void kj__server_counters_visit(const struct kj__counters *counters,
                               const struct kj_counter_source *source,
                               struct kj__counter_visit *visit);

/* See kj_server_counter. */
uint64_t kj__server_counters_find(const struct kj__counters *counters,
                                  const struct kj_counter_source *source, const char *name);

#endif
