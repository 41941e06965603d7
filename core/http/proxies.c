/* proxies.c - see proxies.h. Every address is one of IPv6 here: those of IPv4 are mapped. */
#include "http/proxies.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    ADDRESS_BITS = 128,
    MAPPED_BITS = 96, /* in front of an address of IPv4 */
    NETWORK_TEXT_SIZE = 64,
    HOPS_MAX = 64, /* looked at; a longer list is no honest one */
};

struct kj__network {
    struct in6_addr address;
    unsigned bits;
};

/* ---- addresses ---- */

/* Digits of a port, behind the last colon. */
static bool is_port(const char *text)
{
    return *text && !text[strspn(text, "0123456789")];
}

/* Cuts "[ADDR]", "[ADDR]:PORT" and "IPV4:PORT" down to the address. */
static char *bare_address(char *text)
{
    if (*text == '[') {
        char *end = strchr(text, ']');
        if (end && (!end[1] || (end[1] == ':' && is_port(end + 2)))) {
            *end = '\0';
            return text + 1;
        }
        return text;
    }
    char *colon = strchr(text, ':');
    if (colon && strchr(text, '.') && is_port(colon + 1)) {
        *colon = '\0';
    }
    return text;
}

static bool parse_address(const char *text, struct in6_addr *address)
{
    static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct in_addr ipv4;
    if (inet_pton(AF_INET, text, &ipv4) == 1) {
        memcpy(address->s6_addr, mapped, sizeof mapped);
        memcpy(address->s6_addr + sizeof mapped, &ipv4, sizeof ipv4);
        return true;
    }
    return inet_pton(AF_INET6, text, address) == 1;
}

static const char *print_address(const struct in6_addr *address,
                                 char text[KJ__PROXIED_ADDRESS_SIZE])
{
    bool is_ipv4 = IN6_IS_ADDR_V4MAPPED(address);
    return inet_ntop(is_ipv4 ? AF_INET : AF_INET6,
                     is_ipv4 ? address->s6_addr + MAPPED_BITS / 8 : address->s6_addr, text,
                     KJ__PROXIED_ADDRESS_SIZE);
}

/* ---- networks ---- */

static bool parse_bits(const char *text, unsigned max, unsigned *bits)
{
    size_t digits = strspn(text, "0123456789");
    *bits = (unsigned)strtoul(text, NULL, 10);
    return digits > 0 && digits <= 3 && !text[digits] && *bits <= max;
}

static bool parse_network(const char *text, struct kj__network *network)
{
    char copy[NETWORK_TEXT_SIZE];
    size_t len = strcspn(text, "/");
    if (len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (!parse_address(copy, &network->address)) {
        return false;
    }
    unsigned before = strchr(copy, ':') ? 0 : MAPPED_BITS;
    unsigned bits = ADDRESS_BITS - before;
    if (text[len] && !parse_bits(text + len + 1, bits, &bits)) {
        return false;
    }
    network->bits = before + bits;
    return true;
}

static bool is_within(const struct kj__network *network, const struct in6_addr *address)
{
    size_t bytes = network->bits / 8;
    unsigned rest = network->bits % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);
    return memcmp(network->address.s6_addr, address->s6_addr, bytes) == 0 &&
           (!rest || !((network->address.s6_addr[bytes] ^ address->s6_addr[bytes]) & mask));
}

static bool is_trusted(const struct kj__proxies *proxies, const struct in6_addr *address)
{
    for (size_t i = 0; i < proxies->count; i++) {
        if (is_within(&proxies->networks[i], address)) {
            return true;
        }
    }
    return false;
}

enum kj_status kj__proxies_init(struct kj__proxies *proxies, const char *const *texts,
                                struct kj_error *error)
{
    size_t count = 0;
    *proxies = (struct kj__proxies){0};
    while (texts && texts[count]) {
        count++;
    }
    if (count == 0) {
        return KJ_OK;
    }
    proxies->networks = calloc(count, sizeof *proxies->networks);
    if (!proxies->networks) {
        return KJ_ENOMEM;
    }
    for (; proxies->count < count; proxies->count++) {
        if (!parse_network(texts[proxies->count], &proxies->networks[proxies->count])) {
            kj_error_set(
                error, 0,
                "option trusted_proxies (--trusted-proxy): \"%s\" is not ADDR or ADDR/BITS",
                texts[proxies->count]);
            return KJ_EINVAL;
        }
    }
    return KJ_OK;
}

void kj__proxies_fini(struct kj__proxies *proxies)
{
    free(proxies->networks);
    *proxies = (struct kj__proxies){0};
}

/* ---- the list of hops ---- */

/* All lines as one list, which is what several mean. NULL when there is none, or no memory: then
 * nothing is believed. */
static char *join_lines(const struct kj__fields *headers)
{
    struct kj__buffer list;
    size_t cursor = 0;
    const char *name;
    const char *value;
    kj__buffer_init(&list);
    while (kj__fields_next(headers, &cursor, &name, &value)) {
        if (strcasecmp(name, "X-Forwarded-For") == 0) {
            kj__buffer_append_byte(&list, ',');
            kj__buffer_append_text(&list, value);
        }
    }
    if (list.len == 0) {
        kj__buffer_fini(&list);
        return NULL;
    }
    kj__buffer_append_byte(&list, 0);
    return (char *)kj__buffer_take(&list, &(size_t){0});
}

/* Cuts the last item off, without the blanks around it. */
static char *take_last(char *list)
{
    char *comma = strrchr(list, ',');
    char *item = comma + 1;
    *comma = '\0';
    item += strspn(item, " \t");
    size_t len = strlen(item);
    while (len > 0 && strchr(" \t", item[len - 1])) {
        item[--len] = '\0';
    }
    return item;
}

const char *kj__proxies_client(const struct kj__proxies *proxies, const char *peer,
                               const struct kj__fields *headers,
                               char address[KJ__PROXIED_ADDRESS_SIZE])
{
    struct in6_addr client;
    if (!proxies->count || !parse_address(peer, &client) || !is_trusted(proxies, &client)) {
        return peer;
    }
    char *list = join_lines(headers);
    if (!list) {
        return peer;
    }
    struct in6_addr hop;
    for (int i = 0; i < HOPS_MAX && *list && is_trusted(proxies, &client); i++) {
        if (!parse_address(bare_address(take_last(list)), &hop)) {
            break;
        }
        client = hop;
    }
    free(list);
    return print_address(&client, address);
}
