/* client_handshake.h - from a URL to an open websocket, on the client's side.
 *
 * Threads: blocks the caller, within the time the options give.
 */
#ifndef KJ_DELIVERY_CLIENT_HANDSHAKE_H
#define KJ_DELIVERY_CLIENT_HANDSHAKE_H

#include "base/buffer.h"
#include "delivery/tls.h"

#include <kujata/error.h>
#include <kujata/status.h>
#include <kujata/subscriber.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { KJ__CLIENT_POSITION_SIZE = 65 };

/* A non-blocking socket and its TLS. */
struct kj__client {
    int fd;                                  /* -1: none */
    struct kj__tls *tls;                     /* NULL: plain */
    char position[KJ__CLIENT_POSITION_SIZE]; /* X-Seq of the server's answer; empty: none */
};

/* Connects and asks for the upgrade; `client` is the caller's to close, also on failure. `rest`,
 * empty at first, gets the bytes that followed the answer's head. Failures are those of
 * kj_subscriber_connect; `error` is never NULL here. */
enum kj_status kj__client_handshake(const struct kj_subscriber_options *options,
                                    struct kj__client *client, struct kj__buffer *rest,
                                    struct kj_error *error);

/* Waits until one of poll's `events` holds. False when `deadline_ms` (monotonic) has passed. */
bool kj__client_wait(int fd, short events, uint64_t deadline_ms);

/* Sends every byte of `out` and empties it. KJ_ETIMEOUT or KJ_EIO. */
enum kj_status kj__client_send(const struct kj__client *client, struct kj__buffer *out,
                               uint64_t deadline_ms);

/* As recv does; EINTR is EAGAIN. Where kj__client_has_more, it need not be waited for. */
ssize_t kj__client_receive(const struct kj__client *client, uint8_t *bytes, size_t size);
bool kj__client_has_more(const struct kj__client *client);

/* Idempotent. */
void kj__client_close(struct kj__client *client);

#endif
