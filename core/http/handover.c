/* handover.c - see handover.h. */
#include "http/handover.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Low numbers besides civetweb's: shards have two each, backends and stores a few. */
enum { LOW_NUMBERS_OTHERS = 384 };

/* Half of a small limit is left to the low numbers, else what is wanted. */
static void divide_numbers(struct kj__handover *handover, uint32_t low_numbers)
{
    struct rlimit limit = {.rlim_cur = INT_MAX};
    getrlimit(RLIMIT_NOFILE, &limit);
    int numbers = limit.rlim_cur < INT_MAX ? (int)limit.rlim_cur : INT_MAX;
    int wanted = (int)low_numbers + LOW_NUMBERS_OTHERS;
    handover->floor = wanted < numbers / 2 ? wanted : numbers / 2;
    handover->room = numbers - handover->floor;
}

bool kj__handover_init(struct kj__handover *handover, bool is_wildcard, uint32_t low_numbers)
{
    int pair[2];
    handover->dead_fd = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return false;
    }
    close(pair[1]);
    shutdown(pair[0], SHUT_RDWR);
    handover->dead_fd = pair[0];
    divide_numbers(handover, low_numbers);
    handover->is_wildcard = is_wildcard;
    atomic_init(&handover->reach, 0);
    return true;
}

void kj__handover_fini(struct kj__handover *handover)
{
    if (handover->dead_fd >= 0) {
        close(handover->dead_fd);
        handover->dead_fd = -1;
    }
}

/* An address and port; IPv4 as IPv6 writes it, in whichever family the socket reports them. */
struct endpoint {
    struct in6_addr address;
    uint16_t port;
};

static bool read_endpoint(int fd, int (*query)(int, struct sockaddr *, socklen_t *),
                          struct endpoint *endpoint)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof storage;
    if (query(fd, (struct sockaddr *)&storage, &len) != 0) {
        return false;
    }
    *endpoint = (struct endpoint){0};
    if (storage.ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&storage;
        endpoint->address.s6_addr[10] = endpoint->address.s6_addr[11] = 0xff;
        memcpy(&endpoint->address.s6_addr[12], &ipv4->sin_addr, sizeof ipv4->sin_addr);
        endpoint->port = ntohs(ipv4->sin_port);
        return true;
    }
    if (storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&storage;
        endpoint->address = ipv6->sin6_addr;
        endpoint->port = ntohs(ipv6->sin6_port);
        return true;
    }
    return false;
}

static bool parse_address(const char *text, struct in6_addr *address)
{
    struct in_addr ipv4;
    if (inet_pton(AF_INET, text, &ipv4) == 1) {
        *address = (struct in6_addr){0};
        address->s6_addr[10] = address->s6_addr[11] = 0xff;
        memcpy(&address->s6_addr[12], &ipv4, sizeof ipv4);
        return true;
    }
    /* A link-local address comes with its interface. */
    char bare[INET6_ADDRSTRLEN];
    size_t len = strcspn(text, "%");
    if (len >= sizeof bare) {
        return false;
    }
    memcpy(bare, text, len);
    bare[len] = '\0';
    return inet_pton(AF_INET6, bare, address) == 1;
}

/* The one descriptor in [from, to) with this peer and local port. */
static int find_socket(int from, int to, const struct endpoint *peer, uint16_t local_port)
{
    int found = KJ__HANDOVER_GONE;
    for (int fd = from; fd < to; fd++) {
        struct endpoint endpoint;
        if (!read_endpoint(fd, getpeername, &endpoint) || endpoint.port != peer->port ||
            memcmp(&endpoint.address, &peer->address, sizeof peer->address) != 0 ||
            !read_endpoint(fd, getsockname, &endpoint) || endpoint.port != local_port) {
            continue;
        }
        if (found >= 0) {
            return KJ__HANDOVER_AMBIGUOUS;
        }
        found = fd;
    }
    return found;
}

/* Looks where sockets were found before, and only if it must at the rest of the low numbers. */
int kj__handover_find(struct kj__handover *handover, const struct kj__handover_peer *peer)
{
    struct endpoint wanted = {.port = peer->port};
    if (!parse_address(peer->address, &wanted.address)) {
        return KJ__HANDOVER_GONE;
    }
    int reach = atomic_load_explicit(&handover->reach, memory_order_relaxed);
    int low = find_socket(0, reach, &wanted, peer->local_port);
    if (low == KJ__HANDOVER_AMBIGUOUS || (low >= 0 && !handover->is_wildcard)) {
        return low;
    }
    int high = find_socket(reach, handover->floor, &wanted, peer->local_port);
    while (high >= reach && !atomic_compare_exchange_weak(&handover->reach, &reach, high + 1)) {
    }
    if (low >= 0 && high != KJ__HANDOVER_GONE) {
        return KJ__HANDOVER_AMBIGUOUS;
    }
    return low >= 0 ? low : high;
}

int kj__handover_copy(struct kj__handover *handover, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, handover->floor);
    return copy < 0 ? KJ__HANDOVER_NO_DESCRIPTOR : copy;
}

bool kj__handover_finish(struct kj__handover *handover, int fd)
{
    return dup2(handover->dead_fd, fd) >= 0;
}

static bool is_listening(int fd)
{
    int listens = 0;
    socklen_t len = sizeof listens;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens;
}

int kj__handover_find_listener(int below, const char *address, uint16_t port)
{
    struct in6_addr wanted;
    for (int fd = 0; parse_address(address, &wanted) && fd < below; fd++) {
        struct endpoint endpoint;
        if (is_listening(fd) && read_endpoint(fd, getsockname, &endpoint) &&
            endpoint.port == port && memcmp(&endpoint.address, &wanted, sizeof wanted) == 0) {
            return fd;
        }
    }
    return KJ__HANDOVER_GONE;
}

void kj__handover_shut_listener(int below, const char *address, uint16_t port)
{
    int fd = kj__handover_find_listener(below, address, port);
    if (fd >= 0) {
        shutdown(fd, SHUT_RDWR);
    }
}
