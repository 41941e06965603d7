/* pubsub.h - the seam between a node and whatever carries its publications.
 *
 * A backend embeds `struct kj_pubsub` first and fills one static table of operations.
 * Every backend keeps these promises; tests/contract runs one suite over all of them:
 *
 *  1. Order. Publications of one thread on one topic reach a subscription in the order
 *     published. A subscription's handler runs on one thread at a time.
 *  2. Topics are words joined by '.'. In a subscription, `*` stands for exactly one
 *     word and a final `>` for one or more. A word is one or more bytes other than '.',
 *     blank, '*', '>' and control characters. Topics, patterns and group names have at most
 *     1,024 bytes. Publishing to a pattern is KJ_EINVAL.
 *  3. Threads. Handlers run on a thread of the backend, never on the publisher's.
 *  4. Silence. After kj_pubsub_unsubscribe returns the handler is not running and does
 *     not run again. Unsubscribing from inside the handler returns at once, and the
 *     handler does not run again.
 *  5. Full queues. kj_pubsub_publish never blocks. When the publisher's queue is full it
 *     returns KJ_EFULL and counts; when a subscription's queue is full the newest
 *     publication is dropped for that subscription, counted, and reported on_error. Queues
 *     are bounded by number and by bytes (data and tracking); where no bytes wait, one publication
 *     larger than the bound passes.
 *  6. Away. A backend whose broker is away keeps publications in its bounded queue, goes
 *     on trying without end, and renews every subscription by itself.
 *  7. Close. kj_pubsub_close stops delivery and discards what is queued, counting it;
 *     later calls return KJ_ECLOSED. It is idempotent.
 *  8. Ownership. publish takes its own reference; a handler borrows the publication and
 *     takes a reference to keep it.
 *  9. Groups. Of the subscriptions that name the same group and match, one receives each
 *     publication.
 */
#ifndef KUJATA_PUBSUB_H
#define KUJATA_PUBSUB_H

#include <kujata/publication.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stdint.h>

struct kj_pubsub;
struct kj_subscription;

/* Receives one publication, borrowed. Must not block for long: what waits behind it is
 * bounded. */
typedef void (*kj_pubsub_handler)(struct kj_publication *publication, void *ctx);

/* Receives what goes wrong away from a call: a lost broker (KJ_EDISCONNECTED), one that refuses
 * us (KJ_EREFUSED), a dropped publication (KJ_EFULL), a failed one (KJ_EIO), a foreign message
 * (KJ_EPARSE); and KJ_OK when the broker is back. `text` is borrowed. Runs on a thread of the
 * backend. */
typedef void (*kj_pubsub_error_handler)(enum kj_status status, const char *text, void *ctx);

struct kj_pubsub_errors {
    kj_pubsub_error_handler on_error; /* NULL: logged to stderr */
    void *ctx;
};

/* What happened so far; every publication ends in exactly one of delivered-per-
 * subscription, dropped or discarded. */
struct kj_pubsub_stats {
    uint64_t published;   /* accepted by kj_pubsub_publish */
    uint64_t refused;     /* KJ_EFULL from kj_pubsub_publish */
    uint64_t failed;      /* accepted, then not sendable (too large for the broker) */
    uint64_t delivered;   /* handler calls */
    uint64_t dropped;     /* lost at a full subscription queue */
    uint64_t undecodable; /* foreign messages that are not publications */
    uint64_t discarded;   /* still queued when the subscription or the backend ended */
    uint64_t disconnects; /* times the broker went away */
};

struct kj_subscribe_options {
    const char *group;    /* promise 9; NULL: every publication */
    uint32_t queue_limit; /* publications waiting for the handler; 0: 65,536 */
    uint64_t queue_bytes; /* bytes of their data; 0: 256 MiB */
};

/* The table a backend fills. Wrappers below validate, so an operation may rely on its
 * arguments. All are required. */
struct kj_pubsub_ops {
    const char *name; /* "local", "nats" */
    enum kj_status (*publish)(struct kj_pubsub *self, struct kj_publication *publication);
    enum kj_status (*subscribe)(struct kj_pubsub *self, const char *topic,
                                const struct kj_subscribe_options *options,
                                kj_pubsub_handler handler, void *ctx,
                                struct kj_subscription **subscription);
    void (*unsubscribe)(struct kj_pubsub *self, struct kj_subscription *subscription);
    void (*stats)(struct kj_pubsub *self, struct kj_pubsub_stats *stats);
    enum kj_status (*ping)(struct kj_pubsub *self, uint32_t timeout_ms);
    void (*close)(struct kj_pubsub *self);
    void (*free)(struct kj_pubsub *self);
};

/* First member of every backend. */
struct kj_pubsub {
    const struct kj_pubsub_ops *ops;
};

/* Whether a topic may be published to, by promise 2.                   [any thread] */
bool kj_topic_is_valid(const char *topic);

/* Queues a publication for everyone who subscribed.                    [any thread]
 * KJ_EINVAL (topic is a pattern or malformed), KJ_EFULL, KJ_ECLOSED, KJ_ENOMEM. */
enum kj_status kj_pubsub_publish(struct kj_pubsub *pubsub, struct kj_publication *publication);

/* Subscribes `handler` to a topic or pattern. It may run before this returns. [any thread]
 * KJ_EINVAL, KJ_ECLOSED, KJ_ENOMEM. A broker that is away is not an error. */
enum kj_status kj_pubsub_subscribe(struct kj_pubsub *pubsub, const char *topic,
                                   const struct kj_subscribe_options *options,
                                   kj_pubsub_handler handler, void *ctx,
                                   struct kj_subscription **subscription);

/* Ends a subscription and frees it; see promise 4. NULL is fine.       [any thread] */
void kj_pubsub_unsubscribe(struct kj_pubsub *pubsub, struct kj_subscription *subscription);

void kj_pubsub_stats(struct kj_pubsub *pubsub, struct kj_pubsub_stats *stats); /* [any thread] */

/* KJ_OK when everything published and subscribed before has reached the broker and it answers
 * within the time; so a node that must not miss what others publish next pings after it has
 * subscribed. KJ_EDISCONNECTED, KJ_ETIMEOUT or
 * KJ_ECLOSED otherwise.                                                [any thread] */
enum kj_status kj_pubsub_ping(struct kj_pubsub *pubsub, uint32_t timeout_ms);

void kj_pubsub_close(struct kj_pubsub *pubsub); /* [any thread] */

/* Closes and releases. No other call may be running; subscriptions still open are ended.
 * NULL is fine. */
void kj_pubsub_free(struct kj_pubsub *pubsub);

#endif
