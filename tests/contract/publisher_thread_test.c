/* publisher_thread_test.c - handlers that may run on the publisher's thread, on the backend inside
 * one process. */
#include "contract/recorder.h"

#include <kujata/pubsub_local.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

enum { PUBLISHERS = 4, EACH = 2000 };

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

static bool always(void *ctx)
{
    (void)ctx;
    return true;
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

static bool every_other_time(void *ctx)
{
    static _Atomic unsigned asked;
    (void)ctx;
    return atomic_fetch_add(&asked, 1) % 2 == 0;
}

static struct kj_subscription *subscribe(struct kj_pubsub *pubsub,
                                         const struct kj_subscribe_options *options,
                                         kj_pubsub_handler handler, void *ctx)
{
    struct kj_subscription *subscription;
    assert_int_equal(kj_pubsub_subscribe(pubsub, "topic", options, handler, ctx, &subscription),
                     KJ_OK);
    return subscription;
}

/* Publishes 0 from a thread of its own. */
static void *publish_first(void *pubsub)
{
    return publish(pubsub, "topic", 0) ? pubsub : NULL;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run, arg), 0);
    return thread;
}

static void join(pthread_t thread)
{
    void *failure;
    pthread_join(thread, &failure);
    assert_null(failure);
}

static void it_has_run_when_the_publisher_goes_on(void **state)
{
    struct recorder recorder;
    recorder_init(&recorder);
    subscribe(*state, &(struct kj_subscribe_options){.may_run_here = always}, recorder_handle,
              &recorder);

    for (long i = 0; i < 10; i++) {
        assert_int_equal(publish(*state, "topic", i), KJ_OK);
        assert_int_equal(recorder.count, i + 1);
    }

    assert_true(recorder_is_sequence(&recorder, 0));
    assert_true(pthread_equal(recorder.thread, pthread_self()));
    kj_pubsub_close(*state);
    recorder_fini(&recorder);
}

static void it_runs_on_a_thread_of_the_backend_where_it_may_not(void **state)
{
    const struct kj_subscribe_options options[] = {{.may_run_here = never},
                                                   {.may_run_here = always, .shares_thread = true}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct recorder recorder;
        recorder_init(&recorder);
        struct kj_subscription *subscription = subscribe(*state, &options[i], recorder_handle,
                                                         &recorder);

        assert_int_equal(publish(*state, "topic", 0), KJ_OK);
        recorder_await(&recorder, 1);

        assert_false(pthread_equal(recorder.thread, pthread_self()));
        kj_pubsub_unsubscribe(*state, subscription);
        recorder_fini(&recorder);
    }
}

static void no_publisher_waits_for_another_in_the_handler(void **state)
{
    struct recorder recorder;
    recorder_init(&recorder);
    subscribe(*state, &(struct kj_subscribe_options){.may_run_here = always}, recorder_handle,
              &recorder);
    recorder_set_gate(&recorder, true);
    pthread_t publisher = start(publish_first, *state);
    recorder_await_entered(&recorder, 1);

    assert_int_equal(publish(*state, "topic", 1), KJ_OK);
    assert_int_equal(publish(*state, "topic", 2), KJ_OK);
    recorder_set_gate(&recorder, false);
    recorder_await(&recorder, 3);
    join(publisher);

    assert_true(recorder_is_sequence(&recorder, 0));
    assert_false(pthread_equal(recorder.thread, pthread_self()));
    kj_pubsub_close(*state);
    recorder_fini(&recorder);
}

static void *unsubscribe(void *arg)
{
    void **pair = arg;
    kj_pubsub_unsubscribe(pair[0], pair[1]);
    return NULL;
}

static void the_end_of_a_subscription_waits_for_a_publisher_in_the_handler(void **state)
{
    struct recorder recorder;
    recorder_init(&recorder);
    void *pair[] = {*state,
                    subscribe(*state, &(struct kj_subscribe_options){.may_run_here = always},
                              recorder_handle, &recorder)};
    recorder_set_gate(&recorder, true);
    pthread_t publisher = start(publish_first, *state);
    recorder_await_entered(&recorder, 1);
    assert_int_equal(publish(*state, "topic", 1), KJ_OK);

    pthread_t leaver = start(unsubscribe, pair);
    AWAIT_STAT(*state, discarded, 1);
    recorder_set_gate(&recorder, false);
    join(leaver);
    size_t count = recorder.count;
    join(publisher);

    assert_int_equal(count, 1);
    assert_int_equal(publish(*state, "topic", 2), KJ_OK);
    assert_int_equal(recorder.count, 1);
    recorder_fini(&recorder);
}

struct echo {
    struct kj_pubsub *pubsub;
    struct recorder recorder;
};

static void publish_next(struct kj_publication *publication, void *ctx)
{
    struct echo *echo = ctx;
    long number = number_of(publication);
    if (number < EACH) {
        publish(echo->pubsub, "topic", number + 1);
    }
    recorder_handle(publication, &echo->recorder);
}

static void its_handler_may_publish(void **state)
{
    struct echo echo = {.pubsub = *state};
    recorder_init(&echo.recorder);
    subscribe(*state, &(struct kj_subscribe_options){.may_run_here = always}, publish_next, &echo);

    assert_int_equal(publish(*state, "topic", 0), KJ_OK);
    recorder_await(&echo.recorder, EACH + 1);

    assert_true(recorder_is_sequence(&echo.recorder, 0));
    kj_pubsub_close(*state);
    kj_pubsub_free(*state); /* waits for the handler that is still to return */
    recorder_fini(&echo.recorder);
    set_up(state);
}

struct publisher {
    struct kj_pubsub *pubsub;
    long first;
};

static void *publish_many(void *arg)
{
    const struct publisher *publisher = arg;
    void *failure = NULL;
    for (long i = 0; i < EACH; i++) {
        failure = publish(publisher->pubsub, "topic", publisher->first + i) ? arg : failure;
    }
    return failure;
}

static void each_of_many_publishers_keeps_its_order_on_whatever_threads(void **state)
{
    struct recorder recorder;
    struct publisher publishers[PUBLISHERS];
    pthread_t threads[PUBLISHERS];
    long next[PUBLISHERS] = {0};
    recorder_init(&recorder);
    subscribe(*state, &(struct kj_subscribe_options){.may_run_here = every_other_time},
              recorder_handle, &recorder);

    for (long i = 0; i < PUBLISHERS; i++) {
        publishers[i] = (struct publisher){.pubsub = *state, .first = i * EACH};
        threads[i] = start(publish_many, &publishers[i]);
    }
    for (size_t i = 0; i < PUBLISHERS; i++) {
        join(threads[i]);
    }
    recorder_await(&recorder, (size_t)PUBLISHERS * EACH);

    kj_pubsub_close(*state);
    assert_int_equal(recorder.count, PUBLISHERS * EACH);
    for (size_t i = 0; i < recorder.count; i++) {
        assert_int_equal(recorder.numbers[i] % EACH, next[recorder.numbers[i] / EACH]++);
    }
    recorder_fini(&recorder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_has_run_when_the_publisher_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_runs_on_a_thread_of_the_backend_where_it_may_not, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_publisher_waits_for_another_in_the_handler, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            the_end_of_a_subscription_waits_for_a_publisher_in_the_handler, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_handler_may_publish, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_of_many_publishers_keeps_its_order_on_whatever_threads,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
