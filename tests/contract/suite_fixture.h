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

#endif
