/* recorder.c - see recorder.h. */
#include "contract/recorder.h"

#include "base/clock.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void init_lock(pthread_mutex_t *lock, pthread_cond_t *changed)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(lock, NULL);
}

static bool wait_until(pthread_cond_t *changed, pthread_mutex_t *lock, uint64_t deadline_ms)
{
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ms / 1000),
                                .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    return pthread_cond_timedwait(changed, lock, &deadline) == 0;
}

void recorder_init(struct recorder *recorder)
{
    *recorder = (struct recorder){0};
    init_lock(&recorder->lock, &recorder->changed);
}

void recorder_fini(struct recorder *recorder)
{
    free(recorder->numbers);
    pthread_cond_destroy(&recorder->changed);
    pthread_mutex_destroy(&recorder->lock);
}

void recorder_handle(struct kj_publication *publication, void *ctx)
{
    struct recorder *recorder = ctx;
    pthread_mutex_lock(&recorder->lock);
    recorder->entered++;
    pthread_cond_broadcast(&recorder->changed);
    while (recorder->gate_closed) {
        pthread_cond_wait(&recorder->changed, &recorder->lock);
    }
    if (recorder->count == recorder->capacity) {
        recorder->capacity = recorder->capacity ? recorder->capacity * 2 : 64;
        recorder->numbers = realloc(recorder->numbers,
                                    recorder->capacity * sizeof *recorder->numbers);
    }
    recorder->numbers[recorder->count++] = number_of(publication);
    snprintf(recorder->last_topic, sizeof recorder->last_topic, "%s",
             kj_publication_topic(publication));
    recorder->thread = pthread_self();
    pthread_cond_broadcast(&recorder->changed);
    pthread_mutex_unlock(&recorder->lock);
}

void recorder_set_gate(struct recorder *recorder, bool closed)
{
    pthread_mutex_lock(&recorder->lock);
    recorder->gate_closed = closed;
    pthread_cond_broadcast(&recorder->changed);
    pthread_mutex_unlock(&recorder->lock);
}

static void await_size(struct recorder *recorder, const size_t *size, size_t wanted)
{
    uint64_t deadline = kj__clock_monotonic_ms() + DEADLINE_MS;
    pthread_mutex_lock(&recorder->lock);
    while (*size < wanted && wait_until(&recorder->changed, &recorder->lock, deadline)) {
    }
    size_t reached = *size;
    pthread_mutex_unlock(&recorder->lock);
    if (reached < wanted) {
        fail_msg("waited for %zu publications, got %zu", wanted, reached);
    }
}

void recorder_await(struct recorder *recorder, size_t count)
{
    await_size(recorder, &recorder->count, count);
}

void recorder_await_entered(struct recorder *recorder, size_t entered)
{
    await_size(recorder, &recorder->entered, entered);
}

bool recorder_is_sequence(struct recorder *recorder, long first)
{
    bool is_sequence = true;
    pthread_mutex_lock(&recorder->lock);
    for (size_t i = 0; i < recorder->count; i++) {
        is_sequence = is_sequence && recorder->numbers[i] == first + (long)i;
    }
    pthread_mutex_unlock(&recorder->lock);
    return is_sequence;
}

struct kj_publication *publication_of(const char *topic, long number)
{
    struct kj_publication_options options = {.topic = topic,
                                             .data = (const uint8_t *)&number,
                                             .len = sizeof number,
                                             .encoding = KJ_ENCODING_MSGPACK};
    struct kj_publication *publication = NULL;
    assert_int_equal(kj_publication_new(&options, &publication), KJ_OK);
    return publication;
}

enum kj_status publish(struct kj_pubsub *pubsub, const char *topic, long number)
{
    struct kj_publication *publication = publication_of(topic, number);
    enum kj_status status = kj_pubsub_publish(pubsub, publication);
    kj_publication_unref(publication);
    return status;
}

long number_of(const struct kj_publication *publication)
{
    long number = -1;
    size_t len = 0;
    const uint8_t *data = kj_publication_data(publication, &len);
    if (len == sizeof number) {
        memcpy(&number, data, sizeof number);
    }
    return number;
}

void await_stat(struct kj_pubsub *pubsub, size_t offset, uint64_t value)
{
    uint64_t deadline = kj__clock_monotonic_ms() + DEADLINE_MS;
    struct kj_pubsub_stats stats;
    const uint64_t *member = (const uint64_t *)((const char *)&stats + offset);
    for (;;) {
        kj_pubsub_stats(pubsub, &stats);
        if (*member >= value) {
            return;
        }
        if (kj__clock_monotonic_ms() > deadline) {
            fail_msg("waited for a statistic of %llu, got %llu", (unsigned long long)value,
                     (unsigned long long)*member);
        }
        sched_yield();
    }
}

void complaints_init(struct complaints *complaints)
{
    memset(complaints, 0, sizeof *complaints);
    init_lock(&complaints->lock, &complaints->changed);
}

void complaints_fini(struct complaints *complaints)
{
    pthread_cond_destroy(&complaints->changed);
    pthread_mutex_destroy(&complaints->lock);
}

void complaints_handle(enum kj_status status, const char *text, void *ctx)
{
    struct complaints *complaints = ctx;
    pthread_mutex_lock(&complaints->lock);
    if (complaints->count < 256) {
        complaints->statuses[complaints->count] = status;
        snprintf(complaints->texts[complaints->count], sizeof complaints->texts[0], "%s", text);
        complaints->count++;
    }
    pthread_cond_broadcast(&complaints->changed);
    pthread_mutex_unlock(&complaints->lock);
}

/* The index of the nth complaint of that status, or count; lock held. */
static size_t find_complaint(const struct complaints *complaints, enum kj_status status, size_t nth)
{
    size_t i = 0;
    while (i < complaints->count && (complaints->statuses[i] != status || --nth > 0)) {
        i++;
    }
    return i;
}

void complaints_await(struct complaints *complaints, enum kj_status status, size_t nth,
                      const char *text)
{
    uint64_t deadline = kj__clock_monotonic_ms() + DEADLINE_MS;
    pthread_mutex_lock(&complaints->lock);
    while (find_complaint(complaints, status, nth) == complaints->count &&
           wait_until(&complaints->changed, &complaints->lock, deadline)) {
    }
    size_t index = find_complaint(complaints, status, nth);
    bool found = index < complaints->count && strstr(complaints->texts[index], text);
    pthread_mutex_unlock(&complaints->lock);
    if (!found) {
        fail_msg("nobody complained of \"%s\"; last: \"%s\"", text,
                 complaints->count ? complaints->texts[complaints->count - 1] : "");
    }
}
