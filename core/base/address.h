/* address.h - network addresses as keys of tables. */
#ifndef KJ_BASE_ADDRESS_H
#define KJ_BASE_ADDRESS_H

#include <stdint.h>

/* A hash of an address's text, never 0 and different in every process. Addresses of IPv6 in one
 * /64 network, which is one client's, have the same.                          [any thread] */
uint64_t kj__address_key(const char *address);

#endif
