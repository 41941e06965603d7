/* counter.h - counters that the parts around a server keep. */
#ifndef KUJATA_COUNTER_H
#define KUJATA_COUNTER_H

#include <stdint.h>

/* A name in Prometheus' style, which ends in _total unless the number also goes down; its help is
 * one line. Both are static. */
typedef void (*kj_counter_visit)(const char *name, const char *help, uint64_t value, void *ctx);

/* Whoever counts something the server does not: it is shown with the server's own counters. */
struct kj_counter_source {
    void (*read)(void *ctx, kj_counter_visit visit, void *visit_ctx); /* [any thread] */
    void *ctx;
};

#endif
