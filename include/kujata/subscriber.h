/* subscriber.h - a client of /events.
 *
 * One connection, one thread: every call but kj_subscriber_interrupt blocks and belongs to
 * the thread that uses the subscriber. Pings are answered inside kj_subscriber_next.
 */
#ifndef KUJATA_SUBSCRIBER_H
#define KUJATA_SUBSCRIBER_H

#include <kujata/encoding.h>
#include <kujata/error.h>
#include <kujata/event.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stdint.h>

struct kj_subscriber;

struct kj_subscriber_options {
    /* "ws://HOST:PORT/PATH?QUERY", or wss:// for TLS; http:// and https:// mean the same. An
     * IPv6 address stands in brackets. Required. */
    const char *url;
    enum kj_encoding encoding;
    const char *token;             /* sent as Authorization: Bearer; NULL: none */
    const char *const *identities; /* "name" or "name:type,type", NULL at the end; NULL: all */
    uint32_t timeout_ms;           /* for connecting; 0: 10,000 */

    /* To go on where a connection broke: `resume` has the server tell places (see
     * kj_subscriber_position), and `since` is the last one, after which the server begins. An error
     * event with code 410 comes first where it cannot. */
    bool resume;
    const char *since; /* NULL: from now on */

    /* For TLS: PEM files. */
    const char *ca;          /* who may sign the server's certificate; NULL: the system's list */
    const char *certificate; /* our own, its chain behind it; NULL: none */
    const char *key;         /* its key; NULL: in the same file */
    bool insecure;           /* talk to whoever answers */
};

/* Connects, shakes hands and sends the filter. KJ_EINVAL for a bad URL, file or filter, KJ_EIO
 * or KJ_ETIMEOUT when the server is not reached, KJ_EREFUSED when its certificate is no good or
 * with its answer in `error`, whose position is the status then. */
enum kj_status kj_subscriber_connect(const struct kj_subscriber_options *options,
                                     struct kj_subscriber **subscriber, struct kj_error *error);

/* Waits for the next event; the caller unrefs it. KJ_ETIMEOUT after `timeout_ms` (0: wait for
 * ever), KJ_ECLOSED with the close code in `error` when the server ended the session. */
enum kj_status kj_subscriber_next(struct kj_subscriber *subscriber, uint32_t timeout_ms,
                                  struct kj_event **event, struct kj_error *error);

/* The place to go on from, with `resume` or `since`: that of the last event kj_subscriber_next
 * returned, an error event with code 410 too, or a later one the server has told since, when events
 * for others went by; before any, that of the handshake. NULL: the server has told none, and
 * `since` is still the place. Lives until the next call of kj_subscriber_next. */
const char *kj_subscriber_position(const struct kj_subscriber *subscriber);

/* Makes a running and every later kj_subscriber_next return KJ_ECLOSED. Async-signal-safe.
 *                                                                      [any thread] */
void kj_subscriber_interrupt(struct kj_subscriber *subscriber);

void kj_subscriber_free(struct kj_subscriber *subscriber); /* says goodbye; NULL is fine */

#endif
