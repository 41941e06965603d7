/* door_served.h - the connections that a door has let through, for the door itself. */
#ifndef KJ_HTTP_DOOR_SERVED_H
#define KJ_HTTP_DOOR_SERVED_H

#include "http/door.h"
#include "http/door_address.h"

struct kj__door_served {
    int fd;
    struct kj__door_address *of; /* NULL: it does not count, as the handshake of a session */
    bool is_spared;
};

/* False without memory. */
bool kj__door_note_served(struct kj__door *door, int fd, const struct sockaddr_storage *peer,
                          bool is_handshake);

/* How many connections of an address civetweb may have. No address has all workers, which it may
 * hold with handshakes in TLS, bodies and answers. */
size_t kj__door_share(const struct kj__door *door);

/* The next connection of the address that is held may try again, if there is a place for it. The
 * door's lock is held. */
void kj__door_call_next(const struct kj__door *door, struct kj__door_address *of);

#endif
