/* strikes_test.c - clients that send bad push configs again and again are let go of slower. */
#include "base/clock.h"
#include "fixture.h"

static void each_strike_waits_twice_as_long_up_to_a_limit(void **state)
{
    (void)state;
    struct kj__strikes strikes;
    kj__strikes_init(&strikes, 100, 1000);
    static const uint32_t waits[] = {0, 100, 200, 400, 800, 1000, 1000};
    uint64_t now = 5000;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        assert_int_equal(kj__strikes_add(&strikes, "127.0.0.1", now), waits[i]);
        now += waits[i];
    }
    assert_int_equal(kj__strikes_add(&strikes, "127.0.0.2", now), 0); /* somebody else's first */
    assert_int_equal(kj__strikes_add(&strikes, "127.0.0.1", now), 1000);
    kj__strikes_fini(&strikes);
}

static void an_address_that_behaves_is_forgotten(void **state)
{
    (void)state;
    struct kj__strikes strikes;
    kj__strikes_init(&strikes, 100, 1000);
    assert_int_equal(kj__strikes_add(&strikes, "::1", 5000), 0);
    assert_int_equal(kj__strikes_add(&strikes, "::1", 6000), 100);
    assert_int_equal(kj__strikes_add(&strikes, "::1", 7101), 0);
    kj__strikes_fini(&strikes);
}

static void a_crowd_of_addresses_takes_no_more_room(void **state)
{
    (void)state;
    struct kj__strikes strikes;
    char address[32];
    kj__strikes_init(&strikes, 100, 1000);
    for (int i = 0; i < 100000; i++) {
        (void)snprintf(address, sizeof address, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        assert_int_equal(kj__strikes_add(&strikes, address, (uint64_t)i + 1), 0);
    }
    assert_int_equal(kj__strikes_add(&strikes, address, 100001), 100);
    kj__strikes_fini(&strikes);
}

static void a_network_of_ipv6_is_one_address(void **state)
{
    (void)state;
    struct kj__strikes strikes;
    kj__strikes_init(&strikes, 100, 1000);
    assert_int_equal(kj__strikes_add(&strikes, "2001:db8:0:1::1", 1), 0);
    assert_int_equal(kj__strikes_add(&strikes, "2001:db8:0:1:ffff::2", 2), 100);
    assert_int_equal(kj__strikes_add(&strikes, "2001:db8:0:2::1", 3), 0);
    kj__strikes_fini(&strikes);
}

static void expect_1003(int fd)
{
    uint8_t payload[FRAME_MAX];
    size_t len;
    assert_int_equal(read_frame(fd, payload, &len), 0x88);
    assert_memory_equal(payload, "\x03\xeb", 2);
    close(fd);
}

static void a_held_session_hears_and_says_nothing(void **state)
{
    struct fixture *fixture = *state;
    fixture->limits.bad_config_wait_ms = 200;
    fixture->limits.bad_config_wait_max_ms = 200;
    start(fixture);
    int first = connect_session(fixture, "", NULL);
    send_config(fixture, first, "junk");
    expect_1003(first);
    int second = connect_session(fixture, "", NULL);
    uint64_t before = kj__clock_monotonic_ms();
    send_config(fixture, second, "junk");
    send_text(second, "{}"); /* too late */
    send_text(second, "junk");
    publish(fixture, "task", KJ_EVENT_CREATE, 1);
    /* Others of the same address notice nothing. */
    int other = connect_session(fixture, "", NULL);
    publish(fixture, "task", KJ_EVENT_CREATE, 2);
    assert_int_equal(read_number(other), 2);
    expect_1003(second);
    assert_true(kj__clock_monotonic_ms() - before >= 200);
    assert_int_equal(fixture->counters.push_configs_bad, 2);
    assert_int_equal(fixture->counters.push_configs, 0);
    assert_int_equal(fixture->counters.late_closes, 1);
    assert_int_equal(fixture->counters.closed_bad_config, 2);
    close(other);
}

/* The last that has started. */
static struct kj_session *_Atomic kept;

static void keep(struct kj_session *session, void *ctx)
{
    (void)ctx;
    kj_session_unref(atomic_exchange(&kept, kj_session_ref(session)));
}

static void a_held_session_is_pushed_nothing(void **state)
{
    struct fixture *fixture = *state;
    fixture->limits.bad_config_wait_ms = 200;
    fixture->limits.bad_config_wait_max_ms = 200;
    fixture->dispatch.on_session_start = keep;
    start(fixture);
    int first = connect_session(fixture, "", NULL);
    send_config(fixture, first, "junk");
    expect_1003(first);
    wait_for_counter(&fixture->counters.sessions, 0);
    int second = connect_session(fixture, "", NULL);
    send_config(fixture, second, "junk");
    wait_for_counter(&fixture->counters.late_closes, 1);
    json_t *entity = json_object();
    struct kj_event *event;
    assert_int_equal(kj_event_new_untyped("task", KJ_EVENT_CREATE, entity, &event), KJ_OK);
    assert_int_equal(kj_session_push(kept, event), KJ_ECLOSED);
    assert_int_equal(fixture->counters.session_pushes_refused, 1);
    expect_1003(second);
    kj_session_unref(atomic_exchange(&kept, NULL));
    kj_event_unref(event);
    json_decref(entity);
}

static void a_held_session_may_leave(void **state)
{
    struct fixture *fixture = *state;
    fixture->limits.bad_config_wait_ms = 60000;
    start(fixture);
    int first = connect_session(fixture, "", NULL);
    send_config(fixture, first, "junk");
    expect_1003(first);
    int second = connect_session(fixture, "", NULL);
    send_config(fixture, second, "junk");
    close(second);
    wait_for_counter(&fixture->counters.sessions, 0);
    assert_int_equal(fixture->counters.closed_by_peer, 1);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_strike_waits_twice_as_long_up_to_a_limit),
        cmocka_unit_test(an_address_that_behaves_is_forgotten),
        cmocka_unit_test(a_crowd_of_addresses_takes_no_more_room),
        cmocka_unit_test(a_network_of_ipv6_is_one_address),
        WITH_FIXTURE(a_held_session_hears_and_says_nothing),
        WITH_FIXTURE(a_held_session_is_pushed_nothing),
        WITH_FIXTURE(a_held_session_may_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
