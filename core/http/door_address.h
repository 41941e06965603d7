/* door_address.h - what a door knows of an address: how many connections it has there.
 *
 * Threads: what is known is guarded by the door's lock.
 */
#ifndef KJ_HTTP_DOOR_ADDRESS_H
#define KJ_HTTP_DOOR_ADDRESS_H

#include "base/address.h"
#include "base/list.h"
#include "base/map.h"

#include <stddef.h>
#include <sys/socket.h>

enum { KJ__DOOR_ADDRESS_SIZE = 48 /* as civetweb has it */ };

/* Writes the address of IPv4 or IPv6 as a text.                          [any thread] */
void kj__door_read_peer(const struct sockaddr_storage *peer, char address[KJ__DOOR_ADDRESS_SIZE]);

struct kj__door_address {
    char key[KJ__ADDRESS_KEY_SIZE];
    size_t waiting;       /* at the door, those that are held included */
    size_t served;        /* civetweb has them */
    struct kj__list held; /* those whose request is there, and that wait for one of `served` */
};

/* What is known of an address, given as a text; NULL: nothing. */
struct kj__door_address *kj__door_address_find(const struct kj__map *addresses, const char *text);

/* The same, made where there is none; NULL: there is no memory. */
struct kj__door_address *kj__door_address_get(struct kj__map *addresses, const char *text);

/* Forgets an address that has no connection any more; NULL is fine. */
void kj__door_address_let_go(struct kj__map *addresses, struct kj__door_address *address);

#endif
