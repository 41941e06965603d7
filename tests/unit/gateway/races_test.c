/* races_test.c - many at once on one room, and clients that do not read. */
#include "fixture.h"

#include <pthread.h>

enum { WORKERS = 4, TURNS = 150 };

struct work {
    struct fixture *fixture;
    int number;
};

/* Reads whatever is there until the answer comes. */
static void ask_among_pushes(int fd, const char *text)
{
    char heard[FRAME_MAX];
    say(fd, text);
    do {
        assert_true(hear(fd, heard));
    } while (heard[0] == '[');
    assert_string_equal(heard, "ok 0");
}

/* Joins, leaves and goes, again and again; half of the time without leaving first. */
static void *come_and_go(void *argument)
{
    const struct work *work = argument;
    for (int turn = 0; turn < TURNS; turn++) {
        int fd = connect_client(work->fixture);
        ask_among_pushes(fd, "join r");
        ask_among_pushes(fd, work->number % 2 ? "user ann d" : "join other");
        if (turn % 2) {
            ask_among_pushes(fd, "leave r");
        }
        close(fd);
    }
    return NULL;
}

static void *push_and_kick(void *argument)
{
    const struct work *work = argument;
    for (int turn = 0; turn < TURNS * 4; turn++) {
        publish(work->fixture, KJ_TOPIC_ROOM, "r", "x");
        publish(work->fixture, KJ_TOPIC_USER, "ann", "x");
        publish(work->fixture, KJ_TOPIC_ALL, NULL, "x");
        if (turn % 16 == 0) {
            kj_gateway_kick(work->fixture->gateway, KJ_TOPIC_ROOM, "victims", 4000, "x");
        }
        struct kj_member members[8];
        kj_gateway_members(work->fixture->gateway, KJ_TOPIC_ROOM, "r", 0, members, 8);
    }
    return NULL;
}

static void come_go_and_push_at_once(struct fixture *fixture)
{
    pthread_t threads[WORKERS + 1];
    struct work works[WORKERS + 1];
    for (int i = 0; i <= WORKERS; i++) {
        works[i] = (struct work){.fixture = fixture, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i == WORKERS ? push_and_kick : come_and_go, &works[i]),
                         0);
    }
    for (int i = 0; i <= WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    wait_for(&fixture->counters.gateway_clients, 0);
    wait_for_members(fixture, "r", 0);
    struct kj_gateway_counts counts;
    kj_gateway_count(fixture->gateway, &counts);
    assert_int_equal(counts.clients, 0);
    assert_int_equal(counts.users, 0);
    assert_int_equal(counts.rooms, 0);
}

static void one_room_bears_all_at_once(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    come_go_and_push_at_once(fixture);
}

/* Without a linger the last leave ends the subscription at once, while others join. */
static void a_join_wins_over_the_last_leave(void **state)
{
    struct fixture *fixture = *state;
    fixture->linger_ms = 0;
    start(fixture);
    come_go_and_push_at_once(fixture);
    for (int turn = 0; turn < 200; turn++) {
        int fd = connect_client(fixture);
        ask_among_pushes(fd, "join r");
        ask_among_pushes(fd, "leave r");
        ask_among_pushes(fd, "join r");
        assert_int_equal(publish(fixture, KJ_TOPIC_ROOM, "r", "x"), KJ_OK);
        char heard[FRAME_MAX];
        assert_true(hear(fd, heard));
        assert_int_equal(heard[0], '[');
        close(fd);
    }
}

static void batches_bear_it_too(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.batching.window_ms = 50;
    start(fixture);
    come_go_and_push_at_once(fixture);
}

/* ---- slow clients ---- */

enum { LARGE = 8000 };

/* Publishes until the counter moves; how often. */
static int publish_until(struct fixture *fixture, enum kj_topic_kind kind, const char *name,
                         _Atomic uint64_t *counter, int reader)
{
    static char text[LARGE + 1];
    char heard[FRAME_MAX];
    memset(text, 'x', LARGE);
    for (int count = 1;; count++) {
        assert_int_equal(publish(fixture, kind, name, text), KJ_OK);
        assert_true(hear(reader, heard)); /* who reads is not held up */
        if (*counter > 0) {
            return count;
        }
        assert_true(count < 10000);
    }
}

static void a_slow_member_of_a_room_misses_the_oldest_and_hears_how_many(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.limits.queue_messages = 8;
    fixture->shards = 1;
    start(fixture);
    int slow = connect_client(fixture);
    int reader = connect_client(fixture);
    ask(slow, "join r", "ok 0");
    ask(reader, "join r", "ok 0");
    int published = publish_until(fixture, KJ_TOPIC_ROOM, "r",
                                  &fixture->counters.dropped_queue_full, reader);
    int heard_count = 0;
    long missed = -1;
    while (missed < 0) {
        char heard[FRAME_MAX];
        assert_true(hear(slow, heard));
        if (sscanf(heard, "gap %ld", &missed) != 1) {
            heard_count++;
        }
    }
    assert_int_equal(heard_count + missed, published);
    assert_int_equal(missed, fixture->counters.dropped_queue_full);
    close(slow);
    close(reader);
}

static void a_slow_client_of_a_user_is_closed_and_no_other(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.limits.queue_messages = 8;
    fixture->shards = 1;
    start(fixture);
    int slow = connect_client(fixture);
    int reader = connect_client(fixture);
    ask(slow, "user ann d", "ok 0");
    ask(reader, "user ann d", "ok 0");
    publish_until(fixture, KJ_TOPIC_USER, "ann", &fixture->counters.closed_queue_full, reader);
    assert_int_equal(fixture->counters.closed_queue_full, 1);
    expect_silence(reader);
    close(slow);
    close(reader);
}

static void push_to_room_until(struct fixture *fixture, int reader, _Atomic uint64_t *number,
                               uint64_t least)
{
    static char text[LARGE + 1];
    char heard[FRAME_MAX];
    memset(text, 'x', LARGE);
    for (int count = 0; *number < least; count++) {
        assert_true(count < 10000);
        publish(fixture, KJ_TOPIC_ROOM, "r", text);
        assert_true(hear(reader, heard));
    }
}

/* A message to a user is not dropped to make room for one to a room, and finds room where the
 * queue is full of those. */
static void what_is_for_a_user_is_kept_where_a_room_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    fixture->protocol.limits.queue_messages = 8;
    fixture->shards = 1;
    start(fixture);
    int slow = connect_client(fixture);
    int reader = connect_client(fixture);
    char heard[FRAME_MAX];
    ask(slow, "join r", "ok 0");
    ask(reader, "join r", "ok 0");
    ask(slow, "user ann d", "ok 0");
    ask(reader, "user ann e", "ok 0");
    push_to_room_until(fixture, reader, &fixture->counters.dropped_queue_full, 1);
    assert_int_equal(publish(fixture, KJ_TOPIC_USER, "ann", "kept"), KJ_OK);
    assert_true(hear(reader, heard)); /* both are in one queue each by now */
    assert_string_equal(heard, "[2 ann 1  kept]");
    push_to_room_until(fixture, reader, &fixture->counters.dropped_queue_full, 20);
    do {
        assert_true(hear(slow, heard));
    } while (strcmp(heard, "[2 ann 1  kept]") != 0);
    assert_int_equal(fixture->counters.closed_queue_full, 0);
    close(slow);
    close(reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_room_bears_all_at_once),
        TEST(a_join_wins_over_the_last_leave),
        TEST(batches_bear_it_too),
        TEST(a_slow_member_of_a_room_misses_the_oldest_and_hears_how_many),
        TEST(a_slow_client_of_a_user_is_closed_and_no_other),
        TEST(what_is_for_a_user_is_kept_where_a_room_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
