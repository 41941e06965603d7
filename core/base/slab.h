/* slab.h - objects of one size, packed into chunks of memory.                  [any thread]
 *
 * For what there are very many of: no header and no rounding for each, and a chunk whose last
 * object came back goes back to the system, so that memory falls with the load.
 */
#ifndef KJ_BASE_SLAB_H
#define KJ_BASE_SLAB_H

#include "base/list.h"

#include <pthread.h>
#include <stddef.h>

struct kj__slab {
    pthread_mutex_t lock;
    size_t object_size;      /* rounded up to 16 */
    struct kj__list partial; /* chunks with room; guarded by lock */
    size_t empty_chunks;     /* of those; guarded by lock */
};

/* `object_size`: at most 16 KiB. */
void kj__slab_init(struct kj__slab *slab, size_t object_size);

/* Every object must be back. */
void kj__slab_fini(struct kj__slab *slab);

/* An object of zeroes, aligned to 16; NULL when there is no memory. */
void *kj__slab_take(struct kj__slab *slab);
void kj__slab_give(struct kj__slab *slab, void *object);

#endif
