/* address.h - network addresses as keys of tables. */
#ifndef KJ_BASE_ADDRESS_H
#define KJ_BASE_ADDRESS_H

#include <stdint.h>

/* A hash of an address's text, never 0 and different in every process. Addresses of IPv6 in one
 * /64 network, which is one client's, have the same.                          [any thread] */
uint64_t kj__address_key(const char *address);

enum { KJ__ADDRESS_KEY_SIZE = 17 };

/* The same as a text, for maps.                                               [any thread] */
void kj__address_key_format(const char *address, char text[KJ__ADDRESS_KEY_SIZE]);

#endif
