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

enum kj__claims_result { KJ__CLAIMS_SET, KJ__CLAIMS_MALFORMED, KJ__CLAIMS_NO_MEMORY };

/* Replaces the set by copies. Each needs a key and a value; on failure the old set stays. */
enum kj__claims_result kj__claims_set(struct kj__claims *claims, const char *const *items,
                                      size_t count);

/* The value of the first claim with this key, or NULL. */
const char *kj__claims_get(const struct kj__claims *claims, const char *key);

void kj__claims_fini(struct kj__claims *claims);

#endif
