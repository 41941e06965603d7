/* workers.h - threads that may wait, for what clients' shards must not.
 *
 * A client's works go to one thread, by its ID, so they run and are done in the order given.
 */
#ifndef KJ_GATEWAY_WORKERS_H
#define KJ_GATEWAY_WORKERS_H

#include "base/counters.h"
#include "base/queue.h"

#include <kujata/gateway.h>
#include <pthread.h>
#include <stddef.h>

enum { KJ__WORKS_MAX = 16384 /* waiting for one thread */ };

struct kj__worker {
    struct kj__queue waiting; /* of struct kj__work */
    pthread_t thread;
};

struct kj__workers {
    struct kj__worker *items;
    size_t count;
    size_t started;
    struct kj__counters *counters;
};

/* KJ_ENOMEM. */
enum kj_status kj__workers_init(struct kj__workers *workers, size_t count,
                                struct kj__counters *counters);
enum kj_status kj__workers_start(struct kj__workers *workers);

/* Waits for the works that run; those that wait are released. Idempotent. */
void kj__workers_stop(struct kj__workers *workers);
void kj__workers_fini(struct kj__workers *workers);

#endif
