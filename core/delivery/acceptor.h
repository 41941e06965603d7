/* acceptor.h - listens for the connections of a stream and hands each socket on.
 *
 * Threads: one of its own, which calls on_socket; the calls below are for the owner's.
 */
#ifndef KJ_DELIVERY_ACCEPTOR_H
#define KJ_DELIVERY_ACCEPTOR_H

#include "base/counters.h"

#include <kujata/error.h>
#include <kujata/status.h>
#include <stdint.h>

struct kj__acceptor;

struct kj__acceptor_options {
    const char *listen; /* "ADDR:PORT" or "[ADDR]:PORT"; port 0 picks one; borrowed for the start */
    /* A new connection: the socket, which does not block, is the callee's to close. `address` is
     * the peer's, borrowed. */
    void (*on_socket)(void *ctx, int fd, const char *address);
    void *ctx;
    struct kj__counters *counters; /* borrowed */
};

/* KJ_EINVAL for an address that is none, KJ_EIO with `error` naming address and reason. */
enum kj_status kj__acceptor_start(const struct kj__acceptor_options *options,
                                  struct kj__acceptor **acceptor, struct kj_error *error);

uint16_t kj__acceptor_port(const struct kj__acceptor *acceptor);

/* Closes the listening socket and waits for on_socket to return; NULL is fine. */
void kj__acceptor_stop(struct kj__acceptor *acceptor);

#endif
