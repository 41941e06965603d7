/* listen_fault.c - see listen_fault.h. */
#include "http/listen_fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool read_address(const char *listen, union address *address, socklen_t *size)
{
    char host[INET6_ADDRSTRLEN];
    const char *colon = strrchr(listen, ':');
    bool is_ipv6 = *listen == '[' && colon && colon[-1] == ']';
    const char *start = listen + is_ipv6;
    size_t len = colon ? (size_t)(colon - start) - is_ipv6 : sizeof host;
    if (len >= sizeof host) {
        return false;
    }
    memcpy(host, start, len);
    host[len] = '\0';
    in_port_t port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    *address = (union address){.any.sa_family = AF_UNSPEC};
    if (is_ipv6) {
        address->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        *size = sizeof address->v6;
        return inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1;
    }
    address->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    *size = sizeof address->v4;
    return inet_pton(AF_INET, host, &address->v4.sin_addr) == 1;
}

const char *kj__listen_fault(const char *where, const char *otherwise)
{
    union address address;
    socklen_t size;
    int on = 1;
    if (!read_address(where, &address, &size)) {
        return otherwise;
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return strerror(errno);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const char *fault = bind(fd, &address.any, size) || listen(fd, 1) ? strerror(errno) : otherwise;
    close(fd);
    return fault;
}
