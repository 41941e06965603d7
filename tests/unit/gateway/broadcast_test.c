/* broadcast_test.c - pushes to all that go to so many clients a second. */
#include "base/clock.h"
#include "fixture.h"

enum { CLIENTS = 12 };

static enum kj_status broadcast(struct fixture *fixture, const char *text, uint32_t speed)
{
    return kj_gateway_publish(fixture->gateway,
                              &(struct kj_push_options){.kind = KJ_TOPIC_ALL,
                                                        .body = (const uint8_t *)text,
                                                        .body_len = strlen(text),
                                                        .speed = speed},
                              NULL);
}

static void everybody_gets_it_once_and_in_order(void **state)
{
    struct fixture *fixture = *state;
    int clients[CLIENTS];
    start(fixture);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_as(fixture, i % 2 ? KJ_ENCODING_MSGPACK : KJ_ENCODING_JSON, true);
        ask(clients[i], "join r", "ok 0");
    }
    uint64_t before_ms = kj__clock_monotonic_ms();
    assert_int_equal(broadcast(fixture, "first", 0), KJ_OK);
    assert_int_equal(broadcast(fixture, "slow", 40), KJ_OK);
    assert_int_equal(broadcast(fixture, "behind", 0), KJ_OK);
    assert_int_equal(broadcast(fixture, "quick", 1000), KJ_OK);
    assert_int_equal(broadcast(fixture, "last", 0), KJ_OK);
    for (int i = 0; i < CLIENTS; i++) {
        expect(clients[i], "[0  1  first]");
        expect(clients[i], "[0  2  slow]");
        expect(clients[i], "[0  3  behind]");
        expect(clients[i], "[0  4  quick]");
        expect(clients[i], "[0  5  last]");
    }
    /* Twelve at forty a second, the first of them at once. */
    assert_true(kj__clock_monotonic_ms() - before_ms >= 200);
    for (int i = 0; i < CLIENTS; i++) {
        expect_silence(clients[i]);
        close(clients[i]);
    }
    assert_int_equal(fixture->encoded, 10); /* five pushes in two encodings */
}

static void the_end_of_the_node_gives_the_rest_to_all(void **state)
{
    struct fixture *fixture = *state;
    int clients[CLIENTS];
    start(fixture);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_client(fixture);
        ask(clients[i], "join r", "ok 0");
    }
    assert_int_equal(broadcast(fixture, "slow", 1), KJ_OK);
    assert_int_equal(broadcast(fixture, "behind", 0), KJ_OK);
    wait_for(&fixture->counters.gateway_received, 2);

    kj__gateway_stop(fixture->gateway);
    kj__delivery_stop(fixture->delivery, DEADLINE_MS / 10);

    for (int i = 0; i < CLIENTS; i++) {
        expect(clients[i], "[0  1  slow]");
        expect(clients[i], "[0  2  behind]");
        close(clients[i]);
    }
}

static void other_topics_do_not_wait(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int one = connect_client(fixture);
    int two = connect_client(fixture);
    int three = connect_client(fixture);
    ask(one, "join r", "ok 0");
    ask(two, "join r", "ok 0");
    ask(three, "join r", "ok 0");
    assert_int_equal(broadcast(fixture, "slow", 1), KJ_OK);
    publish(fixture, KJ_TOPIC_ROOM, "r", "room");
    const int clients[] = {one, two, three};
    int had_none = 0;
    for (int i = 0; i < 3; i++) {
        char text[FRAME_MAX];
        assert_true(hear(clients[i], text));
        had_none += strcmp(text, "[1 r 1  room]") == 0;
    }
    assert_true(had_none >= 1);
    for (int i = 0; i < 3; i++) {
        close(clients[i]);
    }
}

static void who_comes_later_does_not_get_it_and_who_goes_is_passed_over(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int stays = connect_client(fixture);
    int goes = connect_client(fixture);
    ask(stays, "join r", "ok 0");
    ask(goes, "join r", "ok 0");
    assert_int_equal(broadcast(fixture, "slow", 5), KJ_OK);
    publish(fixture, KJ_TOPIC_ROOM, "r", "begun"); /* behind it at each shard */
    char text[FRAME_MAX];
    do {
        assert_true(hear(stays, text));
    } while (strcmp(text, "[1 r 1  begun]") != 0);
    int late = connect_client(fixture);
    ask(late, "join q", "ok 0");
    close(goes);
    wait_for_members(fixture, "r", 1);
    assert_int_equal(broadcast(fixture, "next", 0), KJ_OK);
    expect(late, "[0  2  next]");
    do {
        assert_true(hear(stays, text));
    } while (strcmp(text, "[0  2  next]") != 0);
    expect_silence(stays);
    close(stays);
    close(late);
}

static void a_kick_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_client(fixture);
        ask(clients[i], "join r", "ok 0");
    }
    assert_int_equal(broadcast(fixture, "slow", 1), KJ_OK);
    assert_int_equal(kj_gateway_kick(fixture->gateway, KJ_TOPIC_ALL, NULL, 1001, "bye"), KJ_OK);
    int had_it = 0;
    for (int i = 0; i < CLIENTS; i++) {
        char text[FRAME_MAX];
        while (hear(clients[i], text)) {
            had_it += strcmp(text, "[0  1  slow]") == 0;
        }
        assert_string_equal(text, "1001");
        close(clients[i]);
    }
    assert_true(had_it < CLIENTS);
}

static void a_speed_is_for_all(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    assert_int_equal(kj_gateway_publish(fixture->gateway,
                                        &(struct kj_push_options){.kind = KJ_TOPIC_ROOM,
                                                                  .name = "r",
                                                                  .body = (const uint8_t *)"x",
                                                                  .body_len = 1,
                                                                  .speed = 1},
                                        NULL),
                     KJ_EINVAL);
    assert_int_equal(broadcast(fixture, "nobody", 1), KJ_OK);
}

static void so_many_wait_behind_one(void **state)
{
    struct fixture *fixture = *state;
    fixture->shards = 1;
    start(fixture);
    int clients[60]; /* a minute's worth */
    for (int i = 0; i < 60; i++) {
        clients[i] = connect_client(fixture);
        ask(clients[i], "join r", "ok 0");
    }
    assert_int_equal(broadcast(fixture, "slow", 1), KJ_OK);
    for (int i = 0; i < 1023; i++) {
        assert_int_equal(broadcast(fixture, "x", 0), KJ_OK);
    }
    publish(fixture, KJ_TOPIC_ROOM, "r", "here");
    expect(clients[59], "[1 r 1  here]");
    assert_int_equal(fixture->counters.gateway_broadcasts_dropped, 0);
    assert_int_equal(broadcast(fixture, "y", 0), KJ_OK);
    wait_for(&fixture->counters.gateway_broadcasts_dropped, 1);
    for (int i = 0; i < 60; i++) {
        close(clients[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everybody_gets_it_once_and_in_order),
        TEST(the_end_of_the_node_gives_the_rest_to_all),
        TEST(other_topics_do_not_wait),
        TEST(who_comes_later_does_not_get_it_and_who_goes_is_passed_over),
        TEST(a_kick_does_not_wait),
        TEST(a_speed_is_for_all),
        TEST(so_many_wait_behind_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
