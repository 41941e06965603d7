/* address.c - see address.h. */
#include "base/address.h"

#include "base/hash.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { NETWORK_BYTES = 8 /* of IPv6: what a client can choose lies behind them */ };

uint64_t kj__address_key(const char *address)
{
    struct in6_addr ipv6;
    bool is_ipv6 = inet_pton(AF_INET6, address, &ipv6) == 1;
    char ipv4[INET_ADDRSTRLEN];
    if (is_ipv6 && IN6_IS_ADDR_V4MAPPED(&ipv6)) { /* IPv4 that came in over IPv6 */
        address = inet_ntop(AF_INET, &ipv6.s6_addr[12], ipv4, sizeof ipv4);
        is_ipv6 = false;
    }
    uint64_t hash = is_ipv6 ? kj__hash(&ipv6, NETWORK_BYTES) : kj__hash(address, strlen(address));
    return hash ? hash : 1;
}

void kj__address_key_format(const char *address, char text[KJ__ADDRESS_KEY_SIZE])
{
    (void)snprintf(text, KJ__ADDRESS_KEY_SIZE, "%016" PRIx64, kj__address_key(address));
}
