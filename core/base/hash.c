/* hash.c - see hash.h. */
#include "base/hash.h"

#include "base/id.h"

#include <pthread.h>

static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    kj__random_bytes(&seed, sizeof seed);
}

/* FNV-1a over a secret start, finished so that low bits depend on every byte. */
uint64_t kj__hash(const void *bytes, size_t len)
{
    pthread_once(&seed_once, make_seed);
    uint64_t hash = seed ^ UINT64_C(0xcbf29ce484222325);
    const unsigned char *at = bytes;
    for (const unsigned char *end = at + len; at < end; at++) {
        hash = (hash ^ *at) * UINT64_C(0x100000001b3);
        hash ^= hash >> 29;
    }
    hash ^= hash >> 32;
    return hash * UINT64_C(0x9e3779b97f4a7c15);
}
