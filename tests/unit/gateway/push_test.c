/* push_test.c - pushes as they travel, and the numbers of topics. */
#include "codec/msgpack.h"
#include "gateway/push.h"
#include "gateway/sequence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct kj__push_parts whole = {.what = KJ__WHAT_PUSH,
                                            .id = UINT64_MAX - 5,
                                            .node = 0xffffff,
                                            .sequence = 1 << 20,
                                            .time_ms = INT64_C(1700000000000),
                                            .kind = KJ_TOPIC_ROOM,
                                            .name = "r\xC3\xB6"
                                                    "om",
                                            .from = "alice",
                                            .op = -9,
                                            .client = UINT64_C(1) << 63,
                                            .presence = KJ_PRESENCE_LEFT,
                                            .body_is_json = true,
                                            .body = (const uint8_t *)"{}",
                                            .body_len = 2};

static enum kj_status decode(const struct kj__push_parts *parts, struct kj_push **push)
{
    struct kj__buffer bytes = {0};
    kj__push_encode(parts, &bytes);
    assert_false(bytes.failed);
    enum kj_status status = kj__push_decode(bytes.data, bytes.len, push);
    kj__buffer_fini(&bytes);
    return status;
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct kj_push *push;
    size_t len;
    assert_int_equal(decode(&whole, &push), KJ_OK);
    assert_int_equal(kj_push_id(push), whole.id);
    assert_int_equal(kj_push_node(push), whole.node);
    assert_int_equal(kj_push_sequence(push), whole.sequence);
    assert_int_equal(kj_push_time_ms(push), whole.time_ms);
    assert_int_equal(kj_push_kind(push), KJ_TOPIC_ROOM);
    assert_string_equal(kj_push_name(push), whole.name);
    assert_string_equal(kj_push_from(push), "alice");
    assert_int_equal(kj_push_op(push), -9);
    assert_int_equal(kj_push_client(push), whole.client);
    assert_int_equal(kj_push_presence(push), KJ_PRESENCE_LEFT);
    assert_memory_equal(kj_push_body(push, &len), "{}", 2);
    assert_int_equal(len, 2);
    assert_true(kj_push_body_is_json(push));
    kj__push_unref(push);
}

static void the_ways_of_a_push_are_written_where_it_has_any(void **state)
{
    (void)state;
    struct kj__push_parts parts = whole;
    struct kj_push *push;
    assert_int_equal(decode(&whole, &push), KJ_OK);
    assert_false(push->parts.at_once || push->parts.is_for_others || push->parts.speed);
    kj__push_unref(push);
    parts.at_once = true;
    assert_int_equal(decode(&parts, &push), KJ_OK);
    assert_true(push->parts.at_once && !push->parts.is_for_others && push->parts.speed == 0);
    kj__push_unref(push);
    parts = whole;
    parts.is_for_others = true;
    parts.speed = UINT32_MAX;
    assert_int_equal(decode(&parts, &push), KJ_OK);
    assert_true(!push->parts.at_once && push->parts.is_for_others);
    assert_int_equal(push->parts.speed, UINT32_MAX);
    kj__push_unref(push);
}

static void every_beginning_of_a_push_is_refused(void **state)
{
    (void)state;
    struct kj__buffer bytes = {0};
    kj__push_encode(&whole, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        struct kj_push *push;
        uint8_t *exact = malloc(len ? len : 1);
        assert_non_null(exact);
        memcpy(exact, bytes.data, len);
        assert_int_equal(kj__push_decode(exact, len, &push), KJ_EPARSE);
        assert_null(push);
        free(exact);
    }
    kj__buffer_fini(&bytes);
}

static void what_a_push_cannot_be_is_refused(void **state)
{
    (void)state;
    static const char long_name[KJ_NAME_MAX + 2] = {[0 ... KJ_NAME_MAX] = 'x'};
    struct kj_push *push;
    struct kj__push_parts parts = whole;
    parts.name = "";
    assert_int_equal(decode(&parts, &push), KJ_EPARSE);
    parts.name = "\xFF";
    assert_int_equal(decode(&parts, &push), KJ_EPARSE);
    parts.name = long_name;
    assert_int_equal(decode(&parts, &push), KJ_ELIMIT);
    parts = whole;
    parts.kind = KJ_TOPIC_ALL;
    assert_int_equal(decode(&parts, &push), KJ_EPARSE);
    parts.kind = (enum kj_topic_kind)9;
    assert_int_equal(decode(&parts, &push), KJ_EPARSE);
    parts = whole;
    parts.what = (enum kj__what)7;
    assert_int_equal(decode(&parts, &push), KJ_EPARSE);
    parts = whole;
    parts.body_len = 0;
    assert_int_equal(decode(&parts, &push), KJ_EPARSE);
    parts.body = (const uint8_t *)"\xFF";
    parts.body_len = 1;
    assert_int_equal(decode(&parts, &push), KJ_EPARSE);
    parts.body_is_json = false;
    assert_int_equal(decode(&parts, &push), KJ_OK);
    kj__push_unref(push);
    parts.body = calloc(1, KJ_PUSH_BODY_MAX + 1);
    parts.body_len = KJ_PUSH_BODY_MAX + 1;
    assert_int_equal(decode(&parts, &push), KJ_ELIMIT);
    parts.body_len = KJ_PUSH_BODY_MAX;
    assert_int_equal(decode(&parts, &push), KJ_OK);
    kj__push_unref(push);
    free((void *)parts.body);
}

static void later_versions_may_say_more(void **state)
{
    (void)state;
    struct kj__buffer bytes = {0};
    struct kj_push *push;
    kj__push_encode(&whole, &bytes);
    bytes.data[0]++; /* an array of one more */
    kj__msgpack_put_text(&bytes, "more", 4);
    assert_int_equal(kj__push_decode(bytes.data, bytes.len, &push), KJ_OK);
    kj__push_unref(push);
    kj__buffer_fini(&bytes);
}

/* ---- numbers ---- */

static uint64_t take(struct kj__sequences *sequences, const char *words)
{
    uint64_t *last = kj__sequences_lock(sequences, words);
    assert_non_null(last);
    uint64_t number = ++*last;
    kj__sequences_unlock(sequences, words);
    return number;
}

static void each_topic_counts_from_one(void **state)
{
    (void)state;
    struct kj__sequences sequences;
    kj__sequences_init(&sequences);
    for (uint64_t i = 1; i < 100; i++) {
        assert_int_equal(take(&sequences, "room.a"), i);
        assert_int_equal(take(&sequences, "room.b"), i);
    }
    kj__sequences_fini(&sequences);
}

static void numbers_grow_whatever_was_forgotten(void **state)
{
    (void)state;
    struct kj__sequences sequences;
    char words[32];
    uint64_t last = 0;
    kj__sequences_init(&sequences);
    for (int i = 0; i < 10; i++) {
        last = take(&sequences, "room.first");
    }
    for (int i = 0; i < KJ__SEQUENCES_MAX + KJ__SEQUENCES_MAX / 2; i++) {
        (void)snprintf(words, sizeof words, "user.%d", i);
        take(&sequences, words);
    }
    size_t kept = 0;
    for (size_t i = 0; i < KJ__SEQUENCE_STRIPES; i++) {
        kept += sequences.stripes[i].last.count;
    }
    assert_true(kept <= KJ__SEQUENCES_MAX);
    assert_true(take(&sequences, "room.first") > last);
    kj__sequences_fini(&sequences);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_ways_of_a_push_are_written_where_it_has_any),
        cmocka_unit_test(every_beginning_of_a_push_is_refused),
        cmocka_unit_test(what_a_push_cannot_be_is_refused),
        cmocka_unit_test(later_versions_may_say_more),
        cmocka_unit_test(each_topic_counts_from_one),
        cmocka_unit_test(numbers_grow_whatever_was_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
