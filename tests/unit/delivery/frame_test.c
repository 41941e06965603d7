/* frame_test.c - the frame reader, fed whole and byte by byte, and what is written. */
#include "delivery/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What a reader reported, as one line of text. */
struct record {
    char text[4096];
    size_t len;
};

static void note(struct record *record, const char *what, const uint8_t *data, size_t len)
{
    record->len += (size_t)snprintf(record->text + record->len, sizeof record->text - record->len,
                                    "%s(%.*s)", what, (int)(len > 64 ? 64 : len),
                                    (const char *)data);
}

static bool on_message(void *ctx, enum kj__opcode opcode, uint8_t *data, size_t len)
{
    note(ctx, opcode == KJ__FRAME_TEXT ? "text" : "binary", data, len);
    return true;
}

static bool on_ping(void *ctx, const uint8_t *data, size_t len)
{
    note(ctx, "ping", data, len);
    return true;
}

static bool on_pong(void *ctx)
{
    note(ctx, "pong", (const uint8_t *)"", 0);
    return true;
}

static bool on_close(void *ctx, uint16_t code)
{
    char text[8];
    int len = snprintf(text, sizeof text, "%u", code);
    note(ctx, "close", (const uint8_t *)text, (size_t)len);
    return false;
}

static const struct kj__frame_events events = {on_message, on_ping, on_pong, on_close};

static const struct kj__frame_limits server_limits = {
    .message_bytes = 70000, .fragments = 8, .check_utf8 = true, .role = KJ__FRAME_SERVER};

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* Appends a client's frame; `first` is the whole first byte. */
static void add_frame(struct kj__buffer *out, uint8_t first, const void *payload, size_t len)
{
    uint8_t header[KJ__FRAME_HEADER_MAX];
    size_t header_len = kj__frame_header(header, KJ__FRAME_TEXT, len);
    header[0] = first;
    header[1] |= 0x80;
    kj__buffer_append(out, header, header_len);
    kj__buffer_append(out, mask, sizeof mask);
    for (size_t i = 0; i < len; i++) {
        kj__buffer_append_byte(out, ((const uint8_t *)payload)[i] ^ mask[i % 4]);
    }
}

static void add_text(struct kj__buffer *out, uint8_t first, const char *payload)
{
    add_frame(out, first, payload, strlen(payload));
}

/* Feeds a copy in pieces of `piece` bytes and returns the outcome. */
static struct kj__frame_outcome feed(const struct kj__buffer *input, size_t piece,
                                     const struct kj__frame_limits *limits, struct record *record)
{
    struct kj__frame_reader reader;
    struct kj__frame_outcome outcome = {0};
    kj__frame_reader_init(&reader);
    *record = (struct record){.len = 0};
    for (size_t at = 0; at < input->len; at += piece) {
        size_t len = input->len - at < piece ? input->len - at : piece;
        uint8_t *copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, input->data + at, len);
        outcome = kj__frame_reader_feed(&reader, limits, copy, len, &events, record);
        free(copy);
        if (outcome.is_stopped || outcome.code) {
            break;
        }
    }
    kj__frame_reader_fini(&reader);
    return outcome;
}

/* Whatever the pieces, the outcome is the same. */
static void expect(struct kj__buffer *input, const char *text, uint16_t code)
{
    static const size_t pieces[] = {1, 2, 3, 7, 64, 1 << 20};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct record record;
        struct kj__frame_outcome outcome = feed(input, pieces[i], &server_limits, &record);
        assert_string_equal(record.text, text);
        assert_int_equal(outcome.code, code);
        if (code) {
            assert_true(outcome.reason[0]);
        }
    }
    kj__buffer_fini(input);
    kj__buffer_init(input);
}

static void whole_messages_arrive(void **state)
{
    (void)state;
    struct kj__buffer input = {0};
    add_text(&input, 0x81, "hello");
    add_text(&input, 0x82, "bytes");
    add_text(&input, 0x81, "");
    expect(&input, "text(hello)binary(bytes)text()", 0);
}

static void fragments_are_joined_and_controls_come_between(void **state)
{
    (void)state;
    struct kj__buffer input = {0};
    add_text(&input, 0x01, "hel");
    add_text(&input, 0x89, "mid");
    add_text(&input, 0x00, "");
    add_text(&input, 0x8a, "");
    add_text(&input, 0x80, "lo");
    add_text(&input, 0x81, "next");
    expect(&input, "ping(mid)pong()text(hello)text(next)", 0);
}

static void long_forms_of_length_are_read(void **state)
{
    (void)state;
    char *payload = malloc(66000);
    assert_non_null(payload);
    memset(payload, 'x', 66000);
    static const size_t lengths[] = {125, 126, 127, 65535, 65536, 66000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct kj__buffer input = {0};
        struct record record;
        char wanted[80];
        add_frame(&input, 0x82, payload, lengths[i]);
        (void)snprintf(wanted, sizeof wanted, "binary(%.64s)", payload);
        assert_int_equal(feed(&input, 1000, &server_limits, &record).code, 0);
        assert_string_equal(record.text, wanted);
        kj__buffer_fini(&input);
    }
    free(payload);
}

static void protocol_errors_are_1002(void **state)
{
    (void)state;
    struct kj__buffer input = {0};
    static const uint8_t reserved[] = {0xc1, 0xa1, 0x91, 0x83, 0x87, 0x8b, 0x8f};
    for (size_t i = 0; i < sizeof reserved; i++) {
        add_text(&input, reserved[i], "x");
        expect(&input, "", KJ__CLOSE_PROTOCOL_ERROR);
    }
    kj__buffer_append(&input, "\x81\x02{}", 4); /* not masked */
    expect(&input, "", KJ__CLOSE_PROTOCOL_ERROR);
    add_text(&input, 0x09, "x"); /* a fragmented ping */
    expect(&input, "", KJ__CLOSE_PROTOCOL_ERROR);
    kj__buffer_append(&input, "\x89\xfe\x00\x7e", 4); /* a ping of 126 bytes */
    expect(&input, "", KJ__CLOSE_PROTOCOL_ERROR);
    add_text(&input, 0x80, "x"); /* continues nothing */
    expect(&input, "", KJ__CLOSE_PROTOCOL_ERROR);
    add_text(&input, 0x01, "a");
    add_text(&input, 0x81, "b"); /* a message inside a message */
    expect(&input, "", KJ__CLOSE_PROTOCOL_ERROR);
}

static void lengths_must_be_shortest_and_positive(void **state)
{
    (void)state;
    struct kj__buffer input = {0};
    kj__buffer_append(&input, "\x81\xfe\x00\x02\0\0\0\0{}", 10);
    expect(&input, "", KJ__CLOSE_PROTOCOL_ERROR);
    kj__buffer_append(&input, "\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", 14);
    expect(&input, "", KJ__CLOSE_PROTOCOL_ERROR);
    kj__buffer_append(&input, "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14);
    expect(&input, "", KJ__CLOSE_PROTOCOL_ERROR);
}

static void too_large_a_message_is_refused_at_its_header(void **state)
{
    (void)state;
    struct kj__buffer input = {0};
    kj__buffer_append(&input, "\x82\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0", 14); /* 2 GiB */
    expect(&input, "", KJ__CLOSE_TOO_LARGE);
}

static void fragments_are_limited_in_size_and_number(void **state)
{
    (void)state;
    struct kj__buffer input = {0};
    static char payload[40000];
    add_frame(&input, 0x02, payload, sizeof payload);
    add_frame(&input, 0x80, payload, sizeof payload);
    expect(&input, "", KJ__CLOSE_TOO_LARGE);
    add_text(&input, 0x01, "");
    for (int i = 0; i < 8; i++) {
        add_text(&input, 0x00, "");
    }
    expect(&input, "", KJ__CLOSE_POLICY);
}

static void close_frames_are_checked(void **state)
{
    (void)state;
    struct kj__buffer input = {0};
    add_text(&input, 0x88, "");
    expect(&input, "close(1005)", 0);
    add_frame(&input, 0x88, "\x03\xe8\xc3\xa9", 4);
    expect(&input, "close(1000)", 0);
    add_frame(&input, 0x88, "\x03", 1);
    expect(&input, "", KJ__CLOSE_PROTOCOL_ERROR);
    add_frame(&input, 0x88, "\x03\xe8\xff", 3);
    expect(&input, "", KJ__CLOSE_INVALID_DATA);
    static const uint16_t bad[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t code[2] = {(uint8_t)(bad[i] >> 8), (uint8_t)bad[i]};
        add_frame(&input, 0x88, code, 2);
        expect(&input, "", KJ__CLOSE_PROTOCOL_ERROR);
    }
    static const uint16_t good[] = {1000, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint8_t code[2] = {(uint8_t)(good[i] >> 8), (uint8_t)good[i]};
        char wanted[32];
        (void)snprintf(wanted, sizeof wanted, "close(%u)", good[i]);
        add_frame(&input, 0x88, code, 2);
        expect(&input, wanted, 0);
    }
}

static void invalid_utf8_fails_as_soon_as_it_shows(void **state)
{
    (void)state;
    struct kj__buffer input = {0};
    add_frame(&input, 0x81, "\xce\xba\xed\xa0\x80 and much that never comes", 31);
    input.len -= 20; /* the frame is not even complete */
    expect(&input, "", KJ__CLOSE_INVALID_DATA);
    add_frame(&input, 0x01, "\xce", 1); /* a character may be split between frames */
    add_frame(&input, 0x80, "\xba", 1);
    expect(&input, "text(\xce\xba)", 0);
    add_frame(&input, 0x01, "\xce", 1);
    add_frame(&input, 0x80, "", 0); /* but the message must not end within one */
    expect(&input, "", KJ__CLOSE_INVALID_DATA);
    add_frame(&input, 0x82, "\xff", 1); /* binary may hold anything */
    expect(&input, "binary(\xff)", 0);
}

static void utf8_is_not_checked_where_not_asked_for(void **state)
{
    (void)state;
    struct kj__buffer input = {0};
    struct record record;
    struct kj__frame_limits limits = server_limits;
    limits.check_utf8 = false;
    add_frame(&input, 0x81, "\xff\xfe", 2);
    assert_int_equal(feed(&input, 1, &limits, &record).code, 0);
    assert_string_equal(record.text, "text(\xff\xfe)");
    kj__buffer_fini(&input);
}

static void client_and_server_understand_each_other(void **state)
{
    (void)state;
    struct kj__buffer out = {0};
    struct record record;
    struct kj__frame_limits limits = server_limits;
    /* What a client writes, a server reads. */
    kj__frame_append(&out, KJ__FRAME_CLIENT, KJ__FRAME_TEXT, (const uint8_t *)"to server", 9);
    kj__frame_append_close(&out, KJ__FRAME_CLIENT, 3001, "bye");
    assert_int_equal(feed(&out, 3, &limits, &record).code, 0);
    assert_string_equal(record.text, "text(to server)close(3001)");
    kj__buffer_fini(&out);
    kj__buffer_init(&out);
    /* What a server writes, a client reads, and a server refuses. */
    kj__frame_append(&out, KJ__FRAME_SERVER, KJ__FRAME_BINARY, (const uint8_t *)"to client", 9);
    assert_int_equal(feed(&out, 3, &limits, &record).code, KJ__CLOSE_PROTOCOL_ERROR);
    limits.role = KJ__FRAME_CLIENT;
    assert_int_equal(feed(&out, 3, &limits, &record).code, 0);
    assert_string_equal(record.text, "binary(to client)");
    kj__buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_messages_arrive),
        cmocka_unit_test(fragments_are_joined_and_controls_come_between),
        cmocka_unit_test(long_forms_of_length_are_read),
        cmocka_unit_test(protocol_errors_are_1002),
        cmocka_unit_test(lengths_must_be_shortest_and_positive),
        cmocka_unit_test(too_large_a_message_is_refused_at_its_header),
        cmocka_unit_test(fragments_are_limited_in_size_and_number),
        cmocka_unit_test(close_frames_are_checked),
        cmocka_unit_test(invalid_utf8_fails_as_soon_as_it_shows),
        cmocka_unit_test(utf8_is_not_checked_where_not_asked_for),
        cmocka_unit_test(client_and_server_understand_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
