/* recorder.h - a handler that remembers, and waiting for what it is to remember.
 *
 * Nothing here sleeps: waits end by a condition, or fail the test at a generous deadline.
 */
#ifndef KJ_TEST_RECORDER_H
#define KJ_TEST_RECORDER_H

#include <kujata/pubsub.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DEADLINE_MS = 30000 };

struct recorder {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    long *numbers; /* as published; guarded by lock, as is all below */
    size_t count, capacity;
    char last_topic[128];
    pthread_t thread; /* the last that called */
    bool gate_closed; /* the handler waits inside while this holds */
    size_t entered;   /* handler calls begun */
};

void recorder_init(struct recorder *recorder);
void recorder_fini(struct recorder *recorder);

/* The handler; `ctx` is the recorder. */
void recorder_handle(struct kj_publication *publication, void *ctx);

void recorder_set_gate(struct recorder *recorder, bool closed);

/* Fail the test when it does not happen in time. */
void recorder_await(struct recorder *recorder, size_t count);
void recorder_await_entered(struct recorder *recorder, size_t entered);

/* Whether the numbers are first, first + 1, ... up to all recorded. */
bool recorder_is_sequence(struct recorder *recorder, long first);

struct kj_publication *publication_of(const char *topic, long number);
enum kj_status publish(struct kj_pubsub *pubsub, const char *topic, long number);
long number_of(const struct kj_publication *publication);

/* Waits until that member of the statistics is at least `value`. */
#define AWAIT_STAT(pubsub, member, value)                                                          \
    await_stat((pubsub), offsetof(struct kj_pubsub_stats, member), (value))
void await_stat(struct kj_pubsub *pubsub, size_t offset, uint64_t value);

/* What on_error was told. */
struct complaints {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum kj_status statuses[256]; /* guarded by lock, as is all below */
    char texts[256][512];
    size_t count;
};

void complaints_init(struct complaints *complaints);
void complaints_fini(struct complaints *complaints);
void complaints_handle(enum kj_status status, const char *text, void *ctx);

/* Waits for the `nth` (from 1) complaint of that status and checks that it says `text`. */
void complaints_await(struct complaints *complaints, enum kj_status status, size_t nth,
                      const char *text);

#endif
