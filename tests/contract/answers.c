/* answers.c - see answers.h. */
#include "contract/answers.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

void answers_init(struct answers *answers)
{
    *answers = (struct answers){.last_number = -1};
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&answers->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&answers->lock, NULL);
}

void answers_fini(struct answers *answers)
{
    pthread_cond_destroy(&answers->changed);
    pthread_mutex_destroy(&answers->lock);
}

void answers_handle(enum kj_status status, struct kj_publication *reply, void *ctx)
{
    struct answers *answers = ctx;
    pthread_mutex_lock(&answers->lock);
    answers->count++;
    answers->by_status[-status]++;
    if (reply) {
        answers->last_number = number_of(reply);
    }
    answers->thread = pthread_self();
    pthread_cond_broadcast(&answers->changed);
    pthread_mutex_unlock(&answers->lock);
}

void answers_await(struct answers *answers, size_t count)
{
    uint64_t deadline_ms = kj__clock_monotonic_ms() + DEADLINE_MS;
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ms / 1000),
                                .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    pthread_mutex_lock(&answers->lock);
    while (answers->count < count &&
           pthread_cond_timedwait(&answers->changed, &answers->lock, &deadline) == 0) {
    }
    size_t reached = answers->count;
    pthread_mutex_unlock(&answers->lock);
    if (reached < count) {
        fail_msg("waited for %zu answers, got %zu", count, reached);
    }
}

size_t answers_with(struct answers *answers, enum kj_status status)
{
    pthread_mutex_lock(&answers->lock);
    size_t count = answers->by_status[-status];
    pthread_mutex_unlock(&answers->lock);
    return count;
}

enum kj_status request(struct kj_pubsub *pubsub, const char *topic, long number,
                       enum kj_response_mode mode, uint32_t timeout_ms, struct answers *answers)
{
    const struct kj_request_options options = {.mode = mode,
                                               .timeout_ms = timeout_ms ? timeout_ms : DEADLINE_MS,
                                               .on_reply = answers_handle,
                                               .ctx = answers};
    struct kj_publication *publication = publication_of(topic, number);
    enum kj_status status = kj_pubsub_request(pubsub, publication, &options);
    kj_publication_unref(publication);
    return status;
}

enum kj_status answer_with(struct kj_publication *publication, long number)
{
    struct kj_publication *response = publication_of("anywhere", number);
    enum kj_status status = kj_publication_reply(publication, response);
    kj_publication_unref(response);
    return status;
}

void answer_plus_thousand(struct kj_publication *publication, void *ctx)
{
    (void)ctx;
    answer_with(publication, number_of(publication) + 1000);
}

void keeper_handle(struct kj_publication *publication, void *ctx)
{
    struct keeper *keeper = ctx;
    kj_publication_unref(atomic_exchange(&keeper->kept, kj_publication_ref(publication)));
    recorder_handle(publication, &keeper->recorder);
}

void keeper_fini(struct keeper *keeper)
{
    kj_publication_unref(atomic_load(&keeper->kept));
    recorder_fini(&keeper->recorder);
}
