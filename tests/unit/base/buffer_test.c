/* buffer_test.c - growing, consuming, handing over, and running out of memory. */
#include "base/buffer.h"
#include "check.h"

static void buffer_holds_what_was_appended(void **state)
{
    (void)state;
    struct kj__buffer buffer;
    kj__buffer_init(&buffer);

    kj__buffer_append_text(&buffer, "one ");
    kj__buffer_append_byte(&buffer, '2');
    kj__buffer_printf(&buffer, " %s %d", "three", 4);
    kj__buffer_append(&buffer, NULL, 0);

    assert_int_equal(buffer.len, 13);
    assert_memory_equal(buffer.data, "one 2 three 4", 13);
    kj__buffer_fini(&buffer);
}

/* Into the room there is, where it fits with its terminator, and else into more. */
static void buffer_prints_whatever_room_is_left(void **state)
{
    (void)state;
    for (size_t before = 250; before <= 260; before++) {
        struct kj__buffer buffer;
        kj__buffer_init(&buffer);
        for (size_t i = 0; i < before; i++) {
            kj__buffer_append_byte(&buffer, '.');
        }

        kj__buffer_printf(&buffer, "%s%d", "abcd", 5);
        kj__buffer_printf(&buffer, "%s", "");

        assert_int_equal(buffer.len, before + 5);
        assert_memory_equal(buffer.data + before, "abcd5", 5);
        kj__buffer_fini(&buffer);
    }
}

static void buffer_writes_numbers_in_decimal(void **state)
{
    (void)state;
    static const char expected[] = "0 7 10 18446744073709551615";
    struct kj__buffer buffer;
    kj__buffer_init(&buffer);

    kj__buffer_append_number(&buffer, 0);
    kj__buffer_append_byte(&buffer, ' ');
    kj__buffer_append_number(&buffer, 7);
    kj__buffer_append_byte(&buffer, ' ');
    kj__buffer_append_number(&buffer, 10);
    kj__buffer_append_byte(&buffer, ' ');
    kj__buffer_append_number(&buffer, UINT64_MAX);

    assert_int_equal(buffer.len, strlen(expected));
    assert_memory_equal(buffer.data, expected, buffer.len);
    kj__buffer_fini(&buffer);
}

static void buffer_grows_over_many_appends(void **state)
{
    (void)state;
    struct kj__buffer buffer;
    kj__buffer_init(&buffer);

    for (int i = 0; i < 10000; i++) {
        kj__buffer_append_byte(&buffer, (uint8_t)i);
    }

    assert_int_equal(buffer.len, 10000);
    for (size_t i = 0; i < buffer.len; i++) {
        assert_int_equal(buffer.data[i], i & 0xff);
    }
    kj__buffer_fini(&buffer);
}

static void buffer_consumes_from_the_front(void **state)
{
    (void)state;
    struct kj__buffer buffer;
    kj__buffer_init(&buffer);
    kj__buffer_append_text(&buffer, "abcdef");

    kj__buffer_consume(&buffer, 2);
    assert_int_equal(buffer.len, 4);
    assert_memory_equal(buffer.data, "cdef", 4);
    kj__buffer_consume(&buffer, 100);

    assert_int_equal(buffer.len, 0);
    kj__buffer_fini(&buffer);
}

static void buffer_take_leaves_it_empty(void **state)
{
    (void)state;
    struct kj__buffer buffer;
    size_t len;
    kj__buffer_init(&buffer);
    kj__buffer_append_text(&buffer, "abc");

    uint8_t *bytes = kj__buffer_take(&buffer, &len);
    uint8_t *empty = kj__buffer_take(&buffer, &len);

    assert_memory_equal(bytes, "abc", 3);
    assert_non_null(empty);
    assert_int_equal(len, 0);
    assert_null(buffer.data);
    free(bytes);
    free(empty);
}

static void buffer_remembers_that_memory_ran_out(void **state)
{
    (void)state;
    struct kj__buffer buffer;
    size_t len;
    kj__buffer_init(&buffer);
    kj__buffer_append_text(&buffer, "abc");

    assert_null(kj__buffer_reserve(&buffer, SIZE_MAX - 1));
    kj__buffer_append_text(&buffer, "def");

    assert_true(buffer.failed);
    assert_int_equal(buffer.len, 3);
    assert_null(kj__buffer_take(&buffer, &len));
    assert_int_equal(len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_holds_what_was_appended),
        cmocka_unit_test(buffer_prints_whatever_room_is_left),
        cmocka_unit_test(buffer_writes_numbers_in_decimal),
        cmocka_unit_test(buffer_grows_over_many_appends),
        cmocka_unit_test(buffer_consumes_from_the_front),
        cmocka_unit_test(buffer_take_leaves_it_empty),
        cmocka_unit_test(buffer_remembers_that_memory_ran_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
