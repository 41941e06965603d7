/* door_test.c - connections at a door, with the test in civetweb's place. */
#include "http/door.h"
#include "http/door_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 10000 };

static const char HEAD[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#define UPGRADE "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
#define HANDSHAKE "GET / HTTP/1.1\r\n" UPGRADE "\r\n"

struct fixture {
    struct kj__counters counters;
    struct kj__door door;
    int number; /* where civetweb believes its listening socket to be */
    struct sockaddr_in address;
};

static void open_door(struct fixture *fixture, const struct kj__door_options *wanted)
{
    socklen_t len = sizeof fixture->address;
    memset(fixture, 0, sizeof *fixture);
    fixture->number = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fixture->address = (struct sockaddr_in){.sin_family = AF_INET,
                                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fixture->number, (struct sockaddr *)&fixture->address, len), 0);
    assert_int_equal(listen(fixture->number, 64), 0);
    getsockname(fixture->number, (struct sockaddr *)&fixture->address, &len);
    struct kj__door_options options = *wanted;
    options.counters = &fixture->counters;
    kj__door_init(&fixture->door);
    assert_true(kj__door_open(&fixture->door, fixture->number, &options));
}

static void close_door(struct fixture *fixture)
{
    kj__door_fini(&fixture->door);
    close(fixture->number);
}

static int connect_from(const struct fixture *fixture, const char *address, const char *text)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in own = {.sin_family = AF_INET};
    inet_pton(AF_INET, address, &own.sin_addr);
    assert_int_equal(bind(fd, (const struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(
        connect(fd, (const struct sockaddr *)&fixture->address, sizeof fixture->address), 0);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    return fd;
}

static int connect_to(const struct fixture *fixture, const char *text)
{
    return connect_from(fixture, "127.0.0.1", text);
}

/* Waits for the door as civetweb does. The connection, or -1 when it had other things to do. */
static int accept_one(struct fixture *fixture, struct sockaddr_in *peer)
{
    struct pollfd ready = {.fd = fixture->number, .events = POLLIN};
    socklen_t len = sizeof *peer;
    assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
    int fd = kj__door_accept(fixture->number, (struct sockaddr *)peer, &len);
    assert_true(fd >= 0 || errno == EAGAIN);
    return fd;
}

static uint64_t waiting(const struct fixture *fixture)
{
    return atomic_load(&fixture->counters.connections_waiting);
}

static const struct kj__door_options plain = {
    .head_timeout_ms = 60000, .waiting = 8, .room = 100, .per_address = 8, .workers = 4};

static void a_whole_request_comes_through_at_once(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    open_door(&fixture, &plain);

    int client = connect_to(&fixture, HEAD);
    int fd = accept_one(&fixture, &peer);

    assert_true(fd >= 0);
    assert_int_equal(waiting(&fixture), 0);
    assert_int_equal(atomic_load(&fixture.counters.connections_served), 1);
    kj__door_leave(&fixture.door, fd);
    assert_int_equal(atomic_load(&fixture.counters.connections_served), 0);
    close(fd);
    close(client);
    close_door(&fixture);
}

static void a_request_in_pieces_waits_at_the_door(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    open_door(&fixture, &plain);

    int client = connect_to(&fixture, "GET / HT");
    assert_int_equal(accept_one(&fixture, &peer), -1);
    assert_int_equal(waiting(&fixture), 1);

    int fd = -1;
    for (const char *rest = HEAD + 8; *rest; rest++) {
        assert_int_equal(fd, -1);
        assert_int_equal(send(client, rest, 1, MSG_NOSIGNAL), 1);
        fd = accept_one(&fixture, &peer);
    }
    char text[sizeof HEAD] = "";
    assert_true(fd >= 0);
    assert_int_equal(recv(fd, text, sizeof text, 0), sizeof HEAD - 1);
    assert_string_equal(text, HEAD);
    assert_int_equal(waiting(&fixture), 0);
    close(fd);
    close(client);
    close_door(&fixture);
}

static void too_long_a_wait_ends(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    struct kj__door_options options = plain;
    options.head_timeout_ms = 50;
    open_door(&fixture, &options);

    int client = connect_to(&fixture, "GET / HT");
    char byte;
    while (atomic_load(&fixture.counters.heads_too_slow) == 0) {
        assert_int_equal(accept_one(&fixture, &peer), -1);
    }

    assert_true(recv(client, &byte, 1, 0) <= 0);
    assert_int_equal(waiting(&fixture), 0);
    close(client);
    close_door(&fixture);
}

static void too_many_that_wait_are_refused_and_others_are_not(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    struct kj__door_options options = plain;
    options.per_address = 2;
    open_door(&fixture, &options);

    int clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_to(&fixture, "GET");
        assert_int_equal(accept_one(&fixture, &peer), -1);
    }
    assert_int_equal(waiting(&fixture), 2);
    assert_int_equal(atomic_load(&fixture.counters.connections_over_limit), 1);

    int client = connect_to(&fixture, HEAD);
    int fd = accept_one(&fixture, &peer);
    assert_true(fd >= 0);
    close(fd);
    close(client);
    for (int i = 0; i < 3; i++) {
        close(clients[i]);
    }
    close_door(&fixture);
}

static void few_may_wait_when_sessions_have_the_descriptors(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    struct kj__door_options options = plain;
    options.room = 20;
    options.waiting_always = 1;
    open_door(&fixture, &options);
    atomic_store(&fixture.counters.sessions, 16);

    int clients[5];
    for (int i = 0; i < 5; i++) {
        clients[i] = connect_to(&fixture, "GET");
        assert_int_equal(accept_one(&fixture, &peer), -1);
    }
    assert_int_equal(waiting(&fixture), 3);
    atomic_store(&fixture.counters.sessions, 20);
    for (int i = 0; i < 3; i++) {
        close(clients[i]);
        assert_int_equal(accept_one(&fixture, &peer), -1);
    }
    assert_int_equal(waiting(&fixture), 0);
    for (int i = 0; i < 2; i++) {
        clients[i] = connect_to(&fixture, "GET");
        assert_int_equal(accept_one(&fixture, &peer), -1);
    }
    assert_int_equal(waiting(&fixture), 1);

    close(clients[0]);
    close(clients[1]);
    close(clients[3]);
    close(clients[4]);
    close_door(&fixture);
}

static void a_client_that_goes_leaves_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    open_door(&fixture, &plain);

    int client = connect_to(&fixture, "GET");
    assert_int_equal(accept_one(&fixture, &peer), -1);
    assert_int_equal(waiting(&fixture), 1);
    close(client);
    assert_int_equal(accept_one(&fixture, &peer), -1);

    assert_int_equal(waiting(&fixture), 0);
    close_door(&fixture);
}

static void it_is_crowded_from_three_quarters_of_the_workers_on(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    int clients[3];
    int fds[3];
    open_door(&fixture, &plain);

    for (int i = 0; i < 3; i++) {
        assert_false(kj__door_is_crowded(&fixture.door, "127.0.0.1"));
        clients[i] = connect_to(&fixture, HEAD);
        fds[i] = accept_one(&fixture, &peer);
        assert_true(fds[i] >= 0);
    }

    assert_true(kj__door_is_crowded(&fixture.door, "127.0.0.1"));
    kj__door_leave(&fixture.door, fds[2]);
    assert_false(kj__door_is_crowded(&fixture.door, "127.0.0.1"));
    for (int i = 0; i < 3; i++) {
        close(clients[i]);
        close(fds[i]);
    }
    close_door(&fixture);
}

/* Takes what comes until the door has nothing to announce. */
static void expect_nobody(struct fixture *fixture)
{
    struct pollfd ready = {.fd = fixture->number, .events = POLLIN};
    struct sockaddr_in peer;
    while (poll(&ready, 1, 0) > 0) {
        assert_int_equal(accept_one(fixture, &peer), -1);
    }
}

static uint64_t held(const struct fixture *fixture)
{
    return atomic_load(&fixture->counters.connections_held);
}

static void no_address_has_all_workers(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peers[3];
    struct sockaddr_in peer;
    int clients[5];
    int fds[5];
    open_door(&fixture, &plain);
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_to(&fixture, HEAD);
        fds[i] = accept_one(&fixture, &peers[i]);
    }

    clients[3] = connect_to(&fixture, HEAD);
    assert_int_equal(accept_one(&fixture, &peer), -1);
    expect_nobody(&fixture);
    assert_int_equal(waiting(&fixture), 1);
    assert_int_equal(held(&fixture), 1);
    clients[4] = connect_from(&fixture, "127.0.0.2", HEAD);
    fds[4] = accept_one(&fixture, &peer);
    assert_true(fds[4] >= 0);

    kj__door_leave(&fixture.door, fds[1]);
    fds[3] = accept_one(&fixture, &peer);
    assert_true(fds[3] >= 0);
    assert_int_equal(waiting(&fixture), 0);
    for (int i = 0; i < 5; i++) {
        close(clients[i]);
        close(fds[i]);
    }
    close_door(&fixture);
}

static void who_is_held_outlasts_the_time_for_heads(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peers[3];
    struct sockaddr_in peer;
    struct kj__door_options options = plain;
    int clients[5];
    int fds[5];
    options.head_timeout_ms = 20;
    open_door(&fixture, &options);
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_to(&fixture, HEAD);
        fds[i] = accept_one(&fixture, &peers[i]);
    }
    for (int i = 3; i < 5; i++) {
        clients[i] = connect_to(&fixture, HEAD);
        assert_int_equal(accept_one(&fixture, &peer), -1);
        expect_nobody(&fixture);
    }

    assert_int_equal(accept_one(&fixture, &peer), -1); /* the timer, for each */
    assert_int_equal(accept_one(&fixture, &peer), -1);
    assert_int_equal(waiting(&fixture), 2);
    assert_int_equal(atomic_load(&fixture.counters.heads_too_slow), 0);

    for (int i = 3; i < 5; i++) { /* in the order they came in */
        struct sockaddr_in own;
        socklen_t len = sizeof own;
        kj__door_leave(&fixture.door, fds[i - 3]);
        fds[i] = accept_one(&fixture, &peer);
        getsockname(clients[i], (struct sockaddr *)&own, &len);
        assert_int_equal(peer.sin_port, own.sin_port);
    }
    assert_int_equal(waiting(&fixture), 0);
    for (int i = 0; i < 5; i++) {
        close(clients[i]);
        close(fds[i]);
    }
    close_door(&fixture);
}

/* A door whose workers 127.0.0.1 has as far as it may. */
static void open_taken_door(struct fixture *fixture, const struct kj__door_options *options,
                            int clients[3], int fds[3])
{
    struct sockaddr_in peer;
    open_door(fixture, options);
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_to(fixture, HEAD);
        fds[i] = accept_one(fixture, &peer);
        assert_true(fds[i] >= 0);
    }
}

static void close_taken_door(struct fixture *fixture, const int clients[3], const int fds[3])
{
    for (int i = 0; i < 3; i++) {
        close(clients[i]);
        close(fds[i]);
    }
    close_door(fixture);
}

static void nobody_is_served_since_no_more_may_wait(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    struct kj__door_options options = plain;
    int clients[3];
    int fds[3];
    options.per_address = 1;
    open_taken_door(&fixture, &options, clients, fds);

    int held_back = connect_to(&fixture, HEAD);
    assert_int_equal(accept_one(&fixture, &peer), -1);
    int refused = connect_to(&fixture, HEAD);
    assert_int_equal(accept_one(&fixture, &peer), -1);
    expect_nobody(&fixture);

    assert_int_equal(waiting(&fixture), 1);
    assert_int_equal(atomic_load(&fixture.counters.connections_over_limit), 1);
    close(refused);
    close(held_back);
    close_taken_door(&fixture, clients, fds);
}

static void a_request_of_a_client_that_is_gone_is_not_run(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    const struct linger reset = {.l_onoff = 1};
    int clients[3];
    int fds[3];
    open_taken_door(&fixture, &plain, clients, fds);
    int gone = connect_to(&fixture, HEAD);
    assert_int_equal(accept_one(&fixture, &peer), -1);
    expect_nobody(&fixture);

    setsockopt(gone, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(gone);
    assert_int_equal(accept_one(&fixture, &peer), -1);

    assert_int_equal(waiting(&fixture), 0);
    kj__door_leave(&fixture.door, fds[0]);
    expect_nobody(&fixture);
    close_taken_door(&fixture, clients, fds);
}

/* A newer request has taken the place that the held one was called for. */
static void who_was_called_in_vain_is_the_next_again(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    struct sockaddr_in own;
    socklen_t len = sizeof own;
    int clients[3];
    int fds[3];
    int waits[2];
    open_taken_door(&fixture, &plain, clients, fds);
    for (int i = 0; i < 2; i++) {
        waits[i] = connect_to(&fixture, HEAD);
        assert_int_equal(accept_one(&fixture, &peer), -1);
        expect_nobody(&fixture);
    }

    kj__door_leave(&fixture.door, fds[0]); /* calls the first */
    struct kj__door_address *of = kj__door_address_find(&fixture.door.addresses, "127.0.0.1");
    of->served++;
    assert_int_equal(accept_one(&fixture, &peer), -1); /* which comes too late */
    of->served--;
    kj__door_leave(&fixture.door, fds[1]);
    int fd = accept_one(&fixture, &peer);

    getsockname(waits[0], (struct sockaddr *)&own, &len);
    assert_int_equal(peer.sin_port, own.sin_port);
    close(fd);
    close(waits[0]);
    close(waits[1]);
    close_taken_door(&fixture, clients, fds);
}

static void handshakes_are_no_part_of_the_share(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    int clients[4];
    int fds[4];
    open_door(&fixture, &plain);
    for (int i = 0; i < 4; i++) {
        clients[i] = connect_to(&fixture, i < 3 ? HANDSHAKE : HEAD);
        fds[i] = accept_one(&fixture, &peer);
        assert_true(fds[i] >= 0);
    }

    assert_int_equal(held(&fixture), 0);
    for (int i = 0; i < 4; i++) {
        kj__door_leave(&fixture.door, fds[i]);
        close(clients[i]);
        close(fds[i]);
    }
    assert_int_equal(atomic_load(&fixture.counters.connections_served), 0);
    close_door(&fixture);
}

static void a_stop_hangs_up_on_all_but_sessions(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    char byte;
    int clients[2];
    int fds[2];
    open_door(&fixture, &plain);
    for (int i = 0; i < 2; i++) {
        clients[i] = connect_to(&fixture, HEAD);
        fds[i] = accept_one(&fixture, &peer);
        while (recv(fds[i], &byte, 1, MSG_DONTWAIT) == 1) {
        }
    }

    assert_true(kj__door_spare(&fixture.door, fds[0]));
    kj__door_hang_up(&fixture.door);

    assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(recv(fds[1], &byte, 1, MSG_DONTWAIT), 0);
    assert_false(kj__door_spare(&fixture.door, fds[1]));
    for (int i = 0; i < 2; i++) {
        close(clients[i]);
        close(fds[i]);
    }
    close_door(&fixture);
}

static void an_address_is_crowded_before_it_has_its_share(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    struct kj__door_options options = plain;
    int clients[9];
    int fds[9];
    options.workers = 16; /* its share is 12, three quarters of which are 9 */
    open_door(&fixture, &options);
    for (int i = 0; i < 9; i++) {
        assert_false(kj__door_is_crowded(&fixture.door, "127.0.0.1"));
        clients[i] = connect_to(&fixture, HEAD);
        fds[i] = accept_one(&fixture, &peer);
    }

    assert_true(kj__door_is_crowded(&fixture.door, "127.0.0.1"));
    assert_false(kj__door_is_crowded(&fixture.door, "127.0.0.2"));
    for (int i = 0; i < 9; i++) {
        close(clients[i]);
        close(fds[i]);
    }
    close_door(&fixture);
}

static bool is_whole(const char *text)
{
    return kj__door_head_is_whole((const uint8_t *)text, strlen(text));
}

static void heads_end_where_civetweb_says(void **state)
{
    (void)state;
    static const uint8_t long_line[KJ__HEAD_BYTES_MAX] = {[0] = 'a'};
    uint8_t letters[KJ__HEAD_BYTES_MAX];
    memset(letters, 'a', sizeof letters);

    assert_false(is_whole(""));
    assert_false(is_whole("GET / HTTP/1.1\r\n"));
    assert_false(is_whole("GET / HTTP/1.1\r\nHost: a\r\n\r"));
    assert_false(is_whole("GET / HTTP/1.1\n\r\n"));
    assert_true(is_whole(HEAD));
    assert_true(is_whole("GET / HTTP/1.1\n\n"));
    assert_true(is_whole("\x16\x03\x01")); /* TLS: civetweb refuses it */
    assert_true(kj__door_head_is_whole(letters, sizeof letters));
    assert_false(kj__door_head_is_whole(letters, sizeof letters - 1));
    assert_true(kj__door_head_is_whole(long_line, sizeof long_line));
}

static bool is_handshake(const char *text)
{
    return kj__door_head_is_handshake((const uint8_t *)text, strlen(text));
}

static void handshakes_are_told_from_what_may_hold_a_worker(void **state)
{
    (void)state;
    assert_true(is_handshake(HANDSHAKE));
    assert_true(is_handshake("GET / HTTP/1.1\r\nConnection: close\r\n" UPGRADE "\r\n"));
    assert_false(is_handshake(HEAD));
    assert_false(is_handshake("POST / HTTP/1.1\r\n" UPGRADE "\r\n"));
    assert_false(is_handshake("GET / HTTP/1.1\r\nSec-WebSocket-Key: AAAAAAAAAA\r\n\r\n"));
    assert_false(is_handshake("GET / HTTP/1.1\r\n" UPGRADE "Content-Length: 1000\r\n\r\n"));
    assert_false(is_handshake("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" UPGRADE "\r\n"));
    assert_false(is_handshake("GET / HTTP/1.1\r\nUpgrade: h2c\r\n" UPGRADE "\r\n"));
    /* Another request behind it is none of its. */
    assert_false(is_handshake("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n" UPGRADE "\r\n"));
    assert_false(is_handshake("\n\n"));
}

static void a_tls_hello_waits_until_its_record_is_whole(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sockaddr_in peer;
    struct kj__door_options options = plain;
    options.is_tls = true;
    open_door(&fixture, &options);

    int client = connect_to(&fixture, "\x16\x03\x01");
    assert_int_equal(accept_one(&fixture, &peer), -1);
    assert_int_equal(send(client,
                          "\x00\x02"
                          "a",
                          3, MSG_NOSIGNAL),
                     3);
    assert_int_equal(accept_one(&fixture, &peer), -1);
    assert_int_equal(send(client, "b", 1, MSG_NOSIGNAL), 1);
    int fd = accept_one(&fixture, &peer);

    assert_true(fd >= 0);
    close(fd);
    close(client);
    close_door(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_request_comes_through_at_once),
        cmocka_unit_test(a_request_in_pieces_waits_at_the_door),
        cmocka_unit_test(too_long_a_wait_ends),
        cmocka_unit_test(too_many_that_wait_are_refused_and_others_are_not),
        cmocka_unit_test(few_may_wait_when_sessions_have_the_descriptors),
        cmocka_unit_test(a_client_that_goes_leaves_nothing),
        cmocka_unit_test(it_is_crowded_from_three_quarters_of_the_workers_on),
        cmocka_unit_test(no_address_has_all_workers),
        cmocka_unit_test(who_is_held_outlasts_the_time_for_heads),
        cmocka_unit_test(nobody_is_served_since_no_more_may_wait),
        cmocka_unit_test(a_request_of_a_client_that_is_gone_is_not_run),
        cmocka_unit_test(who_was_called_in_vain_is_the_next_again),
        cmocka_unit_test(handshakes_are_no_part_of_the_share),
        cmocka_unit_test(a_stop_hangs_up_on_all_but_sessions),
        cmocka_unit_test(an_address_is_crowded_before_it_has_its_share),
        cmocka_unit_test(handshakes_are_told_from_what_may_hold_a_worker),
        cmocka_unit_test(heads_end_where_civetweb_says),
        cmocka_unit_test(a_tls_hello_waits_until_its_record_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
