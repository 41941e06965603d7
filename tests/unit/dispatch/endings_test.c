/* endings_test.c - credentials that end, here and on other nodes. */
#include "fixture.h"

#include <kujata/publication.h>

enum { CLOSE_POLICY = 1008 };

#define TOPIC "gateway.credentials"

/* ---- nodes ---- */

static enum kj_auth mark(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)error;
    (void)ctx;
    kj_session_set_credential(session, strtoull(kj_session_token(session), NULL, 10));
    return KJ_AUTH_ACCEPT;
}

static void start_node(struct fixture *fixture)
{
    fixture->node_prefix = "gateway";
    fixture->authenticators[0].authenticate = mark;
    fixture->authenticator_count = 1;
    start(fixture);
}

static void say(struct fixture *fixture, const void *bytes, size_t len)
{
    struct kj_publication *publication;
    assert_int_equal(
        kj_publication_new(
            &(struct kj_publication_options){
                .topic = TOPIC, .encoding = KJ_ENCODING_MSGPACK, .data = bytes, .len = len},
            &publication),
        KJ_OK);
    assert_int_equal(kj_pubsub_publish(fixture->pubsub, publication), KJ_OK);
    kj_publication_unref(publication);
}

/* As another node does. */
static void tell(struct fixture *fixture, uint64_t credential)
{
    struct kj__buffer bytes = {0};
    kj__ending_encode(&(struct kj__ending){fixture->events.endings.node + 1, credential}, &bytes);
    say(fixture, bytes.data, bytes.len);
    kj__buffer_fini(&bytes);
}

/* What another node hears. */
struct ear {
    struct kj__ending last;
    _Atomic int count;
};

static void hear(struct kj_publication *publication, void *ctx)
{
    struct ear *ear = ctx;
    size_t len;
    const uint8_t *data = kj_publication_data(publication, &len);
    assert_true(kj__ending_decode(data, len, &ear->last));
    ear->count++;
}

static void expect_close(int fd)
{
    uint8_t payload[FRAME_MAX];
    size_t len;
    assert_int_equal(read_frame(fd, payload, &len), 0x88);
    assert_true(len >= 2);
    assert_int_equal(payload[0] << 8 | payload[1], CLOSE_POLICY);
    close(fd);
}

/* ---- tests ---- */

static void what_another_node_ends_ends_here_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    start_node(fixture);
    int first = connect_session(fixture, "token=7", NULL);
    int second = connect_session(fixture, "token=18446744073709551615", NULL);
    int other = connect_session(fixture, "token=8", NULL);
    tell(fixture, 7);
    expect_close(first);
    tell(fixture, UINT64_MAX);
    expect_close(second);
    publish(fixture, "task", KJ_EVENT_CREATE, 1);
    assert_int_equal(read_number(other), 1);
    wait_for_counter(&fixture->counters.endings_heard, 2);
    wait_for_counter(&fixture->counters.endings_sessions, 2);
    assert_int_equal(fixture->counters.endings_told, 0);
    assert_int_equal(fixture->counters.closed_expired, 2);
    close(other);
}

static void an_end_is_told_to_others_and_not_heard_again(void **state)
{
    struct fixture *fixture = *state;
    struct ear ear = {.count = 0};
    struct kj_subscription *subscription;
    start_node(fixture);
    assert_int_equal(kj_pubsub_subscribe(fixture->pubsub, TOPIC, NULL, hear, &ear, &subscription),
                     KJ_OK);
    int fd = connect_session(fixture, "token=7", NULL);
    assert_int_equal(kj__endings_end(&fixture->events.endings, 0), 0);
    assert_int_equal(kj__endings_end(&fixture->events.endings, 7), 1);
    expect_close(fd);
    for (int waited = 0; ear.count < 1; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
    assert_int_equal(ear.last.credential, 7);
    assert_int_equal(fixture->counters.endings_told, 1);
    /* Its own publication has come before this one. */
    tell(fixture, 9);
    wait_for_counter(&fixture->counters.endings_heard, 1);
    assert_int_equal(fixture->counters.endings_heard, 1);
    assert_int_equal(fixture->counters.endings_sessions, 0);
    kj_pubsub_unsubscribe(fixture->pubsub, subscription);
}

static void sessions_end_here_though_nobody_can_be_told(void **state)
{
    struct fixture *fixture = *state;
    start_node(fixture);
    int fd = connect_session(fixture, "token=7", NULL);
    kj_pubsub_close(fixture->pubsub);
    assert_int_equal(kj__endings_end(&fixture->events.endings, 7), 1);
    expect_close(fd);
    assert_int_equal(fixture->counters.endings_untold, 1);
}

static void without_a_prefix_it_ends_here_alone(void **state)
{
    struct fixture *fixture = *state;
    fixture->authenticators[0].authenticate = mark;
    fixture->authenticator_count = 1;
    start(fixture);
    int fd = connect_session(fixture, "token=7", NULL);
    assert_int_equal(kj__endings_end(&fixture->events.endings, 7), 1);
    expect_close(fd);
    assert_int_equal(fixture->counters.endings_told, 0);
}

static void what_tells_of_no_end_is_counted(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"", 0},
        {"\x93\x01\x05", 3},         /* cut short */
        {"\x92\x01\x05", 3},         /* too few */
        {"\x93\x02\x05\x07", 4},     /* of a later version */
        {"\x93\x01\x05\x00", 4},     /* no credential */
        {"\x93\x01\xa1x\x07", 5},    /* a text */
        {"\x83\x01\x05\x07\x01", 5}, /* a map */
    };
    struct fixture *fixture = *state;
    start_node(fixture);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        say(fixture, bad[i].bytes, bad[i].len);
    }
    say(fixture, "\x94\x01\x05\x07\xc0", 5); /* with what is for later */
    wait_for_counter(&fixture->counters.endings_heard, 1);
    assert_int_equal(fixture->counters.endings_undecodable, sizeof bad / sizeof *bad);
    assert_int_equal(fixture->counters.endings_heard, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_another_node_ends_ends_here_and_nothing_else),
        TEST(an_end_is_told_to_others_and_not_heard_again),
        TEST(sessions_end_here_though_nobody_can_be_told),
        TEST(without_a_prefix_it_ends_here_alone),
        TEST(what_tells_of_no_end_is_counted),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
