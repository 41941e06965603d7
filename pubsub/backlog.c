/* backlog.c - see backlog.h. */
#include "pubsub/backlog.h"

#include "codec/publication.h"

enum { DEFAULT_LIMIT = 65536, DEFAULT_BYTE_LIMIT = 256 << 20 };

void kj__backlog_init(struct kj__backlog *backlog, uint32_t limit, uint64_t byte_limit)
{
    kj__queue_init(&backlog->queue, limit ? limit : DEFAULT_LIMIT);
    backlog->byte_limit = byte_limit ? byte_limit : DEFAULT_BYTE_LIMIT;
    atomic_init(&backlog->bytes, 0);
}

void kj__backlog_fini(struct kj__backlog *backlog)
{
    kj__queue_fini(&backlog->queue);
}

/* Sets room for `len` bytes aside; false when there is not enough. */
static bool reserve(struct kj__backlog *backlog, size_t len)
{
    uint64_t used = atomic_load(&backlog->bytes);
    do {
        uint64_t room = used < backlog->byte_limit ? backlog->byte_limit - used : 0;
        if (used > 0 && len > room) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&backlog->bytes, &used, used + len));
    return true;
}

enum kj__backlog_result kj__backlog_push(struct kj__backlog *backlog,
                                         struct kj_publication *publication, bool *was_empty)
{
    static const enum kj__backlog_result results[] = {
        [KJ__QUEUE_PUSHED] = KJ__BACKLOG_PUSHED,
        [KJ__QUEUE_FULL] = KJ__BACKLOG_TOO_MANY,
        [KJ__QUEUE_CLOSED] = KJ__BACKLOG_CLOSED,
        [KJ__QUEUE_NO_MEMORY] = KJ__BACKLOG_NO_MEMORY,
    };
    size_t len = kj__publication_size(publication);
    if (!reserve(backlog, len)) {
        return KJ__BACKLOG_TOO_LARGE;
    }
    kj_publication_ref(publication);
    enum kj__queue_result result = kj__queue_push(&backlog->queue, publication, was_empty);
    if (result != KJ__QUEUE_PUSHED) {
        atomic_fetch_sub(&backlog->bytes, len);
        kj_publication_unref(publication);
    }
    return results[result];
}

struct kj_publication *kj__backlog_take(struct kj__backlog *backlog)
{
    void *publication = NULL;
    if (kj__queue_take(&backlog->queue, &publication, 1) == 0) {
        return NULL;
    }
    atomic_fetch_sub(&backlog->bytes, kj__publication_size(publication));
    return publication;
}

bool kj__backlog_wait(struct kj__backlog *backlog)
{
    return kj__queue_wait(&backlog->queue);
}

bool kj__backlog_is_empty(struct kj__backlog *backlog)
{
    return kj__queue_count(&backlog->queue) == 0;
}

void kj__backlog_close(struct kj__backlog *backlog)
{
    kj__queue_close(&backlog->queue);
}
