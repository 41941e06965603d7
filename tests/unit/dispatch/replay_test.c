/* replay_test.c - sessions that come back, where shards and threads have to be in certain places. */
#include "fixture.h"

#include "base/clock.h"

#include <pthread.h>

enum { KEPT = 100000, ROUNDS = 40, PUBLISHED = 6000 };

static void start_keeping(struct fixture *fixture, uint32_t events)
{
    fixture->limits.resume_events = events;
    fixture->limits.resume_bytes = UINT32_MAX;
    start(fixture);
}

/* The query of a session that had everything up to a number. */
static const char *since(const struct fixture *fixture, long number)
{
    static char query[64];
    snprintf(query, sizeof query, "since=%s-%ld", fixture->events.stream, number);
    return query;
}

static void expect_numbers(int fd, long first, long last)
{
    for (long number = first; number <= last; number++) {
        assert_int_equal(read_number(fd), number);
    }
}

/* Nothing had been sent by the pong to a ping sent now. */
static void expect_silence(int fd)
{
    static const uint8_t ping[] = {0x89, 0x80, 0, 0, 0, 0};
    uint8_t payload[FRAME_MAX];
    size_t len;
    assert_int_equal(send(fd, ping, sizeof ping, 0), sizeof ping);
    assert_int_equal(read_frame(fd, payload, &len), 0x8a);
}

/* ---- shards at different places ---- */

struct blocker {
    struct kj__job job;
    _Atomic bool is_running, may_end, has_ended;
};

static void run_blocker(struct kj__job *job, struct kj__shard *shard)
{
    (void)shard;
    struct blocker *blocker = (struct blocker *)job;
    blocker->is_running = true;
    while (!blocker->may_end) {
        poll(NULL, 0, 1);
    }
    blocker->has_ended = true;
}

static void wait_for(const _Atomic bool *flag)
{
    for (int waited = 0; !*flag; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

/* A session whose number is on the other shard has had what its own is still to be given. */
static void session_ahead_of_its_shard_gets_nothing_twice(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    start_keeping(fixture, KEPT);
    struct kj_session *first = prepare(fixture, "resume", NULL, &refusal);
    struct kj__shard *busy =
        &fixture->delivery->shards[first->connection.shard == &fixture->delivery->shards[0]];
    int fd = attach(first);
    expect_silence(fd);
    struct blocker blocker = {.job.run = run_blocker};
    assert_true(kj__shard_post(busy, &blocker.job));
    wait_for(&blocker.is_running);
    for (int number = 1; number <= 3; number++) {
        assert_int_equal(publish(fixture, "task", "create", number), KJ_OK);
    }
    expect_numbers(fd, 1, 3);

    struct kj_session *second = prepare(fixture, since(fixture, 3), NULL, &refusal);
    assert_ptr_equal(second->connection.shard, busy);
    int other = attach(second);
    send_text(other, "{}");
    struct kj_session *third = prepare(fixture, since(fixture, 1), NULL, &refusal);
    assert_ptr_not_equal(third->connection.shard, busy);
    int neighbour = attach(third);
    send_text(neighbour, "{}");
    expect_numbers(neighbour, 2, 3);
    blocker.may_end = true;
    wait_for(&blocker.has_ended);
    assert_int_equal(publish(fixture, "task", "create", 4), KJ_OK);
    expect_numbers(other, 4, 4);
    expect_numbers(neighbour, 4, 4);
    expect_silence(other);
    wait_for_counter(&fixture->counters.resumes, 2);
    close(fd);
    close(other);
    close(neighbour);
}

/* ---- time ---- */

/* Its publisher's clock is behind, or the broker was slow. */
static void event_from_before_the_session_reaches_one_that_goes_on(void **state)
{
    struct fixture *fixture = *state;
    start_keeping(fixture, KEPT);
    json_t *entity = json_pack("{s:i}", "n", 1);
    struct kj_event *event;
    assert_int_equal(kj_event_new_untyped("task", "create", entity, &event), KJ_OK);
    int64_t made_ns = kj_event_timestamp_ns(event);
    while (kj__clock_wall_ns() <= made_ns) {
    }
    int going_on = connect_session(fixture, since(fixture, 0), NULL);
    int plain = connect_session(fixture, "", NULL);
    int refused = connect_session(fixture, "since=x", NULL);
    send_config(fixture, going_on, "{}");
    wait_for_counter(&fixture->counters.resumes, 1);
    send_config(fixture, refused, "{}");
    struct kj_event *notice = read_event(refused);
    assert_string_equal(kj_event_type(notice), KJ_EVENT_ERROR);
    int new = connect_session(fixture, "resume", NULL);
    expect_silence(plain);
    assert_int_equal(kj__events_publish(&fixture->events, event), KJ_OK);
    expect_numbers(going_on, 1, 1);
    assert_int_equal(publish(fixture, "task", "create", 2), KJ_OK);
    expect_numbers(going_on, 2, 2);
    expect_numbers(plain, 2, 2);
    expect_numbers(refused, 1, 2);
    expect_numbers(new, 1, 2);
    kj_event_unref(notice);
    kj_event_unref(event);
    json_decref(entity);
    close(going_on);
    close(plain);
    close(refused);
    close(new);
}

/* ---- handlers ---- */

static bool count_and_let_even_ones(struct kj_session *session, const struct kj_event *event,
                                    const void *summary, void *ctx)
{
    (void)session;
    (void)summary;
    ((struct fixture *)ctx)->summaries++;
    return json_integer_value(json_object_get(kj_event_entity(event), "n")) % 2 == 0;
}

static void handler_is_asked_once_for_each_event(void **state)
{
    struct fixture *fixture = *state;
    fixture->limits.session_queue_messages = 4;
    fixture->dispatch.should_dispatch = count_and_let_even_ones;
    start_keeping(fixture, KEPT);
    for (int number = 1; number <= 2000; number++) {
        assert_int_equal(publish(fixture, "task", "create", number), KJ_OK);
    }
    int fd = connect_session(fixture, since(fixture, 0), NULL);
    send_config(fixture, fd, "{}");
    for (long number = 2; number <= 2000; number += 2) {
        assert_int_equal(read_number(fd), number);
    }
    wait_for_counter(&fixture->counters.resumes, 1);
    assert_int_equal(fixture->summaries, 2000);
    assert_int_equal(fixture->counters.dropped_queue_full, 0);
    close(fd);
}

/* ---- many that come back ---- */

struct crowd {
    _Atomic bool is_asked, may_go_on;
    _Atomic uint64_t asked, asked_before_new;
};

/* Of those that come back and of the new one, while the first question holds the shard. */
static bool count_questions(struct kj_session *session, const struct kj_event *event,
                            const void *summary, void *ctx)
{
    struct crowd *crowd = ctx;
    (void)event;
    (void)summary;
    if (kj_session_parameter(session, "resume")) {
        crowd->asked_before_new = crowd->asked;
        return true;
    }
    crowd->asked++;
    crowd->is_asked = true;
    while (!crowd->may_go_on) {
        poll(NULL, 0, 1);
    }
    return false;
}

/* Else it would hear of things the later the more come back. */
static void new_session_does_not_wait_for_those_that_come_back(void **state)
{
    enum { COMING_BACK = 80, EVENTS = 500, ROUNDS_LOOKED_AT = 4096 };
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    struct crowd crowd = {.asked = 0};
    struct blocker blocker = {.job.run = run_blocker};
    int fds[COMING_BACK];
    fixture->shards = 1;
    fixture->dispatch.should_dispatch = count_questions;
    fixture->dispatch.ctx = &crowd;
    start_keeping(fixture, KEPT);
    for (int number = 1; number <= EVENTS; number++) {
        assert_int_equal(publish(fixture, "task", "create", number), KJ_OK);
    }
    wait_for_counter(&fixture->events.last_number, EVENTS);
    assert_true(kj__shard_post(&fixture->delivery->shards[0], &blocker.job));
    wait_for(&blocker.is_running);
    for (int i = 0; i < COMING_BACK; i++) {
        fds[i] = connect_session(fixture, since(fixture, 0), NULL);
        send_text(fds[i], "{}");
    }
    blocker.may_end = true;
    wait_for(&crowd.is_asked);
    int fd = attach(prepare(fixture, "resume", NULL, &refusal));
    assert_int_equal(publish(fixture, "task", "create", EVENTS + 1), KJ_OK);
    crowd.may_go_on = true;
    expect_numbers(fd, EVENTS + 1, EVENTS + 1);
    assert_in_range(crowd.asked_before_new, 1, ROUNDS_LOOKED_AT);
    wait_for_counter(&fixture->counters.resumes, COMING_BACK);
    close(fd);
    for (int i = 0; i < COMING_BACK; i++) {
        close(fds[i]);
    }
}

/* ---- where nothing is kept ---- */

static void session_of_a_node_that_keeps_nothing_misses_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    start_keeping(fixture, 0);
    struct kj_session *session = prepare(fixture, "since=x", NULL, &refusal);
    assert_int_equal(publish(fixture, "task", "create", 1), KJ_OK);
    int fd = attach(session);
    struct kj_event *notice = read_event(fd);
    assert_string_equal(kj_event_type(notice), KJ_EVENT_ERROR);
    assert_int_equal(publish(fixture, "task", "create", 2), KJ_OK);
    expect_numbers(fd, 1, 2);
    send_config(fixture, fd, "{\"identities\":{\"list\":null}}");
    assert_int_equal(publish(fixture, "task", "create", 3), KJ_OK);
    assert_int_equal(publish(fixture, "list", "create", 4), KJ_OK);
    expect_numbers(fd, 4, 4);
    assert_int_equal(fixture->counters.resumes_off, 1);
    kj_event_unref(notice);
    close(fd);
}

/* ---- what could not wait for the socket ---- */

static void session_is_told_what_could_not_wait_for_its_socket(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    fixture->limits.session_queue_messages = 2;
    start_keeping(fixture, KEPT);
    struct kj_session *session = prepare(fixture, "enableErrors", NULL, &refusal);
    for (int number = 1; number <= 5; number++) {
        assert_int_equal(publish(fixture, "task", "create", number), KJ_OK);
    }
    wait_for_counter(&fixture->counters.dropped_queue_full, 3);
    int fd = attach(session);
    expect_numbers(fd, 1, 2);
    struct kj_event *gap = read_event(fd);
    assert_string_equal(kj_event_type(gap), KJ_EVENT_ERROR);
    const json_t *data = json_object_get(kj_event_entity(gap), "data");
    assert_int_equal(json_integer_value(json_object_get(data, "dropped")), 3);
    assert_int_equal(publish(fixture, "task", "create", 6), KJ_OK);
    expect_numbers(fd, 6, 6);
    kj_event_unref(gap);
    close(fd);
}

/* ---- a client that does not read ---- */

/* What it missed goes on being given up, and its configs go on being heard. */
static void notices_do_not_pile_up(void **state)
{
    struct fixture *fixture = *state;
    fixture->limits.session_queue_messages = 2;
    start_keeping(fixture, 2);
    publish_large(fixture, 2);
    int fd = connect_session(fixture, since(fixture, 0), NULL);
    send_config(fixture, fd, "{}");
    wait_for_counter(&fixture->counters.events_queued, 1);
    for (int round = 0; round < 20; round++) {
        publish_large(fixture, 3);
        send_config(fixture, fd, "{}");
    }
    assert_int_equal(fixture->counters.resumes_too_old, 0);
    assert_int_equal(fixture->counters.error_events, 0);
    close(fd);
}

/* The event that waits for room was wanted by the config before. */
static void config_in_force_decides_what_waits_for_room(void **state)
{
    struct fixture *fixture = *state;
    fixture->limits.session_queue_messages = 2;
    start_keeping(fixture, KEPT);
    publish_large(fixture, 4);
    assert_int_equal(publish(fixture, "list", "create", 5), KJ_OK);
    int fd = connect_session(fixture, since(fixture, 0), NULL);
    send_config(fixture, fd, "{}");
    wait_for_counter(&fixture->counters.events_queued, 1);
    send_config(fixture, fd, "{\"identities\":{\"list\":null}}");
    read_large(fd);
    expect_numbers(fd, 5, 5);
    expect_silence(fd);
    close(fd);
}

/* ---- at full speed ---- */

static void *publish_many(void *argument)
{
    for (int number = 1; number <= PUBLISHED; number++) {
        publish(argument, number % 2 ? "task" : "list", "create", number);
    }
    return NULL;
}

static void sessions_miss_nothing_while_events_are_published(void **state)
{
    struct fixture *fixture = *state;
    unsigned int seed = 3;
    pthread_t publisher;
    start_keeping(fixture, KEPT);
    pthread_create(&publisher, NULL, publish_many, fixture);
    long at = 0;
    for (int round = 0; at < PUBLISHED - 1; round++) {
        int fd = connect_session(fixture, since(fixture, at), NULL);
        send_text(fd, "{\"identities\":{\"task\":null}}");
        for (long left = 1 + rand_r(&seed) % (PUBLISHED / ROUNDS); left > 0 && at < PUBLISHED - 1;
             left--) {
            long expected = at + 1 + at % 2; /* the odd ones are tasks */
            struct kj_event *event = read_event(fd);
            char seq[64];
            snprintf(seq, sizeof seq, "%s-%ld", fixture->events.stream, expected);
            assert_string_equal(kj_event_seq(event), seq);
            assert_string_equal(kj_event_identity(event), "task");
            kj_event_unref(event);
            at = expected;
        }
        close(fd);
    }
    pthread_join(publisher, NULL);
    assert_int_equal(fixture->counters.resumes_too_old, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(session_ahead_of_its_shard_gets_nothing_twice, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(event_from_before_the_session_reaches_one_that_goes_on,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(handler_is_asked_once_for_each_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(new_session_does_not_wait_for_those_that_come_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(session_of_a_node_that_keeps_nothing_misses_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(session_is_told_what_could_not_wait_for_its_socket, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(notices_do_not_pile_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(config_in_force_decides_what_waits_for_room, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(sessions_miss_nothing_while_events_are_published, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
