/* pairs.h - the peer's end of a connection on a socket pair, and every test with each way to the
 * sockets that there is. */
#ifndef KJ_TESTS_DELIVERY_PAIRS_H
#define KJ_TESTS_DELIVERY_PAIRS_H

#include "delivery/delivery.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 10000 };

static inline void send_frame(int fd, uint8_t first, const void *payload, size_t len)
{
    static const uint8_t MASK[4] = {1, 2, 3, 4};
    uint8_t frame[256] = {first, (uint8_t)(0x80 | len)};
    assert_true(len <= 125);
    memcpy(frame + 2, MASK, 4);
    for (size_t i = 0; i < len; i++) {
        frame[6 + i] = ((const uint8_t *)payload)[i] ^ MASK[i % 4];
    }
    assert_int_equal(send(fd, frame, 6 + len, MSG_NOSIGNAL), (ssize_t)(6 + len));
}

/* Reads exactly `len` bytes within the deadline. */
static inline void read_exactly(int fd, uint8_t *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&waiting, 1, DEADLINE_MS), 1);
        ssize_t got = recv(fd, bytes + done, len - done, 0);
        assert_true(got > 0);
        done += (size_t)got;
    }
}

static inline void expect_bytes(int fd, const void *wanted, size_t len)
{
    uint8_t bytes[256];
    assert_true(len <= sizeof bytes);
    read_exactly(fd, bytes, len);
    assert_memory_equal(bytes, wanted, len);
}

static inline void expect_end(int fd)
{
    uint8_t byte;
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, DEADLINE_MS), 1);
    ssize_t got = recv(fd, &byte, 1, 0);
    assert_true(got == 0 || (got < 0 && errno == ECONNRESET));
}

static inline void wait_for(_Atomic int *value, int wanted)
{
    for (int waited = 0; atomic_load(value) != wanted; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

/* How many ways to the sockets there are: epoll, and io_uring where it can be had. */
static inline int count_ways(void)
{
    struct kj__writer writer;
    bool has_uring = kj__writer_init(&writer, KJ_IO_URING) == KJ_OK;
    kj__writer_fini(&writer);
    return has_uring ? 2 : 1;
}

#endif
