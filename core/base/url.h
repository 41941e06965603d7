/* url.h - percent escapes and query strings.                                [any thread] */
#ifndef KJ_BASE_URL_H
#define KJ_BASE_URL_H

#include "base/fields.h"

#include <stdbool.h>
#include <stddef.h>

/* Decodes %XX (and '+' as a blank, if asked) into `out`, which has room for len + 1 bytes.
 * Returns the length, or -1 for a bad escape or an escaped NUL. */
long kj__url_decode(const char *text, size_t len, bool plus_is_blank, char *out);

/* Whether every '%' begins an escape, none of a NUL: then no pair of a query is left out. */
bool kj__url_is_well_escaped(const char *text);

/* Adds each pair of "a=1&b=2" to `fields`. A pair with a bad escape is left out, as Go's
 * net/url does. False when there is no memory. */
bool kj__url_parse_query(const char *query, struct kj__fields *fields);

enum kj__url_outcome {
    KJ__URL_FINE = 0,
    KJ__URL_BAD, /* an escape, a NUL, or no UTF-8 */
    KJ__URL_TOO_MANY,
    KJ__URL_NO_MEMORY,
};

/* The same where nothing is left out: every pair is good, and there are at most `max`. */
enum kj__url_outcome kj__url_parse_pairs(const char *text, size_t len, size_t max,
                                         struct kj__fields *fields);

#endif
