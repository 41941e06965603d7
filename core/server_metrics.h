/* server_metrics.h - everything a node counts, as Prometheus reads it. [any thread] */
#ifndef KJ_CORE_SERVER_METRICS_H
#define KJ_CORE_SERVER_METRICS_H

#include "base/counters.h"
#include "delivery/delivery.h"
#include "rest/traffic.h"

#include <kujata/counter.h>
#include <kujata/pubsub.h>

/* Whoever counts something. */
struct kj__server_numbers {
    const struct kj__counters *counters;
    struct kj_pubsub *pubsub; /* NULL: no push */
    const struct kj_counter_source *source;
};

/* `delivery` is NULL where there is no push. */
void kj__server_metrics(struct kj__server_numbers numbers, struct kj__traffic *traffic,
                        struct kj__delivery *delivery, struct kj__buffer *out);

/* See kj_server_counters. */
void kj__server_counters_visit(struct kj__server_numbers numbers,
                               void (*visit)(const char *name, uint64_t value, void *ctx),
                               void *ctx);

/* See kj_server_counter. */
uint64_t kj__server_counters_find(struct kj__server_numbers numbers, const char *name);

#endif
