/* rooms_test.c - who gets what: rooms, users, sessions, all. */
#include "fixture.h"

static void a_room_hears_what_is_said_in_it_and_nobody_else(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int in = connect_client(fixture);
    int binary = connect_as(fixture, KJ_ENCODING_MSGPACK, true);
    int out = connect_client(fixture);
    ask(in, "join r", "ok 0");
    ask(binary, "join r", "ok 0");
    ask(out, "join other", "ok 0");
    ask(out, "say 1 r hello", "ok 0 2");
    expect(in, "[1 r 1  hello]");
    expect(binary, "[1 r 1  hello]");
    expect_silence(out);
    assert_int_equal(fixture->encoded, 2);
    close(in);
    close(binary);
    close(out);
}

static void joining_twice_is_joining_once_and_so_is_leaving(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_client(fixture);
    ask(fd, "join r", "ok 0");
    ask(fd, "join r", "ok 0");
    assert_int_equal(kj_gateway_member_count(fixture->gateway, KJ_TOPIC_ROOM, "r"), 1);
    publish(fixture, KJ_TOPIC_ROOM, "r", "once");
    expect(fd, "[1 r 1  once]");
    ask(fd, "leave r", "ok 0");
    ask(fd, "leave r", "ok 0");
    assert_int_equal(kj_gateway_member_count(fixture->gateway, KJ_TOPIC_ROOM, "r"), 0);
    publish(fixture, KJ_TOPIC_ROOM, "r", "gone");
    publish(fixture, KJ_TOPIC_ALL, NULL, "still here");
    expect(fd, "[0  1  still here]");
    close(fd);
}

/* Its end may take as long as the peer's part of the close does. */
static void who_is_being_closed_is_in_no_topic(void **state)
{
    struct fixture *fixture = *state;
    fixture->limits.close_timeout_ms = DEADLINE_MS;
    start(fixture);
    char id[FRAME_MAX];
    int closed = connect_client(fixture);
    int fd = connect_client(fixture);
    ask(closed, "join r", "ok 0");
    ask(closed, "join q", "ok 0");
    ask(closed, "user ann", "ok 0");
    ask(fd, "join r", "ok 0");
    say(closed, "who");
    assert_true(hear(closed, id));
    assert_int_equal(kj_gateway_kick(fixture->gateway, KJ_TOPIC_USER, "ann", 4403, "bye"), KJ_OK);
    expect(closed, "end 4403 bye");
    expect_close(closed, 4403);
    ask(fd, "say 2 ann hi", "ok 0 0");
    ask(fd, "say 1 q hi", "ok 0 0");
    assert_int_equal(publish(fixture, KJ_TOPIC_SESSION, id, "hi"), KJ_ENOTFOUND);
    struct kj_gateway_counts counts;
    kj_gateway_count(fixture->gateway, &counts);
    assert_int_equal(counts.users, 0);
    assert_int_equal(counts.rooms, 1);
    int again = connect_client(fixture);
    ask(again, "join q", "ok 0");
    ask(again, "user ann", "ok 0");
    close(closed);
    wait_for(&fixture->counters.gateway_clients, 2);
    ask(fd, "say 1 q hi", "ok 0 1");
    expect(again, "[1 q 2  hi]");
    close(fd);
    close(again);
}

static void a_client_has_so_many_rooms(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.limits.rooms = 3;
    start(fixture);
    int fd = connect_client(fixture);
    char wanted[16];
    ask(fd, "join a", "ok 0");
    ask(fd, "join b", "ok 0");
    ask(fd, "join c", "ok 0");
    (void)snprintf(wanted, sizeof wanted, "ok %d", KJ_ELIMIT);
    ask(fd, "join d", wanted);
    ask(fd, "leave b", "ok 0");
    ask(fd, "join d", "ok 0");
    assert_int_equal(fixture->counters.gateway_joins_over_limit, 1);
    struct kj_gateway_counts counts;
    kj_gateway_count(fixture->gateway, &counts);
    assert_int_equal(counts.rooms, 3);
    assert_int_equal(counts.clients, 1);
    close(fd);
}

static void a_node_has_so_many_topics(void **state)
{
    struct fixture *fixture = *state;
    fixture->topics = 3; /* one of them for all */
    start(fixture);
    int fd = connect_client(fixture);
    int other = connect_client(fixture);
    char wanted[16];
    (void)snprintf(wanted, sizeof wanted, "ok %d", KJ_ELIMIT);
    ask(fd, "join a", "ok 0");
    ask(fd, "join b", "ok 0");
    ask(fd, "join c", wanted);
    ask(fd, "user ann d", wanted);
    ask(other, "join b", "ok 0");
    assert_int_equal(fixture->counters.gateway_topics_over_limit, 2);
    close(fd);
    close(other);
}

static void pushes_of_one_publisher_arrive_in_order(void **state)
{
    enum { TOTAL = 2000, CLIENTS = 6 };
    struct fixture *fixture = *state;
    start(fixture);
    int fds[CLIENTS];
    char text[64];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = connect_client(fixture);
        ask(fds[i], "join r", "ok 0");
    }
    for (int n = 1; n <= TOTAL; n++) {
        (void)snprintf(text, sizeof text, "%d", n);
        assert_int_equal(publish(fixture, KJ_TOPIC_ROOM, "r", text), KJ_OK);
        if (n % 500 == 0) { /* no more than a queue holds */
            for (int i = 0; i < CLIENTS; i++) {
                for (int k = n - 499; k <= n; k++) {
                    (void)snprintf(text, sizeof text, "[1 r %d  %d]", k, k);
                    expect(fds[i], text);
                }
            }
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        close(fds[i]);
    }
}

static void a_session_and_a_user_are_found_by_name(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int first = connect_client(fixture);
    int second = connect_client(fixture);
    char id[FRAME_MAX];
    char text[FRAME_MAX + 64];
    ask(first, "user ann phone", "ok 0");
    ask(second, "user ann laptop", "ok 0");
    publish(fixture, KJ_TOPIC_USER, "ann", "both");
    expect(first, "[2 ann 1  both]");
    expect(second, "[2 ann 1  both]");
    say(first, "who");
    assert_true(hear(first, id));
    assert_int_equal(publish(fixture, KJ_TOPIC_SESSION, id, "one"), KJ_OK);
    (void)snprintf(text, sizeof text, "[3 %s 1  one]", id);
    expect(first, text);
    expect_silence(second);
    close(first);
    wait_for(&fixture->counters.gateway_clients, 1);
    assert_int_equal(publish(fixture, KJ_TOPIC_SESSION, id, "gone"), KJ_ENOTFOUND);
    struct kj_member members[4];
    assert_int_equal(kj_gateway_members(fixture->gateway, KJ_TOPIC_USER, "ann", 0, members, 4), 1);
    assert_string_equal(members[0].user, "ann");
    close(second);
}

static void members_are_listed_in_pages(void **state)
{
    enum { CLIENTS = 7 };
    struct fixture *fixture = *state;
    start(fixture);
    int fds[CLIENTS];
    char text[64];
    struct kj_member members[4];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = connect_client(fixture);
        (void)snprintf(text, sizeof text, "user u%d d", i);
        ask(fds[i], text, "ok 0");
        ask(fds[i], "join r", "ok 0");
    }
    assert_int_equal(kj_gateway_members(fixture->gateway, KJ_TOPIC_ROOM, "r", 0, members, 4), 4);
    assert_string_equal(members[3].user, "u3");
    assert_int_equal(kj_gateway_members(fixture->gateway, KJ_TOPIC_ROOM, "r", 4, members, 4), 3);
    assert_string_equal(members[0].user, "u4");
    assert_int_equal(kj_gateway_members(fixture->gateway, KJ_TOPIC_ROOM, "x", 0, members, 4), 0);
    for (int i = 0; i < CLIENTS; i++) {
        close(fds[i]);
    }
}

static void a_topic_is_heard_for_a_while_after_its_last_client(void **state)
{
    struct fixture *fixture = *state;
    fixture->linger_ms = 50;
    start(fixture);
    int fd = connect_client(fixture);
    wait_for(&fixture->counters.gateway_topics, 1); /* all */
    for (int turn = 0; turn < 3; turn++) {
        ask(fd, "join r", "ok 0");
        assert_int_equal(fixture->counters.gateway_topics, 2);
        publish(fixture, KJ_TOPIC_ROOM, "r", "x");
        char heard[FRAME_MAX];
        assert_true(hear(fd, heard));
        ask(fd, "leave r", "ok 0");
        ask(fd, "join r", "ok 0"); /* within the time: it is the same */
        publish(fixture, KJ_TOPIC_ROOM, "r", "y");
        assert_true(hear(fd, heard));
        ask(fd, "leave r", "ok 0");
        wait_for(&fixture->counters.gateway_topics, 1);
    }
    close(fd);
    wait_for(&fixture->counters.gateway_topics, 0);
}

static void a_kick_ends_the_clients_of_a_topic(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int in = connect_client(fixture);
    int also = connect_client(fixture);
    int out = connect_client(fixture);
    ask(in, "join r", "ok 0");
    ask(also, "join r", "ok 0");
    ask(out, "join x", "ok 0");
    publish(fixture, KJ_TOPIC_ROOM, "r", "last");
    assert_int_equal(kj_gateway_kick(fixture->gateway, KJ_TOPIC_ROOM, "r", 1005, NULL), KJ_EINVAL);
    assert_int_equal(
        kj_gateway_kick(fixture->gateway, KJ_TOPIC_ROOM, "r", KJ_CLOSE_KICKED, "be gone"), KJ_OK);
    for (int i = 0; i < 2; i++) {
        int fd = i ? in : also;
        expect(fd, "[1 r 1  last]");
        expect(fd, "end 4403 be gone");
        expect_close(fd, 4403);
    }
    expect_silence(out);
    assert_int_equal(fixture->counters.gateway_clients_ended, 2);
    close(in);
    close(also);
    close(out);
}

static void bad_pushes_are_refused_and_counted(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    static const uint8_t large[KJ_PUSH_BODY_MAX + 1];
    assert_int_equal(publish(fixture, KJ_TOPIC_ROOM, "", "x"), KJ_EINVAL);
    assert_int_equal(publish(fixture, KJ_TOPIC_ALL, "name", "x"), KJ_EINVAL);
    assert_int_equal(publish(fixture, KJ_TOPIC_SESSION, "nobody", "x"), KJ_EINVAL);
    assert_int_equal(kj_gateway_publish(fixture->gateway,
                                        &(struct kj_push_options){.kind = KJ_TOPIC_ROOM,
                                                                  .name = "r",
                                                                  .body = large,
                                                                  .body_len = sizeof large},
                                        NULL),
                     KJ_ELIMIT);
    assert_int_equal(
        kj_gateway_publish(
            fixture->gateway,
            &(struct kj_push_options){.kind = KJ_TOPIC_ROOM, .name = "r", .body_is_json = true},
            NULL),
        KJ_EINVAL);
    assert_int_equal(fixture->counters.gateway_publish_failed, 5);
}

static void what_is_no_push_is_counted(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_client(fixture);
    ask(fd, "join r", "ok 0");
    struct kj_publication *publication;
    kj_publication_new(&(struct kj_publication_options){.topic = "test.room.r",
                                                        .data = (const uint8_t *)"junk",
                                                        .len = 4},
                       &publication);
    assert_int_equal(kj_pubsub_publish(fixture->pubsub, publication), KJ_OK);
    kj_publication_unref(publication);
    wait_for(&fixture->counters.gateway_undecodable, 1);
    expect_silence(fd);
    close(fd);
}

/* As another node would publish it. */
static void publish_from(struct fixture *fixture, uint32_t node, uint64_t sequence)
{
    struct kj__buffer bytes = {0};
    struct kj_publication *publication;
    kj__push_encode(&(struct kj__push_parts){.what = KJ__WHAT_PUSH,
                                             .id = 1,
                                             .node = node,
                                             .sequence = sequence,
                                             .kind = KJ_TOPIC_ROOM,
                                             .name = "r",
                                             .from = "",
                                             .body = (const uint8_t *)"x",
                                             .body_len = 1},
                    &bytes);
    kj_publication_new(&(struct kj_publication_options){.topic = "test.room.r",
                                                        .encoding = KJ_ENCODING_MSGPACK,
                                                        .data = bytes.data,
                                                        .len = bytes.len},
                       &publication);
    assert_int_equal(kj_pubsub_publish(fixture->pubsub, publication), KJ_OK);
    kj_publication_unref(publication);
    kj__buffer_fini(&bytes);
}

static void what_did_not_arrive_is_counted(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_client(fixture);
    ask(fd, "join r", "ok 0");
    publish_from(fixture, 1, 7); /* who knows what was before */
    publish_from(fixture, 1, 8);
    publish_from(fixture, 2, 1);
    publish_from(fixture, 1, 11);
    publish_from(fixture, 2, 2);
    publish_from(fixture, 1, 3); /* it has started again */
    publish_from(fixture, 1, 4);
    expect(fd, "[1 r 7  x]");
    expect(fd, "[1 r 8  x]");
    expect(fd, "[1 r 1  x]");
    expect(fd, "[1 r 11  x]");
    expect(fd, "[1 r 2  x]");
    expect(fd, "[1 r 3  x]");
    expect(fd, "[1 r 4  x]");
    assert_int_equal(fixture->counters.gateway_missed, 2);
    for (uint32_t node = 100; node < 300; node++) {
        publish_from(fixture, node, 5);
        expect(fd, "[1 r 5  x]");
    }
    assert_int_equal(fixture->counters.gateway_missed, 2);
    close(fd);
}

static void batches_go_out_once_a_window(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.batching = (struct kj_batching){.window_ms = 1000, .items = 5};
    start(fixture);
    int fd = connect_client(fixture);
    ask(fd, "join r", "ok 0");
    ask(fd, "user ann d", "ok 0");
    publish(fixture, KJ_TOPIC_ROOM, "r", "1");
    expect(fd, "[1 r 1  1]"); /* at once */
    for (int i = 2; i <= 3; i++) {
        publish(fixture, KJ_TOPIC_ROOM, "r", i == 2 ? "2" : "3");
    }
    publish(fixture, KJ_TOPIC_USER, "ann", "now");
    expect(fd, "[2 ann 1  now]"); /* never waits */
    expect(fd, "[1 r 2  2][1 r 3  3]");
    for (int i = 0; i < 6; i++) {
        publish(fixture, KJ_TOPIC_ROOM, "r", "x");
    }
    expect(fd, "[1 r 4  x][1 r 5  x][1 r 6  x][1 r 7  x][1 r 8  x]"); /* full: before its time */
    expect(fd, "[1 r 9  x]");
    publish(fixture, KJ_TOPIC_ROOM, "r", "waits");
    publish(fixture, KJ_TOPIC_USER, "ann", "behind it");
    expect(fd, "[2 ann 2  behind it]");
    ask(fd, "leave r", "[1 r 10  waits]"); /* what waits is not lost */
    expect(fd, "ok 0");
    close(fd);
}

static void what_may_not_wait_takes_along_what_does(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.batching = (struct kj_batching){.window_ms = 600000};
    start(fixture);
    int fd = connect_client(fixture);
    ask(fd, "join r", "ok 0");
    publish(fixture, KJ_TOPIC_ROOM, "r", "first");
    publish(fixture, KJ_TOPIC_ROOM, "r", "waits");
    expect(fd, "[1 r 1  first]");
    const struct kj_push_options urgent = {.kind = KJ_TOPIC_ROOM,
                                           .name = "r",
                                           .body = (const uint8_t *)"now",
                                           .body_len = 3,
                                           .at_once = true};
    assert_int_equal(kj_gateway_publish(fixture->gateway, &urgent, NULL), KJ_OK);
    expect(fd, "[1 r 2  waits]");
    expect(fd, "[1 r 3  now]");
    expect_silence(fd);
    close(fd);
}

static void batches_of_pushes_to_all_are_asked_for(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.batching = (struct kj_batching){.window_ms = 1000, .items = 2, .all = true};
    start(fixture);
    int fd = connect_client(fixture);
    expect_silence(fd);
    publish(fixture, KJ_TOPIC_ALL, NULL, "1");
    expect(fd, "[0  1  1]");
    publish(fixture, KJ_TOPIC_ALL, NULL, "2");
    wait_for(&fixture->counters.gateway_waiting, 1);
    publish(fixture, KJ_TOPIC_ALL, NULL, "3");
    expect(fd, "[0  2  2][0  3  3]");
    assert_int_equal(fixture->counters.gateway_waiting, 0);
    publish(fixture, KJ_TOPIC_ALL, NULL, "4");
    const struct kj_push_options slow = {
        .kind = KJ_TOPIC_ALL, .body = (const uint8_t *)"5", .body_len = 1, .speed = 1000};
    assert_int_equal(kj_gateway_publish(fixture->gateway, &slow, NULL), KJ_OK);
    expect(fd, "[0  4  4]"); /* before what takes its time */
    expect(fd, "[0  5  5]");
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_room_hears_what_is_said_in_it_and_nobody_else),
        TEST(joining_twice_is_joining_once_and_so_is_leaving),
        TEST(who_is_being_closed_is_in_no_topic),
        TEST(a_client_has_so_many_rooms),
        TEST(a_node_has_so_many_topics),
        TEST(pushes_of_one_publisher_arrive_in_order),
        TEST(a_session_and_a_user_are_found_by_name),
        TEST(members_are_listed_in_pages),
        TEST(a_topic_is_heard_for_a_while_after_its_last_client),
        TEST(a_kick_ends_the_clients_of_a_topic),
        TEST(bad_pushes_are_refused_and_counted),
        TEST(what_is_no_push_is_counted),
        TEST(what_did_not_arrive_is_counted),
        TEST(batches_go_out_once_a_window),
        TEST(what_may_not_wait_takes_along_what_does),
        TEST(batches_of_pushes_to_all_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
