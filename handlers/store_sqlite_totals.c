/* store_sqlite_totals.c - see store_sqlite_totals.h. */
#include "handlers/store_sqlite_totals.h"

#include <stdlib.h>
#include <string.h>

void kj__sqlite_totals_init(struct kj__sqlite_totals *totals)
{
    *totals = (struct kj__sqlite_totals){.next = 0};
    pthread_mutex_init(&totals->lock, NULL);
}

void kj__sqlite_totals_fini(struct kj__sqlite_totals *totals)
{
    for (size_t i = 0; i < KJ__SQLITE_TOTALS; i++) {
        free(totals->latest[i].question);
    }
    pthread_mutex_destroy(&totals->lock);
}

/* Lock held; NULL for a question that is not among the latest. */
static struct kj__sqlite_total *find(struct kj__sqlite_totals *totals, const char *question)
{
    for (size_t i = 0; i < KJ__SQLITE_TOTALS; i++) {
        struct kj__sqlite_total *total = &totals->latest[i];
        if (total->question && strcmp(total->question, question) == 0) {
            return total;
        }
    }
    return NULL;
}

bool kj__sqlite_totals_get(struct kj__sqlite_totals *totals, const char *question, int64_t revision,
                           int64_t *total)
{
    pthread_mutex_lock(&totals->lock);
    const struct kj__sqlite_total *found = find(totals, question);
    bool is_current = found && found->revision == revision;
    if (is_current) {
        *total = found->total;
    }
    pthread_mutex_unlock(&totals->lock);
    return is_current;
}

void kj__sqlite_totals_put(struct kj__sqlite_totals *totals, const char *question, int64_t revision,
                           int64_t total)
{
    pthread_mutex_lock(&totals->lock);
    struct kj__sqlite_total *place = find(totals, question);
    if (!place) {
        place = &totals->latest[totals->next++ % KJ__SQLITE_TOTALS];
        free(place->question);
        place->question = strdup(question);
    }
    place->revision = revision;
    place->total = total;
    pthread_mutex_unlock(&totals->lock);
}
