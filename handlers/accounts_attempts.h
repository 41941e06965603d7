/* accounts_attempts.h - how often something was tried, by whom: a bounded table.
 *
 * Each kind of attempt has so many at once, and one more after each wait. What is known of an
 * attempt is a keyed hash, so that nobody can choose which ones share a place; where places run
 * out, the one that has waited longest is forgotten.
 */
#ifndef KJ_HANDLERS_ACCOUNTS_ATTEMPTS_H
#define KJ_HANDLERS_ACCOUNTS_ATTEMPTS_H

#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    KJ__ATTEMPTS_SETS = 8192, /* 1 MiB in all */
    KJ__ATTEMPTS_WAYS = 8,
};

enum kj__attempt_kind {
    KJ__ATTEMPT_LOGIN = 1, /* of a name from an address */
    KJ__ATTEMPT_ADDRESS,   /* of any name from it */
    KJ__ATTEMPT_REGISTRATION,
};

struct kj__attempt {
    enum kj__attempt_kind kind;
    const char *name; /* NULL: none; the case of ASCII letters does not count */
    const char *address;
    uint32_t at_once;
    uint32_t wait_ms; /* for one more */
};

struct kj__attempt_place {
    uint64_t hash;         /* 0: empty */
    int64_t used_until_ms; /* when all it may do at once is there again */
};

struct kj__attempts {
    unsigned char key[crypto_shorthash_KEYBYTES];
    pthread_mutex_t lock;
    struct kj__attempt_place (*sets)[KJ__ATTEMPTS_WAYS]; /* guarded by lock */
};

/* False when there is no memory. */
bool kj__attempts_init(struct kj__attempts *attempts);
void kj__attempts_fini(struct kj__attempts *attempts);

/* Takes one; else after how many milliseconds there is one. `now_ms` never goes back. */
int64_t kj__attempts_take(struct kj__attempts *attempts, const struct kj__attempt *attempt,
                          int64_t now_ms);

/* It does not count after all. */
void kj__attempts_give_back(struct kj__attempts *attempts, const struct kj__attempt *attempt);

#endif
