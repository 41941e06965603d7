/* renewal_test.c - tokens that push configs bring, and what the authenticators make of them. */
#include "fixture.h"

/* While it is shut, authenticators wait; how many do. */
static _Atomic bool is_shut;
static _Atomic int waiting;

static enum kj_auth authenticate(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)ctx;
    const char *token = kj_session_token(session);
    size_t count;
    kj_session_claims(session, &count);
    assert_int_equal(count, 0); /* none of an earlier token */
    atomic_fetch_add(&waiting, 1);
    for (int waited = 0; is_shut; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
    atomic_fetch_sub(&waiting, 1);
    if (!token || strncmp(token, "bad", 3) == 0) {
        kj_error_set(error, 0, "the token %s is no good", token ? token : "");
        return KJ_AUTH_REFUSE;
    }
    char claim[64];
    (void)snprintf(claim, sizeof claim, "user=%s", token);
    assert_int_equal(kj_session_set_claims(session, (const char *const[]){claim}, 1), KJ_OK);
    if (strncmp(token, "plain", 5) != 0) {
        kj_session_set_data(session, strdup(token), free);
    }
    return KJ_AUTH_ACCEPT;
}

/* Events are for the user their identity names. */
static bool is_for_user(struct kj_session *session, const struct kj_event *event,
                        const void *summary, void *ctx)
{
    (void)summary, (void)ctx;
    const char *user = kj_session_claim(session, "user");
    assert_non_null(user);
    if (strncmp(user, "plain", 5) == 0) {
        assert_null(kj_session_data(session));
    } else {
        assert_string_equal(kj_session_data(session), user);
    }
    return strcmp(kj_event_identity(event), user) == 0;
}

static void start_with_tokens(struct fixture *fixture)
{
    fixture->authenticators[0] = (struct kj_session_authenticator){authenticate, NULL};
    fixture->authenticator_count = 1;
    fixture->dispatch.should_dispatch = is_for_user;
    start(fixture);
}

static void wait_for_authenticators(int count)
{
    for (int waited = 0; waiting != count; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

static void expect_close(int fd, const char code[2])
{
    uint8_t payload[FRAME_MAX];
    size_t len;
    assert_int_equal(read_frame(fd, payload, &len), 0x88);
    assert_true(len >= 2);
    assert_memory_equal(payload, code, 2);
}

static void a_new_token_brings_new_claims(void **state)
{
    struct fixture *fixture = *state;
    start_with_tokens(fixture);
    int fd = connect_session(fixture, "token=alice", NULL);
    send_config(fixture, fd, "{}");
    publish(fixture, "alice", KJ_EVENT_CREATE, 1);
    assert_int_equal(read_number(fd), 1);
    send_config(fixture, fd, "{\"parameters\":{\"token\":[\"bob\"]}}");
    wait_for_counter(&fixture->counters.renewals, 1);
    publish(fixture, "alice", KJ_EVENT_CREATE, 2);
    publish(fixture, "bob", KJ_EVENT_CREATE, 3);
    assert_int_equal(read_number(fd), 3);
    /* The same once more is nothing new. */
    send_config(fixture, fd, "{\"parameters\":{\"token\":[\"bob\"],\"k\":[\"v\"]}}");
    publish(fixture, "bob", KJ_EVENT_CREATE, 4);
    assert_int_equal(read_number(fd), 4);
    assert_int_equal(fixture->counters.renewals, 1);
    close(fd);
}

static void the_data_of_the_old_caller_goes_with_its_token(void **state)
{
    struct fixture *fixture = *state;
    start_with_tokens(fixture);
    int fd = connect_session(fixture, "token=alice", NULL);
    send_config(fixture, fd, "{\"parameters\":{\"token\":[\"plain\"]}}");
    wait_for_counter(&fixture->counters.renewals, 1);
    publish(fixture, "plain", KJ_EVENT_CREATE, 1);
    assert_int_equal(read_number(fd), 1);
    close(fd);
}

/* Statuses, and the claim at the time. */
static struct {
    int status[4];
    char user[4][16];
    _Atomic uint64_t count;
} records;

static enum kj_status keep_record(const struct kj_session *session,
                                  const struct kj_audit_outcome *outcome, void *ctx)
{
    (void)ctx;
    uint64_t index = atomic_load(&records.count);
    const char *user = kj_session_claim(session, "user");
    assert_true(index < 4);
    records.status[index] = outcome->status;
    (void)snprintf(records.user[index], sizeof records.user[index], "%s", user ? user : "");
    atomic_store(&records.count, index + 1);
    return KJ_OK;
}

static void new_tokens_are_audited(void **state)
{
    struct fixture *fixture = *state;
    fixture->audit = (struct kj_auditor){.audit_session = keep_record};
    start_with_tokens(fixture);
    int fd = connect_session(fixture, "token=alice", NULL);
    send_config(fixture, fd, "{\"parameters\":{\"token\":[\"bob\"]}}");
    wait_for_counter(&fixture->counters.renewals, 1);
    send_config(fixture, fd, "{\"parameters\":{\"token\":[\"bad\"]}}");
    wait_for_counter(&fixture->counters.renewals_refused, 1);
    assert_int_equal(records.count, 3);
    assert_int_equal(records.status[0], 101);
    assert_string_equal(records.user[0], "alice");
    assert_int_equal(records.status[1], 200);
    assert_string_equal(records.user[1], "bob");
    assert_int_equal(records.status[2], 401);
    assert_int_equal(fixture->counters.audit_records, 3);
    close(fd);
}

static void a_token_replaces_the_bearer_of_the_handshake(void **state)
{
    static const char *const bearer[] = {"Authorization", "Bearer alice", NULL};
    struct fixture *fixture = *state;
    start_with_tokens(fixture);
    int fd = connect_session(fixture, "", bearer);
    send_config(fixture, fd, "{\"parameters\":{\"token\":[\"alice\"]}}"); /* the one it has */
    send_config(fixture, fd, "{\"parameters\":{\"token\":[\"carol\"]}}");
    wait_for_counter(&fixture->counters.renewals, 1);
    publish(fixture, "carol", KJ_EVENT_CREATE, 1);
    assert_int_equal(read_number(fd), 1);
    close(fd);
}

static void a_refused_token_ends_the_session_with_1008(void **state)
{
    struct fixture *fixture = *state;
    start_with_tokens(fixture);
    int fd = connect_session(fixture, "token=alice", NULL);
    int told = connect_session(fixture, "token=alice&enableErrors", NULL);
    send_config(fixture, fd, "{\"parameters\":{\"token\":[\"bad\"]}}");
    send_config(fixture, told, "{\"parameters\":{\"token\":[\"bad one\"]}}");
    expect_close(fd, "\x03\xf0");
    struct kj_event *error = read_event(told);
    assert_string_equal(kj_event_type(error), KJ_EVENT_ERROR);
    const json_t *entity = kj_event_entity(error);
    assert_int_equal(json_integer_value(json_object_get(entity, "code")), 401);
    assert_string_equal(json_string_value(json_object_get(entity, "description")),
                        "the token bad one is no good");
    kj_event_unref(error);
    expect_close(told, "\x03\xf0");
    assert_int_equal(fixture->counters.renewals_refused, 2);
    assert_int_equal(fixture->counters.closed_unauthorized, 2);
    close(fd);
    close(told);
}

static void meanwhile_the_old_claims_hold_and_one_token_waits(void **state)
{
    struct fixture *fixture = *state;
    start_with_tokens(fixture);
    int fd = connect_session(fixture, "token=alice", NULL);
    is_shut = true;
    send_config(fixture, fd, "{\"parameters\":{\"token\":[\"bob\"]}}");
    wait_for_authenticators(1);
    for (int i = 0; i < 100; i++) { /* a client that renews in a loop */
        char text[100];
        (void)snprintf(text, sizeof text, "{\"parameters\":{\"token\":[\"u%d\"]}}", i);
        send_config(fixture, fd, text);
    }
    publish(fixture, "u99", KJ_EVENT_CREATE, 1);
    publish(fixture, "alice", KJ_EVENT_CREATE, 2);
    assert_int_equal(read_number(fd), 2);
    assert_int_equal(waiting, 1);
    assert_int_equal(fixture->counters.renewals_skipped, 99);
    is_shut = false;
    wait_for_counter(&fixture->counters.renewals, 2); /* bob, and the last */
    publish(fixture, "alice", KJ_EVENT_CREATE, 3);
    publish(fixture, "u99", KJ_EVENT_CREATE, 4);
    assert_int_equal(read_number(fd), 4);
    close(fd);
}

static void others_go_on_while_authenticators_wait(void **state)
{
    enum { SESSIONS = 8 }; /* more than there are threads */
    struct fixture *fixture = *state;
    int fds[SESSIONS];
    start_with_tokens(fixture);
    for (int i = 0; i < SESSIONS; i++) {
        fds[i] = connect_session(fixture, "token=alice", NULL);
    }
    is_shut = true;
    for (int i = 1; i < SESSIONS; i++) {
        send_config(fixture, fds[i], "{\"parameters\":{\"token\":[\"bob\"]}}");
    }
    wait_for_authenticators(2);
    publish(fixture, "alice", KJ_EVENT_CREATE, 1);
    for (int i = 0; i < SESSIONS; i++) {
        assert_int_equal(read_number(fds[i]), 1);
    }
    /* One of them ends before its turn. */
    close(fds[SESSIONS - 1]);
    wait_for_counter(&fixture->counters.sessions, SESSIONS - 1);
    is_shut = false;
    wait_for_counter(&fixture->counters.renewals, SESSIONS - 2);
    for (int i = 0; i < SESSIONS - 1; i++) {
        close(fds[i]);
    }
}

static void *open_later(void *argument)
{
    (void)argument;
    wait_for_authenticators(2);
    poll(NULL, 0, 20); /* while the stop waits for them, most likely */
    is_shut = false;
    return NULL;
}

static void a_stop_waits_for_authenticators_and_forgets_what_waits(void **state)
{
    enum { SESSIONS = 6 };
    struct fixture *fixture = *state;
    pthread_t opener;
    int fds[SESSIONS];
    start_with_tokens(fixture);
    for (int i = 0; i < SESSIONS; i++) {
        fds[i] = connect_session(fixture, "token=alice", NULL);
    }
    is_shut = true;
    for (int i = 0; i < SESSIONS; i++) {
        send_config(fixture, fds[i], "{\"parameters\":{\"token\":[\"bob\"]}}");
    }
    pthread_create(&opener, NULL, open_later, NULL);
    wait_for_authenticators(2);
    kj__events_close(&fixture->events);
    kj__events_stop(&fixture->events, 100);
    assert_int_equal(waiting, 0);
    send_config(fixture, fds[0], "{\"parameters\":{\"token\":[\"carol\"]}}"); /* nobody looks */
    pthread_join(opener, NULL);
    for (int i = 0; i < SESSIONS; i++) {
        close(fds[i]);
    }
}

static void a_token_nobody_can_look_at_ends_the_session_with_1013(void **state)
{
    struct fixture *fixture = *state;
    start_with_tokens(fixture);
    int fd = connect_session(fixture, "token=alice", NULL);
    kj__queue_close(&fixture->events.renewals.waiting); /* as good as full */
    send_config(fixture, fd, "{\"parameters\":{\"token\":[\"bob\"]}}");
    expect_close(fd, "\x03\xf5");
    assert_int_equal(fixture->counters.renewals_failed, 1);
    close(fd);
}

static void without_authenticators_a_token_is_a_parameter(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_session(fixture, "token=alice", NULL);
    send_config(fixture, fd, "{\"parameters\":{\"token\":[\"bob\"]}}");
    publish(fixture, "task", KJ_EVENT_CREATE, 1);
    assert_int_equal(read_number(fd), 1);
    assert_int_equal(fixture->counters.renewals, 0);
    close(fd);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(a_new_token_brings_new_claims),
        WITH_FIXTURE(the_data_of_the_old_caller_goes_with_its_token),
        WITH_FIXTURE(new_tokens_are_audited),
        WITH_FIXTURE(a_token_replaces_the_bearer_of_the_handshake),
        WITH_FIXTURE(a_refused_token_ends_the_session_with_1008),
        WITH_FIXTURE(meanwhile_the_old_claims_hold_and_one_token_waits),
        WITH_FIXTURE(others_go_on_while_authenticators_wait),
        WITH_FIXTURE(a_stop_waits_for_authenticators_and_forgets_what_waits),
        WITH_FIXTURE(a_token_nobody_can_look_at_ends_the_session_with_1013),
        WITH_FIXTURE(without_authenticators_a_token_is_a_parameter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
