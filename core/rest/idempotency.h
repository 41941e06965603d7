/* idempotency.h - the first answers to writes that carry a key, for those who ask again.
 *
 * A client that did not see its answer sends the same request with the same Idempotency-Key and
 * gets that answer, without anything happening twice. Keys are those of one caller, the answers
 * are this process's own, bounded in number, bytes and age. Threads: any; one lock, under which
 * nothing runs that can wait.
 */
#ifndef KJ_REST_IDEMPOTENCY_H
#define KJ_REST_IDEMPOTENCY_H

#include "base/counters.h"
#include "base/list.h"
#include "base/map.h"
#include "rest/message.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KJ__IDEMPOTENCY_KEY_MAX = 255, /* bytes of a client's key */
    KJ__IDEMPOTENCY_DIGEST_SIZE = 32,
};

/* What a request is known by. */
struct kj__idempotency_id {
    char key[2 * KJ__IDEMPOTENCY_DIGEST_SIZE + KJ__IDEMPOTENCY_KEY_MAX + 1]; /* caller and key */
    uint8_t request[KJ__IDEMPOTENCY_DIGEST_SIZE];                            /* what is asked */
};

struct kj__idempotency_limits {
    uint32_t answers, bytes, age_ms;
    uint32_t wait_ms; /* for the answer to an equal request that is still running */
    uint32_t waiters; /* threads that may do so at once */
};

struct kj__idempotency {
    struct kj__idempotency_limits limits; /* set before the first request */
    struct kj__counters *counters;
    pthread_mutex_t lock;
    pthread_cond_t finished;
    struct kj__map entries; /* guarded by lock, as is all below: keys to struct entry */
    struct kj__list kept;   /* entries with an answer, the oldest first */
    size_t kept_count, kept_bytes;
    uint32_t waiters;
};

enum kj__idempotency_verdict {
    KJ__IDEMPOTENCY_RUN,      /* nobody has: the caller does, and owes kj__idempotency_finish */
    KJ__IDEMPOTENCY_REPLAYED, /* the response is the first answer */
    KJ__IDEMPOTENCY_RUNNING,  /* an equal request still runs */
    KJ__IDEMPOTENCY_OTHER,    /* the key came with another request */
    KJ__IDEMPOTENCY_NO_MEMORY,
};

void kj__idempotency_init(struct kj__idempotency *store, struct kj__counters *counters);
void kj__idempotency_fini(struct kj__idempotency *store);

/* What to do with a request. May wait for limits.wait_ms. `response` is initialised.
 *                                                                                   [any thread] */
enum kj__idempotency_verdict kj__idempotency_begin(struct kj__idempotency *store,
                                                   const struct kj__idempotency_id *id,
                                                   struct kj__http_response *response);

/* What came of a request that was to run; `answer` is copied, NULL keeps nothing. Once a key has a
 * firm answer, no other request may come with it; one that is not firm gives way. [any thread] */
void kj__idempotency_finish(struct kj__idempotency *store, const struct kj__idempotency_id *id,
                            const struct kj__http_response *answer, bool is_firm);

#endif
