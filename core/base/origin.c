/* origin.c - see origin.h. */
#include "base/origin.h"

#include <string.h>
#include <strings.h>

/* A page of the server's own: its origin is the host the browser asked. */
static bool is_own(const char *origin, const char *host)
{
    const char *authority = strstr(origin, "://");
    return authority && host && strcasecmp(authority + 3, host) == 0;
}

bool kj__origin_is_allowed(const char *origin, const char *host, const char *const *allowed)
{
    if (!origin || is_own(origin, host)) {
        return true;
    }
    for (; allowed && *allowed; allowed++) {
        if (strcmp(*allowed, "*") == 0 || strcasecmp(*allowed, origin) == 0) {
            return true;
        }
    }
    return false;
}
