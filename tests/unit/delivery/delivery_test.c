/* delivery_test.c - connections on real shards, over socket pairs. */
#include "base/clock.h"
#include "pairs.h"

#include <stdio.h>
#include <stdlib.h>

/* Every test runs with each way to the sockets that there is. */
static enum kj_io fixture_io;

struct fixture {
    struct kj__counters counters;
    struct kj__delivery *delivery;
    struct kj__endpoint endpoint;
    _Atomic int opened, closed, released, answered;
    int peer;                            /* for fill_a_gap */
    uint8_t *read;                       /* what it read of it */
    size_t read_size;                    /* room; then the length */
    int dropped;                         /* the number of the one that was */
    struct kj__connection *_Atomic heir; /* is told of the end of another */
    _Atomic int refused, closed_within;
};

static struct fixture *fixture_of(struct kj__connection *connection)
{
    return connection->endpoint->ctx;
}

static void on_open(struct kj__connection *connection)
{
    atomic_fetch_add(&fixture_of(connection)->opened, 1);
}

static struct kj__out_frame *frame_of_100(const char *text)
{
    uint8_t payload[100] = {0};
    (void)snprintf((char *)payload, sizeof payload, "%s", text);
    return kj__out_frame_new(KJ__FRAME_TEXT, payload, sizeof payload);
}

static struct kj__out_frame *numbered_frame(int number)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", number);
    return frame_of_100(text);
}

/* Numbered frames until one is dropped; then there is room again, and the next come by an
 * audience. */
static void fill_a_gap(struct kj__connection *connection)
{
    struct fixture *fixture = fixture_of(connection);
    enum kj__send_result result = KJ__SENT;
    int number = 0;
    while (result == KJ__SENT) {
        struct kj__out_frame *frame = numbered_frame(number++);
        result = kj__connection_send(connection, frame);
        kj__out_frame_unref(frame);
    }
    fixture->dropped = number - 1;
    ssize_t got;
    size_t len = 0;
    while ((got = recv(fixture->peer, fixture->read + len, fixture->read_size - len,
                       MSG_DONTWAIT)) > 0) {
        len += (size_t)got;
    }
    fixture->read_size = len;
    struct kj__audience audience;
    struct kj__seat seat;
    kj__audience_init(&audience, connection->shard);
    assert_true(kj__audience_seat(&audience, &seat, connection));
    for (int i = 0; i < 3; i++) {
        struct kj__out_frame *frame = numbered_frame(number++);
        assert_true(kj__audience_append(&audience, frame));
        kj__out_frame_unref(frame);
    }
    kj__seat_leave(&seat);
    kj__audience_fini(&audience);
}

static void on_room(struct kj__connection *connection)
{
    if (fixture_of(connection)->read) {
        struct kj__out_frame *frame = frame_of_100("gap");
        kj__connection_send_notice(connection, frame);
        kj__out_frame_unref(frame);
    }
}

/* The peer is gone, and what is queued finds that out. */
static void send_into_nothing(struct kj__connection *connection)
{
    struct fixture *fixture = fixture_of(connection);
    close(fixture->peer);
    for (int i = 0; i < 300; i++) {
        struct kj__out_frame *frame = numbered_frame(i);
        bool is_closed = kj__connection_send(connection, frame) == KJ__SEND_CLOSED;
        atomic_fetch_add(&fixture->refused, is_closed);
        kj__out_frame_unref(frame);
    }
    atomic_store(&fixture->closed_within, atomic_load(&fixture->closed));
}

/* Echoes; "flood N" sends N numbered frames of 100 bytes instead, the others do as their names
 * say. */
static void on_message(struct kj__connection *connection, enum kj__opcode opcode, uint8_t *data,
                       size_t len)
{
    if (len == 3 && memcmp(data, "gap", 3) == 0) {
        fill_a_gap(connection);
        atomic_fetch_add(&fixture_of(connection)->answered, 1);
        return;
    }
    if (len == 5 && memcmp(data, "break", 5) == 0) {
        send_into_nothing(connection);
        return;
    }
    if (len == 4 && memcmp(data, "late", 4) == 0) {
        kj__connection_close_late(connection, KJ__CLOSE_UNSUPPORTED, KJ__CAUSE_BAD_CONFIG, 100);
    }
    if (len == 4 && memcmp(data, "heir", 4) == 0) {
        fixture_of(connection)->heir = connection;
    } else if (len == 4 && memcmp(data, "ends", 4) == 0) {
        close(fixture_of(connection)->peer); /* the flush finds that out */
    }
    int count = len > 6 && memcmp(data, "flood ", 6) == 0 ? atoi((const char *)data + 6) : 0;
    for (int i = 0; i < (count ? count : 1); i++) {
        struct kj__out_frame *frame = count ? numbered_frame(i)
                                            : kj__out_frame_new(opcode, data, len);
        kj__connection_send(connection, frame);
        kj__out_frame_unref(frame);
    }
    atomic_fetch_add(&fixture_of(connection)->answered, 1);
}

static void on_closed(struct kj__connection *connection, bool was_open)
{
    (void)was_open;
    struct kj__connection *heir = fixture_of(connection)->heir;
    atomic_fetch_add(&fixture_of(connection)->closed, 1);
    if (heir && heir != connection) {
        struct kj__out_frame *frame = kj__out_frame_new(KJ__FRAME_TEXT, (const uint8_t *)"gone", 4);
        kj__connection_send(heir, frame);
        kj__out_frame_unref(frame);
    }
}

static void release(struct kj__connection *connection)
{
    atomic_fetch_add(&fixture_of(connection)->released, 1);
    free(connection);
}

static const struct kj__protocol protocol = {.name = "test",
                                             .on_open = on_open,
                                             .on_message = on_message,
                                             .on_closed = on_closed,
                                             .on_room = on_room,
                                             .release = release};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->endpoint = (struct kj__endpoint){.protocol = &protocol,
                                              .message_bytes = 1000,
                                              .message_fragments = 10,
                                              .queue_bytes = 1000000,
                                              .queue_messages = 100,
                                              .ping_interval_ms = 60000,
                                              .pong_timeout_ms = 60000,
                                              .write_stall_ms = 60000,
                                              .close_timeout_ms = 500,
                                              .ctx = fixture};
    assert_int_equal(kj__delivery_new(2, fixture_io, &fixture->counters, &fixture->delivery),
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

static void start(struct fixture *fixture)
{
    assert_int_equal(kj__delivery_start(fixture->delivery), KJ_OK);
}

/* A connection on a shard; the peer's end is returned. */
static int connect_pair(struct fixture *fixture)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct kj__connection *connection = malloc(sizeof *connection);
    kj__connection_init(connection, fixture->delivery, &fixture->endpoint, true);
    assert_true(kj__connection_announce(connection));
    assert_true(kj__connection_attach(connection, pair[0], NULL));
    kj__connection_unref(connection);
    return pair[1];
}

static void messages_are_answered(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_pair(fixture);
    send_frame(fd, 0x81, "hi", 2);
    expect_bytes(fd, "\x81\x02hi", 4);
    send_frame(fd, 0x89, "ping", 4);
    expect_bytes(fd, "\x8a\x04ping", 6);
    close(fd);
    wait_for(&fixture->released, 1);
    assert_int_equal(fixture->counters.closed_by_peer, 1);
}

static void a_close_is_echoed_with_its_code(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_pair(fixture);
    send_frame(fd, 0x88, "\x0b\xb9 bye", 6); /* 3001 */
    expect_bytes(fd, "\x88\x02\x0b\xb9", 4);
    expect_end(fd);
    close(fd);
    wait_for(&fixture->closed, 1);
}

static void a_protocol_error_is_told_and_ends_the_socket(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_pair(fixture);
    uint8_t unmasked[] = {0x81, 0x01, 'x'};
    assert_int_equal(send(fd, unmasked, sizeof unmasked, 0), sizeof unmasked);
    expect_bytes(fd,
                 "\x88\x0a\x03\xea"
                 "bad MASK",
                 12);
    expect_end(fd); /* although the peer keeps its own end open */
    wait_for(&fixture->closed, 1);
    assert_int_equal(fixture->counters.closed_protocol_error, 1);
    close(fd);
}

static void a_silent_peer_is_pinged_and_then_dropped(void **state)
{
    struct fixture *fixture = *state;
    fixture->endpoint.ping_interval_ms = 100;
    fixture->endpoint.pong_timeout_ms = 1500;
    start(fixture);
    int fd = connect_pair(fixture);
    expect_bytes(fd, "\x89\x00\x89\x00", 4);
    wait_for(&fixture->released, 1);
    assert_int_equal(fixture->counters.closed_pong_timeout, 1);
    close(fd);
}

static void a_peer_that_does_not_read_is_dropped_for_stalling(void **state)
{
    struct fixture *fixture = *state;
    fixture->endpoint.write_stall_ms = 200;
    fixture->endpoint.queue_messages = 100000;
    fixture->endpoint.queue_bytes = 100000000;
    start(fixture);
    int fd = connect_pair(fixture);
    send_frame(fd, 0x81, "flood 50000", 11);
    wait_for(&fixture->released, 1);
    assert_int_equal(fixture->counters.closed_write_stall, 1);
    close(fd);
}

/* Reads so many frames of 100 bytes; returns the last number. */
static int read_numbers(int fd, uint64_t count)
{
    int last = -1;
    while (count-- > 0) {
        uint8_t frame[102];
        read_exactly(fd, frame, sizeof frame);
        int number = atoi((const char *)frame + 2);
        assert_true(number > last);
        last = number;
    }
    return last;
}

/* Floods a new connection; how many frames were dropped. */
static uint64_t flood(struct fixture *fixture, int *fd)
{
    start(fixture);
    *fd = connect_pair(fixture);
    send_frame(*fd, 0x81, "flood 50000", 11);
    wait_for(&fixture->answered, 1);
    uint64_t dropped = fixture->counters.dropped_queue_full;
    assert_in_range(dropped, 1, 50000 - 1);
    return dropped;
}

static void a_full_queue_drops_the_newest(void **state)
{
    struct fixture *fixture = *state;
    int fd;
    uint64_t dropped = flood(fixture, &fd);
    assert_true(read_numbers(fd, 50000 - dropped) < 49999);
    assert_int_equal(fixture->counters.dropped_queue_full, dropped);
    close(fd);
}

static void a_full_queue_drops_the_oldest(void **state)
{
    struct fixture *fixture = *state;
    fixture->endpoint.queue_policy = KJ_QUEUE_DROP_OLDEST;
    int fd;
    uint64_t dropped = flood(fixture, &fd);
    assert_int_equal(read_numbers(fd, 50000 - dropped), 49999);
    assert_int_equal(fixture->counters.dropped_queue_full, dropped);
    close(fd);
}

static void a_full_queue_disconnects(void **state)
{
    struct fixture *fixture = *state;
    fixture->endpoint.queue_policy = KJ_QUEUE_DISCONNECT;
    start(fixture);
    int fd = connect_pair(fixture);
    send_frame(fd, 0x81, "flood 50000", 11);
    wait_for(&fixture->closed, 1); /* its close frame cannot leave: the deadline ends it */
    assert_int_equal(fixture->counters.closed_queue_full, 1);
    close(fd);
}

/* The word about a gap stands where the gap is, and what an audience has for the connection
 * stays in order around it. */
static void what_was_dropped_is_told_in_its_place(void **state)
{
    enum { READ_SIZE = 1 << 20, FRAME_SIZE = 102 };
    struct fixture *fixture = *state;
    start(fixture);
    fixture->read = malloc(READ_SIZE);
    fixture->read_size = READ_SIZE - 200 * FRAME_SIZE;
    int fd = fixture->peer = connect_pair(fixture);
    send_frame(fd, 0x81, "gap", 3);
    wait_for(&fixture->answered, 1);
    /* What was dropped is the number before the last three. */
    int dropped = fixture->dropped;
    int count = dropped + 4;
    size_t sent = (size_t)count * FRAME_SIZE;
    assert_in_range(sent, fixture->read_size, READ_SIZE);
    read_exactly(fd, fixture->read + fixture->read_size, sent - fixture->read_size);
    for (int i = 0; i < count; i++) {
        const char *text = (const char *)fixture->read + (size_t)i * FRAME_SIZE + 2;
        if (i == dropped) {
            assert_string_equal(text, "gap");
        } else {
            assert_int_equal(atoi(text), i);
        }
    }
    free(fixture->read);
    close(fd);
}

/* What the sender keeps of a connection is its own until it returns. */
static void one_that_breaks_in_a_send_is_closed_after_it(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    fixture->peer = connect_pair(fixture);
    send_frame(fixture->peer, 0x81, "break", 5);
    wait_for(&fixture->released, 1);
    assert_int_equal(fixture->closed_within, 0);
    assert_int_equal(fixture->closed, 1);
    assert_true(fixture->refused > 0);
    assert_int_equal(fixture->counters.closed_io_error, 1);
    assert_int_equal(fixture->counters.dropped_closing, 300);
}

/* But for the answer to a ping. */
static void one_that_is_to_be_closed_is_sent_no_more(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_pair(fixture);
    send_frame(fd, 0x81, "late", 4); /* its echo is dropped */
    send_frame(fd, 0x89, "ping", 4);
    expect_bytes(fd, "\x8a\x04ping", 6);
    expect_bytes(fd, "\x88\x02\x03\xeb", 4);
    expect_end(fd);
    close(fd);
    wait_for(&fixture->released, 1);
    assert_int_equal(fixture->counters.dropped_closing, 1);
    assert_int_equal(fixture->counters.closed_bad_config, 1);
}

/* Nothing else happens that would wake the shard. */
static void what_is_sent_at_the_end_of_another_goes_out(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_pair(fixture);
    int other = connect_pair(fixture); /* on the other shard */
    fixture->peer = connect_pair(fixture);
    send_frame(fd, 0x81, "heir", 4);
    expect_bytes(fd, "\x81\x04heir", 6);
    send_frame(fixture->peer, 0x81, "ends", 4);
    expect_bytes(fd, "\x81\x04gone", 6);
    wait_for(&fixture->released, 1);
    fixture->heir = NULL;
    close(fd);
    close(other);
    wait_for(&fixture->released, 3);
}

static void stopping_flushes_and_says_1001(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fds[20];
    for (int i = 0; i < 20; i++) {
        fds[i] = connect_pair(fixture);
        send_frame(fds[i], 0x81, "last", 4);
    }
    for (int i = 0; i < 20; i++) {
        expect_bytes(fds[i], "\x81\x04last", 6);
    }
    kj__delivery_stop(fixture->delivery, 1000);
    for (int i = 0; i < 20; i++) {
        expect_bytes(fds[i], "\x88\x02\x03\xe9", 4);
        expect_end(fds[i]);
        close(fds[i]);
    }
    assert_int_equal(fixture->released, 20);
    assert_int_equal(fixture->counters.closed_by_server, 20);
}

/* Its peer keeps its end open, and nothing else happens that would wake the shard. */
static void stopping_waits_for_no_close_that_began_before(void **state)
{
    struct fixture *fixture = *state;
    fixture->endpoint.close_timeout_ms = 20000;
    start(fixture);
    int fd = connect_pair(fixture);
    send_frame(fd, 0x88, "\x0b\xb9 bye", 6);
    expect_bytes(fd, "\x88\x02\x0b\xb9", 4);
    expect_end(fd);
    uint64_t began = kj__clock_monotonic_ms();
    kj__delivery_stop(fixture->delivery, 100);
    assert_in_range(kj__clock_monotonic_ms() - began, 100, 10000);
    assert_int_equal(fixture->released, 1);
    close(fd);
}

static void an_abandoned_handshake_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    struct kj__connection *connection = malloc(sizeof *connection);
    kj__connection_init(connection, fixture->delivery, &fixture->endpoint, true);
    assert_true(kj__connection_announce(connection));
    kj__connection_abandon(connection);
    kj__connection_unref(connection);
    wait_for(&fixture->released, 1);
    assert_int_equal(fixture->opened, 0);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(messages_are_answered),
        WITH_FIXTURE(a_close_is_echoed_with_its_code),
        WITH_FIXTURE(a_protocol_error_is_told_and_ends_the_socket),
        WITH_FIXTURE(a_silent_peer_is_pinged_and_then_dropped),
        WITH_FIXTURE(a_peer_that_does_not_read_is_dropped_for_stalling),
        WITH_FIXTURE(a_full_queue_drops_the_newest),
        WITH_FIXTURE(a_full_queue_drops_the_oldest),
        WITH_FIXTURE(a_full_queue_disconnects),
        WITH_FIXTURE(what_was_dropped_is_told_in_its_place),
        WITH_FIXTURE(one_that_is_to_be_closed_is_sent_no_more),
        WITH_FIXTURE(one_that_breaks_in_a_send_is_closed_after_it),
        WITH_FIXTURE(what_is_sent_at_the_end_of_another_goes_out),
        WITH_FIXTURE(stopping_flushes_and_says_1001),
        WITH_FIXTURE(stopping_waits_for_no_close_that_began_before),
        WITH_FIXTURE(an_abandoned_handshake_leaves_nothing),
    };
    int failed = 0;
    for (int way = 0; way < count_ways(); way++) {
        fixture_io = way ? KJ_IO_URING : KJ_IO_EPOLL;
        failed += cmocka_run_group_tests_name(way ? "io_uring" : "epoll", tests, NULL, NULL);
    }
    return failed;
}
