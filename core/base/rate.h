/* rate.h - token buckets: so many a second on the average, so many at once.  [any thread]
 *
 * A bucket is one number, the time at which it will be full again, so taking a token is one
 * exchange of it and no lock. Times are of kj__clock_monotonic_ns.
 */
#ifndef KJ_BASE_RATE_H
#define KJ_BASE_RATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj__rate {
    int64_t interval_ns; /* in which a token comes; 0: there is no limit */
    int64_t span_ns;     /* in which an empty bucket is full */
};

/* `per_second` 0 is no limit; `burst` 0 is that of one second. */
struct kj__rate kj__rate_make(uint32_t per_second, uint32_t burst);

struct kj__bucket {
    struct kj__rate rate;
    _Atomic int64_t full_at_ns;
};

void kj__bucket_init(struct kj__bucket *bucket, struct kj__rate rate);

/* Takes a token and returns 0; or how long to wait for one. */
int64_t kj__bucket_take(struct kj__bucket *bucket, int64_t now_ns);

/* Buckets of network addresses, all of one rate, in a table of fixed size. An address of IPv6
 * shares the bucket of its /64 network, which is one client's. Where there is no room, the
 * bucket nearest to being full is given up. */
struct kj__address_buckets {
    struct kj__rate rate;
    pthread_mutex_t lock;
    struct kj__address_bucket *slots; /* guarded by lock; NULL: there is no limit */
};

/* False when there is no memory; fini is due in any case. */
bool kj__address_buckets_init(struct kj__address_buckets *buckets, struct kj__rate rate);
void kj__address_buckets_fini(struct kj__address_buckets *buckets);

/* As kj__bucket_take. */
int64_t kj__address_buckets_take(struct kj__address_buckets *buckets, const char *address,
                                 int64_t now_ns);

#endif
