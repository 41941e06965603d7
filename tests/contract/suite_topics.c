/* suite_topics.c - promise 2: what topics and patterns are, and when they match. */
#include "contract/suite_fixture.h"
#include "pubsub/topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void wildcards_stand_for_whole_words(void **state)
{
    static const struct {
        const char *pattern, *topic;
        bool matches;
    } cases[] = {
        {"room.a", "room.a", true},
        {"room.a", "room.b", false},
        {"room.a", "room", false},
        {"room.a", "room.a.b", false},
        {"room.*", "room.a", true},
        {"room.*", "room", false},
        {"room.*", "room.a.b", false},
        {"room.*", "rooms.a", false},
        {"*.a", "room.a", true},
        {"*.a", "a", false},
        {"*", "room", true},
        {"*", "room.a", false},
        {"*.*", "room.a", true},
        {"*.*", "room", false},
        {"room.>", "room.a", true},
        {"room.>", "room.a.b.c", true},
        {"room.>", "room", false},
        {"room.>", "rooms.a", false},
        {">", "room", true},
        {">", "room.a.b", true},
        {"room.*.c", "room.b.c", true},
        {"room.*.c", "room.c", false},
        {"*.b.>", "a.b.c.d", true},
        {"*.b.>", "a.b", false},
        {"r", "room", false},
        {"room", "r", false},
        {"r\xc3\xa4ume.*", "r\xc3\xa4ume.gro\xc3\x9f", true},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recorder recorder;
        recorder_init(&recorder);
        struct kj_subscription *subject = suite_subscribe(f->pubsub, cases[i].pattern, &recorder);
        struct kj_subscription *end = suite_subscribe(f->pubsub, "the.end", &f->recorder);

        assert_int_equal(publish(f->pubsub, cases[i].topic, 1), KJ_OK);
        assert_int_equal(publish(f->pubsub, "the.end", 2), KJ_OK);

        recorder_await(&f->recorder, i + 1);
        if (cases[i].matches) {
            recorder_await(&recorder, 1);
        }
        kj_pubsub_unsubscribe(f->pubsub, subject);
        kj_pubsub_unsubscribe(f->pubsub, end);
        size_t own = 0;
        for (size_t n = 0; n < recorder.count; n++) {
            own += recorder.numbers[n] == 1;
        }
        if (own != cases[i].matches) {
            fail_msg("%s on %s: delivered %zu times", cases[i].pattern, cases[i].topic, own);
        }
        recorder_fini(&recorder);
    }
}

/* Appends up to four words of a small alphabet; a pattern may hold wildcards. */
static void make_random_topic(char *out, size_t size, bool pattern)
{
    static const char *const words[] = {"a", "b", "ab", "*"};
    size_t count = 1 + (size_t)rand() % 4;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *word = words[(size_t)rand() % (pattern ? 4 : 3)];
        word = pattern && i + 1 == count && rand() % 4 == 0 ? ">" : word;
        snprintf(out + strlen(out), size - strlen(out), "%s%s", i ? "." : "", word);
    }
}

/* The naive twin: compares the first words, then what remains. */
static bool naive_match(const char *pattern, const char *topic)
{
    char first[64], word[64];
    if (*pattern == '\0' || *topic == '\0') {
        return *pattern == *topic;
    }
    if (strcmp(pattern, ">") == 0) {
        return true;
    }
    sscanf(pattern, "%63[^.]", first);
    sscanf(topic, "%63[^.]", word);
    pattern += strlen(first);
    topic += strlen(word);
    return (strcmp(first, "*") == 0 || strcmp(first, word) == 0) && (*pattern == *topic) &&
           naive_match(pattern + (*pattern == '.'), topic + (*topic == '.'));
}

void matching_agrees_with_a_naive_twin(void **state)
{
    (void)state;
    srand(20);
    for (int i = 0; i < 200000; i++) {
        char pattern[64], topic[64];
        make_random_topic(pattern, sizeof pattern, true);
        make_random_topic(topic, sizeof topic, false);
        assert_true(kj__topic_pattern_is_valid(pattern));
        assert_true(kj_topic_is_valid(topic));
        if (kj__topic_matches(pattern, topic) != naive_match(pattern, topic)) {
            fail_msg("%s on %s", pattern, topic);
        }
    }
}

void delivery_agrees_with_a_naive_twin(void **state)
{
    enum { PATTERNS = 24, TOPICS = 400 };
    struct fixture *f = *state;
    struct recorder recorders[PATTERNS];
    struct kj_subscription *subscriptions[PATTERNS];
    char patterns[PATTERNS][64];
    size_t expected[PATTERNS] = {0};
    srand(21);
    for (int i = 0; i < PATTERNS; i++) {
        make_random_topic(patterns[i], sizeof patterns[i], true);
        recorder_init(&recorders[i]);
        subscriptions[i] = suite_subscribe(f->pubsub, patterns[i], &recorders[i]);
    }
    for (int t = 0; t < TOPICS; t++) {
        char topic[64];
        make_random_topic(topic, sizeof topic, false);
        assert_int_equal(publish(f->pubsub, topic, t), KJ_OK);
        for (int i = 0; i < PATTERNS; i++) {
            expected[i] += naive_match(patterns[i], topic);
        }
    }
    for (int i = 0; i < PATTERNS; i++) {
        recorder_await(&recorders[i], expected[i]);
        kj_pubsub_unsubscribe(f->pubsub, subscriptions[i]);
        assert_int_equal(recorders[i].count, expected[i]);
        recorder_fini(&recorders[i]);
    }
}

void publishing_to_a_pattern_or_a_malformed_topic_is_refused(void **state)
{
    static const char *const topics[] = {"room.*", "room.>", "*",     ">",      "room..a", ".room",
                                         "room.",  "a b",    "a\tb",  "a\nb",   "a*",      "a>b",
                                         "*a.b",   ".",      "a\x7f", "a.b\r\n"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        assert_int_equal(publish(f->pubsub, topics[i], 1), KJ_EINVAL);
    }
    char huge[KJ__TOPIC_MAX + 2];
    memset(huge, 'a', sizeof huge);
    huge[sizeof huge - 1] = '\0';
    assert_int_equal(publish(f->pubsub, huge, 1), KJ_EINVAL);
    struct kj_pubsub_stats stats;
    kj_pubsub_stats(f->pubsub, &stats);
    assert_int_equal(stats.published, 0);
}

void subscribing_to_a_malformed_pattern_is_refused(void **state)
{
    static const char *const patterns[] = {"",    "room.>.a", "a*",   "*a", ">a",  "a..b",
                                           "a b", ".a",       "a.>.", "**", "*.>>"};
    struct fixture *f = *state;
    struct kj_subscription *subscription = (void *)f;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        assert_int_equal(kj_pubsub_subscribe(f->pubsub, patterns[i], NULL, recorder_handle,
                                             &f->recorder, &subscription),
                         KJ_EINVAL);
        assert_null(subscription);
    }
    struct kj_subscribe_options options = {.group = "two words"};
    assert_int_equal(
        kj_pubsub_subscribe(f->pubsub, "a", &options, recorder_handle, &f->recorder, &subscription),
        KJ_EINVAL);
}
