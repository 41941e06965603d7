/* accounts_hash.c - see accounts_hash.h. */
#include "handlers/accounts_hash.h"

#include <errno.h>
#include <string.h>

enum { KIB = 1024, DECOY_BYTES = 32 };

/* ---- a few at a time ---- */

static bool enter(struct kj__hasher *hasher)
{
    pthread_mutex_lock(&hasher->lock);
    bool may_wait = hasher->waiting < hasher->waiting_max;
    bool may_enter = hasher->running < hasher->at_once || may_wait;
    if (may_enter) {
        hasher->waiting++;
        while (hasher->running >= hasher->at_once) {
            pthread_cond_wait(&hasher->released, &hasher->lock);
        }
        hasher->waiting--;
        hasher->running++;
    }
    pthread_mutex_unlock(&hasher->lock);
    return may_enter;
}

static void leave(struct kj__hasher *hasher)
{
    pthread_mutex_lock(&hasher->lock);
    hasher->running--;
    pthread_cond_signal(&hasher->released);
    pthread_mutex_unlock(&hasher->lock);
}

/* ---- hashes ---- */

enum kj_status kj__hasher_init(struct kj__hasher *hasher, uint32_t passes, uint32_t memory_kib)
{
    char unknown[2 * DECOY_BYTES + 1];
    uint8_t random[DECOY_BYTES];
    pthread_mutex_init(&hasher->lock, NULL);
    pthread_cond_init(&hasher->released, NULL);
    hasher->passes = passes;
    hasher->memory_bytes = (size_t)memory_kib * KIB;
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(unknown, sizeof unknown, random, sizeof random);
    return crypto_pwhash_str(hasher->decoy, unknown, strlen(unknown), hasher->passes,
                             hasher->memory_bytes) == 0
               ? KJ_OK
               : KJ_ENOMEM;
}

void kj__hasher_fini(struct kj__hasher *hasher)
{
    pthread_cond_destroy(&hasher->released);
    pthread_mutex_destroy(&hasher->lock);
}

enum kj_status kj__hasher_hash(struct kj__hasher *hasher, const char *password,
                               char hash[KJ__PASSWORD_HASH_SIZE])
{
    if (!enter(hasher)) {
        return KJ_EFULL;
    }
    int result = crypto_pwhash_str(hash, password, strlen(password), hasher->passes,
                                   hasher->memory_bytes);
    leave(hasher);
    return result == 0 ? KJ_OK : KJ_ENOMEM;
}

enum kj_status kj__hasher_verify(struct kj__hasher *hasher, const char *password, const char *hash)
{
    if (!enter(hasher)) {
        return KJ_EFULL;
    }
    errno = 0;
    int result = crypto_pwhash_str_verify(hash ? hash : hasher->decoy, password, strlen(password));
    int fault = errno;
    leave(hasher);
    if (result && fault != EINVAL) { /* which says that it is another */
        return fault == ENOMEM ? KJ_ENOMEM : KJ_EIO;
    }
    return result == 0 && hash ? KJ_OK : KJ_EREFUSED;
}

bool kj__hasher_is_outdated(const struct kj__hasher *hasher, const char *hash)
{
    return crypto_pwhash_str_needs_rehash(hash, hasher->passes, hasher->memory_bytes) == 1;
}
