/* accounts_hash.h - argon2id, a few at a time: each takes tens of milliseconds and megabytes. */
#ifndef KJ_HANDLERS_ACCOUNTS_HASH_H
#define KJ_HANDLERS_ACCOUNTS_HASH_H

#include <kujata/status.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>

enum { KJ__PASSWORD_HASH_SIZE = crypto_pwhash_STRBYTES };

struct kj__hasher {
    unsigned long long passes;
    size_t memory_bytes;
    char decoy[KJ__PASSWORD_HASH_SIZE]; /* of a password nobody has */
    uint32_t at_once, waiting_max;
    pthread_mutex_t lock;
    pthread_cond_t released;
    uint32_t running, waiting; /* guarded by lock */
};

/* KJ_ENOMEM. */
enum kj_status kj__hasher_init(struct kj__hasher *hasher, uint32_t passes, uint32_t memory_kib);
void kj__hasher_fini(struct kj__hasher *hasher);

/* KJ_EFULL when too many wait already, KJ_ENOMEM. */
enum kj_status kj__hasher_hash(struct kj__hasher *hasher, const char *password,
                               char hash[KJ__PASSWORD_HASH_SIZE]);

/* KJ_EREFUSED for another password; `hash` NULL, which is never right, takes as long. KJ_EFULL,
 * KJ_ENOMEM, and KJ_EIO for a hash that is none. */
enum kj_status kj__hasher_verify(struct kj__hasher *hasher, const char *password, const char *hash);

/* Whether it was made with other settings than are in force. */
bool kj__hasher_is_outdated(const struct kj__hasher *hasher, const char *hash);

#endif
