/* handover.h - taking an upgraded socket away from civetweb.
 *
 * civetweb keeps one thread for each websocket it serves, so it serves none: once its 101 has
 * left, the socket is copied to a high descriptor number, which a shard will own, and a dead
 * socket is put in its place. civetweb reads end-of-file from that, closes it and is done.
 *
 * civetweb does not tell a connection's descriptor. It is found among the low numbers, where
 * civetweb's own stay because ours are copied above a floor, by comparing the peer's address
 * and our port with what civetweb says of the request. Two matches are refused: a socket of
 * somebody else's must never be taken.
 */
#ifndef KJ_HTTP_HANDOVER_H
#define KJ_HTTP_HANDOVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct kj__handover {
    int dead_fd; /* a socket at its end */
    int floor;   /* copies go at or above it */
    /* One past the highest number a socket was found at: the search rarely needs to go on. */
    _Atomic int reach;
};

/* False when the process is out of descriptors. */
bool kj__handover_init(struct kj__handover *handover);
void kj__handover_fini(struct kj__handover *handover);

/* The connection's peer as civetweb reports it, and the port it came in on. Returns a
 * descriptor the caller owns, or -1: not found, ambiguous, or no descriptor free. On failure
 * civetweb's socket is left as it was. */
int kj__handover_take(struct kj__handover *handover, const char *peer_address, uint16_t peer_port,
                      uint16_t local_port);

/* Shuts the socket that listens on an address ("" or unreadable: any) and port, so that civetweb's accepting thread, which looks
 * for its stop flag every two seconds, wakes at once. To be followed by mg_stop. */
void kj__handover_shut_listener(const struct kj__handover *handover, const char *address,
                                uint16_t port);

#endif
