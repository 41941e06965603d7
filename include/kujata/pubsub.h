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
 *  3. Threads. Handlers run on a thread of the backend, never on the publisher's, but for those
 *     that allow it (may_run_here).
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
 * 10. Requests. Of the answers to a request the first counts. Its handler is called exactly
 *     once, on a thread of the backend: with the answer, or with why there is none, at the
 *     latest when its time is over or the backend is closed. A request nobody subscribed to
 *     fails at once.
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

/* Receives what became of a request: KJ_OK with the answer (`reply` is borrowed, and NULL for an
 * ack), KJ_ETIMEOUT, KJ_ECLOSED, KJ_ENOTFOUND (nobody listens), KJ_EPARSE (the answer is no
 * acknowledgement or no publication), KJ_EIO (the broker would not take it). Must not block for
 * long: the handlers of a backend's requests run one after the other. */
typedef void (*kj_reply_handler)(enum kj_status status, struct kj_publication *reply, void *ctx);

struct kj_request_options {
    enum kj_response_mode mode; /* KJ_RESPONSE_ACK or KJ_RESPONSE_PUBLICATION */
    uint32_t timeout_ms;        /* 0: 10,000 */
    kj_reply_handler on_reply;
    void *ctx;
};

/* What happened so far; every publication ends in exactly one of delivered-per-
 * subscription, dropped or discarded; every request in one of answered to abandoned. */
struct kj_pubsub_stats {
    uint64_t published;   /* accepted by kj_pubsub_publish and kj_pubsub_request */
    uint64_t refused;     /* KJ_EFULL from either, and answers there was no room for */
    uint64_t failed;      /* accepted, then not sendable (too large for the broker) */
    uint64_t delivered;   /* handler calls */
    uint64_t dropped;     /* lost at a full subscription queue */
    uint64_t undecodable; /* foreign messages that are not publications */
    uint64_t discarded;   /* still queued when the subscription or the backend ended */
    uint64_t disconnects; /* times the broker went away */
    uint64_t requests;    /* accepted by kj_pubsub_request */
    uint64_t answered;
    uint64_t timed_out;
    uint64_t unheard;      /* nobody had subscribed */
    uint64_t misanswered;  /* by what is no acknowledgement or no publication */
    uint64_t abandoned;    /* closed before an answer came, or not sendable */
    uint64_t late_answers; /* second ones, or after the end of the request */
    uint64_t replies;      /* acknowledgements and publications sent as answers */
    uint64_t unanswered;   /* publications whose handler gave no answer in time */
};

struct kj_subscribe_options {
    const char *group;         /* promise 9; NULL: every publication */
    uint32_t queue_limit;      /* publications waiting for the handler; 0: 65,536 */
    uint64_t queue_bytes;      /* bytes of their data; 0: 256 MiB */
    uint32_t reply_timeout_ms; /* for kj_publication_reply, since the handler's call; 0: 60,000 */
    /* The handler runs on one thread with those of all others that say so, one after the other:
     * for subscriptions of which there are thousands. Else it has a thread of its own. */
    bool shares_thread;
    /* Asked on the publisher's thread when nothing waits for the handler: whether it would do all
     * it does without waiting, and may be called right there, which saves a thread's waking. A
     * backend need not ask. For handlers that end no subscription, and not together with
     * shares_thread. NULL: never. */
    bool (*may_run_here)(void *ctx);
};

/* The table a backend fills. Wrappers below validate, so an operation may rely on its
 * arguments. All are required but the last. */
struct kj_pubsub_ops {
    const char *name; /* "local", "nats" */
    enum kj_status (*publish)(struct kj_pubsub *self, struct kj_publication *publication);
    enum kj_status (*request)(struct kj_pubsub *self, const struct kj_publication *publication,
                              const struct kj_request_options *options);
    enum kj_status (*subscribe)(struct kj_pubsub *self, const char *topic,
                                const struct kj_subscribe_options *options,
                                kj_pubsub_handler handler, void *ctx,
                                struct kj_subscription **subscription);
    void (*unsubscribe)(struct kj_pubsub *self, struct kj_subscription *subscription);
    void (*stats)(struct kj_pubsub *self, struct kj_pubsub_stats *stats);
    enum kj_status (*ping)(struct kj_pubsub *self, uint32_t timeout_ms);
    void (*close)(struct kj_pubsub *self);
    void (*free)(struct kj_pubsub *self);
    bool (*is_away)(struct kj_pubsub *self); /* NULL: there is no broker that could be */
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

/* Publishes and waits, without blocking, for an answer; on_reply may run before this returns.
 * An acknowledgement says that a handler is being called, a publication is what one answered with
 * kj_publication_reply.                                                [any thread]
 * As kj_pubsub_publish; KJ_EFULL also when too many requests are under way (request_limit of
 * the backend). Then on_reply is not called. */
enum kj_status kj_pubsub_request(struct kj_pubsub *pubsub, const struct kj_publication *publication,
                                 const struct kj_request_options *options);

/* The same, but blocks until it is settled, and returns how. *reply (may be NULL) is the
 * caller's, and NULL for an acknowledgement. Not from a reply handler, which it would wait for. */
enum kj_status kj_pubsub_request_wait(struct kj_pubsub *pubsub,
                                      const struct kj_publication *publication,
                                      enum kj_response_mode mode, uint32_t timeout_ms,
                                      struct kj_publication **reply);

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

/* Whether the broker is away, as far as is known: what is published now waits for it. False where
 * there is none.                                                       [any thread] */
bool kj_pubsub_is_away(struct kj_pubsub *pubsub);

void kj_pubsub_close(struct kj_pubsub *pubsub); /* [any thread] */

/* Closes and releases. No other call may be running; subscriptions still open are ended.
 * NULL is fine. */
void kj_pubsub_free(struct kj_pubsub *pubsub);

#endif
