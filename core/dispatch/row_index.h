/* row_index.h - the rows of one identity whose filter wants a member to equal something.
 *
 * `owner == "u17"` holds for few events, and there may be one such filter for each session: so
 * the rows are found by what the event's own member is, instead of one by one.
 *
 * Threads: the shard's.
 */
#ifndef KJ_DISPATCH_ROW_INDEX_H
#define KJ_DISPATCH_ROW_INDEX_H

#include "base/map.h"
#include "model/filter.h"

#include <jansson.h>
#include <stdbool.h>

struct kj__row;

struct kj__row_index {
    struct kj__map by_member; /* name to its table of rows by hash */
};

void kj__row_index_init(struct kj__row_index *index);
void kj__row_index_fini(struct kj__row_index *index);

/* Under each of the key's hashes. False when there is no memory: some may be in, to be removed. */
bool kj__row_index_add(struct kj__row_index *index, const struct kj__filter_key *key,
                       struct kj__row *row);
void kj__row_index_remove(struct kj__row_index *index, const struct kj__filter_key *key,
                          const struct kj__row *row);

bool kj__row_index_is_empty(const struct kj__row_index *index);

/* Calls `visit`, which must not change the index, with every row the entity may be for, and some
 * it is not for. A row may come twice. */
void kj__row_index_visit(const struct kj__row_index *index, const json_t *entity,
                         void (*visit)(struct kj__row *row, void *ctx), void *ctx);

#endif
