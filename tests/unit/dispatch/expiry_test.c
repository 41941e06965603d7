/* expiry_test.c - sessions whose credential runs out, and who is told of handshakes. */
#include "base/clock.h"
#include "fixture.h"

enum { CLOSE_POLICY = 1008, NS_PER_MS = 1000000, HOUR_MS = 3600000 };

static int64_t now_ms(void)
{
    return kj__clock_wall_ns() / NS_PER_MS;
}

static void expect_close(int fd)
{
    uint8_t payload[FRAME_MAX];
    size_t len;
    assert_int_equal(read_frame(fd, payload, &len), 0x88);
    assert_true(len >= 2);
    assert_int_equal(payload[0] << 8 | payload[1], CLOSE_POLICY);
}

static enum kj_auth good_for_a_moment(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)error;
    (void)ctx;
    assert_int_equal(kj_session_expiry(session), 0);
    kj_session_set_expiry(session, now_ms() + 100);
    return KJ_AUTH_ACCEPT;
}

static void a_session_ends_when_its_credential_runs_out(void **state)
{
    struct fixture *fixture = *state;
    fixture->authenticators[0].authenticate = good_for_a_moment;
    fixture->authenticator_count = 1;
    start(fixture);
    int fd = connect_session(fixture, "", NULL);
    expect_close(fd);
    assert_int_equal(fixture->counters.closed_expired, 1);
    close(fd);
}

static void who_asked_for_error_events_is_told_before(void **state)
{
    struct fixture *fixture = *state;
    fixture->authenticators[0].authenticate = good_for_a_moment;
    fixture->authenticator_count = 1;
    start(fixture);
    int fd = connect_session(fixture, "enableErrors", NULL);
    struct kj_event *event = read_event(fd);
    assert_string_equal(kj_event_type(event), KJ_EVENT_ERROR);
    assert_string_equal(json_string_value(json_object_get(kj_event_entity(event), "title")),
                        "Session expired");
    kj_event_unref(event);
    expect_close(fd);
    close(fd);
}

static void another_thread_may_move_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    start(fixture);
    struct kj_session *session = prepare(fixture, "", NULL, &refusal);
    kj__connection_ref(&session->connection);
    kj_session_set_expiry(session, now_ms() + HOUR_MS);
    int fd = attach(session);
    publish(fixture, "task", KJ_EVENT_CREATE, 1);
    assert_int_equal(read_number(fd), 1);

    kj_session_set_expiry(session, 0);
    publish(fixture, "task", KJ_EVENT_CREATE, 2);
    assert_int_equal(read_number(fd), 2);

    kj_session_set_expiry(session, now_ms() - 1);
    expect_close(fd);
    kj__connection_unref(&session->connection);
    close(fd);
}

static void what_was_published_before_the_end_still_goes_out(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    start(fixture);
    struct kj_session *session = prepare(fixture, "", NULL, &refusal);
    kj_session_set_expiry(session, 1);
    for (int i = 0; i < 10; i++) {
        publish(fixture, "task", KJ_EVENT_CREATE, i);
    }
    while (fixture->counters.events_received < 10) {
        poll(NULL, 0, 1);
    }
    int fd = attach(session);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(read_number(fd), i);
    }
    expect_close(fd);
    close(fd);
}

static enum kj_auth good_as_its_token_says(struct kj_session *session, struct kj_error *error,
                                           void *ctx)
{
    (void)error;
    (void)ctx;
    const char *token = kj_session_token(session);
    kj_session_set_expiry(session, strtoll(token, NULL, 10));
    return KJ_AUTH_ACCEPT;
}

static void wait_for_renewals(struct fixture *fixture, uint64_t count)
{
    for (int waited = 0; fixture->counters.renewals < count; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

static void a_renewed_token_moves_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    char text[128];
    fixture->authenticators[0].authenticate = good_as_its_token_says;
    fixture->authenticator_count = 1;
    start(fixture);
    int64_t first = now_ms() + HOUR_MS;
    snprintf(text, sizeof text, "token=%lld", (long long)first);
    struct kj_session *session = prepare(fixture, text, NULL, &refusal);
    kj__connection_ref(&session->connection);
    int fd = attach(session);
    assert_int_equal(kj_session_expiry(session), first);

    snprintf(text, sizeof text, "{\"parameters\":{\"token\":[\"%lld\"]}}",
             (long long)first + HOUR_MS);
    send_config(fixture, fd, text);
    wait_for_renewals(fixture, 1);
    assert_int_equal(kj_session_expiry(session), first + HOUR_MS);

    send_config(fixture, fd, "{\"parameters\":{\"token\":[\"1\"]}}");
    expect_close(fd);
    assert_int_equal(fixture->counters.closed_expired, 1);
    kj__connection_unref(&session->connection);
    close(fd);
}

static enum kj_auth let_in_by_its_token(struct kj_session *session, struct kj_error *error,
                                        void *ctx)
{
    (void)error;
    (void)ctx;
    kj_session_set_credential(session, strtoull(kj_session_token(session), NULL, 10));
    return KJ_AUTH_ACCEPT;
}

static void sessions_of_a_credential_end_together(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    fixture->authenticators[0].authenticate = let_in_by_its_token;
    fixture->authenticator_count = 1;
    start(fixture);
    int first = attach(prepare(fixture, "token=7", NULL, &refusal));
    struct kj_session *late = prepare(fixture, "token=7", NULL, &refusal);
    int other = attach(prepare(fixture, "token=8", NULL, &refusal));
    int renewed = attach(prepare(fixture, "token=9", NULL, &refusal));
    send_config(fixture, renewed, "{\"parameters\":{\"token\":[\"7\"]}}");
    wait_for_renewals(fixture, 1);
    assert_int_equal(kj__credential_end(fixture->delivery, 9), 0);

    assert_int_equal(kj__credential_end(fixture->delivery, 7), 3);
    expect_close(first);
    expect_close(renewed);
    int last = attach(late);
    expect_close(last);
    assert_int_equal(fixture->counters.closed_expired, 3);

    assert_int_equal(kj__credential_end(fixture->delivery, 0), 0);
    assert_int_equal(kj__credential_end(fixture->delivery, 8), 1);
    expect_close(other);
    const int fds[] = {first, renewed, last, other};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        close(fds[i]);
    }
}

/* On a shard whose inbox is full, the end is moved by the shard itself. */
struct mover {
    struct kj__job job;
    struct kj_session *session;
    _Atomic bool is_running, inbox_is_full, is_done;
};

static void run_nothing(struct kj__job *job, struct kj__shard *shard)
{
    (void)job;
    (void)shard;
}

static void run_mover(struct kj__job *job, struct kj__shard *shard)
{
    (void)shard;
    struct mover *mover = (struct mover *)job;
    mover->is_running = true;
    while (!mover->inbox_is_full) {
        poll(NULL, 0, 1);
    }
    kj_session_set_expiry(mover->session, now_ms() - 1);
    mover->is_done = true;
}

static void a_shard_with_a_full_inbox_may_move_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    static struct kj__job nothing = {.run = run_nothing};
    fixture->limits.ping_interval_ms = 100;
    start(fixture);
    struct kj_session *session = prepare(fixture, "", NULL, &refusal);
    int fd = attach(session);
    struct mover mover = {.job.run = run_mover, .session = kj_session_ref(session)};
    struct kj__shard *shard = session->connection.shard;
    assert_int_equal(kj__shard_try_post(shard, &mover.job), KJ_OK);
    while (!mover.is_running) {
        poll(NULL, 0, 1);
    }
    enum kj_status status = KJ_OK;
    while (!status) {
        status = kj__shard_try_post(shard, &nothing);
    }
    assert_int_equal(status, KJ_EFULL);
    mover.inbox_is_full = true;
    for (int waited = 0; !mover.is_done; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }

    uint8_t payload[FRAME_MAX];
    size_t len;
    uint8_t first = read_frame(fd, payload, &len);
    while (first == 0x89) { /* pings */
        first = read_frame(fd, payload, &len);
    }
    assert_int_equal(first, 0x88);
    kj_session_unref(session);
    close(fd);
}

/* ---- handshakes ---- */

static enum kj_auth leave_words(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)session;
    (void)ctx;
    kj_error_set(error, 0, "not mine");
    return KJ_AUTH_CONTINUE;
}

static enum kj_auth refuse_without_words(struct kj_session *session, struct kj_error *error,
                                         void *ctx)
{
    (void)session;
    (void)error;
    (void)ctx;
    return KJ_AUTH_REFUSE;
}

static enum kj_status keep_outcome(const struct kj_session *session,
                                   const struct kj_audit_outcome *outcome, void *ctx)
{
    struct fixture *fixture = ctx;
    assert_int_equal(strlen(kj_session_id(session)), 36);
    snprintf(fixture->order, sizeof fixture->order, "%d %s", outcome->status,
             outcome->error_title ? outcome->error_title : "-");
    return KJ_OK;
}

static void handshakes_are_audited_and_refusals_counted(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    fixture->audit = (struct kj_auditor){.audit_session = keep_outcome, .ctx = fixture};
    fixture->authenticators[0].authenticate = leave_words;
    fixture->authenticators[1].authenticate = refuse_without_words;
    fixture->authenticator_count = 2;
    start(fixture);
    assert_null(prepare(fixture, "", NULL, &refusal));
    assert_int_equal(refusal.error.code, 401);
    assert_string_equal(refusal.error.description, "You are not authorized to start a session");
    assert_string_equal(fixture->order, "401 Unauthorized");
    assert_int_equal(fixture->counters.auth_refused, 1);

    fixture->authenticators[1].authenticate = NULL;
    close(connect_session(fixture, "", NULL));
    assert_string_equal(fixture->order, "101 -");
    assert_int_equal(fixture->counters.audit_records, 2);
}

static void the_token_of_a_cookie_stands_between_header_and_query(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    static const char *const both[] = {"Cookie", "x=1; sid=c", "Authorization", "Bearer b", NULL};
    static const char *const cookie[] = {"Cookie", "x=1; sid=c", NULL};
    static const char *const empty[] = {"Cookie", "sid=", "Authorization", "Bearer ", NULL};
    fixture->token_cookie = "sid";
    start(fixture);
    struct kj_session *session = prepare(fixture, "token=q", both, &refusal);
    assert_string_equal(kj_session_token(session), "b");
    close(attach(session));
    session = prepare(fixture, "token=q", cookie, &refusal);
    assert_string_equal(kj_session_token(session), "c");
    close(attach(session));
    session = prepare(fixture, "token=q", empty, &refusal);
    assert_string_equal(kj_session_token(session), "q");
    close(attach(session));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_ends_when_its_credential_runs_out),
        TEST(who_asked_for_error_events_is_told_before),
        TEST(another_thread_may_move_the_end),
        TEST(what_was_published_before_the_end_still_goes_out),
        TEST(a_renewed_token_moves_the_end),
        TEST(sessions_of_a_credential_end_together),
        TEST(a_shard_with_a_full_inbox_may_move_the_end),
        TEST(handshakes_are_audited_and_refusals_counted),
        TEST(the_token_of_a_cookie_stands_between_header_and_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
