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
#include <stdint.h>

struct kj_subscriber;

struct kj_subscriber_options {
    const char *url; /* "ws://HOST:PORT/PATH?QUERY"; http:// means the same; required */
    enum kj_encoding encoding;
    const char *token;             /* sent as Authorization: Bearer; NULL: none */
    const char *const *identities; /* "name" or "name:type,type", NULL at the end; NULL: all */
    uint32_t timeout_ms;           /* for connecting; 0: 10,000 */
};

/* Connects, shakes hands and sends the filter. KJ_EINVAL for a bad URL or filter, KJ_EIO or
 * KJ_ETIMEOUT when the server is not reached, KJ_EREFUSED with the server's answer in `error`. */
enum kj_status kj_subscriber_connect(const struct kj_subscriber_options *options,
                                     struct kj_subscriber **subscriber, struct kj_error *error);

/* Waits for the next event; the caller unrefs it. KJ_ETIMEOUT after `timeout_ms` (0: wait for
 * ever), KJ_ECLOSED with the close code in `error` when the server ended the session. */
enum kj_status kj_subscriber_next(struct kj_subscriber *subscriber, uint32_t timeout_ms,
                                  struct kj_event **event, struct kj_error *error);

/* Makes a running and every later kj_subscriber_next return KJ_ECLOSED. Async-signal-safe.
 *                                                                      [any thread] */
void kj_subscriber_interrupt(struct kj_subscriber *subscriber);

void kj_subscriber_free(struct kj_subscriber *subscriber); /* says goodbye; NULL is fine */

#endif
