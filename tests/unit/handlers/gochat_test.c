/* gochat_test.c - packets of gochat, byte by byte. */
#include "handlers/gochat.h"
#include "unit/rest/cmocka_all.h"

#include <string.h>

static struct kj_gochat gochat; /* of which the counters are used alone */

static size_t length_of(const void *bytes, size_t len)
{
    return gochat_packet_len(bytes, len, &gochat);
}

static void a_length_is_known_with_the_whole_head(void **state)
{
    (void)state;
    for (size_t len = 0; len < GOCHAT_HEAD_SIZE; len++) {
        assert_int_equal(length_of("v1\0\6{}", len), 0);
    }
    assert_int_equal(length_of("v1\0\6", 4), 6);
    assert_int_equal(length_of("v1\0\6{}v1", 8), 6);
    assert_int_equal(length_of("v1\0\4", 4), 4);
    assert_int_equal(length_of("v1\x7f\xff", 4), KJ_GOCHAT_PACKET_MAX);
}

static void what_begins_no_packet_is_told_at_once(void **state)
{
    (void)state;
    uint64_t before = gochat.counters.bad_packets;
    assert_true(length_of("G", 1) == SIZE_MAX);
    assert_true(length_of("v2", 2) == SIZE_MAX);
    assert_true(length_of("v1\0\0", 4) == SIZE_MAX);
    assert_true(length_of("v1\0\3", 4) == SIZE_MAX);
    assert_true(length_of("v1\x80\0", 4) == SIZE_MAX);
    assert_true(length_of("v1\x9c\x44", 4) == SIZE_MAX);
    assert_true(length_of("v1\xff\xff", 4) == SIZE_MAX);
    assert_int_equal(gochat.counters.bad_packets, before + 7);
}

static void a_head_says_the_length_with_itself(void **state)
{
    (void)state;
    uint8_t head[GOCHAT_HEAD_SIZE];
    gochat_write_head(head, 8);
    assert_memory_equal(head, "v1\0\x0c", sizeof head);
    gochat_write_head(head, GOCHAT_BODY_MAX);
    assert_memory_equal(head, "v1\x7f\xff", sizeof head);
    assert_int_equal(length_of(head, sizeof head), KJ_GOCHAT_PACKET_MAX);
}

static void a_room_is_its_number(void **state)
{
    (void)state;
    char name[GOCHAT_ROOM_SIZE];
    gochat_write_room(1, name);
    assert_string_equal(name, "1");
    gochat_write_room(INT64_MAX, name);
    assert_string_equal(name, "9223372036854775807");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_is_known_with_the_whole_head),
        cmocka_unit_test(what_begins_no_packet_is_told_at_once),
        cmocka_unit_test(a_head_says_the_length_with_itself),
        cmocka_unit_test(a_room_is_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
