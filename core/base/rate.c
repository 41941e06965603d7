/* rate.c - see rate.h. */
#include "base/rate.h"

#include "base/address.h"

#include <stdlib.h>
#include <string.h>

enum {
    NS_PER_SECOND = 1000000000,
    SETS = 2048, /* a power of two */
    SLOTS_OF_A_SET = 4,
};

struct kj__address_bucket {
    uint64_t key; /* 0: none */
    int64_t full_at_ns;
};

struct kj__rate kj__rate_make(uint32_t per_second, uint32_t burst)
{
    if (per_second == 0) {
        return (struct kj__rate){0};
    }
    int64_t interval = NS_PER_SECOND / (int64_t)per_second;
    interval = interval ? interval : 1;
    return (struct kj__rate){.interval_ns = interval,
                             .span_ns = interval * (int64_t)(burst ? burst : per_second)};
}

void kj__bucket_init(struct kj__bucket *bucket, struct kj__rate rate)
{
    bucket->rate = rate;
    atomic_init(&bucket->full_at_ns, 0);
}

/* When a bucket is full once a token is taken out of it; *wait_ns gets how long that one is not
 * there yet, 0 when it is. */
static int64_t full_without_one(struct kj__rate rate, int64_t full_at_ns, int64_t now_ns,
                                int64_t *wait_ns)
{
    int64_t after = (full_at_ns > now_ns ? full_at_ns : now_ns) + rate.interval_ns;
    int64_t wait = after - rate.span_ns - now_ns;
    *wait_ns = wait > 0 ? wait : 0;
    return after;
}

int64_t kj__bucket_take(struct kj__bucket *bucket, int64_t now_ns)
{
    if (bucket->rate.interval_ns == 0) {
        return 0;
    }
    int64_t full_at_ns = atomic_load_explicit(&bucket->full_at_ns, memory_order_relaxed);
    for (;;) {
        int64_t wait_ns;
        int64_t after = full_without_one(bucket->rate, full_at_ns, now_ns, &wait_ns);
        if (wait_ns ||
            atomic_compare_exchange_weak_explicit(&bucket->full_at_ns, &full_at_ns, after,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return wait_ns;
        }
    }
}

/* ---- addresses ---- */

bool kj__address_buckets_init(struct kj__address_buckets *buckets, struct kj__rate rate)
{
    pthread_mutex_init(&buckets->lock, NULL);
    buckets->rate = rate;
    buckets->slots = NULL;
    if (rate.interval_ns) {
        buckets->slots = calloc((size_t)SETS * SLOTS_OF_A_SET, sizeof *buckets->slots);
    }
    return buckets->slots || !rate.interval_ns;
}

void kj__address_buckets_fini(struct kj__address_buckets *buckets)
{
    free(buckets->slots);
    pthread_mutex_destroy(&buckets->lock);
}

/* Lock held. */
static struct kj__address_bucket *find_slot(struct kj__address_buckets *buckets, uint64_t key)
{
    struct kj__address_bucket *set = &buckets->slots[(key % SETS) * SLOTS_OF_A_SET];
    struct kj__address_bucket *found = set;
    for (size_t i = 0; i < SLOTS_OF_A_SET; i++) {
        if (set[i].key == key) {
            return &set[i];
        }
        if (set[i].full_at_ns < found->full_at_ns) {
            found = &set[i];
        }
    }
    *found = (struct kj__address_bucket){.key = key};
    return found;
}

int64_t kj__address_buckets_take(struct kj__address_buckets *buckets, const char *address,
                                 int64_t now_ns)
{
    if (!buckets->slots) {
        return 0;
    }
    uint64_t key = kj__address_key(address);
    int64_t wait_ns;
    pthread_mutex_lock(&buckets->lock);
    struct kj__address_bucket *slot = find_slot(buckets, key);
    int64_t after = full_without_one(buckets->rate, slot->full_at_ns, now_ns, &wait_ns);
    if (!wait_ns) {
        slot->full_at_ns = after;
    }
    pthread_mutex_unlock(&buckets->lock);
    return wait_ns;
}
