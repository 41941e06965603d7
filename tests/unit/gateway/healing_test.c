/* healing_test.c - what is sent to users of healing at the very moment they come and go. */
#include "fixture.h"

#include <kujata/healing.h>
#include <semaphore.h>

/* Where a user that is not here is, before anything was published and since. */
static struct place {
    struct fixture *fixture;
    bool was_elsewhere, is_elsewhere;
    int asked;
} place;

static bool is_elsewhere(const char *user, void *ctx)
{
    const struct place *at = ctx;
    assert_string_equal(user, "34");
    place.asked++;
    return at->fixture->counters.gateway_published == 0 ? at->was_elsewhere : at->is_elsewhere;
}

/* A clock that stops whoever looks at it next. */
static struct clock {
    _Atomic bool is_stopped;
    sem_t reached, goes_on;
} store_clock;

static void wait_at(sem_t *semaphore)
{
    while (sem_wait(semaphore)) {
    }
}

static int64_t read_clock(void *ctx)
{
    struct clock *own = ctx;
    if (atomic_exchange(&own->is_stopped, false)) {
        sem_post(&own->reached);
        wait_at(&own->goes_on);
    }
    return 1000;
}

static struct kj_healing *healing;
static struct kj_messages *messages;

static void begin(struct fixture *fixture, bool keeps, bool was_elsewhere, bool is_there_now)
{
    place = (struct place){fixture, was_elsewhere, is_there_now, 0};
    store_clock.is_stopped = false;
    assert_int_equal(sem_init(&store_clock.reached, 0, 0), 0);
    assert_int_equal(sem_init(&store_clock.goes_on, 0, 0), 0);
    messages = NULL;
    if (keeps) {
        struct kj_error error;
        assert_int_equal(kj_messages_new(&(struct kj_messages_options){.now_ms = read_clock,
                                                                       .ctx = &store_clock},
                                         &messages, &error),
                         KJ_OK);
    }
    assert_int_equal(kj_healing_new(&(struct kj_healing_options){.messages = messages,
                                                                 .is_elsewhere = is_elsewhere,
                                                                 .ctx = &place},
                                    &healing),
                     KJ_OK);
    fixture->protocol = kj_healing_protocol(healing);
    fixture->protocol.is_open = true;
    start(fixture);
}

static void end(struct fixture *fixture)
{
    kj__gateway_stop(fixture->gateway);
    kj__delivery_stop(fixture->delivery, 0);
    fixture->opened = fixture->closed; /* the protocol does not count them */
    kj_healing_free(healing);
    kj_messages_free(messages);
}

/* A client of 34 with a reference. */
static struct kj_client *connect_user(struct fixture *fixture, int *fd)
{
    int pair[2];
    struct kj__fields headers;
    kj__fields_init(&headers, true);
    struct kj_client *client = kj__client_new(
        fixture->mount, &(struct kj__session_origin){
                            .headers = &headers, .query = "", .remote_address = "127.0.0.1"});
    assert_non_null(client);
    kj__fields_fini(&headers);
    assert_int_equal(kj_session_set_claims(&client->session, (const char *const[]){"sub=34"}, 1),
                     KJ_OK);
    fixture->places++;
    client->may_stay = true;
    assert_true(kj__connection_announce(&client->session.connection));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(kj__connection_attach(&client->session.connection, pair[0], NULL));
    *fd = pair[1];
    return client;
}

static void wait_for_user(struct fixture *fixture, size_t wanted)
{
    for (int waited = 0; kj_gateway_member_count(fixture->gateway, KJ_TOPIC_USER, "34") != wanted;
         waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

/* To 34. */
static enum kj_healing_state send_text(struct fixture *fixture, const char *text)
{
    enum kj_healing_state state;
    json_t *message = json_pack("{s:i, s:i, s:s}", "fromUser", 12, "toUser", 34, "message", text);
    assert_int_equal(kj_healing_send(healing, fixture->gateway, message, &state), KJ_OK);
    json_decref(message);
    return state;
}

static void expect_text(int fd, const char *text)
{
    char heard[FRAME_MAX];
    assert_true(hear(fd, heard));
    assert_non_null(strstr(heard, text));
}

static size_t count_waiting(void)
{
    size_t count;
    assert_int_equal(kj_messages_unread(messages, "34", 0, &count), KJ_OK);
    return count;
}

/* ---- at login ---- */

static void hold(void *semaphore)
{
    wait_at(semaphore);
}

/* However long it is until its thread has time for the client again. */
static void what_is_sent_at_a_login_comes_behind_the_greeting(void **state)
{
    struct fixture *fixture = *state;
    static sem_t thread_goes_on;
    char heard[FRAME_MAX];
    int fd;
    begin(fixture, true, false, false);
    assert_int_equal(sem_init(&thread_goes_on, 0, 0), 0);
    store_clock.is_stopped = true;
    struct kj_client *client = connect_user(fixture, &fd);
    wait_at(&store_clock.reached); /* its mailbox is about to be read */
    assert_int_equal(
        kj_client_work(client, &(struct kj_work){.run = hold, .item = &thread_goes_on}), KJ_OK);
    kj_client_unref(client);
    sem_post(&store_clock.goes_on);
    wait_for_user(fixture, 1);
    assert_int_equal(send_text(fixture, "hi"), KJ_HEALING_OK);
    assert_true(hear(fd, heard));
    sem_post(&thread_goes_on);
    assert_string_equal(heard, "Hello, ws!");
    expect_text(fd, "\"message\":\"hi\"");
    assert_int_equal(count_waiting(), 0);
    close(fd);
    end(fixture);
}

static void what_waits_comes_in_front_of_the_greeting(void **state)
{
    struct fixture *fixture = *state;
    int fd;
    begin(fixture, true, false, false);
    assert_int_equal(send_text(fixture, "one"), KJ_HEALING_OK);
    assert_int_equal(send_text(fixture, "two"), KJ_HEALING_OK);
    kj_client_unref(connect_user(fixture, &fd));
    expect_text(fd, "\"message\":\"one\"");
    expect_text(fd, "\"message\":\"two\"");
    expect(fd, "Hello, ws!");
    assert_int_equal(count_waiting(), 0);
    assert_int_equal(send_text(fixture, "three"), KJ_HEALING_OK);
    expect_text(fd, "\"message\":\"three\"");
    close(fd);
    end(fixture);
}

/* Whether or not the client has done its part of the close. */
static void what_is_sent_while_its_receiver_is_closed_waits(void **state)
{
    struct fixture *fixture = *state;
    int fd;
    fixture->limits.close_timeout_ms = DEADLINE_MS;
    begin(fixture, true, false, false);
    kj_client_unref(connect_user(fixture, &fd));
    expect(fd, "Hello, ws!");
    assert_int_equal(kj_gateway_kick(fixture->gateway, KJ_TOPIC_USER, "34", KJ_CLOSE_KICKED, NULL),
                     KJ_OK);
    expect_close(fd, KJ_CLOSE_KICKED);
    assert_int_equal(send_text(fixture, "hi"), KJ_HEALING_OK);
    assert_int_equal(count_waiting(), 1);
    close(fd);
    end(fixture);
}

/* ---- other nodes ---- */

/* The publication found nobody, and a login elsewhere finds nothing there. */
static void what_is_sent_while_its_receiver_comes_to_another_node_waits(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, true, false, true);
    assert_int_equal(send_text(fixture, "hi"), KJ_HEALING_OK);
    assert_int_equal(count_waiting(), 1);
    end(fixture);
}

static void what_is_sent_while_its_receiver_leaves_another_node_waits(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, true, true, false);
    assert_int_equal(send_text(fixture, "hi"), KJ_HEALING_OK);
    assert_int_equal(count_waiting(), 1);
    end(fixture);
}

static void what_is_sent_to_who_is_on_another_node_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, true, true, true);
    assert_int_equal(send_text(fixture, "hi"), KJ_HEALING_OK);
    assert_int_equal(count_waiting(), 0);
    end(fixture);
}

static void nobody_is_asked_for_who_is_here(void **state)
{
    struct fixture *fixture = *state;
    int fd;
    begin(fixture, true, true, true);
    kj_client_unref(connect_user(fixture, &fd));
    expect(fd, "Hello, ws!");
    assert_int_equal(send_text(fixture, "hi"), KJ_HEALING_OK);
    expect_text(fd, "\"message\":\"hi\"");
    assert_int_equal(place.asked, 0);
    close(fd);
    end(fixture);
}

static void without_mailboxes_who_comes_too_late_is_offline(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, false, false, true);
    assert_int_equal(send_text(fixture, "hi"), KJ_HEALING_OFFLINE);
    end(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_sent_at_a_login_comes_behind_the_greeting),
        TEST(what_waits_comes_in_front_of_the_greeting),
        TEST(what_is_sent_while_its_receiver_is_closed_waits),
        TEST(what_is_sent_while_its_receiver_comes_to_another_node_waits),
        TEST(what_is_sent_while_its_receiver_leaves_another_node_waits),
        TEST(what_is_sent_to_who_is_on_another_node_does_not_wait),
        TEST(nobody_is_asked_for_who_is_here),
        TEST(without_mailboxes_who_comes_too_late_is_offline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
