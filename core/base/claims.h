/* claims.h - what is known of a caller: strings of the form "key=value".
 *
 * Not safe for concurrent use.
 */
#ifndef KJ_BASE_CLAIMS_H
#define KJ_BASE_CLAIMS_H

#include <stddef.h>

struct kj__claims {
    char **items; /* each allocated */
    size_t count;
};

/* Replaces the set by copies. 0, EINVAL for a claim without a key or a value, or ENOMEM; on
 * failure the old set stays. */
int kj__claims_set(struct kj__claims *claims, const char *const *items, size_t count);

/* The value of the first claim with this key, or NULL. */
const char *kj__claims_get(const struct kj__claims *claims, const char *key);

void kj__claims_fini(struct kj__claims *claims);

#endif
