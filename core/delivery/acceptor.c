/* acceptor.c - see acceptor.h. */
#include "delivery/acceptor.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, PAUSE_MS = 20 /* before another try, with no descriptor free */ };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct kj__acceptor {
    struct kj__acceptor_options options;
    int listener;
    int stop_fd; /* an eventfd */
    uint16_t port;
    pthread_t thread;
};

/* ---- addresses ---- */

static socklen_t size_of(const union address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
}

static bool parse_port(const char *text, uint16_t *port)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    *port = (uint16_t)value;
    return *text >= '0' && *text <= '9' && !*end && value <= UINT16_MAX;
}

static bool parse_listen(const char *listen, union address *address)
{
    char host[INET6_ADDRSTRLEN];
    const char *colon = strrchr(listen, ':');
    bool is_ipv6 = listen[0] == '[' && colon && colon > listen && colon[-1] == ']';
    const char *start = listen + is_ipv6;
    size_t len = colon ? (size_t)(colon - start) - is_ipv6 : sizeof host;
    uint16_t port;
    if (len >= sizeof host || !parse_port(colon + 1, &port)) {
        return false;
    }
    memcpy(host, start, len);
    host[len] = '\0';
    *address = (union address){.any.sa_family = is_ipv6 ? AF_INET6 : AF_INET};
    if (is_ipv6) {
        address->v6.sin6_port = htons(port);
        return inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1;
    }
    address->v4.sin_port = htons(port);
    return inet_pton(AF_INET, host, &address->v4.sin_addr) == 1;
}

static void print_host(const union address *address, char text[INET6_ADDRSTRLEN])
{
    bool is_ipv6 = address->any.sa_family == AF_INET6;
    const void *host = is_ipv6 ? (const void *)&address->v6.sin6_addr : &address->v4.sin_addr;
    if (!inet_ntop(address->any.sa_family, host, text, INET6_ADDRSTRLEN)) {
        text[0] = '\0';
    }
}

/* ---- the thread ---- */

/* Whoever waits in the kernel's queue keeps the socket readable: without the pause, a process
 * that is out of descriptors would spin. */
static void pause_accepting(const struct kj__acceptor *acceptor, int fault)
{
    static struct kj__log_limit limit;
    struct pollfd stop = {.fd = acceptor->stop_fd, .events = POLLIN};
    KJ__COUNT(acceptor->options.counters, stream_accept_failed);
    kj__log_limited(&limit, KJ__LOG_ERROR, "delivery",
                    "a connection was not accepted: %s; where descriptors are short, see ulimit -n",
                    strerror(fault));
    poll(&stop, 1, PAUSE_MS);
}

static void accept_one(const struct kj__acceptor *acceptor)
{
    union address peer = {0};
    socklen_t size = sizeof peer;
    char host[INET6_ADDRSTRLEN];
    int fd = accept4(acceptor->listener, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        print_host(&peer, host);
        KJ__COUNT(acceptor->options.counters, stream_accepted);
        acceptor->options.on_socket(acceptor->options.ctx, fd, host);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        pause_accepting(acceptor, errno);
    }
}

static void *run(void *ctx)
{
    const struct kj__acceptor *acceptor = ctx;
    struct pollfd waiting[] = {{.fd = acceptor->listener, .events = POLLIN},
                               {.fd = acceptor->stop_fd, .events = POLLIN}};
    while (!waiting[1].revents) {
        if (poll(waiting, 2, -1) > 0 && waiting[0].revents && !waiting[1].revents) {
            accept_one(acceptor);
        }
    }
    return NULL;
}

/* ---- life ---- */

static bool open_listener(struct kj__acceptor *acceptor, union address *address)
{
    int on = 1;
    socklen_t size = size_of(address);
    acceptor->listener = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                                0);
    if (acceptor->listener < 0) {
        return false;
    }
    setsockopt(acceptor->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(acceptor->listener, &address->any, size) || listen(acceptor->listener, BACKLOG) ||
        getsockname(acceptor->listener, &address->any, &size)) {
        return false;
    }
    acceptor->port = ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port
                                                              : address->v4.sin_port);
    return true;
}

static void release(struct kj__acceptor *acceptor)
{
    if (acceptor->listener >= 0) {
        close(acceptor->listener);
    }
    if (acceptor->stop_fd >= 0) {
        close(acceptor->stop_fd);
    }
    free(acceptor);
}

static bool start(struct kj__acceptor *acceptor, union address *address)
{
    acceptor->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (acceptor->stop_fd < 0 || !open_listener(acceptor, address)) {
        return false;
    }
    errno = pthread_create(&acceptor->thread, NULL, run, acceptor);
    return errno == 0;
}

enum kj_status kj__acceptor_start(const struct kj__acceptor_options *options,
                                  struct kj__acceptor **acceptor, struct kj_error *error)
{
    union address address;
    *acceptor = NULL;
    if (!parse_listen(options->listen, &address)) {
        kj_error_set(error, 0, "\"%s\" is not ADDR:PORT", options->listen);
        return KJ_EINVAL;
    }
    struct kj__acceptor *made = malloc(sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    *made = (struct kj__acceptor){.options = *options, .listener = -1, .stop_fd = -1};
    if (!start(made, &address)) {
        kj_error_set(error, 0, "stream (--tcp, --tcp-tls): cannot listen on %s: %s",
                     options->listen, strerror(errno));
        release(made);
        return KJ_EIO;
    }
    *acceptor = made;
    return KJ_OK;
}

uint16_t kj__acceptor_port(const struct kj__acceptor *acceptor)
{
    return acceptor->port;
}

void kj__acceptor_stop(struct kj__acceptor *acceptor)
{
    if (acceptor) {
        eventfd_write(acceptor->stop_fd, 1);
        pthread_join(acceptor->thread, NULL);
        release(acceptor);
    }
}
