/* excess_test.c - clients that send too fast. */
#include "fixture.h"

static void on_excess(struct kj_client *client, enum kj_frame frame, uint8_t *data, size_t len,
                      void *ctx)
{
    (void)ctx;
    char text[64];
    (void)snprintf(text, sizeof text, "%d too fast: %.*s", (int)frame, (int)len,
                   (const char *)data);
    kj_client_send(client, KJ_FRAME_TEXT, text, strlen(text));
}

static void what_comes_too_fast_is_refused_and_then_ends_the_client(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.limits.messages_per_second = 1;
    fixture->protocol.limits.messages_burst = 3;
    fixture->protocol.limits.messages_excess = 2;
    fixture->protocol.on_excess = on_excess;
    start(fixture);
    int fd = connect_client(fixture);
    int other = connect_client(fixture);
    for (int i = 0; i < 5; i++) {
        say(fd, "join r");
    }
    expect(fd, "ok 0");
    expect(fd, "ok 0");
    expect(fd, "ok 0");
    expect(fd, "0 too fast: join r");
    expect(fd, "0 too fast: join r");
    expect_close(fd, 1008);
    ask(other, "join r", "ok 0");
    assert_int_equal(fixture->counters.gateway_messages_too_fast, 2);
    assert_int_equal(fixture->counters.gateway_clients_too_fast, 1);
    assert_int_equal(fixture->counters.gateway_messages, 6);
    close(fd);
    close(other);
}

static void after_a_rest_all_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.limits.messages_per_second = 1000;
    fixture->protocol.limits.messages_burst = 1;
    fixture->protocol.limits.messages_excess = 1000;
    fixture->protocol.on_excess = on_excess;
    start(fixture);
    int fd = connect_client(fixture);
    int refused = 0;
    /* One message a millisecond may come, so that in the end each is served. */
    for (int served = 0; served < 5;) {
        char heard[FRAME_MAX];
        poll(NULL, 0, 2);
        say(fd, "join r");
        assert_true(hear(fd, heard));
        if (strcmp(heard, "ok 0") == 0) {
            served++;
        } else {
            refused++;
            assert_true(refused < 1000);
        }
    }
    assert_int_equal(fixture->counters.gateway_clients_too_fast, 0);
    close(fd);
}

static void without_a_limit_nothing_is_refused(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_client(fixture);
    for (int i = 0; i < 500; i++) {
        say(fd, "join r");
    }
    for (int i = 0; i < 500; i++) {
        expect(fd, "ok 0");
    }
    assert_int_equal(fixture->counters.gateway_messages_too_fast, 0);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_comes_too_fast_is_refused_and_then_ends_the_client),
        TEST(after_a_rest_all_is_forgotten),
        TEST(without_a_limit_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
