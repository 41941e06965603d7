/* client_tls.h - the client's side of a TLS handshake.
 *
 * Threads: blocks the caller, until the deadline at most.
 */
#ifndef KJ_DELIVERY_CLIENT_TLS_H
#define KJ_DELIVERY_CLIENT_TLS_H

#include "delivery/tls.h"

#include <kujata/error.h>
#include <kujata/status.h>
#include <kujata/subscriber.h>
#include <stdint.h>

/* Shakes hands on a connected, non-blocking socket, which stays the caller's, and checks that
 * the server is `host`, a name or an address. KJ_EINVAL for a file that cannot be used,
 * KJ_EREFUSED for a server that is not who it should be, KJ_EIO or KJ_ETIMEOUT. */
enum kj_status kj__client_tls_start(const struct kj_subscriber_options *options, const char *host,
                                    int fd, uint64_t deadline_ms, struct kj__tls **tls,
                                    struct kj_error *error);

#endif
