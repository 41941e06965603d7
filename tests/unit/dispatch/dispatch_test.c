/* dispatch_test.c - from publication to frame, with sessions on socket pairs. */
#include "dispatch/protocol.h"
#include "fixture.h"

static void events_arrive_in_order_in_both_encodings(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int json = connect_session(fixture, "", NULL);
    int msgpack = connect_session(fixture, "", msgpack_headers);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(publish(fixture, "task", KJ_EVENT_CREATE, i), KJ_OK);
    }
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(read_number(json), i);
        assert_int_equal(read_number(msgpack), i);
    }
    close(json);
    close(msgpack);
}

static void what_is_published_before_the_socket_is_there_is_held(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    start(fixture);
    struct kj_session *session = prepare(fixture, "", NULL, &refusal);
    for (int i = 0; i < 100; i++) {
        publish(fixture, "task", KJ_EVENT_CREATE, i);
    }
    int fd = attach(session);
    publish(fixture, "task", KJ_EVENT_CREATE, 100);
    for (int i = 0; i <= 100; i++) {
        assert_int_equal(read_number(fd), i);
    }
    close(fd);
}

static void a_peer_that_left_before_its_socket_was_there_loses_what_was_held(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    int pair[2];
    fixture->limits.session_queue_bytes = 64; /* so that delivering flushes, and meets the end */
    start(fixture);
    struct kj_session *session = prepare(fixture, "", NULL, &refusal);
    for (int i = 0; i < 10; i++) {
        publish(fixture, "task", KJ_EVENT_CREATE, i);
    }
    while (fixture->counters.events_received < 10) {
        poll(NULL, 0, 1);
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    close(pair[1]);
    assert_true(kj__connection_attach(&session->connection, pair[0], NULL));
    kj__connection_unref(&session->connection);
    for (int waited = 0; fixture->events.sessions > 0; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
    assert_int_equal(fixture->counters.dropped_closing, 10);
}

static void filters_choose_identities_and_types(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_session(fixture, "", NULL);
    send_config(fixture, fd, "{\"identities\":{\"task\":[\"create\",\"delete\"],\"list\":null}}");
    publish(fixture, "task", KJ_EVENT_UPDATE, 1);
    publish(fixture, "user", KJ_EVENT_CREATE, 2);
    publish(fixture, "task", KJ_EVENT_DELETE, 3);
    publish(fixture, "list", KJ_EVENT_UPDATE, 4);
    assert_int_equal(read_number(fd), 3);
    assert_int_equal(read_number(fd), 4);
    send_config(fixture, fd, "{}");
    publish(fixture, "user", KJ_EVENT_CREATE, 5);
    assert_int_equal(read_number(fd), 5);
    close(fd);
}

static const char *const *related(const char *identity, void *ctx)
{
    (void)ctx;
    static const char *const names[] = {"list", NULL};
    return strcmp(identity, "task") == 0 ? names : NULL;
}

static void related_identities_let_an_event_pass(void **state)
{
    struct fixture *fixture = *state;
    fixture->dispatch.related_identities = related;
    start(fixture);
    int fd = connect_session(fixture, "", NULL);
    send_config(fixture, fd, "{\"identities\":{\"list\":[\"create\"]}}");
    publish(fixture, "task", KJ_EVENT_CREATE, 1);
    publish(fixture, "task", KJ_EVENT_UPDATE, 2);
    publish(fixture, "user", KJ_EVENT_CREATE, 3);
    publish(fixture, "list", KJ_EVENT_CREATE, 4);
    assert_int_equal(read_number(fd), 1);
    assert_int_equal(read_number(fd), 4);
    close(fd);
}

static enum kj_status summarize(const struct kj_event *event, void **summary, void *ctx)
{
    struct fixture *fixture = ctx;
    long number = (long)json_integer_value(json_object_get(kj_event_entity(event), "n"));
    atomic_fetch_add(&fixture->summaries, 1);
    if (number < 0) {
        return KJ_EINVAL;
    }
    long *made = malloc(sizeof *made);
    *made = number;
    *summary = made;
    return KJ_OK;
}

static void free_summary(void *summary, void *ctx)
{
    atomic_fetch_add(&((struct fixture *)ctx)->freed_summaries, 1);
    free(summary);
}

static bool dispatch_even(struct kj_session *session, const struct kj_event *event,
                          const void *summary, void *ctx)
{
    (void)session;
    (void)event;
    (void)ctx;
    return *(const long *)summary % 2 == 0;
}

static void each_event_is_summarised_once_and_decided_per_session(void **state)
{
    struct fixture *fixture = *state;
    fixture->dispatch.summarize_event = summarize;
    fixture->dispatch.free_summary = free_summary;
    fixture->dispatch.should_dispatch = dispatch_even;
    start(fixture);
    int fds[10];
    for (int i = 0; i < 10; i++) {
        fds[i] = connect_session(fixture, "", NULL);
    }
    for (int i = -1; i < 10; i++) {
        publish(fixture, "task", KJ_EVENT_CREATE, i);
    }
    for (int i = 0; i < 10; i++) {
        for (int n = 0; n < 10; n += 2) {
            assert_int_equal(read_number(fds[i]), n);
        }
        close(fds[i]);
    }
    for (int waited = 0; fixture->freed_summaries < 10; waited++) { /* of the last, nobody hears */
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
    assert_int_equal(fixture->summaries, 11);
    assert_int_equal(fixture->counters.events_summary_failed, 1);
}

/* ---- most hear, or few ---- */

enum { CROWD = 60, CROWD_EVENTS = 600 };

/* For a hundred events most hear, then few, then about half, each time others. */
static bool hears(unsigned listener, unsigned number)
{
    static const unsigned hundredths[] = {95, 4, 50, 100, 0, 80};
    unsigned hash = (listener * 2654435761U) ^ (number * 2246822519U);
    return (hash ^ (hash >> 15)) * 2654435761U / 42949673U <
           hundredths[number / 100 % (sizeof hundredths / sizeof *hundredths)];
}

static bool dispatch_to_hearers(struct kj_session *session, const struct kj_event *event,
                                const void *summary, void *ctx)
{
    (void)summary;
    (void)ctx;
    json_int_t number = json_integer_value(json_object_get(kj_event_entity(event), "n"));
    unsigned long listener = strtoul(kj_session_parameter(session, "listener"), NULL, 10);
    return hears((unsigned)listener, (unsigned)number);
}

static void everybody_hears_what_the_handler_says_whether_few_do_or_most(void **state)
{
    struct fixture *fixture = *state;
    fixture->dispatch.should_dispatch = dispatch_to_hearers;
    start(fixture);
    int fds[CROWD];
    for (unsigned i = 0; i < CROWD; i++) {
        char query[32];
        (void)snprintf(query, sizeof query, "listener=%u", i);
        fds[i] = connect_session(fixture, query, NULL);
    }
    uint64_t queued = 0;
    for (int number = 0; number < CROWD_EVENTS; number++) {
        publish(fixture, "task", KJ_EVENT_CREATE, number);
        for (unsigned i = 0; i < CROWD; i++) {
            queued += hears(i, (unsigned)number);
        }
    }
    for (unsigned i = 0; i < CROWD; i++) {
        for (unsigned number = 0; number < CROWD_EVENTS; number++) {
            if (hears(i, number)) {
                assert_int_equal(read_number(fds[i]), number);
            }
        }
    }
    wait_for_counter(&fixture->counters.events_queued, queued);
    for (unsigned i = 0; i < CROWD; i++) {
        close(fds[i]);
    }
}

static void a_publisher_posts_to_the_shards_itself_where_nothing_waits(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    for (int i = 0; i < 10; i++) {
        publish(fixture, "task", KJ_EVENT_CREATE, i);
        assert_int_equal(fixture->counters.events_received, i + 1);
    }
}

static enum kj_status note_thread(const struct kj_event *event, void **summary, void *ctx)
{
    static pthread_t thread;
    (void)event;
    (void)ctx;
    thread = pthread_self();
    *summary = &thread;
    return KJ_OK;
}

static bool is_from_another_thread(struct kj_session *session, const struct kj_event *event,
                                   const void *summary, void *ctx)
{
    (void)session;
    (void)event;
    const pthread_t *publisher = ctx;
    return !pthread_equal(*(const pthread_t *)summary, *publisher);
}

static void a_summary_is_made_on_a_thread_of_the_backend(void **state)
{
    struct fixture *fixture = *state;
    pthread_t publisher = pthread_self();
    fixture->dispatch.ctx = &publisher;
    fixture->dispatch.summarize_event = note_thread;
    fixture->dispatch.should_dispatch = is_from_another_thread;
    start(fixture);
    int fd = connect_session(fixture, "", NULL);
    publish(fixture, "task", KJ_EVENT_CREATE, 1);
    assert_int_equal(read_number(fd), 1);
    close(fd);
}

static bool dispatch_traced(struct kj_session *session, const struct kj_event *event,
                            const void *summary, void *ctx)
{
    (void)session;
    (void)summary;
    (void)ctx;
    const char *parent = kj_event_tracking(event, "traceparent");
    return parent && strcmp(parent, "p") == 0;
}

static void tracking_reaches_handlers_and_no_session(void **state)
{
    struct fixture *fixture = *state;
    fixture->dispatch.should_dispatch = dispatch_traced;
    start(fixture);
    int fd = connect_session(fixture, "", NULL);
    json_t *entity = json_pack("{s:i}", "n", 7);
    json_t *tracking = json_pack("{s:s,s:s}", "traceparent", "p", "k", "v");
    struct kj_event *plain, *traced;
    assert_int_equal(kj_event_new_untyped("task", KJ_EVENT_CREATE, entity, &plain), KJ_OK);
    assert_int_equal(kj_event_with_tracking(plain, tracking, &traced), KJ_OK);

    assert_int_equal(kj__events_publish(&fixture->events, plain), KJ_OK);
    assert_int_equal(kj__events_publish(&fixture->events, traced), KJ_OK);

    uint8_t payload[FRAME_MAX];
    size_t len;
    read_frame(fd, payload, &len);
    json_t *seen = json_loads((const char *)payload, 0, NULL);
    assert_int_equal(json_object_size(seen), 5);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(seen, "entity"), "n")), 7);
    json_decref(seen);
    kj_event_unref(plain);
    kj_event_unref(traced);
    json_decref(tracking);
    json_decref(entity);
    close(fd);
}

static void too_much_tracking_is_left_out(void **state)
{
    /* an envelope with 65 members, which only others can send */
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_session(fixture, "", NULL);
    json_t *entity = json_pack("{s:i}", "n", 7);
    struct kj_event *event;
    assert_int_equal(kj_event_new_untyped("task", KJ_EVENT_CREATE, entity, &event), KJ_OK);
    uint8_t *bytes, envelope[2048];
    size_t event_len, len = 0;
    assert_int_equal(kj_event_encode(event, KJ_ENCODING_MSGPACK, &bytes, &event_len), KJ_OK);
    static const uint8_t head[] = "\x83\xa4"
                                  "data\xc4";
    memcpy(envelope, head, sizeof head - 1);
    len += sizeof head - 1;
    envelope[len++] = (uint8_t)event_len;
    memcpy(envelope + len, bytes, event_len);
    len += event_len;
    static const char middle[] = "\xa8"
                                 "encoding\xb3"
                                 "application/msgpack\xac"
                                 "trackingData\xde\x00\x41";
    memcpy(envelope + len, middle, sizeof middle - 1);
    len += sizeof middle - 1;
    for (uint8_t i = 0; i < 65; i++) {
        const uint8_t member[] = {0xa2, (uint8_t)('a' + i / 10), (uint8_t)('0' + i % 10), 0xa0};
        memcpy(envelope + len, member, sizeof member);
        len += sizeof member;
    }
    struct kj_publication *publication;
    assert_int_equal(kj_publication_decode(envelope, len, "events", &publication), KJ_OK);
    assert_int_equal(kj_pubsub_publish(fixture->pubsub, publication), KJ_OK);
    assert_int_equal(read_number(fd), 7);
    assert_int_equal(fixture->counters.tracking_ignored, 1);
    kj_publication_unref(publication);
    free(bytes);
    kj_event_unref(event);
    json_decref(entity);
    close(fd);
}

static bool refuse_users(const struct kj_event *event, void *ctx)
{
    (void)ctx;
    return strcmp(kj_event_identity(event), "user") != 0;
}

static void the_publish_handler_can_refuse(void **state)
{
    struct fixture *fixture = *state;
    fixture->publish.should_publish = refuse_users;
    start(fixture);
    int fd = connect_session(fixture, "", NULL);
    assert_int_equal(publish(fixture, "user", KJ_EVENT_CREATE, 1), KJ_EREFUSED);
    assert_int_equal(publish(fixture, "task", KJ_EVENT_CREATE, 2), KJ_OK);
    assert_int_equal(read_number(fd), 2);
    assert_int_equal(fixture->counters.events_publish_refused, 1);
    close(fd);
}

static void a_bad_config_closes_with_1003(void **state)
{
    struct fixture *fixture = *state;
    uint8_t payload[FRAME_MAX];
    size_t len;
    start(fixture);
    int fd = connect_session(fixture, "", NULL);
    send_config(fixture, fd, "hello");
    assert_int_equal(read_frame(fd, payload, &len), 0x88);
    assert_int_equal(len, 2);
    assert_memory_equal(payload, "\x03\xeb", 2);
    close(fd);
}

static void a_bad_config_is_told_and_mutes_where_errors_were_asked_for(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_session(fixture, "enableErrors", NULL);
    int elsewhere = connect_session(fixture, "", NULL);
    int witness = connect_session(fixture, "", NULL); /* of two shards, the first one's again */
    send_config(fixture, fd, "{\"identities\":[\"list\"]}");
    struct kj_event *event = read_event(fd);
    assert_string_equal(kj_event_type(event), KJ_EVENT_ERROR);
    assert_string_equal(kj_event_identity(event), "");
    assert_string_equal(json_string_value(json_object_get(kj_event_entity(event), "title")),
                        "Bad request");
    kj_event_unref(event);
    publish(fixture, "task", KJ_EVENT_CREATE, 1);
    assert_int_equal(read_number(witness), 1); /* so the event was decided on this shard */
    send_config(fixture, fd, "{\"parameters\":{\"k\":[\"v\"]}}");
    publish(fixture, "task", KJ_EVENT_CREATE, 2);
    assert_int_equal(read_number(fd), 2);
    close(fd);
    close(elsewhere);
    close(witness);
}

static enum kj_auth note_first(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)error;
    strcat(((struct fixture *)ctx)->order, "first ");
    const char *claims[] = {"user=alice"};
    assert_int_equal(kj_session_set_claims(session, claims, 1), KJ_OK);
    return KJ_AUTH_CONTINUE;
}

static enum kj_auth check_token(struct kj_session *session, struct kj_error *error, void *ctx)
{
    strcat(((struct fixture *)ctx)->order, "second ");
    const char *token = kj_session_token(session);
    if (token && strcmp(token, "good") == 0) {
        return KJ_AUTH_ACCEPT;
    }
    if (token) {
        kj_error_set(error, 0, "no such token");
    }
    return KJ_AUTH_REFUSE;
}

static bool note_init(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)error;
    strcat(((struct fixture *)ctx)->order, "init ");
    assert_string_equal(kj_session_claim(session, "user"), "alice");
    return kj_session_parameter(session, "forbidden") == NULL;
}

static void note_start(struct kj_session *session, void *ctx)
{
    (void)session;
    struct fixture *fixture = ctx;
    strcat(fixture->order, "start ");
    atomic_fetch_add(&fixture->starts, 1);
}

static void note_stop(struct kj_session *session, void *ctx)
{
    (void)session;
    struct fixture *fixture = ctx;
    strcat(fixture->order, "stop");
    atomic_fetch_add(&fixture->stops, 1);
}

static void with_callbacks(struct fixture *fixture)
{
    fixture->authenticators[0] = (struct kj_session_authenticator){note_first, fixture};
    fixture->authenticators[1] = (struct kj_session_authenticator){check_token, fixture};
    fixture->authenticator_count = 2;
    fixture->dispatch.on_session_init = note_init;
    fixture->dispatch.on_session_start = note_start;
    fixture->dispatch.on_session_stop = note_stop;
    start(fixture);
}

static void callbacks_come_in_bahamuts_order(void **state)
{
    struct fixture *fixture = *state;
    with_callbacks(fixture);
    int fd = connect_session(fixture, "token=good", NULL);
    for (int waited = 0; fixture->starts < 1; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
    close(fd);
    for (int waited = 0; fixture->stops < 1; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
    assert_string_equal(fixture->order, "first second init start stop");
}

static void expect_refusal(struct fixture *fixture, const char *query, const char *const *headers,
                           int code, const char *description)
{
    struct kj__refusal refusal;
    assert_null(prepare(fixture, query, headers, &refusal));
    assert_int_equal(refusal.error.code, code);
    assert_string_equal(refusal.error.description, description);
}

static void handshakes_are_refused_with_their_reason(void **state)
{
    struct fixture *fixture = *state;
    with_callbacks(fixture);
    expect_refusal(fixture, "", NULL, 401, "You are not authorized to start a session");
    expect_refusal(fixture, "token=bad", NULL, 401, "no such token");
    expect_refusal(fixture, "token=good&forbidden", NULL, 403,
                   "You are not authorized to initiate a push session");
    static const char *const html[] = {"Accept", "text/html", NULL};
    expect_refusal(fixture, "token=good", html, 415,
                   "Cannot find any acceptable Accept media type in provided header: text/html");
    assert_int_equal(fixture->counters.handshakes_refused, 4);
    assert_int_equal(fixture->events.sessions, 0);
    assert_int_equal(fixture->starts, 0);
}

static void tokens_come_from_the_header_the_query_or_a_config(void **state)
{
    struct fixture *fixture = *state;
    with_callbacks(fixture);
    static const char *const bearer[] = {"Authorization", "Bearer good", NULL};
    int fd = connect_session(fixture, "token=ignored", bearer);
    close(fd);
}

static void origins_are_checked(void **state)
{
    struct fixture *fixture = *state;
    fixture->origins[0] = "https://friend.example";
    start(fixture);
    static const char *const own[] = {"Origin", "http://here:8080", "Host", "here:8080", NULL};
    static const char *const friend[] = {"Origin", "https://friend.example", "Host", "here", NULL};
    static const char *const other[] = {"Origin", "http://evil.example", "Host", "here", NULL};
    close(connect_session(fixture, "", own));
    close(connect_session(fixture, "", friend));
    expect_refusal(fixture, "", other, 403, "This origin is not allowed to start a session");
    assert_int_equal(fixture->counters.handshakes_bad_origin, 1);
}

static void places_are_limited_and_given_back(void **state)
{
    struct fixture *fixture = *state;
    fixture->limits.sessions = 2;
    fixture->limits.sessions_per_address = 2;
    start(fixture);
    int first = connect_session(fixture, "", NULL);
    int second = connect_session(fixture, "", NULL);
    expect_refusal(fixture, "", NULL, 503, "Too many sessions");
    close(first);
    for (int waited = 0; fixture->events.sessions > 1; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
    int third = connect_session(fixture, "", NULL);
    close(second);
    close(third);
}

static void a_network_of_ipv6_is_one_address(void **state)
{
    struct fixture *fixture = *state;
    struct kj__events *events = &fixture->events;
    fixture->limits.sessions_per_address = 1;
    start(fixture);

    assert_int_equal(kj__events_take_place(events, "2001:db8:0:1::1"), KJ_OK);
    assert_int_equal(kj__events_take_place(events, "2001:db8:0:1:a::2"), KJ_ELIMIT);
    assert_int_equal(kj__events_take_place(events, "2001:db8:0:2::1"), KJ_OK);
    kj__events_give_place(events, "2001:db8:0:1::3");
    kj__events_give_place(events, "2001:db8:0:2::1");
    assert_int_equal(kj__events_take_place(events, "2001:db8:0:1:a::2"), KJ_OK);
    kj__events_give_place(events, "2001:db8:0:1:a::2");
}

static void what_is_no_event_is_counted(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    struct kj_publication *publication;
    assert_int_equal(
        kj_publication_new(&(struct kj_publication_options){.topic = "events",
                                                            .data = (const uint8_t *)"junk",
                                                            .len = 4,
                                                            .encoding = KJ_ENCODING_MSGPACK},
                           &publication),
        KJ_OK);
    kj_pubsub_publish(fixture->pubsub, publication);
    kj_publication_unref(publication);
    for (int waited = 0; fixture->counters.events_undecodable < 1; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static bool dispatch_without_k(struct kj_session *session, const struct kj_event *event,
                               const void *summary, void *ctx)
{
    (void)event, (void)summary, (void)ctx;
    return kj_session_parameter(session, "k") == NULL;
}

static void a_bad_filter_leaves_the_parameters_alone(void **state)
{
    struct fixture *fixture = *state;
    fixture->dispatch.should_dispatch = dispatch_without_k;
    start(fixture);
    int fd = connect_session(fixture, "enableErrors", NULL);
    send_config(fixture, fd,
                "{\"identities\":{\"n\":[]},\"filters\":{\"n\":\"n ==\"},"
                "\"parameters\":{\"k\":[\"v\"]}}");
    kj_event_unref(read_event(fd)); /* what is wrong with it */
    send_config(fixture, fd, "{}");
    publish(fixture, "task", KJ_EVENT_CREATE, 1);
    assert_int_equal(read_number(fd), 1);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(a_bad_filter_leaves_the_parameters_alone),
        WITH_FIXTURE(events_arrive_in_order_in_both_encodings),
        WITH_FIXTURE(what_is_published_before_the_socket_is_there_is_held),
        WITH_FIXTURE(a_peer_that_left_before_its_socket_was_there_loses_what_was_held),
        WITH_FIXTURE(filters_choose_identities_and_types),
        WITH_FIXTURE(related_identities_let_an_event_pass),
        WITH_FIXTURE(each_event_is_summarised_once_and_decided_per_session),
        WITH_FIXTURE(everybody_hears_what_the_handler_says_whether_few_do_or_most),
        WITH_FIXTURE(a_publisher_posts_to_the_shards_itself_where_nothing_waits),
        WITH_FIXTURE(a_summary_is_made_on_a_thread_of_the_backend),
        WITH_FIXTURE(tracking_reaches_handlers_and_no_session),
        WITH_FIXTURE(too_much_tracking_is_left_out),
        WITH_FIXTURE(the_publish_handler_can_refuse),
        WITH_FIXTURE(a_bad_config_closes_with_1003),
        WITH_FIXTURE(a_bad_config_is_told_and_mutes_where_errors_were_asked_for),
        WITH_FIXTURE(callbacks_come_in_bahamuts_order),
        WITH_FIXTURE(handshakes_are_refused_with_their_reason),
        WITH_FIXTURE(tokens_come_from_the_header_the_query_or_a_config),
        WITH_FIXTURE(origins_are_checked),
        WITH_FIXTURE(places_are_limited_and_given_back),
        WITH_FIXTURE(a_network_of_ipv6_is_one_address),
        WITH_FIXTURE(what_is_no_event_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
