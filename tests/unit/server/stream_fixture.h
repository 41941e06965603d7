/* stream_fixture.h - a server with one stream, whose packets are four bytes of length, big-endian
 * and of what follows, and then that. */
#ifndef KJ_TESTS_SERVER_STREAM_FIXTURE_H
#define KJ_TESTS_SERVER_STREAM_FIXTURE_H

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <kujata/kujata.h>

enum { DEADLINE_MS = 20000, LENGTH_SIZE = 4 };

struct node {
    struct kj_model *model;
    struct kj_pubsub *pubsub;
    struct kj_server *server;
    struct kj_server_options options;
    struct kj_stream_options stream;
    struct kj_protocol protocol; /* what begins with 'j' joins a room, with 'q' is answered "bye"
                                  * and leaves, with 'a' is let in; all else comes back as it is */
    struct kj_error error;
    _Atomic int opened, closed;
};

/* What is changed before start() is in force. */
int set_up(void **state);
void start(struct node *node);
int tear_down(void **state);

int dial(const struct node *node);
void send_bytes(int fd, const void *bytes, size_t len);
void expect_bytes(int fd, const void *wanted, size_t len);
void expect_end(int fd);
void wait_for(_Atomic int *value, int wanted);
void wait_for_counter(const struct node *node, const char *name, uint64_t wanted);

#endif
