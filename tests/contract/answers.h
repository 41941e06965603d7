/* answers.h - a reply handler that remembers, and handlers that answer. */
#ifndef KJ_TEST_ANSWERS_H
#define KJ_TEST_ANSWERS_H

#include "contract/recorder.h"

/* What a reply handler was told. */
struct answers {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t count, by_status[16]; /* guarded by lock, as is all below; the index is -status */
    long last_number;            /* of the last answer that was a publication; -1 before */
    pthread_t thread;            /* the last that called */
};

void answers_init(struct answers *answers);
void answers_fini(struct answers *answers);

/* The reply handler; `ctx` is the answers. */
void answers_handle(enum kj_status status, struct kj_publication *reply, void *ctx);

/* Waits for as many answers in all. */
void answers_await(struct answers *answers, size_t count);

/* How many had that status. */
size_t answers_with(struct answers *answers, enum kj_status status);

/* Requests with a number, and with a time that is long where 0 is given. */
enum kj_status request(struct kj_pubsub *pubsub, const char *topic, long number,
                       enum kj_response_mode mode, uint32_t timeout_ms, struct answers *answers);

/* A handler that answers with the number plus a thousand. */
void answer_plus_thousand(struct kj_publication *publication, void *ctx);

/* A handler that keeps the latest publication for the test; `ctx` is a struct keeper. */
struct keeper {
    struct recorder recorder;
    struct kj_publication *_Atomic kept;
};
void keeper_handle(struct kj_publication *publication, void *ctx);
void keeper_fini(struct keeper *keeper);

/* Answers once with that number. */
enum kj_status answer_with(struct kj_publication *publication, long number);

#endif
