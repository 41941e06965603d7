/* api_keys.c - see api_keys.h. */
#include "rest/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(KJ__KEY_DIGEST_SIZE == SHA256_DIGEST_LENGTH, "a digest is one of SHA-256");

static bool is_key(const char *text)
{
    size_t len = 0;
    for (; text[len]; len++) {
        if (text[len] <= ' ' || text[len] > '~' || len == KJ__KEY_MAX) {
            return false;
        }
    }
    return len > 0;
}

enum kj_status kj__api_keys_init(struct kj__api_keys *keys, const char *const *texts,
                                 struct kj_error *error)
{
    *keys = (struct kj__api_keys){.count = 0};
    size_t count = 0;
    for (; texts && texts[count]; count++) {
        if (!is_key(texts[count])) {
            kj_error_set(error, 0,
                         "option api_keys (--api-key, --api-key-file): key %zu is not 1 to %d "
                         "visible characters of ASCII",
                         count + 1, KJ__KEY_MAX);
            return KJ_EINVAL;
        }
    }
    keys->digests = count ? calloc(count, sizeof *keys->digests) : NULL;
    if (count && !keys->digests) {
        return KJ_ENOMEM;
    }
    for (; keys->count < count; keys->count++) {
        const char *text = texts[keys->count];
        SHA256((const unsigned char *)text, strlen(text), keys->digests[keys->count]);
    }
    return KJ_OK;
}

void kj__api_keys_fini(struct kj__api_keys *keys)
{
    free(keys->digests);
    *keys = (struct kj__api_keys){.count = 0};
}

bool kj__api_keys_have(const struct kj__api_keys *keys, const char *text)
{
    unsigned char digest[KJ__KEY_DIGEST_SIZE];
    unsigned found = 0;
    text = text ? text : "";
    SHA256((const unsigned char *)text, strlen(text), digest);
    for (size_t i = 0; i < keys->count; i++) {
        found |= CRYPTO_memcmp(digest, keys->digests[i], sizeof digest) == 0;
    }
    return found;
}
