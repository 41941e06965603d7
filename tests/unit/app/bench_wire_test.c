/* bench_wire_test.c - what the bench takes for frames, for answers and for marks. */
#include "bench/wire.h"
#include "check.h"

#include <stdio.h>

static void frame_of_every_length_is_read_back(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 125, 126, 127, 65535, 65536};
    static uint8_t payload[65536];
    static uint8_t frame[65536 + WIRE_HEADER_MAX];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t size = wire_frame(frame, WIRE_TEXT, payload, lengths[i]);
        /* As a server would send it: without the mask. */
        size_t header = size - lengths[i] - 4;
        frame[1] &= 0x7f;
        memmove(frame + header, frame + header + 4, lengths[i]);
        size -= 4;

        struct wire_frame read;
        size_t need;
        for (size_t cut = size > 200 ? size - 200 : 0; cut < size; cut++) {
            assert_int_equal(wire_read(frame, cut, &read, &need), 0);
            assert_true(need > cut && need <= size);
        }
        assert_int_equal(wire_read(frame, size, &read, &need), size);
        assert_int_equal(read.len, lengths[i]);
        assert_int_equal(read.opcode, WIRE_TEXT);
        assert_true(read.is_final);
    }
}

static void frames_no_server_may_send_are_refused(void **state)
{
    (void)state;
    static const uint8_t bad[][10] = {
        {0xc1, 0},                     /* a reserved bit */
        {0x81, 0x80},                  /* masked */
        {0x83, 0},                     /* an opcode nobody knows */
        {0x09, 0},                     /* a ping in fragments */
        {0x89, 126},                   /* a long ping */
        {0x81, 126, 0, 125},           /* a length not in its shortest form */
        {0x81, 127, 0, 0, 0, 0, 0, 0}, /* the same */
        {0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct wire_frame frame;
        size_t need;
        assert_int_equal(wire_read(bad[i], sizeof bad[i], &frame, &need), -1);
    }
}

static int check(const char *answer)
{
    return wire_check_answer((const uint8_t *)answer, strlen(answer));
}

static void answer_is_checked_as_far_as_it_goes(void **state)
{
    (void)state;
    static const char good[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_int_equal(check(good), strlen(good));
    assert_int_equal(check(""), 0);
    assert_int_equal(check("HTTP/1.1 1"), 0);
    assert_int_equal(check("HTTP/1.1 101 Switching"), 0);
    assert_int_equal(check("HTTP/1.1 503 Full\r\n"), -1);
    assert_int_equal(check("HTTP/1.1 101 x\r\nSec-WebSocket-Accept: other\r\n\r\n"), -1);
}

static void target_is_split_and_resolved(void **state)
{
    (void)state;
    struct bench_target target;
    struct kj_error error = {0};
    assert_true(wire_target_parse("ws://127.0.0.1:8080/events?a=b", &target, &error));
    assert_string_equal(target.path, "/events?a=b");
    assert_string_equal(target.authority, "127.0.0.1:8080");
    assert_false(target.tls);
    assert_true(wire_target_parse("https://[::1]", &target, &error));
    assert_string_equal(target.path, "/");
    assert_true(target.tls);
    static const char *const bad[] = {"ftp://h/",     "ws://",      "ws://h:x/", "ws://h:/",
                                      "ws://[::1]x/", "ws://a b/x", "ws://h?x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(wire_target_parse(bad[i], &target, &error));
    }
}

static void message_is_text_or_hexadecimal(void **state)
{
    (void)state;
    struct bench_message message;
    assert_true(wire_message_parse("hex:0aFF{PAYLOAD}00", &message));
    assert_true(message.is_binary);
    assert_int_equal(message.bytes.len, 12);
    assert_memory_equal(message.bytes.data, "\x0a\xff{PAYLOAD}\0", 12);
    free(message.bytes.data);
    assert_true(wire_message_parse("CONNECT {}\r\n", &message));
    assert_false(message.is_binary);
    assert_int_equal(message.bytes.len, 12);
    free(message.bytes.data);
    assert_false(wire_message_parse("hex:0", &message));
    free(message.bytes.data);
    assert_false(wire_message_parse("hex:zz", &message));
    free(message.bytes.data);
}

static void marks_are_found_wherever_they_lie(void **state)
{
    (void)state;
    const struct bench_mark written = {0xbeef, 77, 0x0123456789abcdef};
    struct bench_mark mark;
    char text[200];
    char digits[BENCH_MARK_SIZE + 1] = "";
    bench_mark_write(digits, &written);
    int len = snprintf(text, sizeof text, "~~kj~ {\"name\": \"%sxxx\"} %s", digits, digits);
    const uint8_t *end = (const uint8_t *)text + len;

    const uint8_t *at = bench_mark_find((const uint8_t *)text, (size_t)len, &mark);
    assert_non_null(at);
    assert_int_equal(mark.run, written.run);
    assert_int_equal(mark.number, written.number);
    assert_true(mark.time_ns == written.time_ns);
    at = bench_mark_find(at, (size_t)(end - at), &mark);
    assert_ptr_equal(at, end);
    assert_null(bench_mark_find(at, 0, &mark));
    /* Cut off, it is none. */
    assert_null(bench_mark_find((const uint8_t *)digits, BENCH_MARK_SIZE - 1, &mark));
    digits[10] = 'z';
    assert_null(bench_mark_find((const uint8_t *)digits, BENCH_MARK_SIZE, &mark));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_of_every_length_is_read_back),
        cmocka_unit_test(frames_no_server_may_send_are_refused),
        cmocka_unit_test(answer_is_checked_as_far_as_it_goes),
        cmocka_unit_test(target_is_split_and_resolved),
        cmocka_unit_test(message_is_text_or_hexadecimal),
        cmocka_unit_test(marks_are_found_wherever_they_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
