/* interest.h - what sessions asked for, each different wish once.
 *
 * Two push configs that let the same events through are one interest, shared by every session
 * that sent either: it is kept once, and an event is held against it once.
 */
#ifndef KJ_DISPATCH_INTEREST_H
#define KJ_DISPATCH_INTEREST_H

#include "base/counters.h"
#include "base/map.h"
#include "codec/push_config.h"
#include "model/filter.h"

#include <kujata/error.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct kj__message;
struct kj__row;

enum { KJ__NO_VERDICT = UINT32_MAX, KJ__VERDICTS_MAX = 512 };

/* The interests of one endpoint. */
struct kj__interests {
    pthread_mutex_t lock;
    struct kj__map by_key; /* guarded by lock: canonical text to interest */
    size_t shard_count;
    struct kj__counters *counters; /* borrowed */
    /* Numbers of the interests with attribute filters: those given back, and how many there
     * ever were. Guarded by lock, but for the size, which messages read. */
    uint32_t *free_numbers;
    size_t free_count, free_capacity;
    _Atomic uint32_t number_count;
    uint64_t last_serial; /* guarded by lock */
};

/* One identity that has an attribute filter. */
struct kj__interest_filter {
    const char *identity; /* borrowed from the config */
    struct kj_filter *filter;
};

struct kj__interest {
    struct kj__interests *interests;
    size_t refs; /* guarded by the interests' lock */
    struct kj_push_config *config;
    struct kj__interest_filter *filters; /* NULL: none */
    size_t filter_count;
    uint32_t number; /* of its verdict in messages; KJ__NO_VERDICT without attribute filters */
    uint64_t serial; /* unlike the number, never another's */
    char *key;
    struct kj__row *rows[]; /* one for each shard, and that shard's to touch */
};

void kj__interests_init(struct kj__interests *interests, size_t shard_count,
                        struct kj__counters *counters);

/* Every interest must be back. */
void kj__interests_fini(struct kj__interests *interests);

/* The interest of a config, which is taken in any case. KJ_EINVAL or
 * KJ_ELIMIT with `error` filled for a bad attribute filter, or KJ_ENOMEM.  [any thread] */
enum kj_status kj__interests_get_take(struct kj__interests *interests,
                                      struct kj_push_config *config, struct kj__interest **interest,
                                      struct kj_error *error);

struct kj__interest *kj__interest_ref(struct kj__interest *interest); /* [any thread] */
void kj__interest_unref(struct kj__interest *interest); /* [any thread]; NULL is fine */

/* How many verdicts a message gets room for, by what is known now: there may be thousands of
 * messages. What interests beyond say of it is worked out by each shard.  [any thread] */
static inline uint32_t kj__interests_numbers(const struct kj__interests *interests)
{
    uint32_t count = atomic_load_explicit(&interests->number_count, memory_order_relaxed);
    return count < KJ__VERDICTS_MAX ? count : KJ__VERDICTS_MAX;
}

/* Whether it lets the message's event through. What an attribute filter says is worked out
 * once for each message, whichever shard asks first.                      [any shard] */
bool kj__interest_wants(const struct kj__interest *interest, struct kj__message *message);

#endif
