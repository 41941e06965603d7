/* serve_counters.c - see serve_counters.h. */
#include "serve_counters.h"

#include <assert.h>

void counters_add(struct counter_sources *sources, struct kj_counter_source source)
{
    if (source.read) {
        assert(sources->count < COUNTER_SOURCES_MAX);
        sources->items[sources->count++] = source;
    }
}

void counters_read(void *ctx, kj_counter_visit visit, void *visit_ctx)
{
    const struct counter_sources *sources = ctx;
    for (size_t i = 0; i < sources->count; i++) {
        sources->items[i].read(sources->items[i].ctx, visit, visit_ctx);
    }
}
