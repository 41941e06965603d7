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

#endif
