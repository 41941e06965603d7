/* strikes.h - which addresses keep sending bad push configs.
 *
 * A client that is closed with 1003 connects again and sends the same: bahamut's does so hundreds
 * of times a second. So a session's close waits longer with each strike of its address. Others
 * of the address notice nothing, unless they send a bad config too.
 *
 * The table has a fixed size: of the addresses that share a place the one with the oldest strike
 * is forgotten. An address is also forgotten some time after its last strike.
 */
#ifndef KJ_DISPATCH_STRIKES_H
#define KJ_DISPATCH_STRIKES_H

#include <pthread.h>
#include <stdint.h>

enum { KJ__STRIKE_SETS = 256, KJ__STRIKE_WAYS = 4 };

struct kj__strike {
    uint64_t address;  /* its hash */
    uint64_t until_ms; /* end of the last wait; 0: free */
    uint32_t wait_ms;  /* the last */
};

struct kj__strikes {
    uint32_t wait_ms, wait_max_ms;
    pthread_mutex_t lock;
    struct kj__strike table[KJ__STRIKE_SETS][KJ__STRIKE_WAYS]; /* guarded by lock */
};

/* `wait_ms` for the second strike; twice as long for each further one, up to `wait_max_ms`, and
 * after as long again without one the next is a first. 0: nobody waits. */
void kj__strikes_init(struct kj__strikes *strikes, uint32_t wait_ms, uint32_t wait_max_ms);
void kj__strikes_fini(struct kj__strikes *strikes);

/* One more strike: how long its close is to wait. `now_ms` is monotonic.  [any thread] */
uint32_t kj__strikes_add(struct kj__strikes *strikes, const char *address, uint64_t now_ms);

#endif
