/* fixture.h - a gateway on shards of its own, over the local backend, with clients on socket pairs
 * that speak a protocol of words. */
#ifndef KJ_TESTS_GATEWAY_FIXTURE_H
#define KJ_TESTS_GATEWAY_FIXTURE_H

#include "gateway/client.h"

#include <kujata/pubsub_local.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 20000, FRAME_MAX = 16384 };

struct fixture {
    struct kj__counters counters;
    struct kj__delivery *delivery;
    struct kj_pubsub *pubsub;
    bool is_pubsub_borrowed;
    size_t shards;
    uint32_t linger_ms, topics;
    struct kj_limits limits;
    struct kj_protocol protocol;
    bool has_authenticator;  /* accepts the token "good", which makes the user "alice" */
    _Atomic bool is_slow;    /* the token "slow" is looked at until this is false, and refused */
    _Atomic uint64_t looked; /* tokens that were looked at */
    struct kj_gateway *gateway;
    struct kj__mount *mount;
    _Atomic int places, opened, closed, encoded;
};

/* What is set before start() is in force. */
int set_up(void **state);
void start(struct fixture *fixture);
int tear_down(void **state);

/* The client's end of a new connection, let in; "token" and the encoding may be NULL and 0. */
int connect_client(struct fixture *fixture);
int connect_as(struct fixture *fixture, enum kj_encoding encoding, bool may_stay);

/* One text message there, and one back. Commands and their answers:
 *   join ROOM, leave ROOM, user NAME DEVICE, who: "ok STATUS"
 *   say KIND NAME TEXT: "ok STATUS REACHED"
 *   login TOKEN: "login STATUS", and later "welcome" or "refused TEXT"
 * Pushes are "[KIND NAME SEQUENCE FROM TEXT]", those of a batch one behind the other. */
void say(int fd, const char *text);
void ask(int fd, const char *text, const char *answer);

/* The next message; false at the end of the stream, whose close code is in `text` then. */
bool hear(int fd, char text[FRAME_MAX]);

/* Fails unless just this comes next. */
void expect(int fd, const char *text);
void expect_close(int fd, unsigned code);

/* Nothing has come by now; what was published before has arrived everywhere. */
void expect_silence(int fd);

void wait_for(_Atomic uint64_t *counter, uint64_t wanted);
void wait_for_members(struct fixture *fixture, const char *room, size_t wanted);

enum kj_status publish(struct fixture *fixture, enum kj_topic_kind kind, const char *name,
                       const char *text);

#endif
