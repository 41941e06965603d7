/* api_keys.h - the keys of the API listener.
 *
 * Kept as digests, and compared in a time that says nothing of where they differ, nor of which
 * key it was.
 *
 * Threads: built by one thread, read by all HTTP workers afterwards.
 */
#ifndef KJ_REST_API_KEYS_H
#define KJ_REST_API_KEYS_H

#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KJ__KEY_DIGEST_SIZE = 32, KJ__KEY_MAX = 1024 /* bytes of a key */ };

struct kj__api_keys {
    uint8_t (*digests)[KJ__KEY_DIGEST_SIZE];
    size_t count;
};

/* `keys` ends with NULL and may be NULL. KJ_EINVAL with `error` filled for a key that no header
 * could hold, or KJ_ENOMEM; fini is fine in any case. */
enum kj_status kj__api_keys_init(struct kj__api_keys *keys, const char *const *texts,
                                 struct kj_error *error);
void kj__api_keys_fini(struct kj__api_keys *keys);

/* Whether `text` (NULL: none was shown) is one of them. */
bool kj__api_keys_have(const struct kj__api_keys *keys, const char *text);

#endif
