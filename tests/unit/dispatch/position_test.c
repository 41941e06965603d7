/* position_test.c - what sessions are told of their place, and that it is exact. */
#include "fixture.h"

#include "dispatch/position.h"

enum { KEPT = 8, PING = 0x89, PONG = 0x8a };

static void start_keeping(struct fixture *fixture, uint32_t events)
{
    fixture->shards = 1;
    fixture->limits.resume_events = events;
    fixture->limits.resume_bytes = UINT32_MAX;
    start(fixture);
}

/* Once it returns they have their numbers. */
static void publish_many(struct fixture *fixture, const char *identity, int first, int last)
{
    uint64_t before = fixture->events.last_number;
    for (int number = first; number <= last; number++) {
        assert_int_equal(publish(fixture, identity, "create", number), KJ_OK);
    }
    wait_for_counter(&fixture->events.last_number, before + (uint64_t)(last + 1 - first));
}

static uint64_t number_of(const struct fixture *fixture, const char *seq)
{
    size_t len = strlen(fixture->events.stream);
    assert_non_null(seq);
    assert_memory_equal(seq, fixture->events.stream, len);
    assert_int_equal(seq[len], '-');
    return strtoull(seq + len + 1, NULL, 10);
}

static uint64_t place_of(const struct fixture *fixture, const struct kj_session *session)
{
    char seq[KJ__SEQ_SIZE];
    kj__position_format(session, seq);
    return number_of(fixture, seq);
}

static const char *since(const struct fixture *fixture, uint64_t number)
{
    static char query[64];
    snprintf(query, sizeof query, "since=%s-%llu", fixture->events.stream,
             (unsigned long long)number);
    return query;
}

/* The next event, whatever pings come before. */
static struct kj_event *next_event(int fd, enum kj_encoding encoding)
{
    uint8_t payload[FRAME_MAX];
    size_t len;
    struct kj_event *event;
    uint8_t first;
    while ((first = read_frame(fd, payload, &len)) == PING) {
    }
    assert_int_equal(first, encoding == KJ_ENCODING_JSON ? 0x81 : 0x82);
    assert_int_equal(kj_event_decode(payload, len, encoding, &event), KJ_OK);
    return event;
}

static uint64_t read_place(const struct fixture *fixture, int fd, enum kj_encoding encoding)
{
    struct kj_event *event = next_event(fd, encoding);
    assert_string_equal(kj_event_type(event), KJ_EVENT_POSITION);
    assert_string_equal(kj_event_identity(event), "");
    assert_int_equal(json_object_size(kj_event_entity(event)), 0);
    uint64_t number = number_of(fixture, kj_event_seq(event));
    kj_event_unref(event);
    return number;
}

/* Of the notice that says why a session cannot go on. */
static uint64_t read_fault(const struct fixture *fixture, int fd, const char *reason)
{
    struct kj_event *event = next_event(fd, KJ_ENCODING_JSON);
    const json_t *data = json_object_get(kj_event_entity(event), "data");
    assert_string_equal(kj_event_type(event), KJ_EVENT_ERROR);
    assert_string_equal(json_string_value(json_object_get(data, "reason")), reason);
    uint64_t number = number_of(fixture, kj_event_seq(event));
    kj_event_unref(event);
    return number;
}

static void expect_pings_alone(int fd, int count)
{
    uint8_t payload[FRAME_MAX];
    size_t len;
    for (int i = 0; i < count; i++) {
        assert_int_equal(read_frame(fd, payload, &len), PING);
    }
}

/* Nothing but pings had been sent by the pong to a ping sent now. */
static void expect_silence(int fd)
{
    static const uint8_t ping[] = {PING, 0x80, 0, 0, 0, 0};
    uint8_t payload[FRAME_MAX];
    size_t len;
    uint8_t first;
    assert_int_equal(send(fd, ping, sizeof ping, 0), sizeof ping);
    while ((first = read_frame(fd, payload, &len)) == PING) {
    }
    assert_int_equal(first, PONG);
}

/* ---- on the shard ---- */

struct task {
    struct kj__job job;
    struct kj_session *session;
    void (*act)(struct kj_session *session);
    uint64_t wanted; /* number: before it the task does not act */
    _Atomic bool may_end, has_begun, has_ended;
    bool is_late;
};

static void run_wait(struct kj__job *job, struct kj__shard *shard)
{
    (void)shard;
    struct task *task = (struct task *)job;
    task->has_begun = true;
    while (!task->may_end) {
        poll(NULL, 0, 1);
    }
    task->has_ended = true;
}

static void run_act(struct kj__job *job, struct kj__shard *shard)
{
    (void)shard;
    struct task *task = (struct task *)job;
    task->is_late = kj__replay_recent(task->session)->last >= task->wanted;
    if (task->is_late) {
        task->act(task->session);
    }
    task->has_ended = true;
}

static void wait_for(const _Atomic bool *flag)
{
    for (int waited = 0; !*flag; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

/* Once the shard has all that was published. */
static void act_on(struct fixture *fixture, struct kj_session *session,
                   void (*act)(struct kj_session *session))
{
    struct task task = {.session = session, .act = act, .wanted = fixture->events.last_number};
    for (int tries = 0; !task.is_late; tries++) {
        assert_true(tries < DEADLINE_MS);
        task.job = (struct kj__job){.run = run_act};
        task.has_ended = false;
        assert_true(kj__shard_post(&fixture->delivery->shards[0], &task.job));
        wait_for(&task.has_ended);
    }
}

static void tell(struct fixture *fixture, struct kj_session *session)
{
    act_on(fixture, session, kj__position_tell);
}

/* What does not fit into its queue is dropped. */
static void settle(struct kj_session *session)
{
    kj__seat_settle(&session->seat);
}

/* ---- where a session begins ---- */

static void new_session_gets_what_comes_after_its_place(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    start_keeping(fixture, 100);
    publish_many(fixture, "task", 1, 3);
    struct kj_session *session = prepare(fixture, "resume", NULL, &refusal);
    assert_int_equal(place_of(fixture, session), 3);
    publish_many(fixture, "task", 4, 9);
    int fd = attach(session);
    for (int number = 4; number <= 9; number++) {
        assert_int_equal(read_number(fd), number);
    }
    expect_silence(fd);
    assert_int_equal(fixture->counters.resumes, 0);
    assert_int_equal(fixture->counters.positions_told, 0);
    close(fd);
}

/* Its shard has still to be given what is before its place. */
static void new_session_gets_nothing_from_before_its_place(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    struct task blocker = {.job.run = run_wait};
    start_keeping(fixture, 100);
    json_t *entity = json_pack("{s:i}", "n", 1);
    struct kj_event *event;
    assert_int_equal(kj_event_new_untyped("task", "create", entity, &event), KJ_OK);
    assert_true(kj__shard_post(&fixture->delivery->shards[0], &blocker.job));
    wait_for(&blocker.has_begun);
    assert_int_equal(kj__events_publish(&fixture->events, event), KJ_OK);
    wait_for_counter(&fixture->events.last_number, 1);
    struct kj_session *session = prepare(fixture, "resume", NULL, &refusal);
    assert_int_equal(place_of(fixture, session), 1);
    int fd = attach(session);
    assert_int_equal(publish(fixture, "task", "create", 2), KJ_OK);
    blocker.may_end = true;
    wait_for(&blocker.has_ended);
    assert_int_equal(read_number(fd), 2);
    expect_silence(fd);
    kj_event_unref(event);
    json_decref(entity);
    close(fd);
}

static void session_that_goes_on_begins_where_it_was(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    start_keeping(fixture, 100);
    publish_many(fixture, "task", 1, 3);
    struct kj_session *session = prepare(fixture, since(fixture, 1), NULL, &refusal);
    assert_int_equal(place_of(fixture, session), 1);
    assert_true(session->is_answered_place);
    close(attach(session));
}

/* More is published meanwhile than is kept. */
static enum kj_auth publish_and_accept(struct kj_session *session, struct kj_error *error,
                                       void *ctx)
{
    (void)session;
    (void)error;
    publish_many(ctx, "task", 1, 2 * KEPT);
    return KJ_AUTH_ACCEPT;
}

static void session_begins_when_it_is_admitted(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    fixture->authenticators[0] = (struct kj_session_authenticator){publish_and_accept, fixture};
    fixture->authenticator_count = 1;
    start_keeping(fixture, KEPT);
    struct kj_session *session = prepare(fixture, "resume", NULL, &refusal);
    assert_int_equal(place_of(fixture, session), 2 * KEPT);
    int fd = attach(session);
    expect_silence(fd);
    assert_int_equal(publish(fixture, "task", "create", 7), KJ_OK);
    assert_int_equal(read_number(fd), 7);
    close(fd);
}

/* Not before: one that has the place and was cut off would never hear of the gap. */
static void session_that_cannot_go_on_is_told_its_place_with_the_fault(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    start_keeping(fixture, KEPT);
    publish_many(fixture, "task", 1, KEPT);
    struct kj_session *ahead = prepare(fixture, since(fixture, KEPT + 1), NULL, &refusal);
    struct kj_session *old = prepare(fixture, since(fixture, 0), NULL, &refusal);
    assert_false(ahead->is_answered_place);
    assert_true(old->is_answered_place); /* which brings it here again */
    assert_int_equal(place_of(fixture, old), 0);
    int fd = attach(ahead);
    assert_int_equal(read_fault(fixture, fd, "ahead"), KEPT);
    close(fd);
    fd = attach(old);
    expect_silence(fd);
    publish_many(fixture, "task", KEPT + 1, KEPT + 3);
    send_text(fd, "{}");
    assert_int_equal(read_fault(fixture, fd, "too-old"), KEPT);
    assert_int_equal(read_number(fd), KEPT + 1);
    close(fd);
}

/* ---- while events for others go by ---- */

static void events_for_others_move_the_place(void **state)
{
    struct fixture *fixture = *state;
    fixture->limits.ping_interval_ms = 50;
    start_keeping(fixture, KEPT);
    for (int i = 0; i < KJ_ENCODING_COUNT; i++) {
        enum kj_encoding encoding = (enum kj_encoding)i;
        const char *const *headers = encoding == KJ_ENCODING_JSON ? NULL : msgpack_headers;
        const char *config = encoding == KJ_ENCODING_JSON ? "{\"identities\":{\"list\":null}}"
                                                          : "\x81\xaaidentities\x81\xa4list\xc0";
        uint64_t before = fixture->events.last_number;
        int fd = connect_session(fixture, "resume", headers);
        int plain = connect_session(fixture, "", headers);
        send_config(fixture, fd, config);
        send_config(fixture, plain, config);
        publish_many(fixture, "task", 1, 5 * KEPT);
        uint64_t last = before + 5 * KEPT;
        uint64_t place = 0;
        while (place + KEPT / 4 <= last) {
            uint64_t next = read_place(fixture, fd, encoding);
            assert_true(next > place && next <= last);
            place = next;
        }
        expect_pings_alone(plain, 2);
        close(fd);
        close(plain);

        int again = connect_session(fixture, since(fixture, place), headers);
        send_config(fixture, again, config);
        assert_int_equal(publish(fixture, "list", "create", 7), KJ_OK);
        struct kj_event *event = next_event(again, encoding);
        assert_string_equal(kj_event_identity(event), "list");
        kj_event_unref(event);
        close(again);
    }
    assert_int_equal(fixture->counters.resumes_too_old, 0);
    assert_int_equal(fixture->counters.resumes, 2);
}

/* It comes back before any ping is due, again and again. */
static void session_that_comes_back_is_told_at_once(void **state)
{
    struct fixture *fixture = *state;
    start_keeping(fixture, KEPT);
    uint64_t place = 0;
    for (int round = 0; round < 5; round++) {
        publish_many(fixture, "task", 1, KEPT / 2);
        int fd = connect_session(fixture, since(fixture, place), NULL);
        send_config(fixture, fd, "{\"identities\":{\"list\":null}}");
        place = read_place(fixture, fd, KJ_ENCODING_JSON);
        assert_int_equal(place, fixture->events.last_number);
        close(fd);
    }
    assert_int_equal(fixture->counters.resumes_too_old, 0);
    /* What it was given tells its place as well. */
    publish_many(fixture, "list", 1, KEPT / 2);
    int fd = connect_session(fixture, since(fixture, place), NULL);
    send_config(fixture, fd, "{\"identities\":{\"list\":null}}");
    for (int number = 1; number <= KEPT / 2; number++) {
        assert_int_equal(read_number(fd), number);
    }
    expect_silence(fd);
    close(fd);
}

static void near_places_are_left(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    start_keeping(fixture, 100);
    struct kj_session *session = prepare(fixture, "resume", NULL, &refusal);
    kj_session_ref(session);
    int fd = attach(session);
    send_config(fixture, fd, "{\"identities\":{\"list\":null}}");
    publish_many(fixture, "task", 1, 24);
    tell(fixture, session);
    expect_silence(fd);
    publish_many(fixture, "task", 25, 25);
    tell(fixture, session);
    assert_int_equal(read_place(fixture, fd, KJ_ENCODING_JSON), 25);
    tell(fixture, session);
    expect_silence(fd);
    assert_int_equal(fixture->counters.positions_told, 1);
    kj_session_unref(session);
    close(fd);
}

/* ---- what must not be passed over ---- */

static void session_in_error_keeps_its_place(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    start_keeping(fixture, KEPT);
    struct kj_session *session = prepare(fixture, "resume&enableErrors", NULL, &refusal);
    kj_session_ref(session);
    int fd = attach(session);
    send_config(fixture, fd, "3");
    kj_event_unref(next_event(fd, KJ_ENCODING_JSON));
    publish_many(fixture, "task", 1, 2 * KEPT);
    tell(fixture, session);
    expect_silence(fd);
    kj_session_unref(session);
    close(fd);
}

static void session_that_has_still_to_ask_keeps_its_place(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    start_keeping(fixture, KEPT);
    publish_many(fixture, "task", 1, KEPT);
    struct kj_session *session = prepare(fixture, since(fixture, 0), NULL, &refusal);
    kj_session_ref(session);
    int fd = attach(session);
    expect_silence(fd);
    tell(fixture, session);
    expect_silence(fd);
    kj_session_unref(session);
    close(fd);
}

/* The notice of a gap comes first: a place before it would lead over it. */
static void expect_notice_before_place(struct fixture *fixture, enum kj_queue_policy policy)
{
    enum { PUBLISHED = 10, LEFT = 2 };
    struct kj__refusal refusal;
    uint64_t last = fixture->events.last_number + PUBLISHED;
    uint64_t dropped = fixture->counters.dropped_queue_full;
    fixture->events.endpoint.queue_policy = policy;
    struct kj_session *session = prepare(fixture, "resume", NULL, &refusal);
    kj_session_ref(session);
    int fd = attach(session);
    expect_silence(fd);
    publish_large(fixture, PUBLISHED);
    wait_for_counter(&fixture->events.last_number, last);
    act_on(fixture, session, settle);
    tell(fixture, session); /* in vain */
    dropped = fixture->counters.dropped_queue_full - dropped;
    assert_true(dropped > 0 && dropped < PUBLISHED - LEFT);
    for (uint64_t i = dropped; i < PUBLISHED; i++) {
        if (i == PUBLISHED - LEFT) {
            tell(fixture, session); /* in vain, though there is room */
        }
        read_large(fd);
    }
    struct kj_event *notice = next_event(fd, KJ_ENCODING_JSON);
    assert_string_equal(kj_event_type(notice), KJ_EVENT_ERROR);
    tell(fixture, session);
    assert_int_equal(read_place(fixture, fd, KJ_ENCODING_JSON), last);
    kj_event_unref(notice);
    kj_session_unref(session);
    close(fd);
    wait_for_counter(&fixture->counters.sessions, 0);
}

static void session_with_a_gap_is_told_of_that_first(void **state)
{
    struct fixture *fixture = *state;
    fixture->limits.session_queue_messages = 6;
    fixture->limits.session_queue_bytes = 1U << 30;
    start_keeping(fixture, 4);
    expect_notice_before_place(fixture, KJ_QUEUE_DROP_NEWEST);
    expect_notice_before_place(fixture, KJ_QUEUE_DROP_OLDEST);
}

/* What waits may go before the place does, and that may not. */
static void place_does_not_lead_over_what_may_be_dropped(void **state)
{
    enum { PUBLISHED = 3 };
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    fixture->limits.session_queue_bytes = 1U << 30;
    start_keeping(fixture, 4);
    fixture->events.endpoint.queue_policy = KJ_QUEUE_DROP_OLDEST;
    struct kj_session *session = prepare(fixture, "resume", NULL, &refusal);
    kj_session_ref(session);
    int fd = attach(session);
    expect_silence(fd);
    publish_large(fixture, PUBLISHED);
    wait_for_counter(&fixture->events.last_number, PUBLISHED);
    tell(fixture, session);
    assert_int_equal(fixture->counters.positions_told, 0);
    for (int i = 0; i < PUBLISHED; i++) {
        read_large(fd);
    }
    tell(fixture, session);
    assert_int_equal(read_place(fixture, fd, KJ_ENCODING_JSON), PUBLISHED);
    kj_session_unref(session);
    close(fd);
}

/* ---- what was still to come ---- */

static void what_an_end_leaves_is_counted(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    start_keeping(fixture, 100);
    publish_many(fixture, "task", 1, 9);
    struct kj_session *gone = prepare(fixture, since(fixture, 0), NULL, &refusal);
    kj__connection_abandon(&gone->connection);
    kj__connection_unref(&gone->connection);
    int mute = connect_session(fixture, since(fixture, 2), NULL);
    int whole = connect_session(fixture, since(fixture, 8), NULL);
    send_text(whole, "{}");
    assert_int_equal(read_number(whole), 9);
    expect_silence(whole);
    expect_silence(mute);
    close(whole);
    wait_for_counter(&fixture->counters.sessions, 1);
    assert_int_equal(fixture->counters.resume_events_left, 0);
    close(mute);
    wait_for_counter(&fixture->counters.resume_events_left, 7);
}

static void what_is_kept_no_longer_is_not_left(void **state)
{
    struct fixture *fixture = *state;
    start_keeping(fixture, KEPT);
    int mute = connect_session(fixture, since(fixture, 0), NULL);
    expect_silence(mute);
    publish_many(fixture, "task", 1, 3 * KEPT);
    expect_silence(mute);
    close(mute);
    wait_for_counter(&fixture->counters.sessions, 0);
    assert_int_equal(fixture->counters.resume_events_left, KEPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(new_session_gets_what_comes_after_its_place),
        TEST(new_session_gets_nothing_from_before_its_place),
        TEST(session_that_goes_on_begins_where_it_was),
        TEST(session_begins_when_it_is_admitted),
        TEST(session_that_cannot_go_on_is_told_its_place_with_the_fault),
        TEST(events_for_others_move_the_place),
        TEST(session_that_comes_back_is_told_at_once),
        TEST(near_places_are_left),
        TEST(session_in_error_keeps_its_place),
        TEST(session_that_has_still_to_ask_keeps_its_place),
        TEST(session_with_a_gap_is_told_of_that_first),
        TEST(place_does_not_lead_over_what_may_be_dropped),
        TEST(what_an_end_leaves_is_counted),
        TEST(what_is_kept_no_longer_is_not_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
