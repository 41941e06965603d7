/* wants_test.c - pushes that not everyone of a topic wants, devices, and who is there. */
#include "fixture.h"

/* A client of the user "even" wants even ops alone, and so on; who has none wants all. */
static bool wants(struct kj_client *client, const struct kj_push *push, void *ctx)
{
    (void)ctx;
    const char *user = kj_client_user(client);
    bool is_even = kj_push_op(push) % 2 == 0;
    assert_int_not_equal(kj_push_op(push), 0);
    return !user || (strcmp(user, "even") == 0 && is_even) ||
           (strcmp(user, "odd") == 0 && !is_even);
}

static void say_op(struct fixture *fixture, enum kj_topic_kind kind, const char *name, int64_t op)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", (int)op);
    assert_int_equal(kj_gateway_publish(fixture->gateway,
                                        &(struct kj_push_options){.kind = kind,
                                                                  .name = name,
                                                                  .op = op,
                                                                  .body = (const uint8_t *)text,
                                                                  .body_len = strlen(text)},
                                        NULL),
                     KJ_OK);
}

static void expect_op(int fd, int op)
{
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "[1 r %d  %d]", op + 1, op);
    expect(fd, wanted);
}

enum { EVEN, ODD, ANY, CLIENTS };

static void join_all(struct fixture *fixture, int fds[CLIENTS])
{
    static const char *const names[] = {"user even d", "user odd d"};
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = connect_client(fixture);
        if (i < ANY) {
            ask(fds[i], names[i], "ok 0");
        }
        ask(fds[i], "join r", "ok 0");
    }
}

static void each_gets_what_it_wants_in_order(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.wants = wants;
    start(fixture);
    int fds[CLIENTS];
    join_all(fixture, fds);
    for (int op = 0; op < 1000; op++) {
        say_op(fixture, KJ_TOPIC_ROOM, "r", op);
    }
    for (int op = 0; op < 1000; op++) {
        if (op == 0 || op % 2 == 0) {
            expect_op(fds[EVEN], op);
        }
        if (op == 0 || op % 2 == 1) {
            expect_op(fds[ODD], op);
        }
        expect_op(fds[ANY], op);
    }
    assert_int_equal(fixture->counters.gateway_unwanted, 999);
    say_op(fixture, KJ_TOPIC_USER, "even", 3);
    say_op(fixture, KJ_TOPIC_USER, "even", 4);
    expect(fds[EVEN], "[2 even 2  4]");
    for (int i = 0; i < CLIENTS; i++) {
        expect_silence(fds[i]);
        close(fds[i]);
    }
}

/* One that a client does not want is not in its batch. */
static void batches_have_what_everyone_wants(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.wants = wants;
    fixture->protocol.batching = (struct kj_batching){.window_ms = 200, .items = 3};
    fixture->shards = 1;
    start(fixture);
    int fds[CLIENTS];
    join_all(fixture, fds);
    say_op(fixture, KJ_TOPIC_ROOM, "r", 0);
    for (int i = 0; i < CLIENTS; i++) {
        expect_op(fds[i], 0);
    }
    for (int op = 1; op <= 3; op++) { /* a whole batch */
        say_op(fixture, KJ_TOPIC_ROOM, "r", op);
    }
    expect_op(fds[ODD], 1);
    expect_op(fds[ODD], 3);
    expect_op(fds[EVEN], 2);
    expect_op(fds[ANY], 1);
    expect_op(fds[ANY], 2);
    expect_op(fds[ANY], 3);
    ask(fds[ODD], "leave r", "ok 0");
    ask(fds[EVEN], "leave r", "ok 0");
    for (int op = 4; op <= 6; op++) {
        say_op(fixture, KJ_TOPIC_ROOM, "r", op);
    }
    expect(fds[ANY], "[1 r 5  4][1 r 6  5][1 r 7  6]");
    for (int i = 0; i < CLIENTS; i++) {
        expect_silence(fds[i]);
        close(fds[i]);
    }
}

static void a_push_to_a_session_is_wanted_too(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.wants = wants;
    start(fixture);
    int fd = connect_client(fixture);
    char id[FRAME_MAX];
    ask(fd, "user odd d", "ok 0");
    say(fd, "who");
    assert_true(hear(fd, id));
    say_op(fixture, KJ_TOPIC_SESSION, id, 2);
    say_op(fixture, KJ_TOPIC_SESSION, id, 3);
    char heard[FRAME_MAX];
    assert_true(hear(fd, heard));
    assert_non_null(strstr(heard, "  3]"));
    wait_for(&fixture->counters.gateway_unwanted, 1);
    close(fd);
}

static void a_device_may_be_pushed_to(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.device_topics = true;
    start(fixture);
    int ann = connect_client(fixture);
    int bob = connect_client(fixture);
    int other = connect_client(fixture);
    ask(ann, "user ann phone", "ok 0");
    ask(bob, "user bob phone", "ok 0");
    ask(other, "user ann tv", "ok 0");
    publish(fixture, KJ_TOPIC_DEVICE, "phone", "ring");
    expect(ann, "[4 phone 1  ring]");
    expect(bob, "[4 phone 1  ring]");
    expect_silence(other);
    assert_int_equal(kj_gateway_member_count(fixture->gateway, KJ_TOPIC_DEVICE, "phone"), 2);
    assert_int_equal(kj_gateway_kick(fixture->gateway, KJ_TOPIC_DEVICE, "tv", KJ_CLOSE_KICKED, ""),
                     KJ_OK);
    expect(other, "end 4403 ");
    expect_close(other, KJ_CLOSE_KICKED);
    close(ann);
    close(bob);
    close(other);
}

static void devices_are_no_topics_unless_asked_for(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_client(fixture);
    ask(fd, "user ann phone", "ok 0");
    assert_int_equal(kj_gateway_member_count(fixture->gateway, KJ_TOPIC_DEVICE, "phone"), 0);
    close(fd);
}

static void addresses_are_counted_once(void **state)
{
    struct fixture *fixture = *state;
    struct kj_gateway_counts counts;
    start(fixture);
    int fds[] = {connect_client(fixture), connect_client(fixture)};
    expect_silence(fds[0]);
    expect_silence(fds[1]);
    kj_gateway_count(fixture->gateway, &counts);
    assert_int_equal(counts.addresses, 1);
    assert_int_equal(counts.clients, 2);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_gets_what_it_wants_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(batches_have_what_everyone_wants, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_push_to_a_session_is_wanted_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_device_may_be_pushed_to, set_up, tear_down),
        cmocka_unit_test_setup_teardown(devices_are_no_topics_unless_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(addresses_are_counted_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
