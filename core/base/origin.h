/* origin.h - which pages a browser may come from.                           [any thread] */
#ifndef KJ_BASE_ORIGIN_H
#define KJ_BASE_ORIGIN_H

#include <stdbool.h>

/* Whether a request with this `Origin` header may act for its user: there is none (no browser, or
 * its own page), it names the `host` the request went to, or it is on the list, whose "*" is
 * everyone. `allowed` ends with NULL and may be NULL. */
bool kj__origin_is_allowed(const char *origin, const char *host, const char *const *allowed);

#endif
