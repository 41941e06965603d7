/* nats_leaving_test.c - subscriptions that end while libnats reads messages for them. Its readers are
 * slowed down here, now and then where they give up a lock: what they hold no reference to may be
 * gone when they go on. */
#include "base/clock.h"
#include "contract/broker.h"

#include <dlfcn.h>
#include <kujata/pubsub_nats.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

enum { ROUNDS = 200, WINDOW = 4, PAUSES = 5, READER_PAUSE_NS = 3000000, DEADLINE_MS = 60000 };

static const char topic[] = "leaving";
static struct broker broker;
static _Thread_local bool is_reader;

ssize_t recv(int fd, void *bytes, size_t len, int flags)
{
    static ssize_t (*_Atomic real)(int, void *, size_t, int);
    if (!real) {
        real = (ssize_t(*)(int, void *, size_t, int))dlsym(RTLD_NEXT, "recv");
    }
    is_reader = true;
    return real(fd, bytes, len, flags);
}

int pthread_mutex_unlock(pthread_mutex_t *lock)
{
    static int (*_Atomic real)(pthread_mutex_t *);
    if (!real) {
        real = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    }
    int result = real(lock);
    static _Thread_local unsigned seed;
    if (is_reader && rand_r(&seed) % PAUSES == 0) {
        nanosleep(&(struct timespec){.tv_nsec = READER_PAUSE_NS}, NULL);
    }
    return result;
}

static void count(struct kj_publication *publication, void *ctx)
{
    (void)publication;
    atomic_fetch_add((_Atomic int *)ctx, 1);
}

static struct kj_subscription *subscribe(struct kj_pubsub *pubsub, _Atomic int *heard)
{
    struct kj_subscription *subscription;
    assert_int_equal(kj_pubsub_subscribe(pubsub, topic, NULL, count, heard, &subscription), KJ_OK);
    return subscription;
}

struct publisher {
    struct kj_pubsub *pubsub;
    _Atomic int heard;
    _Atomic bool is_over;
};

/* A few publications are on their way at any time. */
static void *publish_on(void *argument)
{
    struct publisher *publisher = argument;
    struct kj_publication *publication;
    assert_int_equal(kj_publication_new(
                         &(struct kj_publication_options){
                             .topic = topic, .data = (const uint8_t *)"{}", .len = 2},
                         &publication),
                     KJ_OK);
    for (int sent = 0; !atomic_load(&publisher->is_over);) {
        if (sent - atomic_load(&publisher->heard) < WINDOW &&
            !kj_pubsub_publish(publisher->pubsub, publication)) {
            sent++;
        }
        sched_yield();
    }
    kj_publication_unref(publication);
    return NULL;
}

static void a_subscription_may_end_while_its_messages_are_read(void **state)
{
    (void)state;
    struct publisher publisher = {.is_over = false};
    pthread_t thread;
    assert_int_equal(kj_pubsub_nats_new(&(struct kj_pubsub_nats_options){.urls = broker.url},
                                        &publisher.pubsub, NULL),
                     KJ_OK);
    subscribe(publisher.pubsub, &publisher.heard);
    assert_int_equal(pthread_create(&thread, NULL, publish_on, &publisher), 0);
    uint64_t end_ms = kj__clock_monotonic_ms() + DEADLINE_MS;
    for (int round = 0; round < ROUNDS; round++) {
        _Atomic int heard = 0;
        struct kj_subscription *subscription = subscribe(publisher.pubsub, &heard);
        while (atomic_load(&heard) == 0) {
            assert_true(kj__clock_monotonic_ms() < end_ms);
            sched_yield();
        }
        kj_pubsub_unsubscribe(publisher.pubsub, subscription);
    }
    atomic_store(&publisher.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    kj_pubsub_free(publisher.pubsub);
}

int main(void)
{
    broker_start_or_skip(&broker);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscription_may_end_while_its_messages_are_read),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    broker_kill(&broker);
    return status;
}
