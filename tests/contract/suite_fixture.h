/* suite_fixture.h - what the files of the contract suite share. */
#ifndef KJ_TEST_SUITE_FIXTURE_H
#define KJ_TEST_SUITE_FIXTURE_H

#include "contract/recorder.h"

/* One open backend, one recorder, and what on_error was told. */
struct fixture {
    struct kj_pubsub *pubsub;
    struct recorder recorder;
    struct complaints complaints;
};

/* Subscribes a recorder, or fails the test. */
struct kj_subscription *suite_subscribe(struct kj_pubsub *pubsub, const char *topic,
                                        struct recorder *recorder);

void wildcards_stand_for_whole_words(void **state);
void matching_agrees_with_a_naive_twin(void **state);
void delivery_agrees_with_a_naive_twin(void **state);
void publishing_to_a_pattern_or_a_malformed_topic_is_refused(void **state);
void subscribing_to_a_malformed_pattern_is_refused(void **state);

void an_acknowledgement_does_not_wait_for_the_handler(void **state);
void a_request_is_answered_with_a_publication(void **state);
void tracking_travels_both_ways(void **state);
void of_two_answers_the_first_counts(void **state);
void one_member_of_a_group_answers(void **state);
void a_request_nobody_hears_fails_at_once(void **state);
void a_request_without_an_answer_times_out(void **state);
void an_answer_is_given_once_and_in_time(void **state);
void an_answer_after_the_backend_is_gone_is_refused(void **state);
void a_request_passed_on_asks_for_nothing(void **state);
void requests_are_bounded_and_told_once_each(void **state);
void a_request_is_checked(void **state);
void a_reply_handler_may_request(void **state);

#endif
