/* serve_counters.h - what the parts of a node count, as one source. */
#ifndef KUJATA_APP_SERVE_COUNTERS_H
#define KUJATA_APP_SERVE_COUNTERS_H

#include <kujata/counter.h>
#include <stddef.h>

enum { COUNTER_SOURCES_MAX = 16 };

struct counter_sources {
    struct kj_counter_source items[COUNTER_SOURCES_MAX];
    size_t count;
};

/* Adds a source, which lives as long as the server; one without `read` is none. Before the server
 * starts. */
void counters_add(struct counter_sources *sources, struct kj_counter_source source);

/* A kj_counter_source's function, its ctx the sources. */
void counters_read(void *ctx, kj_counter_visit visit, void *visit_ctx);

#endif
