/* client_handshake.h - from a URL to an open websocket, on the client's side.
 *
 * Threads: blocks the caller, within the time the options give.
 */
#ifndef KJ_DELIVERY_CLIENT_HANDSHAKE_H
#define KJ_DELIVERY_CLIENT_HANDSHAKE_H

#include "base/buffer.h"

#include <kujata/error.h>
#include <kujata/status.h>
#include <kujata/subscriber.h>

/* Connects and asks for the upgrade. *fd is a non-blocking socket and the caller's; `rest`,
 * empty at first, gets the bytes that followed the answer's head. Failures are those of
 * kj_subscriber_connect; `error` is never NULL here. */
enum kj_status kj__client_handshake(const struct kj_subscriber_options *options, int *fd,
                                    struct kj__buffer *rest, struct kj_error *error);

/* Waits until one of poll's `events` holds. False when `deadline_ms` (monotonic) has passed. */
bool kj__client_wait(int fd, short events, uint64_t deadline_ms);

/* Sends every byte of `out` and empties it. KJ_ETIMEOUT or KJ_EIO. */
enum kj_status kj__client_send(int fd, struct kj__buffer *out, uint64_t deadline_ms);

#endif
