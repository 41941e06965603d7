/* fixture.h - /events on shards of its own, fed by the local backend, with sessions on socket
 * pairs. */
#ifndef KJ_TESTS_DISPATCH_FIXTURE_H
#define KJ_TESTS_DISPATCH_FIXTURE_H

#include "dispatch/events.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 10000, FRAME_MAX = 4096 };

struct fixture {
    struct kj__counters counters;
    struct kj__delivery *delivery;
    struct kj_pubsub *pubsub;
    struct kj_model *model; /* borrowed; NULL: none */
    size_t shards;
    struct kj_limits limits;
    struct kj_dispatch_handler dispatch;
    struct kj_publish_handler publish;
    struct kj_session_authenticator authenticators[2];
    size_t authenticator_count;
    const char *origins[2];
    bool subject_hierarchies;
    const char *node_prefix;
    struct kj_auditor audit;
    const char *token_cookie;
    struct kj__events events;
    _Atomic int starts, stops, summaries, freed_summaries;
    char order[256];
};

extern const char *const msgpack_headers[];

/* What is set before start() is in force. */
int set_up(void **state);
void start(struct fixture *fixture);
int tear_down(void **state);

struct kj_session *prepare(struct fixture *fixture, const char *query, const char *const *headers,
                           struct kj__refusal *refusal);

int attach(struct kj_session *session);

int connect_session(struct fixture *fixture, const char *query, const char *const *headers);

void read_exactly(int fd, uint8_t *bytes, size_t len);

/* One frame: its first byte, its payload with a terminator, its length. */
uint8_t read_frame(int fd, uint8_t payload[FRAME_MAX], size_t *len);

struct kj_event *read_event(int fd);

long read_number(int fd);

void send_text(int fd, const char *text);

/* Waits until a counter has this value. */
void wait_for_counter(_Atomic uint64_t *counter, uint64_t wanted);

/* Waits until the config was read. */
void send_config(struct fixture *fixture, int fd, const char *text);

enum kj_status publish(struct fixture *fixture, const char *identity, const char *type, int number);

/* Events of tasks that no socket pair takes at once, and one of them as a session gets it. */
void publish_large(struct fixture *fixture, int count);
void read_large(int fd);

#endif
