/* endings.h - credentials that end, told from node to node.
 *
 * What a credential has let in ends on the node that was told so at once, and on the others of the
 * same prefix once they hear of it on PREFIX.credentials. A publication there is an array of
 * msgpack,
 *
 *   [1, node, credential]
 *
 * with both as signed integers of the same 64 bits; elements beyond are for later and ignored. A
 * node passes over its own.
 *
 * Threads: kj__endings_end is for any; what is heard comes on a thread of the backend, and never
 * waits.
 */
#ifndef KJ_DISPATCH_ENDINGS_H
#define KJ_DISPATCH_ENDINGS_H

#include "base/buffer.h"
#include "delivery/delivery.h"

#include <kujata/pubsub.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj__ending {
    uint64_t node; /* who tells of it; another at each start */
    uint64_t credential;
};

void kj__ending_encode(const struct kj__ending *ending, struct kj__buffer *out);

/* False for what is no ending. */
bool kj__ending_decode(const uint8_t *bytes, size_t len, struct kj__ending *ending);

struct kj__endings {
    struct kj__delivery *delivery;
    struct kj_pubsub *pubsub;
    char *topic; /* NULL: other nodes neither hear of it nor tell */
    uint64_t node;
    struct kj_subscription *subscription;
};

/* The prefix is copied and may be NULL, the others are borrowed. KJ_ENOMEM; to be finished in any
 * case. */
enum kj_status kj__endings_init(struct kj__endings *endings, struct kj__delivery *delivery,
                                struct kj_pubsub *pubsub, const char *prefix);

/* Hears of others from now on. As kj_pubsub_subscribe. */
enum kj_status kj__endings_start(struct kj__endings *endings);
void kj__endings_stop(struct kj__endings *endings);
void kj__endings_fini(struct kj__endings *endings);

/* Ends the sessions of a credential here, how many, and tells the other nodes. Never blocks; counts
 * what fails. 0 is none.                                                          [any thread] */
size_t kj__endings_end(struct kj__endings *endings, uint64_t credential);

#endif
