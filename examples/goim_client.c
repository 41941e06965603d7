/* goim_client.c - a client of `kujata serve --profile goim` over TCP: prints what is pushed.
 *
 *     goim_client HOST PORT '{"key":"dev-1","room_id":"live://1000","accepts":[1000]}'
 *
 * Packets have a header of 16 bytes: docs/goim.md. */
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEARTBEAT = 2, HEARTBEAT_REPLY = 3, DISCONNECT = 6, AUTH = 7, AUTH_REPLY = 8 };
enum { HEARTBEAT_MS = 240000, BODY_MAX = 1 << 20 };

struct header {
    uint32_t len;
    uint16_t header_len, version;
    uint32_t op, seq;
};

_Static_assert(sizeof(struct header) == 16, "as it is on the wire");

static int dial(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int fd = -1;
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        return -1;
    }
    for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

static bool send_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    ssize_t sent = 0;
    for (; len > 0 && (sent = send(fd, at, len, MSG_NOSIGNAL)) > 0; at += sent) {
        len -= (size_t)sent;
    }
    return len == 0;
}

static bool read_all(int fd, void *bytes, size_t len)
{
    char *at = bytes;
    ssize_t got = 0;
    for (; len > 0 && (got = recv(fd, at, len, 0)) > 0; at += got) {
        len -= (size_t)got;
    }
    return len == 0;
}

static bool send_packet(int fd, uint32_t op, const char *body)
{
    static uint32_t last_seq;
    const struct header header = {.len = htonl((uint32_t)(sizeof header + strlen(body))),
                                  .header_len = htons(sizeof header),
                                  .version = htons(1),
                                  .op = htonl(op),
                                  .seq = htonl(++last_seq)};
    return send_all(fd, &header, sizeof header) && send_all(fd, body, strlen(body));
}

static void print(uint32_t op, const unsigned char *body, size_t len)
{
    if (op == HEARTBEAT_REPLY && len == 4) {
        printf("%u in the room\n", (unsigned)body[0] << 24 | (unsigned)body[1] << 16 |
                                       (unsigned)body[2] << 8 | body[3]);
    } else {
        printf("%u: %.*s\n", op, (int)len, (const char *)body);
    }
    fflush(stdout);
}

/* One packet; false at the end. */
static bool receive(int fd)
{
    static unsigned char body[BODY_MAX];
    struct header header;
    if (!read_all(fd, &header, sizeof header)) {
        return false;
    }
    size_t len = ntohl(header.len) - sizeof header;
    uint32_t op = ntohl(header.op);
    if (ntohs(header.header_len) != sizeof header || len > sizeof body ||
        !read_all(fd, body, len)) {
        return false;
    }
    print(op, body, len);
    return op != AUTH_REPLY || send_packet(fd, HEARTBEAT, "");
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s HOST PORT TOKEN\n", argv[0]);
        return EXIT_FAILURE;
    }
    int fd = dial(argv[1], argv[2]);
    if (fd < 0) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    struct pollfd input = {.fd = fd, .events = POLLIN};
    bool is_open = send_packet(fd, AUTH, argv[3]);
    while (is_open) {
        is_open = poll(&input, 1, HEARTBEAT_MS) > 0 ? receive(fd) : send_packet(fd, HEARTBEAT, "");
    }
    close(fd);
    return EXIT_SUCCESS;
}
