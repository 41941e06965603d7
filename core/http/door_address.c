/* door_address.c - see door_address.h. */
#include "http/door_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>

void kj__door_read_peer(const struct sockaddr_storage *peer, char address[KJ__DOOR_ADDRESS_SIZE])
{
    address[0] = '\0';
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)peer;
        inet_ntop(AF_INET, &ipv4->sin_addr, address, KJ__DOOR_ADDRESS_SIZE);
        return;
    }
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)peer;
    /* As civetweb writes it: a link-local one comes with its interface. */
    getnameinfo((const struct sockaddr *)peer, sizeof *ipv6, address, KJ__DOOR_ADDRESS_SIZE, NULL,
                0, NI_NUMERICHOST);
}

struct kj__door_address *kj__door_address_find(const struct kj__map *addresses, const char *text)
{
    char key[KJ__ADDRESS_KEY_SIZE];
    kj__address_key_format(text, key);
    return kj__map_get(addresses, key);
}

struct kj__door_address *kj__door_address_get(struct kj__map *addresses, const char *text)
{
    struct kj__door_address *address = kj__door_address_find(addresses, text);
    if (address) {
        return address;
    }
    address = calloc(1, sizeof *address);
    if (!address) {
        return NULL;
    }
    kj__address_key_format(text, address->key);
    kj__list_init(&address->held);
    if (!kj__map_put(addresses, address->key, address, NULL)) {
        free(address);
        return NULL;
    }
    return address;
}

void kj__door_address_let_go(struct kj__map *addresses, struct kj__door_address *address)
{
    if (address && address->waiting == 0 && address->served == 0) {
        kj__map_remove(addresses, address->key);
        free(address);
    }
}
