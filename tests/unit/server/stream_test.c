/* stream_test.c - clients over TCP, of a whole server. */
#include "stream_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void packets_are_cut_wherever_segments_end(void **state)
{
    struct node *node = *state;
    start(node);
    int fd = dial(node);
    send_bytes(fd, "\0\0\0\1x\0\0\0\1y\0\0", 12);
    expect_bytes(fd, "\0\0\0\1x\0\0\0\1y", 10);
    send_bytes(fd, "\0\0", 2); /* a packet without more */
    expect_bytes(fd, "\0\0\0\0", 4);
    for (int i = 0; i < 5; i++) {
        send_bytes(fd, &"\0\0\0\1z"[i], 1);
    }
    expect_bytes(fd, "\0\0\0\1z", 5);
    assert_int_equal(kj_server_counter(node->server, "gateway_messages_received_total"), 4);
    assert_int_equal(kj_server_counter(node->server, "gateway_clients_current"), 1);
    close(fd);
    wait_for(&node->closed, 1);
}

static void a_length_below_zero_ends_the_stream(void **state)
{
    struct node *node = *state;
    start(node);
    int fd = dial(node);
    send_bytes(fd, "\xff\xff\xff\xff", 4);
    expect_end(fd);
    fd = dial(node);
    send_bytes(fd, "\0\1\0\0", 4); /* 64 KiB and the length: more than may be */
    expect_end(fd);
    wait_for(&node->closed, 2);
    assert_int_equal(kj_server_counter(node->server, "sessions_closed_protocol_error_total"), 1);
    assert_int_equal(kj_server_counter(node->server, "sessions_closed_over_limit_total"), 1);
}

enum { TINY = 100000, TINY_SIZE = 5 };

static void *send_tiny(void *ctx)
{
    uint8_t *packets = ctx;
    const int *fd = (const int *)(packets + TINY * TINY_SIZE);
    for (size_t done = 0; done < TINY * TINY_SIZE;) {
        ssize_t sent = send(*fd, packets + done, TINY * TINY_SIZE - done, MSG_NOSIGNAL);
        assert_true(sent > 0);
        done += (size_t)sent;
    }
    return NULL;
}

static void many_tiny_packets_come_back_in_order(void **state)
{
    struct node *node = *state;
    node->protocol.limits.queue_bytes = TINY * TINY_SIZE;
    node->protocol.limits.queue_messages = TINY;
    start(node);
    uint8_t *packets = malloc(TINY * TINY_SIZE + sizeof(int));
    for (uint32_t i = 0; i < TINY; i++) {
        const uint8_t packet[TINY_SIZE] = {0, 0, 0, 1, (uint8_t)(i % 97)};
        memcpy(packets + (size_t)i * TINY_SIZE, packet, sizeof packet);
    }
    int fd = dial(node);
    memcpy(packets + TINY * TINY_SIZE, &fd, sizeof fd);
    pthread_t sender;
    assert_int_equal(pthread_create(&sender, NULL, send_tiny, packets), 0);
    expect_bytes(fd, packets, TINY * TINY_SIZE);
    pthread_join(sender, NULL);
    assert_int_equal(kj_server_counter(node->server, "gateway_messages_received_total"), TINY);
    close(fd);
    free(packets);
}

/* Its queue fills, it goes, and who shares its shard notices nothing. */
static void a_peer_that_stops_reading_is_closed(void **state)
{
    struct node *node = *state;
    node->options.shards = 1;
    start(node);
    int slow = dial(node);
    int fd = dial(node);
    uint8_t *packet = calloc(1, 60000);
    packet[2] = (60000 - LENGTH_SIZE) >> 8;
    packet[3] = (60000 - LENGTH_SIZE) & 0xff;
    while (send(slow, packet, 60000, MSG_NOSIGNAL) > 0) {
        send_bytes(fd, "\0\0\0\1x", 5);
        expect_bytes(fd, "\0\0\0\1x", 5);
    }
    wait_for_counter(node, "sessions_closed_queue_full_total", 1);
    send_bytes(fd, "\0\0\0\1y", 5);
    expect_bytes(fd, "\0\0\0\1y", 5);
    close(slow);
    close(fd);
    free(packet);
}

static void the_last_word_leaves_before_the_end(void **state)
{
    struct node *node = *state;
    start(node);
    int fd = dial(node);
    send_bytes(fd, "\0\0\0\1q\0\0\0\1x", 10);
    expect_bytes(fd, "bye", 3);
    expect_end(fd);
}

static void pushes_go_out_as_they_are(void **state)
{
    struct node *node = *state;
    struct kj_push_receipt receipt;
    start(node);
    int fd = dial(node);
    send_bytes(fd, "\0\0\0\1j", 5);
    expect_bytes(fd, "\0\0\0\1j", 5);
    const struct kj_push_options push = {
        .kind = KJ_TOPIC_ROOM, .name = "room", .body = (const uint8_t *)"hello", .body_len = 5};
    assert_int_equal(kj_gateway_publish(kj_server_gateway(node->server), &push, &receipt), KJ_OK);
    assert_int_equal(receipt.reached, 1);
    expect_bytes(fd, "hello", 5);
    close(fd);
}

static void silence_ends_a_stream(void **state)
{
    struct node *node = *state;
    node->protocol.limits.idle_ms = 200;
    start(node);
    int fd = dial(node);
    expect_end(fd); /* and no ping came before */
    assert_int_equal(kj_server_counter(node->server, "sessions_closed_pong_timeout_total"), 1);
}

static void who_is_not_let_in_in_time_goes(void **state)
{
    struct node *node = *state;
    node->protocol.admits_itself = true;
    node->protocol.limits.handshake_ms = 200;
    start(node);
    int good = dial(node);
    send_bytes(good, "\0\0\0\1a", 5);
    expect_bytes(good, "\0\0\0\1a", 5);
    int fd = dial(node);
    expect_end(fd);
    assert_int_equal(kj_server_counter(node->server, "gateway_handshakes_too_slow_total"), 1);
    send_bytes(good, "\0\0\0\1x", 5);
    expect_bytes(good, "\0\0\0\1x", 5);
    close(good);
}

static void a_stream_has_so_many_connections(void **state)
{
    struct node *node = *state;
    node->stream.connections = 2;
    start(node);
    int fds[2];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2; i++) {
            fds[i] = dial(node);
            send_bytes(fds[i], "\0\0\0\1x", 5);
            expect_bytes(fds[i], "\0\0\0\1x", 5);
        }
        expect_end(dial(node));
        close(fds[0]);
        close(fds[1]);
        wait_for(&node->closed, 2 * (round + 1));
        wait_for_counter(node, "gateway_clients_current", 0);
    }
    assert_int_equal(kj_server_counter(node->server, "stream_connections_refused_total"), 2);
    assert_int_equal(kj_server_counter(node->server, "stream_connections_accepted_total"), 6);
}

static void an_address_has_so_many_sessions_of_any_kind(void **state)
{
    struct node *node = *state;
    node->options.limits.sessions_per_address = 1;
    start(node);
    int fd = dial(node);
    send_bytes(fd, "\0\0\0\1x", 5);
    expect_bytes(fd, "\0\0\0\1x", 5);
    expect_end(dial(node));
    assert_int_equal(kj_server_counter(node->server, "stream_connections_refused_total"), 1);
    close(fd);
}

static void those_who_are_there_are_let_go_at_the_stop(void **state)
{
    struct node *node = *state;
    start(node);
    int fds[20];
    for (int i = 0; i < 20; i++) {
        fds[i] = dial(node);
        send_bytes(fds[i], "\0\0\0\1j\0\0", 7); /* with a packet that is not whole */
        expect_bytes(fds[i], "\0\0\0\1j", 5);
    }
    uint16_t port = kj_server_stream_port(node->server, 0);
    const struct kj_push_options push = {
        .kind = KJ_TOPIC_ROOM, .name = "room", .body = (const uint8_t *)"last", .body_len = 4};
    assert_int_equal(kj_gateway_publish(kj_server_gateway(node->server), &push, NULL), KJ_OK);
    kj_server_stop(node->server);
    assert_int_not_equal(port, 0);
    assert_int_equal(kj_server_stream_port(node->server, 0), 0);
    for (int i = 0; i < 20; i++) {
        expect_bytes(fds[i], "last", 4);
        expect_end(fds[i]);
    }
    assert_int_equal(node->closed, 20);
}

static void what_cannot_be_is_refused(void **state)
{
    struct node *node = *state;
    struct kj_server *server;
    assert_int_equal(kj_server_new(&node->options, &server, &node->error), KJ_OK);
    node->stream.tls = true;
    assert_int_equal(kj_server_listen(server, &node->stream, &node->protocol, &node->error),
                     KJ_EINVAL);
    assert_non_null(strstr(node->error.text, "tls_certificate"));
    node->stream.tls = false;
    node->protocol.is_open = false;
    assert_int_equal(kj_server_listen(server, &node->stream, &node->protocol, &node->error),
                     KJ_EINVAL);
    node->protocol.is_open = true;
    size_t (*packet_len)(const uint8_t *, size_t, void *) = node->protocol.packet_len;
    node->protocol.packet_len = NULL;
    assert_int_equal(kj_server_listen(server, &node->stream, &node->protocol, &node->error),
                     KJ_EINVAL);
    assert_non_null(strstr(node->error.text, "packet_len"));
    node->protocol.packet_len = packet_len;
    node->stream.listen = "nowhere";
    assert_int_equal(kj_server_listen(server, &node->stream, &node->protocol, &node->error), KJ_OK);
    assert_int_equal(kj_server_start(server, &node->error), KJ_EINVAL);
    assert_non_null(strstr(node->error.text, "nowhere"));
    kj_server_free(server);
    node->options.pubsub = NULL;
    assert_int_equal(kj_server_new(&node->options, &server, &node->error), KJ_OK);
    assert_int_equal(kj_server_listen(server, &node->stream, &node->protocol, &node->error),
                     KJ_EUNSUPPORTED);
    kj_server_free(server);
    node->options.pubsub = node->pubsub;
    node->stream.listen = "127.0.0.1:0";
    start(node);
    assert_int_equal(kj_server_listen(node->server, &node->stream, &node->protocol, &node->error),
                     KJ_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(packets_are_cut_wherever_segments_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_length_below_zero_ends_the_stream, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_tiny_packets_come_back_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_peer_that_stops_reading_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_word_leaves_before_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pushes_go_out_as_they_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silence_ends_a_stream, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_not_let_in_in_time_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stream_has_so_many_connections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_address_has_so_many_sessions_of_any_kind, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(those_who_are_there_are_let_go_at_the_stop, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
