/* accounts_attempts.c - see accounts_attempts.h. */
#include "handlers/accounts_attempts.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX = 256,    /* of a name or an address; a longer one is cut */
    NETWORK_BYTES = 8, /* of an address of IPv6: a client has all the others to itself */
};

bool kj__attempts_init(struct kj__attempts *attempts)
{
    pthread_mutex_init(&attempts->lock, NULL);
    crypto_shorthash_keygen(attempts->key);
    attempts->sets = calloc(KJ__ATTEMPTS_SETS, sizeof *attempts->sets);
    return attempts->sets != NULL;
}

void kj__attempts_fini(struct kj__attempts *attempts)
{
    free(attempts->sets);
    pthread_mutex_destroy(&attempts->lock);
}

/* ---- keys ---- */

static size_t put_text(unsigned char *to, const char *text, bool fold)
{
    size_t len = 0;
    for (; text[len] && len < TEXT_MAX; len++) {
        bool is_upper = fold && text[len] >= 'A' && text[len] <= 'Z';
        to[len] = (unsigned char)(is_upper ? text[len] | 0x20 : text[len]);
    }
    to[len] = '\0';
    return len + 1;
}

static size_t put_address(unsigned char *to, const char *address)
{
    struct in6_addr network;
    if (inet_pton(AF_INET6, address, &network) == 1 && !IN6_IS_ADDR_V4MAPPED(&network)) {
        memcpy(to, &network, NETWORK_BYTES);
        return NETWORK_BYTES;
    }
    return put_text(to, address, false);
}

static uint64_t hash_of(const struct kj__attempts *attempts, const struct kj__attempt *attempt)
{
    unsigned char text[2 * (TEXT_MAX + 1) + 1];
    unsigned char digest[crypto_shorthash_BYTES];
    uint64_t hash;
    size_t len = 0;
    text[len++] = (unsigned char)attempt->kind;
    len += put_address(text + len, attempt->address ? attempt->address : "");
    len += put_text(text + len, attempt->name ? attempt->name : "", true);
    crypto_shorthash(digest, text, len, attempts->key);
    memcpy(&hash, digest, sizeof hash);
    return hash ? hash : 1;
}

/* ---- places; lock held ---- */

/* That of the hash, else the one least missed. */
static struct kj__attempt_place *find(struct kj__attempts *attempts, uint64_t hash)
{
    struct kj__attempt_place *set = attempts->sets[hash % KJ__ATTEMPTS_SETS];
    struct kj__attempt_place *place = &set[0];
    for (size_t i = 0; i < KJ__ATTEMPTS_WAYS; i++) {
        if (set[i].hash == hash) {
            return &set[i];
        }
        if (set[i].used_until_ms < place->used_until_ms) {
            place = &set[i];
        }
    }
    return place;
}

int64_t kj__attempts_take(struct kj__attempts *attempts, const struct kj__attempt *attempt,
                          int64_t now_ms)
{
    uint64_t hash = hash_of(attempts, attempt);
    int64_t room_ms = (int64_t)(attempt->at_once - 1) * attempt->wait_ms;
    pthread_mutex_lock(&attempts->lock);
    struct kj__attempt_place *place = find(attempts, hash);
    if (place->hash != hash) {
        *place = (struct kj__attempt_place){.hash = hash};
    }
    int64_t from_ms = place->used_until_ms > now_ms ? place->used_until_ms : now_ms;
    int64_t wait_ms = from_ms - now_ms - room_ms;
    if (wait_ms <= 0) {
        place->used_until_ms = from_ms + attempt->wait_ms;
        wait_ms = 0;
    }
    pthread_mutex_unlock(&attempts->lock);
    return wait_ms;
}

void kj__attempts_give_back(struct kj__attempts *attempts, const struct kj__attempt *attempt)
{
    uint64_t hash = hash_of(attempts, attempt);
    pthread_mutex_lock(&attempts->lock);
    struct kj__attempt_place *place = find(attempts, hash);
    if (place->hash == hash) {
        place->used_until_ms -= attempt->wait_ms;
    }
    pthread_mutex_unlock(&attempts->lock);
}
