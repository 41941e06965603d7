/* users_test.c - who is let in, and which of a user's clients may stay. */
#include "base/clock.h"
#include "fixture.h"

static void a_user_may_have_many_clients(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int first = connect_client(fixture);
    int second = connect_client(fixture);
    ask(first, "user ann phone", "ok 0");
    ask(second, "user ann phone", "ok 0");
    expect_silence(first);
    struct kj_gateway_counts counts;
    kj_gateway_count(fixture->gateway, &counts);
    assert_int_equal(counts.users, 1);
    close(first);
    close(second);
}

static void a_newer_client_of_the_same_device_replaces_the_older(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.user_policy = KJ_USER_ONE_PER_DEVICE;
    start(fixture);
    int phone = connect_client(fixture);
    int laptop = connect_client(fixture);
    int again = connect_client(fixture);
    int other = connect_client(fixture);
    ask(phone, "user ann phone", "ok 0");
    ask(laptop, "user ann laptop", "ok 0");
    ask(other, "user bob phone", "ok 0");
    ask(again, "user ann phone", "ok 0");
    expect(phone, "end 4409 replaced");
    expect_close(phone, KJ_CLOSE_REPLACED);
    expect_silence(laptop);
    expect_silence(other);
    assert_int_equal(fixture->counters.gateway_clients_replaced, 1);
    close(phone);
    close(laptop);
    close(again);
    close(other);
}

static void the_old_client_ends_after_the_new_one_came_and_takes_nothing_with_it(void **state)
{
    enum { TURNS = 30 };
    struct fixture *fixture = *state;
    fixture->protocol.user_policy = KJ_USER_ONE;
    start(fixture);
    int last = connect_client(fixture);
    ask(last, "user ann d", "ok 0");
    for (int turn = 1; turn < TURNS; turn++) {
        int next = connect_client(fixture);
        ask(next, "user ann d", "ok 0");
        expect(last, "end 4409 replaced");
        expect_close(last, KJ_CLOSE_REPLACED);
        close(last);
        last = next;
    }
    wait_for(&fixture->counters.gateway_clients, 1);
    assert_int_equal(kj_gateway_member_count(fixture->gateway, KJ_TOPIC_USER, "ann"), 1);
    publish(fixture, KJ_TOPIC_USER, "ann", "there");
    expect(last, "[2 ann 1  there]");
    close(last);
}

static void a_client_keeps_its_user(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_client(fixture);
    char wanted[16];
    ask(fd, "user ann d", "ok 0");
    ask(fd, "user ann d", "ok 0");
    (void)snprintf(wanted, sizeof wanted, "ok %d", KJ_EEXIST);
    ask(fd, "user bob d", wanted);
    close(fd);
}

/* ---- two nodes on one backend ---- */

static void start_second(struct fixture *first, struct fixture **second)
{
    void *state;
    set_up(&state);
    *second = state;
    (*second)->pubsub = first->pubsub;
    (*second)->is_pubsub_borrowed = true;
    (*second)->protocol.user_policy = first->protocol.user_policy;
    start(*second);
}

static void a_room_spans_nodes(void **state)
{
    struct fixture *fixture = *state;
    struct fixture *second;
    start(fixture);
    start_second(fixture, &second);
    int here = connect_client(fixture);
    int there = connect_client(second);
    char id[FRAME_MAX];
    char text[FRAME_MAX + 64];
    ask(here, "join r", "ok 0");
    ask(there, "join r", "ok 0");
    ask(here, "say 1 r hi", "ok 0 1");
    expect(here, "[1 r 1  hi]");
    expect(there, "[1 r 1  hi]");
    ask(there, "say 1 r ho", "ok 0 1"); /* numbered by its own node */
    expect(here, "[1 r 1  ho]");
    expect(there, "[1 r 1  ho]");
    say(there, "who");
    assert_true(hear(there, id));
    assert_int_equal(publish(fixture, KJ_TOPIC_SESSION, id, "far"), KJ_OK);
    (void)snprintf(text, sizeof text, "[3 %s 1  far]", id);
    expect(there, text);
    assert_int_equal(kj_gateway_kick(fixture->gateway, KJ_TOPIC_ALL, NULL, 4000, "all"), KJ_OK);
    expect(here, "end 4000 all");
    expect(there, "end 4000 all");
    close(here);
    close(there);
    void *end = second;
    tear_down(&end);
}

static void wait_for_next_millisecond(void)
{
    int64_t now_ms = kj__clock_wall_ns() / 1000000;
    while (kj__clock_wall_ns() / 1000000 == now_ms) {
    }
}

static void a_newer_client_replaces_the_older_on_another_node(void **state)
{
    struct fixture *fixture = *state;
    struct fixture *second;
    fixture->protocol.user_policy = KJ_USER_ONE;
    start(fixture);
    start_second(fixture, &second);
    int old = connect_client(fixture);
    ask(old, "user ann a", "ok 0");
    wait_for_next_millisecond(); /* logins of the same one are told apart by ID */
    int new = connect_client(second);
    ask(new, "user ann b", "ok 0");
    expect(old, "end 4409 replaced");
    expect_close(old, KJ_CLOSE_REPLACED);
    expect_silence(new);
    close(old);
    close(new);
    void *end = second;
    tear_down(&end);
}

static void of_many_that_come_at_once_one_stays(void **state)
{
    enum { EACH = 10 };
    struct fixture *fixture = *state;
    struct fixture *second;
    fixture->protocol.user_policy = KJ_USER_ONE;
    start(fixture);
    start_second(fixture, &second);
    int fds[2 * EACH];
    for (int i = 0; i < 2 * EACH; i++) {
        fds[i] = connect_client(i % 2 ? second : fixture);
    }
    wait_for(&fixture->counters.gateway_clients, EACH);
    wait_for(&second->counters.gateway_clients, EACH);
    for (int i = 0; i < 2 * EACH; i++) {
        say(fds[i], "user ann d");
    }
    for (int waited = 0;; waited++) {
        uint64_t left = fixture->counters.gateway_clients + second->counters.gateway_clients;
        assert_true(left >= 1);
        if (left == 1) {
            break;
        }
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
    assert_int_equal(kj_gateway_member_count(fixture->gateway, KJ_TOPIC_USER, "ann") +
                         kj_gateway_member_count(second->gateway, KJ_TOPIC_USER, "ann"),
                     1);
    for (int i = 0; i < 2 * EACH; i++) {
        close(fds[i]);
    }
    void *end = second;
    tear_down(&end);
}

/* ---- who is let in ---- */

static void who_is_not_let_in_in_time_is_closed(void **state)
{
    struct fixture *fixture = *state;
    fixture->has_authenticator = true;
    fixture->protocol.is_open = false;
    fixture->protocol.auth_in_frames = true;
    fixture->protocol.limits.handshake_ms = 50;
    start(fixture);
    int fd = connect_as(fixture, KJ_ENCODING_JSON, false);
    expect(fd, "end 4401 not authenticated in time");
    expect_close(fd, KJ_CLOSE_UNAUTHORIZED);
    assert_int_equal(fixture->counters.gateway_handshakes_too_slow, 1);
    close(fd);
}

static void a_slow_authenticator_costs_its_client_alone(void **state)
{
    struct fixture *fixture = *state;
    fixture->has_authenticator = true;
    fixture->protocol.is_open = false;
    fixture->protocol.auth_in_frames = true;
    fixture->protocol.limits.handshake_ms = 200;
    fixture->is_slow = true;
    start(fixture);
    int slow = connect_as(fixture, KJ_ENCODING_JSON, false);
    int good = connect_as(fixture, KJ_ENCODING_JSON, false); /* its works have the other thread */
    ask(slow, "login slow", "login 0");
    say(good, "login good");
    expect(good, "login 0");
    expect(good, "welcome");
    expect(slow, "end 4401 not authenticated in time");
    expect_close(slow, KJ_CLOSE_UNAUTHORIZED);
    close(slow);
    fixture->is_slow = false;
    wait_for(&fixture->looked, 2); /* it comes too late for anything */
    ask(good, "join r", "ok 0");
    assert_int_equal(fixture->counters.gateway_handshakes_too_slow, 1);
    close(good);
}

static void a_token_in_a_message_is_looked_at(void **state)
{
    struct fixture *fixture = *state;
    fixture->has_authenticator = true;
    fixture->protocol.is_open = false;
    fixture->protocol.auth_in_frames = true;
    start(fixture);
    int good = connect_as(fixture, KJ_ENCODING_JSON, false);
    int bad = connect_as(fixture, KJ_ENCODING_JSON, false);
    char wanted[16];
    (void)snprintf(wanted, sizeof wanted, "ok %d", KJ_EREFUSED);
    ask(good, "join r", wanted);
    publish(fixture, KJ_TOPIC_ALL, NULL, "not yet");
    ask(good, "login good", "login 0");
    expect(good, "welcome");
    ask(good, "join r", "ok 0");
    publish(fixture, KJ_TOPIC_USER, "alice", "hello");
    expect(good, "[2 alice 1  hello]");
    ask(bad, "login bad", "login 0");
    expect(bad, "refused no such token");
    expect_close(bad, KJ_CLOSE_UNAUTHORIZED);
    assert_int_equal(fixture->counters.gateway_logins, 1);
    assert_int_equal(fixture->counters.gateway_logins_refused, 1);
    close(good);
    close(bad);
}

/* ---- works ---- */

static void works_of_a_client_are_done_in_order_on_its_shard(void **state)
{
    enum { WORKS = 300 };
    struct fixture *fixture = *state;
    start(fixture);
    int clients[] = {connect_client(fixture), connect_client(fixture)};
    char text[FRAME_MAX];
    for (int i = 0; i < WORKS; i++) {
        (void)snprintf(text, sizeof text, "work %d", i);
        say(clients[0], text);
        say(clients[1], text);
    }
    for (int i = 0; i < WORKS; i++) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, "worked %d", i);
        for (size_t at = 0; at < 2; at++) {
            assert_true(hear(clients[at], text));
            assert_string_equal(text, expected);
        }
    }
    close(clients[0]);
    close(clients[1]);
}

/* What waits is released, which the leak checker sees, and what runs is waited for. */
static void works_may_wait_when_the_gateway_stops(void **state)
{
    enum { WORKS = 2000 };
    struct fixture *fixture = *state;
    start(fixture);
    int client = connect_client(fixture);
    for (int i = 0; i < WORKS; i++) {
        say(client, "work x");
    }
    char text[FRAME_MAX];
    assert_true(hear(client, text));
    assert_string_equal(text, "worked x");
    close(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_user_may_have_many_clients),
        TEST(a_newer_client_of_the_same_device_replaces_the_older),
        TEST(the_old_client_ends_after_the_new_one_came_and_takes_nothing_with_it),
        TEST(a_client_keeps_its_user),
        TEST(a_room_spans_nodes),
        TEST(a_newer_client_replaces_the_older_on_another_node),
        TEST(of_many_that_come_at_once_one_stays),
        TEST(who_is_not_let_in_in_time_is_closed),
        TEST(a_slow_authenticator_costs_its_client_alone),
        TEST(a_token_in_a_message_is_looked_at),
        TEST(works_of_a_client_are_done_in_order_on_its_shard),
        TEST(works_may_wait_when_the_gateway_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
