/* shared_thread_test.c - subscriptions that share one thread, on the backend inside one process. */
#include "contract/recorder.h"

#include <kujata/pubsub_local.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = 500, EACH = 20 };

static int set_up(void **state)
{
    struct kj_pubsub *pubsub;
    assert_int_equal(kj_pubsub_local_new(NULL, &pubsub), KJ_OK);
    *state = pubsub;
    return 0;
}

static int tear_down(void **state)
{
    kj_pubsub_free(*state);
    return 0;
}

static struct kj_subscription *subscribe(struct kj_pubsub *pubsub, const char *topic,
                                         kj_pubsub_handler handler, void *ctx)
{
    struct kj_subscription *subscription;
    assert_int_equal(kj_pubsub_subscribe(pubsub, topic,
                                         &(struct kj_subscribe_options){.shares_thread = true},
                                         handler, ctx, &subscription),
                     KJ_OK);
    return subscription;
}

static void hundreds_of_subscriptions_keep_their_order_on_one_thread(void **state)
{
    static struct recorder recorders[MANY];
    char topic[32];
    for (int i = 0; i < MANY; i++) {
        recorder_init(&recorders[i]);
        (void)snprintf(topic, sizeof topic, "topic.%d", i);
        subscribe(*state, topic, recorder_handle, &recorders[i]);
    }
    for (int n = 0; n < EACH; n++) {
        for (int i = 0; i < MANY; i++) {
            (void)snprintf(topic, sizeof topic, "topic.%d", i);
            assert_int_equal(publish(*state, topic, n), KJ_OK);
        }
    }
    for (int i = 0; i < MANY; i++) {
        recorder_await(&recorders[i], EACH);
        assert_true(recorder_is_sequence(&recorders[i], 0));
        assert_true(pthread_equal(recorders[i].thread, recorders[0].thread));
    }
    kj_pubsub_close(*state);
    for (int i = 0; i < MANY; i++) {
        recorder_fini(&recorders[i]);
    }
}

/* The handler is inside when the subscription is ended. */
static void *unsubscribe(void *arg)
{
    void **pair = arg;
    kj_pubsub_unsubscribe(pair[0], pair[1]);
    return NULL;
}

static void the_end_of_a_subscription_waits_for_its_handler_and_no_other(void **state)
{
    struct recorder held, other;
    recorder_init(&held);
    recorder_init(&other);
    struct kj_subscription *first = subscribe(*state, "held", recorder_handle, &held);
    struct kj_subscription *second = subscribe(*state, "other", recorder_handle, &other);
    recorder_set_gate(&held, true);
    publish(*state, "held", 0);
    publish(*state, "held", 1);
    recorder_await_entered(&held, 1);

    publish(*state, "other", 0);
    kj_pubsub_unsubscribe(*state, second); /* at once, with what it has queued discarded */
    pthread_t thread;
    void *pair[] = {*state, first};
    assert_int_equal(pthread_create(&thread, NULL, unsubscribe, pair), 0);
    AWAIT_STAT(*state, discarded, 2);
    recorder_set_gate(&held, false);
    pthread_join(thread, NULL);

    assert_int_equal(held.count, 1);
    assert_int_equal(other.count, 0);
    recorder_fini(&held);
    recorder_fini(&other);
}

struct leaver {
    struct kj_pubsub *pubsub;
    struct kj_subscription *subscription;
    struct recorder recorder;
};

static void leave(struct kj_publication *publication, void *ctx)
{
    struct leaver *leaver = ctx;
    kj_pubsub_unsubscribe(leaver->pubsub, leaver->subscription);
    recorder_handle(publication, &leaver->recorder);
}

static void a_subscription_is_ended_by_its_own_handler(void **state)
{
    struct leaver leaver = {.pubsub = *state};
    struct recorder after;
    recorder_init(&leaver.recorder);
    recorder_init(&after);
    leaver.subscription = subscribe(*state, "topic", leave, &leaver);
    subscribe(*state, "after", recorder_handle, &after);
    for (int i = 0; i < 10; i++) {
        publish(*state, "topic", i);
    }
    publish(*state, "after", 0);
    recorder_await(&after, 1);
    recorder_await(&leaver.recorder, 1);
    assert_int_equal(leaver.recorder.count, 1);
    kj_pubsub_close(*state);
    recorder_fini(&leaver.recorder);
    recorder_fini(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hundreds_of_subscriptions_keep_their_order_on_one_thread,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            the_end_of_a_subscription_waits_for_its_handler_and_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_subscription_is_ended_by_its_own_handler, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
