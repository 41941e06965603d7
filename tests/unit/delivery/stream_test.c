/* stream_test.c - connections whose protocol has packets of its own: two bytes of length, which
 * counts itself, then the rest. */
#include "pairs.h"

#include <stdlib.h>

enum { LENGTH_SIZE = 2, PACKET_MAX = 1000 };

struct fixture {
    struct kj__counters counters;
    struct kj__delivery *delivery;
    struct kj__endpoint endpoint;
    _Atomic int closed, released;
};

static struct fixture *fixture_of(const struct kj__connection *connection)
{
    return connection->endpoint->ctx;
}

static int64_t packet_len(const struct kj__connection *connection, const uint8_t *bytes, size_t len)
{
    (void)connection;
    if (len < LENGTH_SIZE) {
        return KJ__PACKET_MORE;
    }
    int64_t packet = bytes[0] << 8 | bytes[1];
    return packet < LENGTH_SIZE ? KJ__PACKET_INVALID : packet;
}

static void on_open(struct kj__connection *connection)
{
    (void)connection;
}

/* Echoes; "bye" is the last that is answered. */
static void on_message(struct kj__connection *connection, enum kj__opcode opcode, uint8_t *data,
                       size_t len)
{
    assert_int_equal(opcode, KJ__FRAME_BINARY);
    assert_int_equal(packet_len(connection, data, len), len);
    struct kj__out_frame *frame = kj__out_frame_new_bytes(data, len);
    kj__connection_send(connection, frame);
    kj__out_frame_unref(frame);
    if (len == 5 && memcmp(data + LENGTH_SIZE, "bye", 3) == 0) {
        kj__connection_close(connection, KJ__CLOSE_NORMAL, NULL, KJ__CAUSE_SERVER, true);
    }
}

static void on_closed(struct kj__connection *connection, bool was_open)
{
    assert_true(was_open);
    atomic_fetch_add(&fixture_of(connection)->closed, 1);
}

static void release(struct kj__connection *connection)
{
    atomic_fetch_add(&fixture_of(connection)->released, 1);
    free(connection);
}

static const struct kj__protocol protocol = {.name = "test",
                                             .packet_len = packet_len,
                                             .on_open = on_open,
                                             .on_message = on_message,
                                             .on_closed = on_closed,
                                             .release = release};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->endpoint = (struct kj__endpoint){.protocol = &protocol,
                                              .message_bytes = PACKET_MAX,
                                              .queue_bytes = 1000000,
                                              .queue_messages = 1000,
                                              .ping_interval_ms = 50,
                                              .pong_timeout_ms = 60000,
                                              .write_stall_ms = 60000,
                                              .close_timeout_ms = 500,
                                              .ctx = fixture};
    assert_int_equal(kj__delivery_new(1, KJ_IO_AUTO, &fixture->counters, &fixture->delivery),
                     KJ_OK);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    kj__delivery_free(fixture->delivery);
    free(fixture);
    return 0;
}

static int connect_pair(struct fixture *fixture)
{
    int pair[2];
    assert_int_equal(kj__delivery_start(fixture->delivery), KJ_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct kj__connection *connection = malloc(sizeof *connection);
    kj__connection_init(connection, fixture->delivery, &fixture->endpoint, true);
    assert_true(kj__connection_announce(connection));
    assert_true(kj__connection_attach(connection, pair[0], NULL));
    kj__connection_unref(connection);
    return pair[1];
}

static void send_bytes(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void packets_of_one_segment_are_cut(void **state)
{
    int fd = connect_pair(*state);
    send_bytes(fd, "\0\4ab\0\2\0\5cde\0\3", 13); /* the last one lacks a byte */
    expect_bytes(fd, "\0\4ab\0\2\0\5cde", 11);
    send_bytes(fd, "f\0\3g", 4);
    expect_bytes(fd, "\0\3f\0\3g", 6);
    close(fd);
}

static void packets_of_single_bytes_are_joined(void **state)
{
    struct fixture *fixture = *state;
    int fd = connect_pair(fixture);
    uint8_t packet[PACKET_MAX] = {PACKET_MAX >> 8, PACKET_MAX & 0xff};
    uint8_t answer[PACKET_MAX];
    for (size_t i = LENGTH_SIZE; i < sizeof packet; i++) {
        packet[i] = (uint8_t)i;
    }
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < sizeof packet; i++) {
            send_bytes(fd, &packet[i], 1);
        }
        read_exactly(fd, answer, sizeof answer);
        assert_memory_equal(answer, packet, sizeof packet);
    }
    close(fd);
    wait_for(&fixture->released, 1);
    assert_int_equal(fixture->counters.closed_by_peer, 1);
}

static void a_length_that_is_none_ends_the_stream(void **state)
{
    struct fixture *fixture = *state;
    int fd = connect_pair(fixture);
    send_bytes(fd, "\0\3x", 3);
    expect_bytes(fd, "\0\3x", 3);
    send_bytes(fd, "\0\1", 2);
    expect_end(fd);
    wait_for(&fixture->closed, 1);
    assert_int_equal(fixture->counters.closed_protocol_error, 1);
    close(fd);
}

static void a_packet_beyond_the_limit_is_not_waited_for(void **state)
{
    struct fixture *fixture = *state;
    int fd = connect_pair(fixture);
    send_bytes(fd, "\x03\xe9", 2); /* 1,001 */
    expect_end(fd);
    wait_for(&fixture->closed, 1);
    assert_int_equal(fixture->counters.closed_over_limit, 1);
    close(fd);
}

static void the_last_word_leaves_before_the_end_and_nothing_is_framed(void **state)
{
    struct fixture *fixture = *state;
    int fd = connect_pair(fixture);
    send_bytes(fd, "\0\5bye\0\3x", 8); /* what follows is not heard */
    expect_bytes(fd, "\0\5bye", 5);
    expect_end(fd);
    close(fd);
    wait_for(&fixture->released, 1);
}

/* No pings of ours go out; any packet is a sign of life. */
static void silence_ends_a_stream(void **state)
{
    struct fixture *fixture = *state;
    fixture->endpoint.pong_timeout_ms = 300;
    int fd = connect_pair(fixture);
    for (int i = 0; i < 4; i++) {
        poll(NULL, 0, 100);
        send_bytes(fd, "\0\3x", 3);
        expect_bytes(fd, "\0\3x", 3);
    }
    assert_int_equal(atomic_load(&fixture->closed), 0);
    expect_end(fd);
    wait_for(&fixture->closed, 1);
    assert_int_equal(fixture->counters.closed_pong_timeout, 1);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(packets_of_one_segment_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(packets_of_single_bytes_are_joined, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_length_that_is_none_ends_the_stream, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_packet_beyond_the_limit_is_not_waited_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_last_word_leaves_before_the_end_and_nothing_is_framed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(silence_ends_a_stream, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
