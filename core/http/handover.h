/* handover.h - taking an upgraded socket away from civetweb.
 *
 * civetweb keeps one thread for each websocket it serves, so it serves none: before its 101 the
 * socket is copied to a high descriptor number, which a shard will own, and once that has left,
 * civetweb lets go of its own. A TLS stream goes along once civetweb has let go of that too:
 * upgrade.c holds on to it meanwhile.
 *
 * The system's civetweb, unlike the one that is patched, does neither let go nor tell a
 * connection's descriptor. So a dead socket is put in its place: it reads end-of-file from that,
 * closes it and is done. And the descriptor is found among the low numbers, where civetweb's own
 * stay because ours are copied above a floor, by comparing the peer's address and our port with
 * what civetweb says of the request. Two matches are refused: a socket of somebody else's must
 * never be taken. There can be two only where the listener takes more than one local address,
 * which civetweb does not report; there, every low number is looked at.
 */
#ifndef KJ_HTTP_HANDOVER_H
#define KJ_HTTP_HANDOVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct kj__handover {
    int dead_fd;      /* a socket at its end, for the system's civetweb */
    int floor;        /* copies go at or above it */
    int room;         /* numbers there are from it on */
    bool is_wildcard; /* the listener takes any local address: see kj__handover_find */
    /* One past the highest number a socket was found at: the search rarely needs to go on. */
    _Atomic int reach;
};

/* `low_numbers` is what civetweb needs below the floor. False when the process is out of
 * descriptors. */
bool kj__handover_init(struct kj__handover *handover, bool is_wildcard, uint32_t low_numbers);
void kj__handover_fini(struct kj__handover *handover);

/* A connection as civetweb reports it. */
struct kj__handover_peer {
    const char *address;
    uint16_t port;
    uint16_t local_port; /* it came in on */
};

enum {
    KJ__HANDOVER_GONE = -1,         /* the peer has reset the connection meanwhile */
    KJ__HANDOVER_AMBIGUOUS = -2,    /* two sockets look like it */
    KJ__HANDOVER_NO_DESCRIPTOR = -3 /* the process is out of them */
};

/* The connection's descriptor, which stays civetweb's; GONE or AMBIGUOUS. */
int kj__handover_find(struct kj__handover *handover, const struct kj__handover_peer *peer);

/* A copy of civetweb's socket, which the caller owns; or NO_DESCRIPTOR. */
int kj__handover_copy(struct kj__handover *handover, int fd);

/* Leaves the system's civetweb the dead socket under its number: only the copy is the connection
 * now. */
bool kj__handover_finish(struct kj__handover *handover, int fd);

/* The socket that listens on an address and port, among the numbers below one; or GONE. */
int kj__handover_find_listener(int below, const char *address, uint16_t port);

/* Shuts the socket that listens on an address and port, so that civetweb's accepting thread,
 * which looks for its stop flag every two seconds, wakes at once. To be followed by mg_stop. */
void kj__handover_shut_listener(int below, const char *address, uint16_t port);

#endif
