/* suite_requests.c - promise 10: requests, acknowledgements and answers. */
#include "base/clock.h"
#include "contract/answers.h"
#include "contract/suite_fixture.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct kj_subscription *subscribe_with(struct fixture *f, const char *topic,
                                              const struct kj_subscribe_options *options,
                                              kj_pubsub_handler handler, void *ctx)
{
    struct kj_subscription *subscription = NULL;
    assert_int_equal(kj_pubsub_subscribe(f->pubsub, topic, options, handler, ctx, &subscription),
                     KJ_OK);
    return subscription;
}

static struct kj_pubsub_stats stats_of(struct fixture *f)
{
    struct kj_pubsub_stats stats;
    kj_pubsub_stats(f->pubsub, &stats);
    return stats;
}

void an_acknowledgement_does_not_wait_for_the_handler(void **state)
{
    struct fixture *f = *state;
    struct answers answers;
    answers_init(&answers);
    suite_subscribe(f->pubsub, "call", &f->recorder);
    recorder_set_gate(&f->recorder, true);

    assert_int_equal(request(f->pubsub, "call", 1, KJ_RESPONSE_ACK, 0, &answers), KJ_OK);

    answers_await(&answers, 1);
    recorder_await_entered(&f->recorder, 1);
    assert_int_equal(answers_with(&answers, KJ_OK), 1);
    assert_int_equal(answers.last_number, -1);
    assert_false(pthread_equal(answers.thread, pthread_self()));
    assert_int_equal(stats_of(f).answered, 1);
    assert_int_equal(stats_of(f).replies, 1);
    recorder_set_gate(&f->recorder, false);
    recorder_await(&f->recorder, 1);
    answers_fini(&answers);
}

void a_request_is_answered_with_a_publication(void **state)
{
    struct fixture *f = *state;
    struct answers answers;
    answers_init(&answers);
    subscribe_with(f, "call.*", NULL, answer_plus_thousand, NULL);
    for (long i = 1; i <= 200; i++) {
        assert_int_equal(request(f->pubsub, "call.me", i, KJ_RESPONSE_PUBLICATION, 0, &answers),
                         KJ_OK);
    }
    answers_await(&answers, 200);
    assert_int_equal(answers_with(&answers, KJ_OK), 200);
    assert_int_equal(answers.last_number, 1200);
    struct kj_pubsub_stats stats = stats_of(f);
    assert_int_equal(stats.requests, 200);
    assert_int_equal(stats.answered, 200);
    assert_int_equal(stats.unanswered + stats.late_answers, 0);
    answers_fini(&answers);
}

static void answer_with_tracking(struct kj_publication *publication, void *ctx)
{
    json_t *tracking = NULL;
    (void)ctx;
    assert_string_equal(kj_publication_topic(publication), "call");
    assert_string_equal(kj_publication_tracking_name(publication), "name");
    assert_int_equal(kj_publication_partition(publication), 3);
    assert_int_equal(kj_publication_tracking_data(publication, &tracking), KJ_OK);
    assert_string_equal(json_string_value(json_object_get(tracking, "k")), "v");
    json_object_set_new(tracking, "k", json_string("back"));
    struct kj_publication *response = NULL;
    assert_int_equal(
        kj_publication_new(&(struct kj_publication_options){.topic = "x",
                                                            .data = (const uint8_t *)"{}",
                                                            .len = 2,
                                                            .encoding = KJ_ENCODING_JSON,
                                                            .tracking_data = tracking},
                           &response),
        KJ_OK);
    assert_int_equal(kj_publication_reply(publication, response), KJ_OK);
    kj_publication_unref(response);
    json_decref(tracking);
}

void tracking_travels_both_ways(void **state)
{
    struct fixture *f = *state;
    subscribe_with(f, "call", NULL, answer_with_tracking, NULL);
    json_t *tracking = json_pack("{s:s}", "k", "v");
    struct kj_publication *publication, *reply;
    const struct kj_publication_options options = {
        .topic = "call", .tracking_name = "name", .tracking_data = tracking, .partition = 3};
    assert_int_equal(kj_publication_new(&options, &publication), KJ_OK);
    json_decref(tracking);

    assert_int_equal(kj_pubsub_request_wait(f->pubsub, publication, KJ_RESPONSE_PUBLICATION,
                                            DEADLINE_MS, &reply),
                     KJ_OK);

    size_t len;
    assert_memory_equal(kj_publication_data(reply, &len), "{}", 2);
    assert_int_equal(kj_publication_encoding(reply), KJ_ENCODING_JSON);
    assert_null(kj_publication_tracking_name(reply));
    assert_int_equal(kj_publication_tracking_data(reply, &tracking), KJ_OK);
    assert_string_equal(json_string_value(json_object_get(tracking, "k")), "back");
    json_decref(tracking);
    kj_publication_unref(reply);
    kj_publication_unref(publication);
}

void of_two_answers_the_first_counts(void **state)
{
    struct fixture *f = *state;
    struct answers answers;
    answers_init(&answers);
    subscribe_with(f, "call", NULL, answer_plus_thousand, NULL);
    subscribe_with(f, "*", NULL, answer_plus_thousand, NULL);
    assert_int_equal(request(f->pubsub, "call", 1, KJ_RESPONSE_PUBLICATION, 0, &answers), KJ_OK);
    AWAIT_STAT(f->pubsub, late_answers, 1);
    answers_await(&answers, 1);
    assert_int_equal(answers.last_number, 1001);
    assert_int_equal(stats_of(f).replies, 2);
    assert_int_equal(stats_of(f).answered, 1);
    answers_fini(&answers);
}

void one_member_of_a_group_answers(void **state)
{
    enum { TOTAL = 50 };
    struct fixture *f = *state;
    struct kj_subscribe_options options = {.group = "workers"};
    struct answers answers;
    answers_init(&answers);
    subscribe_with(f, "call", &options, answer_plus_thousand, NULL);
    subscribe_with(f, "call", &options, answer_plus_thousand, NULL);
    for (long i = 0; i < TOTAL; i++) {
        assert_int_equal(request(f->pubsub, "call", i, KJ_RESPONSE_PUBLICATION, 0, &answers),
                         KJ_OK);
    }
    answers_await(&answers, TOTAL);
    assert_int_equal(answers_with(&answers, KJ_OK), TOTAL);
    assert_int_equal(stats_of(f).replies, TOTAL);
    assert_int_equal(stats_of(f).late_answers, 0);
    answers_fini(&answers);
}

void a_request_nobody_hears_fails_at_once(void **state)
{
    struct fixture *f = *state;
    struct kj_publication *publication = publication_of("nobody", 1), *reply = (void *)f;
    uint64_t start = kj__clock_monotonic_ms();
    assert_int_equal(
        kj_pubsub_request_wait(f->pubsub, publication, KJ_RESPONSE_ACK, 2 * DEADLINE_MS, &reply),
        KJ_ENOTFOUND);
    assert_true(kj__clock_monotonic_ms() - start < DEADLINE_MS);
    assert_null(reply);
    assert_int_equal(stats_of(f).unheard, 1);
    kj_publication_unref(publication);
}

void a_request_without_an_answer_times_out(void **state)
{
    struct fixture *f = *state;
    struct answers answers;
    answers_init(&answers);
    suite_subscribe(f->pubsub, "call", &f->recorder);
    assert_int_equal(request(f->pubsub, "call", 1, KJ_RESPONSE_PUBLICATION, 0, &answers), KJ_OK);
    assert_int_equal(request(f->pubsub, "call", 2, KJ_RESPONSE_PUBLICATION, 20, &answers), KJ_OK);

    answers_await(&answers, 1);

    assert_int_equal(answers_with(&answers, KJ_ETIMEOUT), 1);
    assert_int_equal(stats_of(f).timed_out, 1);
    AWAIT_STAT(f->pubsub, unanswered, 1); /* the handler let go of the first at least */
    complaints_await(&f->complaints, KJ_ETIMEOUT, 1, "kj_publication_reply");
    kj_pubsub_close(f->pubsub);
    answers_await(&answers, 2);
    assert_int_equal(answers_with(&answers, KJ_ECLOSED), 1);
    assert_int_equal(stats_of(f).abandoned, 1);
    answers_fini(&answers);
}

void an_answer_is_given_once_and_in_time(void **state)
{
    struct fixture *f = *state;
    struct keeper keeper = {.kept = NULL};
    struct answers answers;
    answers_init(&answers);
    recorder_init(&keeper.recorder);
    struct kj_subscribe_options hasty = {.reply_timeout_ms = 1};
    struct kj_subscription *subscription = subscribe_with(f, "call", NULL, keeper_handle, &keeper);
    struct kj_subscription *second = subscribe_with(f, "hasty", &hasty, keeper_handle, &keeper);

    /* given publications that want no answer, there is none to give */
    assert_int_equal(publish(f->pubsub, "call", 1), KJ_OK);
    recorder_await(&keeper.recorder, 1);
    assert_false(kj_publication_wants_reply(atomic_load(&keeper.kept)));
    assert_int_equal(answer_with(atomic_load(&keeper.kept), 1), KJ_EINVAL);
    assert_int_equal(request(f->pubsub, "call", 2, KJ_RESPONSE_ACK, 0, &answers), KJ_OK);
    recorder_await(&keeper.recorder, 2);
    assert_int_equal(answer_with(atomic_load(&keeper.kept), 1), KJ_EINVAL);
    answers_await(&answers, 1);

    /* and from a handler that is long over, one */
    assert_int_equal(request(f->pubsub, "call", 3, KJ_RESPONSE_PUBLICATION, 0, &answers), KJ_OK);
    recorder_await(&keeper.recorder, 3);
    assert_true(kj_publication_wants_reply(atomic_load(&keeper.kept)));
    assert_int_equal(kj_publication_reply(atomic_load(&keeper.kept), NULL), KJ_EINVAL);
    assert_int_equal(answer_with(atomic_load(&keeper.kept), 7), KJ_OK);
    assert_int_equal(answer_with(atomic_load(&keeper.kept), 8), KJ_EEXIST);
    answers_await(&answers, 2);
    assert_int_equal(answers.last_number, 7);

    /* and none when it is too late */
    assert_int_equal(request(f->pubsub, "hasty", 4, KJ_RESPONSE_PUBLICATION, 0, &answers), KJ_OK);
    recorder_await(&keeper.recorder, 4);
    for (uint64_t end = kj__clock_monotonic_ms() + 2; kj__clock_monotonic_ms() < end;) {
        sched_yield();
    }
    assert_int_equal(answer_with(atomic_load(&keeper.kept), 9), KJ_ETIMEOUT);
    assert_int_equal(answer_with(atomic_load(&keeper.kept), 9), KJ_ETIMEOUT);
    assert_int_equal(stats_of(f).unanswered, 1);

    kj_pubsub_unsubscribe(f->pubsub, subscription);
    kj_pubsub_unsubscribe(f->pubsub, second);
    kj_pubsub_close(f->pubsub);
    answers_await(&answers, 3);
    keeper_fini(&keeper);
    answers_fini(&answers);
}

void an_answer_after_the_backend_is_gone_is_refused(void **state)
{
    struct fixture *f = *state;
    struct keeper keeper = {.kept = NULL};
    struct answers answers;
    answers_init(&answers);
    recorder_init(&keeper.recorder);
    subscribe_with(f, "call", NULL, keeper_handle, &keeper);
    assert_int_equal(request(f->pubsub, "call", 1, KJ_RESPONSE_PUBLICATION, 0, &answers), KJ_OK);
    recorder_await(&keeper.recorder, 1);
    kj_pubsub_free(f->pubsub);
    f->pubsub = NULL;
    assert_int_equal(answers_with(&answers, KJ_ECLOSED), 1);
    assert_int_equal(answer_with(atomic_load(&keeper.kept), 1), KJ_ECLOSED);
    keeper_fini(&keeper);
    answers_fini(&answers);
}

struct forwarder {
    struct kj_pubsub *pubsub;
    atomic_int forwarded;
};

static void forward(struct kj_publication *publication, void *ctx)
{
    struct forwarder *forwarder = ctx;
    struct kj_publication *copy = NULL;
    kj_pubsub_publish(forwarder->pubsub, publication); /* as it is, to the same topic */
    assert_int_equal(kj_publication_duplicate(publication, "elsewhere", &copy), KJ_OK);
    assert_false(kj_publication_wants_reply(copy));
    assert_int_equal(kj_pubsub_publish(forwarder->pubsub, copy), KJ_OK);
    kj_publication_unref(copy);
    answer_plus_thousand(publication, NULL);
}

static void forward_first(struct kj_publication *publication, void *ctx)
{
    struct forwarder *forwarder = ctx;
    if (atomic_fetch_add(&forwarder->forwarded, 1) == 0) {
        forward(publication, ctx);
    } else {
        assert_false(kj_publication_wants_reply(publication));
    }
}

void a_request_passed_on_asks_for_nothing(void **state)
{
    struct fixture *f = *state;
    struct forwarder forwarder = {.pubsub = f->pubsub};
    struct keeper keeper = {.kept = NULL};
    struct answers answers;
    answers_init(&answers);
    recorder_init(&keeper.recorder);
    struct kj_subscription *there = subscribe_with(f, "elsewhere", NULL, keeper_handle, &keeper);
    struct kj_subscription *here = subscribe_with(f, "call", NULL, forward_first, &forwarder);

    assert_int_equal(request(f->pubsub, "call", 1, KJ_RESPONSE_PUBLICATION, 0, &answers), KJ_OK);

    answers_await(&answers, 1);
    assert_int_equal(answers.last_number, 1001);
    recorder_await(&keeper.recorder, 1);
    assert_false(kj_publication_wants_reply(atomic_load(&keeper.kept)));
    AWAIT_STAT(f->pubsub, delivered, 3);
    kj_pubsub_unsubscribe(f->pubsub, there);
    kj_pubsub_unsubscribe(f->pubsub, here);
    keeper_fini(&keeper);
    answers_fini(&answers);
}

void requests_are_bounded_and_told_once_each(void **state)
{
    enum { LIMIT = 4096 };
    struct fixture *f = *state;
    struct answers answers;
    answers_init(&answers);
    suite_subscribe(f->pubsub, "call", &f->recorder);
    recorder_set_gate(&f->recorder, true); /* so that the others wait for the first */
    for (long i = 0; i < LIMIT; i++) {
        assert_int_equal(request(f->pubsub, "call", i, KJ_RESPONSE_PUBLICATION, 0, &answers),
                         KJ_OK);
    }
    assert_int_equal(request(f->pubsub, "call", 0, KJ_RESPONSE_ACK, 0, &answers), KJ_EFULL);
    complaints_await(&f->complaints, KJ_EFULL, 1, "request_limit");
    assert_int_equal(stats_of(f).refused, 1);
    kj_pubsub_close(f->pubsub);
    answers_await(&answers, LIMIT);
    assert_int_equal(answers_with(&answers, KJ_ECLOSED), LIMIT);
    assert_int_equal(request(f->pubsub, "call", 0, KJ_RESPONSE_ACK, 0, &answers), KJ_ECLOSED);
    struct kj_pubsub_stats stats = stats_of(f);
    assert_int_equal(stats.requests, LIMIT);
    assert_int_equal(stats.abandoned, LIMIT);
    assert_int_equal(answers.count, LIMIT);
    answers_fini(&answers);
}

void a_request_is_checked(void **state)
{
    struct fixture *f = *state;
    struct answers answers;
    answers_init(&answers);
    assert_int_equal(request(f->pubsub, "call", 0, KJ_RESPONSE_NONE, 0, &answers), KJ_EINVAL);
    assert_int_equal(request(f->pubsub, "call", 0, 3, 0, &answers), KJ_EINVAL);
    assert_int_equal(request(f->pubsub, "call.*", 0, KJ_RESPONSE_ACK, 0, &answers), KJ_EINVAL);
    assert_int_equal(stats_of(f).requests, 0);
    assert_int_equal(answers.count, 0);
    answers_fini(&answers);
}

struct chain {
    struct kj_pubsub *pubsub;
    struct answers *answers;
};

static void ask_again(enum kj_status status, struct kj_publication *reply, void *ctx)
{
    struct chain *chain = ctx;
    assert_int_equal(status, KJ_OK);
    assert_int_equal(request(chain->pubsub, "call", number_of(reply), KJ_RESPONSE_PUBLICATION, 0,
                             chain->answers),
                     KJ_OK);
}

void a_reply_handler_may_request(void **state)
{
    struct fixture *f = *state;
    struct answers answers;
    answers_init(&answers);
    struct chain chain = {.pubsub = f->pubsub, .answers = &answers};
    subscribe_with(f, "call", NULL, answer_plus_thousand, NULL);
    struct kj_publication *publication = publication_of("call", 1);
    const struct kj_request_options options = {
        .mode = KJ_RESPONSE_PUBLICATION, .on_reply = ask_again, .ctx = &chain};
    assert_int_equal(kj_pubsub_request(f->pubsub, publication, &options), KJ_OK);
    kj_publication_unref(publication);
    answers_await(&answers, 1);
    assert_int_equal(answers.last_number, 2001);
    answers_fini(&answers);
}
