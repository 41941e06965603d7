/* suite.c - see suite.h. */
#include "contract/suite.h"

#include "contract/suite_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

static suite_open open_backend;

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    recorder_init(&f->recorder);
    complaints_init(&f->complaints);
    f->pubsub = open_backend(
        &(struct kj_pubsub_errors){.on_error = complaints_handle, .ctx = &f->complaints});
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    recorder_set_gate(&f->recorder, false);
    kj_pubsub_free(f->pubsub);
    recorder_fini(&f->recorder);
    complaints_fini(&f->complaints);
    free(f);
    return 0;
}

struct kj_subscription *suite_subscribe(struct kj_pubsub *pubsub, const char *topic,
                                        struct recorder *recorder)
{
    struct kj_subscription *subscription = NULL;
    assert_int_equal(
        kj_pubsub_subscribe(pubsub, topic, NULL, recorder_handle, recorder, &subscription), KJ_OK);
    assert_non_null(subscription);
    return subscription;
}

static void a_hundred_thousand_publications_arrive_in_order(void **state)
{
    enum { TOTAL = 100000, WINDOW = 20000 };
    struct fixture *f = *state;
    suite_subscribe(f->pubsub, "events", &f->recorder);

    for (long i = 0; i < TOTAL; i++) {
        assert_int_equal(publish(f->pubsub, "events", i), KJ_OK);
        if (i >= WINDOW) {
            recorder_await(&f->recorder, (size_t)(i - WINDOW));
        }
    }

    recorder_await(&f->recorder, TOTAL);
    assert_true(recorder_is_sequence(&f->recorder, 0));
    assert_int_equal(f->recorder.count, TOTAL);
    struct kj_pubsub_stats stats;
    kj_pubsub_stats(f->pubsub, &stats);
    assert_int_equal(stats.published, TOTAL);
    assert_int_equal(stats.delivered, TOTAL);
    assert_int_equal(stats.dropped + stats.refused + stats.failed + stats.discarded, 0);
}

static void handlers_run_on_a_thread_of_the_backend(void **state)
{
    struct fixture *f = *state;
    suite_subscribe(f->pubsub, "events", &f->recorder);
    assert_int_equal(publish(f->pubsub, "events", 0), KJ_OK);
    recorder_await(&f->recorder, 1);
    assert_false(pthread_equal(f->recorder.thread, pthread_self()));
}

static void every_subscription_gets_every_publication(void **state)
{
    enum { TOTAL = 1000 };
    struct fixture *f = *state;
    struct recorder other;
    recorder_init(&other);
    suite_subscribe(f->pubsub, "events", &f->recorder);
    struct kj_subscription *second = suite_subscribe(f->pubsub, "*", &other);
    for (long i = 0; i < TOTAL; i++) {
        assert_int_equal(publish(f->pubsub, "events", i), KJ_OK);
    }
    recorder_await(&f->recorder, TOTAL);
    recorder_await(&other, TOTAL);
    assert_true(recorder_is_sequence(&f->recorder, 0));
    assert_true(recorder_is_sequence(&other, 0));
    kj_pubsub_unsubscribe(f->pubsub, second);
    recorder_fini(&other);
}

/* Publishes "events" until told to stop. */
struct load {
    struct kj_pubsub *pubsub;
    atomic_bool stop;
};

static void *run_load(void *arg)
{
    struct load *load = arg;
    for (long i = 0; !atomic_load(&load->stop); i++) {
        publish(load->pubsub, "events", i);
    }
    return NULL;
}

/* Freed as soon as unsubscribe returns: a call after that is a use after free. */
struct brief_listener {
    atomic_size_t calls;
    atomic_bool inside;
};

static void listen_briefly(struct kj_publication *publication, void *ctx)
{
    struct brief_listener *listener = ctx;
    (void)publication;
    atomic_store(&listener->inside, true);
    atomic_fetch_add(&listener->calls, 1);
    atomic_store(&listener->inside, false);
}

static void silence_follows_unsubscribe_under_load(void **state)
{
    struct fixture *f = *state;
    struct load load = {.pubsub = f->pubsub};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_load, &load), 0);
    for (int round = 0; round < 100; round++) {
        struct brief_listener *listener = calloc(1, sizeof *listener);
        assert_non_null(listener);
        struct kj_subscription *subscription = NULL;
        assert_int_equal(
            kj_pubsub_subscribe(f->pubsub, "events", NULL, listen_briefly, listener, &subscription),
            KJ_OK);
        while (atomic_load(&listener->calls) == 0) {
            sched_yield();
        }
        kj_pubsub_unsubscribe(f->pubsub, subscription);
        assert_false(atomic_load(&listener->inside));
        free(listener);
    }
    atomic_store(&load.stop, true);
    pthread_join(thread, NULL);
}

static void *unsubscribe_in_thread(void *arg)
{
    void **both = arg;
    kj_pubsub_unsubscribe(both[0], both[1]);
    recorder_set_gate(both[2], true); /* a mark: the unsubscription is over */
    return NULL;
}

static void unsubscribe_waits_for_the_running_handler(void **state)
{
    /* given a handler that is inside and waits, and a publication behind it */
    struct fixture *f = *state;
    struct recorder mark;
    recorder_init(&mark);
    recorder_set_gate(&f->recorder, true);
    struct kj_subscription *subscription = suite_subscribe(f->pubsub, "events", &f->recorder);
    struct kj_subscription *end = suite_subscribe(f->pubsub, "the.end", &mark);
    assert_int_equal(publish(f->pubsub, "events", 0), KJ_OK);
    assert_int_equal(publish(f->pubsub, "events", 1), KJ_OK);
    assert_int_equal(publish(f->pubsub, "the.end", 2), KJ_OK);
    recorder_await_entered(&f->recorder, 1);
    recorder_await(&mark, 1);

    /* when another thread unsubscribes */
    void *both[] = {f->pubsub, subscription, &mark};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, unsubscribe_in_thread, both), 0);

    /* then it returns after the handler does, and the second publication is discarded */
    AWAIT_STAT(f->pubsub, discarded, 1);
    pthread_mutex_lock(&mark.lock);
    assert_false(mark.gate_closed);
    pthread_mutex_unlock(&mark.lock);
    recorder_set_gate(&f->recorder, false);
    pthread_join(thread, NULL);
    assert_int_equal(f->recorder.count, 1);
    kj_pubsub_unsubscribe(f->pubsub, end);
    recorder_fini(&mark);
}

struct leaver {
    struct kj_pubsub *pubsub;
    struct kj_subscription *subscription;
    atomic_size_t calls;
    atomic_bool left; /* the last thing the handler touches */
};

static void leave_at_once(struct kj_publication *publication, void *ctx)
{
    struct leaver *leaver = ctx;
    (void)publication;
    atomic_fetch_add(&leaver->calls, 1);
    kj_pubsub_unsubscribe(leaver->pubsub, leaver->subscription);
    atomic_store(&leaver->left, true);
}

static void unsubscribing_inside_the_handler_silences_it(void **state)
{
    struct fixture *f = *state;
    suite_subscribe(f->pubsub, "events", &f->recorder);
    for (int round = 0; round < 20; round++) {
        struct leaver leaver = {.pubsub = f->pubsub};
        assert_int_equal(kj_pubsub_subscribe(f->pubsub, "events", NULL, leave_at_once, &leaver,
                                             &leaver.subscription),
                         KJ_OK);
        for (long i = 0; i < 50; i++) {
            assert_int_equal(publish(f->pubsub, "events", i), KJ_OK);
        }
        recorder_await(&f->recorder, (size_t)(round + 1) * 50);
        while (!atomic_load(&leaver.left)) {
            sched_yield();
        }
        assert_int_equal(atomic_load(&leaver.calls), 1);
    }
}

static void freeing_follows_an_unsubscription_inside(void **state)
{
    struct fixture *f = *state;
    struct leaver leaver = {.pubsub = f->pubsub};
    assert_int_equal(kj_pubsub_subscribe(f->pubsub, "events", NULL, leave_at_once, &leaver,
                                         &leaver.subscription),
                     KJ_OK);
    assert_int_equal(publish(f->pubsub, "events", 0), KJ_OK);
    while (!atomic_load(&leaver.left)) {
        sched_yield();
    }
    kj_pubsub_free(f->pubsub); /* while the handler may still be on its way out */
    f->pubsub = NULL;
    assert_int_equal(atomic_load(&leaver.calls), 1);
}

/* `options` has room for four publications, bounded by the option of that name. */
static void expect_four_to_wait(struct fixture *f, const struct kj_subscribe_options *options,
                                const char *name)
{
    /* given a handler that waits inside and a queue for four */
    struct kj_subscription *subscription = NULL;
    recorder_set_gate(&f->recorder, true);
    assert_int_equal(kj_pubsub_subscribe(f->pubsub, "events", options, recorder_handle,
                                         &f->recorder, &subscription),
                     KJ_OK);
    assert_int_equal(publish(f->pubsub, "events", 0), KJ_OK);
    recorder_await_entered(&f->recorder, 1);

    /* when ten more are published */
    for (long i = 1; i <= 10; i++) {
        assert_int_equal(publish(f->pubsub, "events", i), KJ_OK);
    }

    /* then four wait, six are dropped, counted and reported, and the rest is delivered */
    AWAIT_STAT(f->pubsub, dropped, 6);
    complaints_await(&f->complaints, KJ_EFULL, 1, name);
    recorder_set_gate(&f->recorder, false);
    recorder_await(&f->recorder, 5);
    assert_int_equal(publish(f->pubsub, "events", 5), KJ_OK);
    recorder_await(&f->recorder, 6);
    assert_true(recorder_is_sequence(&f->recorder, 0));
    struct kj_pubsub_stats stats;
    kj_pubsub_stats(f->pubsub, &stats);
    assert_int_equal(stats.dropped, 6);
    assert_int_equal(stats.delivered, 6);
}

static void a_full_subscription_queue_drops_the_newest(void **state)
{
    expect_four_to_wait(*state, &(struct kj_subscribe_options){.queue_limit = 4}, "queue_limit");
}

static void a_subscription_queue_is_bounded_by_bytes(void **state)
{
    expect_four_to_wait(*state, &(struct kj_subscribe_options){.queue_bytes = 5 * sizeof(long) - 1},
                        "queue_bytes");
}

static void a_publication_larger_than_the_queue_passes_when_it_is_empty(void **state)
{
    struct fixture *f = *state;
    struct kj_subscribe_options options = {.queue_bytes = 1};
    struct kj_subscription *subscription = NULL;
    assert_int_equal(kj_pubsub_subscribe(f->pubsub, "events", &options, recorder_handle,
                                         &f->recorder, &subscription),
                     KJ_OK);
    for (long i = 0; i < 10; i++) {
        assert_int_equal(publish(f->pubsub, "events", i), KJ_OK);
        recorder_await(&f->recorder, (size_t)i + 1);
    }
    assert_true(recorder_is_sequence(&f->recorder, 0));
}

static void one_member_of_a_group_gets_each_publication(void **state)
{
    enum { TOTAL = 600, MEMBERS = 4 };
    static const char *const patterns[MEMBERS] = {"jobs.a", "jobs.a", "jobs.*", "jobs.>"};
    struct fixture *f = *state;
    struct recorder members[MEMBERS];
    struct kj_subscription *subscriptions[MEMBERS];
    struct kj_subscribe_options options = {.group = "workers"};
    suite_subscribe(f->pubsub, "jobs.a", &f->recorder);
    for (int i = 0; i < MEMBERS; i++) {
        recorder_init(&members[i]);
        assert_int_equal(kj_pubsub_subscribe(f->pubsub, patterns[i], &options, recorder_handle,
                                             &members[i], &subscriptions[i]),
                         KJ_OK);
    }
    for (long i = 0; i < TOTAL; i++) {
        assert_int_equal(publish(f->pubsub, "jobs.a", i), KJ_OK);
    }
    AWAIT_STAT(f->pubsub, delivered, 2 * TOTAL);
    recorder_await(&f->recorder, TOTAL);
    bool seen[TOTAL] = {false};
    size_t total = 0;
    for (int i = 0; i < MEMBERS; i++) {
        kj_pubsub_unsubscribe(f->pubsub, subscriptions[i]);
        for (size_t n = 0; n < members[i].count; n++) {
            assert_false(seen[members[i].numbers[n]]);
            assert_true(n == 0 || members[i].numbers[n] > members[i].numbers[n - 1]);
            seen[members[i].numbers[n]] = true;
            total++;
        }
        assert_true(members[i].count > 0);
        recorder_fini(&members[i]);
    }
    assert_int_equal(total, TOTAL);
}

static void groups_do_not_take_from_each_other(void **state)
{
    struct fixture *f = *state;
    struct recorder other;
    recorder_init(&other);
    struct kj_subscription *one = NULL, *two = NULL;
    assert_int_equal(kj_pubsub_subscribe(f->pubsub, "jobs",
                                         &(struct kj_subscribe_options){.group = "one"},
                                         recorder_handle, &f->recorder, &one),
                     KJ_OK);
    assert_int_equal(kj_pubsub_subscribe(f->pubsub, "jobs",
                                         &(struct kj_subscribe_options){.group = "two"},
                                         recorder_handle, &other, &two),
                     KJ_OK);
    for (long i = 0; i < 100; i++) {
        assert_int_equal(publish(f->pubsub, "jobs", i), KJ_OK);
    }
    recorder_await(&f->recorder, 100);
    recorder_await(&other, 100);
    kj_pubsub_unsubscribe(f->pubsub, two);
    recorder_fini(&other);
}

static void close_discards_what_is_queued_and_refuses_the_rest(void **state)
{
    /* given one publication in a handler that waits, and nine behind it */
    struct fixture *f = *state;
    struct recorder witness;
    recorder_init(&witness);
    recorder_set_gate(&f->recorder, true);
    suite_subscribe(f->pubsub, "events", &f->recorder);
    struct kj_subscription *other = suite_subscribe(f->pubsub, "events", &witness);
    struct kj_subscription *mark = suite_subscribe(f->pubsub, "mark", &witness);
    for (long i = 0; i < 10; i++) {
        assert_int_equal(publish(f->pubsub, "events", i), KJ_OK);
    }
    assert_int_equal(publish(f->pubsub, "mark", 10), KJ_OK);
    recorder_await(&witness, 11);
    recorder_await_entered(&f->recorder, 1);

    /* when the backend is closed, twice */
    kj_pubsub_close(f->pubsub);
    kj_pubsub_close(f->pubsub);

    /* then nothing is accepted, and the nine are discarded */
    struct kj_subscription *late = NULL;
    assert_int_equal(publish(f->pubsub, "events", 11), KJ_ECLOSED);
    assert_int_equal(
        kj_pubsub_subscribe(f->pubsub, "events", NULL, recorder_handle, &witness, &late),
        KJ_ECLOSED);
    assert_null(late);
    assert_int_equal(kj_pubsub_ping(f->pubsub, 1000), KJ_ECLOSED);
    AWAIT_STAT(f->pubsub, discarded, 9);
    recorder_set_gate(&f->recorder, false);
    kj_pubsub_unsubscribe(f->pubsub, other);
    kj_pubsub_unsubscribe(f->pubsub, mark);
    kj_pubsub_free(f->pubsub);
    f->pubsub = NULL;
    assert_int_equal(f->recorder.entered, 1);
    recorder_fini(&witness);
}

static void keep(struct kj_publication *publication, void *ctx)
{
    atomic_store((struct kj_publication * _Atomic *)ctx, kj_publication_ref(publication));
}

static void a_kept_publication_outlives_the_backend(void **state)
{
    struct fixture *f = *state;
    struct kj_publication *_Atomic kept = NULL;
    struct kj_subscription *subscription = NULL;
    assert_int_equal(
        kj_pubsub_subscribe(f->pubsub, "events", NULL, keep, (void *)&kept, &subscription), KJ_OK);
    assert_int_equal(publish(f->pubsub, "events", 42), KJ_OK);
    while (!atomic_load(&kept)) {
        sched_yield();
    }
    kj_pubsub_free(f->pubsub);
    f->pubsub = NULL;
    assert_int_equal(number_of(kept), 42);
    assert_string_equal(kj_publication_topic(kept), "events");
    kj_publication_unref(kept);
}

enum { PUBLISHERS = 8, PER_PUBLISHER = 4000 };

struct publisher {
    struct kj_pubsub *pubsub;
    pthread_t thread;
    long index;
    int failures;
};

static void *run_publisher(void *arg)
{
    struct publisher *publisher = arg;
    for (long i = 0; i < PER_PUBLISHER; i++) {
        publisher->failures += publish(publisher->pubsub, "events",
                                       publisher->index * PER_PUBLISHER + i) != KJ_OK;
    }
    return NULL;
}

static void each_of_many_publishers_keeps_its_order(void **state)
{
    struct fixture *f = *state;
    struct publisher publishers[PUBLISHERS];
    suite_subscribe(f->pubsub, "events", &f->recorder);
    for (long i = 0; i < PUBLISHERS; i++) {
        publishers[i] = (struct publisher){.pubsub = f->pubsub, .index = i};
        assert_int_equal(pthread_create(&publishers[i].thread, NULL, run_publisher, &publishers[i]),
                         0);
    }
    for (long i = 0; i < PUBLISHERS; i++) {
        pthread_join(publishers[i].thread, NULL);
        assert_int_equal(publishers[i].failures, 0);
    }
    recorder_await(&f->recorder, PUBLISHERS * PER_PUBLISHER);
    long next[PUBLISHERS] = {0};
    for (size_t i = 0; i < f->recorder.count; i++) {
        long index = f->recorder.numbers[i] / PER_PUBLISHER;
        assert_int_equal(f->recorder.numbers[i] % PER_PUBLISHER, next[index]++);
    }
}

/* Publishes to the recorder's topic from inside a handler. */
static void echo(struct kj_publication *publication, void *ctx)
{
    publish(ctx, "echo", number_of(publication));
}

static void a_handler_may_publish_and_others_come_and_go(void **state)
{
    struct fixture *f = *state;
    struct kj_subscription *echoing = NULL;
    suite_subscribe(f->pubsub, "echo", &f->recorder);
    assert_int_equal(kj_pubsub_subscribe(f->pubsub, "call", NULL, echo, f->pubsub, &echoing),
                     KJ_OK);
    for (long i = 0; i < 500; i++) {
        assert_int_equal(publish(f->pubsub, "call", i), KJ_OK);
    }
    recorder_await(&f->recorder, 500);
    assert_true(recorder_is_sequence(&f->recorder, 0));
}

static void ping_is_answered_and_null_is_fine(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(kj_pubsub_ping(f->pubsub, DEADLINE_MS), KJ_OK);
    assert_false(kj_pubsub_is_away(f->pubsub));
    kj_pubsub_unsubscribe(f->pubsub, NULL);
    kj_pubsub_free(NULL);
}

int suite_run(const char *name, suite_open open)
{
#define SUITE_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SUITE_TEST(ping_is_answered_and_null_is_fine),
        SUITE_TEST(a_hundred_thousand_publications_arrive_in_order),
        SUITE_TEST(wildcards_stand_for_whole_words),
        cmocka_unit_test(matching_agrees_with_a_naive_twin),
        SUITE_TEST(delivery_agrees_with_a_naive_twin),
        SUITE_TEST(publishing_to_a_pattern_or_a_malformed_topic_is_refused),
        SUITE_TEST(subscribing_to_a_malformed_pattern_is_refused),
        SUITE_TEST(handlers_run_on_a_thread_of_the_backend),
        SUITE_TEST(every_subscription_gets_every_publication),
        SUITE_TEST(silence_follows_unsubscribe_under_load),
        SUITE_TEST(unsubscribe_waits_for_the_running_handler),
        SUITE_TEST(unsubscribing_inside_the_handler_silences_it),
        SUITE_TEST(freeing_follows_an_unsubscription_inside),
        SUITE_TEST(a_full_subscription_queue_drops_the_newest),
        SUITE_TEST(a_subscription_queue_is_bounded_by_bytes),
        SUITE_TEST(a_publication_larger_than_the_queue_passes_when_it_is_empty),
        SUITE_TEST(one_member_of_a_group_gets_each_publication),
        SUITE_TEST(groups_do_not_take_from_each_other),
        SUITE_TEST(close_discards_what_is_queued_and_refuses_the_rest),
        SUITE_TEST(a_kept_publication_outlives_the_backend),
        SUITE_TEST(each_of_many_publishers_keeps_its_order),
        SUITE_TEST(a_handler_may_publish_and_others_come_and_go),
        SUITE_TEST(an_acknowledgement_does_not_wait_for_the_handler),
        SUITE_TEST(a_request_is_answered_with_a_publication),
        SUITE_TEST(tracking_travels_both_ways),
        SUITE_TEST(of_two_answers_the_first_counts),
        SUITE_TEST(one_member_of_a_group_answers),
        SUITE_TEST(a_request_nobody_hears_fails_at_once),
        SUITE_TEST(a_request_without_an_answer_times_out),
        SUITE_TEST(an_answer_is_given_once_and_in_time),
        SUITE_TEST(an_answer_after_the_backend_is_gone_is_refused),
        SUITE_TEST(a_request_passed_on_asks_for_nothing),
        SUITE_TEST(requests_are_bounded_and_told_once_each),
        SUITE_TEST(a_request_is_checked),
        SUITE_TEST(a_reply_handler_may_request),
    };
#undef SUITE_TEST
    open_backend = open;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
