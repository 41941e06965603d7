/* backlog.h - publications that wait between threads, bounded by number and by bytes. */
#ifndef KJ_PUBSUB_BACKLOG_H
#define KJ_PUBSUB_BACKLOG_H

#include "base/queue.h"

#include <kujata/publication.h>
#include <stdatomic.h>
#include <stdint.h>

enum kj__backlog_result {
    KJ__BACKLOG_PUSHED,
    KJ__BACKLOG_TOO_MANY,  /* over the limit of the queue */
    KJ__BACKLOG_TOO_LARGE, /* over the limit of bytes */
    KJ__BACKLOG_CLOSED,
    KJ__BACKLOG_NO_MEMORY
};

struct kj__backlog {
    struct kj__queue queue; /* of kj_publication references */
    uint64_t byte_limit;
    _Atomic uint64_t bytes; /* of the data in the queue; never less than what is there */
};

/* A limit of 0 is the default: 65,536 publications, 256 MiB. */
void kj__backlog_init(struct kj__backlog *backlog, uint32_t limit, uint64_t byte_limit);

/* What is still inside is forgotten; take it first. */
void kj__backlog_fini(struct kj__backlog *backlog);

/* Queues a reference of its own; never blocks. A publication larger than the limit of bytes
 * passes when no bytes wait before it. *was_empty may be NULL.          [any thread] */
enum kj__backlog_result kj__backlog_push(struct kj__backlog *backlog,
                                         struct kj_publication *publication, bool *was_empty);

/* The oldest, whose reference is the caller's from now on; NULL when there is none.
 *                                                                       [any thread] */
struct kj_publication *kj__backlog_take(struct kj__backlog *backlog);

/* Waits for one and leaves it there; false means closed and empty.      [any thread] */
bool kj__backlog_wait(struct kj__backlog *backlog);

bool kj__backlog_is_empty(struct kj__backlog *backlog); /* [any thread] */

/* Pushes are refused from now on; what is inside can still be taken.    [any thread] */
void kj__backlog_close(struct kj__backlog *backlog);

#endif
