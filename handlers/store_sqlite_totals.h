/* store_sqlite_totals.h - the latest counts of what filters match.
 *
 * A client that goes through the pages of a filter gets the total with each; as long as nothing
 * was written it need not be counted again.                             [any thread]
 */
#ifndef KJ_HANDLERS_STORE_SQLITE_TOTALS_H
#define KJ_HANDLERS_STORE_SQLITE_TOTALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { KJ__SQLITE_TOTALS = 32 };

struct kj__sqlite_total {
    char *question; /* malloc'd; NULL: this place is free */
    int64_t revision, total;
};

struct kj__sqlite_totals {
    pthread_mutex_t lock;
    struct kj__sqlite_total latest[KJ__SQLITE_TOTALS]; /* guarded by lock, as is all below */
    unsigned next;                                     /* the place that is given away next */
};

void kj__sqlite_totals_init(struct kj__sqlite_totals *totals);
void kj__sqlite_totals_fini(struct kj__sqlite_totals *totals);

/* What was counted for the question in a file of this revision. */
bool kj__sqlite_totals_get(struct kj__sqlite_totals *totals, const char *question, int64_t revision,
                           int64_t *total);

/* Without memory it is forgotten at once. */
void kj__sqlite_totals_put(struct kj__sqlite_totals *totals, const char *question, int64_t revision,
                           int64_t total);

#endif
