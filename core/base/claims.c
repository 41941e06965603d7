/* claims.c - see claims.h. */
#include "base/claims.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_claim(const char *text)
{
    const char *equals = strchr(text, '=');
    return equals && equals > text && equals[1];
}

int kj__claims_set(struct kj__claims *claims, const char *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_claim(items[i])) {
            return EINVAL;
        }
    }
    struct kj__claims fresh = {.items = count ? calloc(count, sizeof(char *)) : NULL};
    for (size_t i = 0; fresh.items && i < count; i++) {
        fresh.items[i] = strdup(items[i]);
        if (!fresh.items[i]) {
            break;
        }
        fresh.count++;
    }
    if (fresh.count < count) {
        kj__claims_fini(&fresh);
        return ENOMEM;
    }
    kj__claims_fini(claims);
    *claims = fresh;
    return 0;
}

const char *kj__claims_get(const struct kj__claims *claims, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < claims->count; i++) {
        if (strncmp(claims->items[i], key, len) == 0 && claims->items[i][len] == '=') {
            return claims->items[i] + len + 1;
        }
    }
    return NULL;
}

void kj__claims_fini(struct kj__claims *claims)
{
    for (size_t i = 0; i < claims->count; i++) {
        free(claims->items[i]);
    }
    free(claims->items);
    *claims = (struct kj__claims){0};
}
