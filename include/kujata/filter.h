/* filter.h - the filter language of `q` and of push configs (docs/filters.md), for processors and
 * storages.
 *
 *     name == "x" and (priority >= 3 or labels contains ["urgent"]) and title matches "^re:"
 *
 * Threads: a filter is immutable and reference counted; every call is for any thread.
 */
#ifndef KUJATA_FILTER_H
#define KUJATA_FILTER_H

#include <jansson.h>
#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>

struct kj_filter;

/* Reads a text; every bound of docs/filters.md holds. KJ_EPARSE for what is not a filter, KJ_ELIMIT
 * beyond a bound, `error` (may be NULL) saying what and at which byte; KJ_ENOMEM. */
enum kj_status kj_filter_parse(const char *text, struct kj_filter **filter, struct kj_error *error);

struct kj_filter *kj_filter_ref(struct kj_filter *filter);
void kj_filter_unref(struct kj_filter *filter); /* NULL is fine */

/* The canonical text, which parses to the same filter and lives as long as it. */
const char *kj_filter_text(const struct kj_filter *filter);

/* Whether an object matches; now() is this moment. An evaluation beyond the bound on its work is
 * no match. */
bool kj_filter_matches(const struct kj_filter *filter, const json_t *object);

#endif
