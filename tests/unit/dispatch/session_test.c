/* session_test.c - sessions that an application keeps, asks and pushes to. */
#include "fixture.h"

#include "base/clock.h"
#include "codec/event.h"

#include <pthread.h>

enum { KEPT_MAX = 64 };

/* What on_session_start has kept. */
struct keeper {
    pthread_mutex_t lock;
    struct kj_session *sessions[KEPT_MAX];
    _Atomic int count;
};

static struct keeper keeper = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void keep(struct kj_session *session, void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&keeper.lock);
    keeper.sessions[keeper.count] = kj_session_ref(session);
    keeper.count++;
    pthread_mutex_unlock(&keeper.lock);
}

static struct kj_session *wait_for_session(int number)
{
    for (int waited = 0; keeper.count <= number; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
    return keeper.sessions[number];
}

static void give_all_back(void)
{
    for (int i = 0; i < keeper.count; i++) {
        kj_session_unref(keeper.sessions[i]);
    }
    keeper.count = 0;
}

static struct kj_event *event_of(const char *identity, int number)
{
    json_t *entity = json_pack("{s:i}", "n", number);
    struct kj_event *event;
    assert_int_equal(kj_event_new_untyped(identity, KJ_EVENT_CREATE, entity, &event), KJ_OK);
    json_decref(entity);
    return event;
}

static enum kj_status push(struct kj_session *session, const char *identity, int number)
{
    struct kj_event *event = event_of(identity, number);
    enum kj_status status = kj_session_push(session, event);
    kj_event_unref(event);
    return status;
}

static void start_keeping(struct fixture *fixture)
{
    fixture->dispatch.on_session_start = keep;
    start(fixture);
}

static void a_push_goes_to_one_session_in_its_encoding_and_in_order(void **state)
{
    struct fixture *fixture = *state;
    start_keeping(fixture);
    int json = connect_session(fixture, "", NULL);
    struct kj_session *first = wait_for_session(0);
    int msgpack = connect_session(fixture, "", msgpack_headers);
    struct kj_session *second = wait_for_session(1);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(push(first, "task", i), KJ_OK);
        assert_int_equal(push(second, "task", 1000 + i), KJ_OK);
    }
    for (int i = 0; i < 100; i++) {
        assert_int_equal(read_number(json), i);
        assert_int_equal(read_number(msgpack), 1000 + i);
    }
    assert_int_equal(fixture->counters.session_pushes, 200);
    assert_int_equal(fixture->counters.session_pushes_refused, 0);
    give_all_back();
    close(json);
    close(msgpack);
}

static bool dispatch_nothing(struct kj_session *session, const struct kj_event *event,
                             const void *summary, void *ctx)
{
    (void)session, (void)event, (void)summary, (void)ctx;
    return false;
}

static void a_push_asks_for_identity_and_type_alone(void **state)
{
    struct fixture *fixture = *state;
    fixture->dispatch.should_dispatch = dispatch_nothing;
    start_keeping(fixture);
    int fd = connect_session(fixture, "enableErrors", NULL);
    struct kj_session *session = wait_for_session(0);
    send_config(fixture, fd,
                "{\"identities\":{\"task\":[\"create\"]},\"filters\":{\"task\":\"n == 1\"}}");
    assert_int_equal(push(session, "list", 1), KJ_OK); /* not asked for */
    assert_int_equal(push(session, "task", 2), KJ_OK);
    assert_int_equal(read_number(fd), 2);
    send_config(fixture, fd, "junk");
    kj_event_unref(read_event(fd)); /* the error: no dispatched event until a good config */
    assert_int_equal(push(session, "task", 3), KJ_OK);
    assert_int_equal(read_number(fd), 3);
    assert_int_equal(fixture->counters.session_pushes_filtered, 1);
    assert_int_equal(fixture->counters.session_pushes, 3);
    give_all_back();
    close(fd);
}

static void an_event_of_before_the_session_is_not_pushed(void **state)
{
    struct fixture *fixture = *state;
    struct kj_event *old = event_of("task", 1);
    poll(NULL, 0, 1); /* so that the clock moves on */
    start_keeping(fixture);
    int fd = connect_session(fixture, "", NULL);
    struct kj_session *session = wait_for_session(0);
    assert_int_equal(kj_session_push(session, old), KJ_OK);
    assert_int_equal(push(session, "task", 2), KJ_OK);
    assert_int_equal(read_number(fd), 2);
    assert_int_equal(fixture->counters.session_pushes_filtered, 1);
    kj_event_unref(old);
    give_all_back();
    close(fd);
}

static void a_kept_session_outlives_its_end(void **state)
{
    static const char *const headers[] = {"Cookie", "x-token=tok; theme=dark", "User-Agent", "test",
                                          NULL};
    struct fixture *fixture = *state;
    fixture->limits.sessions = 1;
    start_keeping(fixture);
    int fd = connect_session(fixture, "namespace=%2Fa", headers);
    struct kj_session *session = wait_for_session(0);
    close(fd);
    wait_for_counter(&fixture->counters.sessions, 0);
    assert_int_equal(push(session, "task", 1), KJ_ECLOSED);
    assert_int_equal(fixture->counters.session_pushes_refused, 1);
    assert_int_equal(strlen(kj_session_id(session)), 36);
    assert_string_equal(kj_session_cookie(session, "x-token"), "tok");
    assert_string_equal(kj_session_cookie(session, "theme"), "dark");
    assert_null(kj_session_cookie(session, "absent"));
    assert_string_equal(kj_session_header(session, "user-agent"), "test");
    assert_string_equal(kj_session_remote_address(session), "127.0.0.1");
    assert_string_equal(kj_session_query_parameter(session, "namespace"), "/a");
    assert_null(kj_session_peer_certificate(session));
    /* It holds nobody's place. */
    fd = connect_session(fixture, "", NULL);
    wait_for_session(1);
    give_all_back();
    close(fd);
}

static bool refuse_but_keep(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)error;
    keep(session, ctx);
    return false;
}

static void a_session_that_never_starts_gets_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    fixture->dispatch.on_session_init = refuse_but_keep;
    start(fixture);
    assert_null(prepare(fixture, "", NULL, &refusal));
    assert_int_equal(push(wait_for_session(0), "task", 1), KJ_ECLOSED);
    give_all_back();
    assert_int_equal(fixture->events.sessions, 0);
}

static _Atomic bool is_shut, is_waiting;

static bool dispatch_when_open(struct kj_session *session, const struct kj_event *event,
                               const void *summary, void *ctx)
{
    (void)session, (void)event, (void)summary, (void)ctx;
    is_waiting = is_shut;
    for (int waited = 0; is_shut; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
    return true;
}

static void a_push_to_a_shard_that_does_not_keep_up_returns_at_once(void **state)
{
    struct fixture *fixture = *state;
    fixture->dispatch.should_dispatch = dispatch_when_open;
    start_keeping(fixture);
    int fd = connect_session(fixture, "", NULL);
    struct kj_session *session = wait_for_session(0);
    publish(fixture, "task", KJ_EVENT_CREATE, 0);
    assert_int_equal(read_number(fd), 0);
    is_shut = true;
    publish(fixture, "task", KJ_EVENT_CREATE, 1);
    for (int waited = 0; !is_waiting; waited++) { /* until the shard does nothing else */
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
    struct kj_event *event = event_of("list", 2);
    enum kj_status status = KJ_OK;
    uint64_t accepted = 0;
    for (; !status && accepted < 10 * (uint64_t)KJ__INBOX_LIMIT; accepted += !status) {
        status = kj_session_push(session, event);
    }
    assert_int_equal(status, KJ_EFULL);
    assert_true(accepted >= KJ__INBOX_LIMIT);
    assert_int_equal(fixture->counters.session_pushes, accepted);
    assert_int_equal(fixture->counters.session_pushes_refused, 1);
    is_shut = false;
    assert_int_equal(read_number(fd), 1);
    assert_int_equal(read_number(fd), 2);
    kj_event_unref(event);
    close(fd);
    wait_for_counter(&fixture->counters.sessions, 0);
    give_all_back();
}

static void *push_to_all(void *argument)
{
    (void)argument;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < keeper.count; i++) {
            enum kj_status status = push(keeper.sessions[i], "task", round);
            assert_true(status == KJ_OK || status == KJ_ECLOSED || status == KJ_EFULL);
        }
    }
    return NULL;
}

static void threads_push_while_sessions_end(void **state)
{
    enum { THREADS = 3, SESSIONS = 20 };
    struct fixture *fixture = *state;
    pthread_t threads[THREADS];
    int fds[SESSIONS];
    start_keeping(fixture);
    for (int i = 0; i < SESSIONS; i++) {
        fds[i] = connect_session(fixture, "", NULL);
        wait_for_session(i);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, push_to_all, NULL);
    }
    for (int i = 0; i < SESSIONS; i++) {
        publish(fixture, "task", KJ_EVENT_CREATE, i);
        close(fds[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    wait_for_counter(&fixture->counters.sessions, 0);
    give_all_back();
    /* Each was counted where it ended. */
    assert_int_equal(fixture->counters.session_pushes + fixture->counters.session_pushes_refused,
                     THREADS * 200 * SESSIONS);
}

static bool check_query(struct kj_session *session, const struct kj_event *event,
                        const void *summary, void *ctx)
{
    (void)event, (void)summary, (void)ctx;
    return strcmp(kj_session_query_parameter(session, "mode"), "one") == 0 &&
           !kj_session_query_parameter(session, "more") &&
           strcmp(kj_session_parameter(session, "mode"), "two") == 0 &&
           strcmp(kj_session_parameter(session, "more"), "x") == 0 &&
           strcmp(kj_session_parameter(session, "kept"), "yes") == 0;
}

static void parameters_are_merged_and_the_url_stays_known(void **state)
{
    struct fixture *fixture = *state;
    fixture->dispatch.should_dispatch = check_query;
    start(fixture);
    int fd = connect_session(fixture, "mode=one&kept=yes", NULL);
    send_config(fixture, fd, "{\"parameters\":{\"mode\":[\"zero\"]}}");
    send_config(fixture, fd, "{\"parameters\":{\"mode\":[\"two\",\"three\"],\"more\":[\"x\"]}}");
    send_config(fixture, fd, "{}");
    publish(fixture, "task", KJ_EVENT_CREATE, 1);
    assert_int_equal(read_number(fd), 1);
    close(fd);
}

static void the_parameters_of_a_url_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    char query[2 * 129 + sizeof "namespace=/"] = "";
    for (int i = 0; i < 127; i++) {
        strcat(query, "a&");
    }
    strcat(query, "namespace=/");
    start(fixture);
    struct kj_session *session = prepare(fixture, query, NULL, &refusal);
    assert_string_equal(kj_session_query_parameter(session, "namespace"), "/");
    close(attach(session));

    strcat(query, "&a");
    assert_null(prepare(fixture, query, NULL, &refusal));
    assert_int_equal(refusal.error.code, 400);
    assert_string_equal(refusal.error.description, "The query has more than 128 parameters");
    assert_int_equal(fixture->counters.handshakes_refused, 1);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(a_push_goes_to_one_session_in_its_encoding_and_in_order),
        WITH_FIXTURE(a_push_asks_for_identity_and_type_alone),
        WITH_FIXTURE(an_event_of_before_the_session_is_not_pushed),
        WITH_FIXTURE(a_kept_session_outlives_its_end),
        WITH_FIXTURE(a_session_that_never_starts_gets_nothing),
        WITH_FIXTURE(a_push_to_a_shard_that_does_not_keep_up_returns_at_once),
        WITH_FIXTURE(threads_push_while_sessions_end),
        WITH_FIXTURE(parameters_are_merged_and_the_url_stays_known),
        WITH_FIXTURE(the_parameters_of_a_url_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
