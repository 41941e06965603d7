/* walk_test.c - the topics that have clients, in portions. */
#include "fixture.h"

static void join(int fd, int first, int end)
{
    char text[32];
    for (int i = first; i < end; i++) {
        (void)snprintf(text, sizeof text, "join room%d", i);
        ask(fd, text, "ok 0");
    }
}

/* How often each of room0 to room31 came, and with how many clients. */
struct seen {
    int times[32];
    size_t clients[32];
};

static size_t see(struct kj_topic_walk *walk, size_t max, struct seen *seen)
{
    struct kj_topic_count topics[64];
    size_t count = kj_topic_walk_next(walk, topics, max);
    assert_true(count <= max);
    for (size_t i = 0; i < count; i++) {
        int number = -1;
        assert_int_equal(sscanf(topics[i].name, "room%d", &number), 1);
        assert_in_range(number, 0, 31);
        seen->times[number]++;
        seen->clients[number] = topics[i].clients;
    }
    return count;
}

static void every_room_comes_once_in_portions(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    start(fixture);
    int one = connect_client(fixture);
    int two = connect_client(fixture);
    join(one, 0, 20);
    join(two, 10, 30);
    struct kj_topic_walk *walk = kj_topic_walk_new(fixture->gateway, KJ_TOPIC_ROOM);
    size_t sum = 0;
    for (size_t got; (got = see(walk, 7, &seen)) > 0;) {
        sum += got;
    }
    kj_topic_walk_free(walk);
    assert_int_equal(sum, 30);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(seen.times[i], 1);
        assert_int_equal(seen.clients[i], i >= 10 && i < 20 ? 2 : 1);
    }
    close(one);
    close(two);
}

static void rooms_come_and_go_under_a_walk(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    struct seen other = {0};
    start(fixture);
    int fd = connect_client(fixture);
    join(fd, 0, 10);
    struct kj_topic_walk *walk = kj_topic_walk_new(fixture->gateway, KJ_TOPIC_ROOM);
    struct kj_topic_walk *second = kj_topic_walk_new(fixture->gateway, KJ_TOPIC_ROOM);
    assert_int_equal(see(walk, 4, &seen), 4);
    assert_int_equal(see(second, 64, &other), 10);
    ask(fd, "leave room3", "ok 0"); /* it has just come */
    ask(fd, "leave room4", "ok 0"); /* it would be next */
    join(fd, 20, 22);
    while (see(walk, 4, &seen) > 0) {
    }
    kj_topic_walk_free(second);
    assert_int_equal(see(walk, 4, &seen), 0);
    kj_topic_walk_free(walk);
    assert_int_equal(seen.times[4], 0);
    assert_int_equal(seen.times[20], 1);
    assert_int_equal(seen.times[21], 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(seen.times[i], i != 4);
    }
    close(fd);
}

static void users_and_rooms_are_apart_and_who_has_gone_is_not_there(void **state)
{
    struct fixture *fixture = *state;
    struct kj_topic_count topics[4];
    start(fixture);
    int fd = connect_client(fixture);
    ask(fd, "join r", "ok 0");
    ask(fd, "user ann phone", "ok 0");
    struct kj_topic_walk *walk = kj_topic_walk_new(fixture->gateway, KJ_TOPIC_USER);
    assert_int_equal(kj_topic_walk_next(walk, topics, 4), 1);
    assert_string_equal(topics[0].name, "ann");
    kj_topic_walk_free(walk);
    close(fd);
    wait_for_members(fixture, "r", 0);
    walk = kj_topic_walk_new(fixture->gateway, KJ_TOPIC_ROOM);
    assert_int_equal(kj_topic_walk_next(walk, topics, 4), 0);
    kj_topic_walk_free(walk);
    kj_topic_walk_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_room_comes_once_in_portions),
        TEST(rooms_come_and_go_under_a_walk),
        TEST(users_and_rooms_are_apart_and_who_has_gone_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
