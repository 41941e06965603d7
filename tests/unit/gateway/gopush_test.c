/* gopush_test.c - clients of go-push on a gateway, frame by frame. */
#include "fixture.h"
#include "handlers/gopush.h"

static struct kj_gopush *begin(struct fixture *fixture, struct kj_gopush_options options)
{
    struct kj_gopush *gopush;
    options.is_open = true;
    assert_int_equal(kj_gopush_new(&options, &gopush), KJ_OK);
    fixture->protocol = kj_gopush_protocol(gopush);
    start(fixture);
    return gopush;
}

/* Fails unless a PING is what is answered next. */
static void expect_nothing_but_pong(int fd)
{
    ask(fd, "{\"type\":\"PING\",\"data\":{}}", "{\"type\":\"PONG\",\"data\":{}}");
}

static void push(struct fixture *fixture, enum kj_topic_kind kind, const char *name,
                 const char *json)
{
    assert_int_equal(kj_gateway_publish(fixture->gateway,
                                        &(struct kj_push_options){.kind = kind,
                                                                  .name = name,
                                                                  .body = (const uint8_t *)json,
                                                                  .body_len = strlen(json),
                                                                  .body_is_json = true},
                                        NULL),
                     KJ_OK);
}

static void a_room_hears_its_pushes_as_they_were_written(void **state)
{
    struct fixture *fixture = *state;
    struct kj_gopush *gopush = begin(fixture, (struct kj_gopush_options){0});
    int fd = connect_client(fixture);
    say(fd, "{\"type\":\"JOIN\",\"data\":{\"room\":\"r1\"}}");
    expect_nothing_but_pong(fd);
    push(fixture, KJ_TOPIC_ROOM, "r1", "{ \"b\":1, \"a\":12345678901234567890 }");
    expect(fd, "{\"type\":\"PUSH\",\"data\":{\"items\":"
               "[{ \"b\":1, \"a\":12345678901234567890 }]}}");
    say(fd, "{\"type\":\"LEAVE\",\"data\":{\"room\":\"r1\"}}");
    expect_nothing_but_pong(fd);
    push(fixture, KJ_TOPIC_ROOM, "r1", "1");
    expect_nothing_but_pong(fd);
    assert_int_equal(fixture->counters.gateway_refusals, 0);
    close(fd);
    kj_gopush_free(gopush);
}

static void what_follows_the_first_goes_out_together(void **state)
{
    struct fixture *fixture = *state;
    struct kj_gopush *gopush = begin(fixture, (struct kj_gopush_options){.batching = {.items = 3}});
    int fd = connect_client(fixture);
    expect_nothing_but_pong(fd);
    for (int i = 1; i <= 4; i++) {
        push(fixture, KJ_TOPIC_ALL, NULL, (const char *[]){"", "1", "[2]", "\"3\"", "{}"}[i]);
    }
    expect(fd, "{\"type\":\"PUSH\",\"data\":{\"items\":[1]}}");
    expect(fd, "{\"type\":\"PUSH\",\"data\":{\"items\":[[2],\"3\",{}]}}");
    close(fd);
    kj_gopush_free(gopush);
}

static void what_is_no_json_is_base64_and_presence_is_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct kj_gopush *gopush = begin(fixture, (struct kj_gopush_options){0});
    int fd = connect_client(fixture);
    say(fd, "{\"type\":\"JOIN\",\"data\":{\"room\":\"r\"}}");
    expect_nothing_but_pong(fd);
    assert_int_equal(kj_gateway_publish(fixture->gateway,
                                        &(struct kj_push_options){.kind = KJ_TOPIC_ROOM,
                                                                  .name = "r",
                                                                  .presence = KJ_PRESENCE_JOINED},
                                        NULL),
                     KJ_OK);
    publish(fixture, KJ_TOPIC_ALL, NULL, "\x01\x02");
    expect(fd, "{\"type\":\"PUSH\",\"data\":{\"items\":[\"AQI=\"]}}");
    expect_nothing_but_pong(fd);
    assert_int_equal(fixture->counters.gateway_unencodable, 0);
    close(fd);
    kj_gopush_free(gopush);
}

static void what_go_push_passes_over_is_counted(void **state)
{
    struct fixture *fixture = *state;
    struct kj_gopush *gopush = begin(fixture, (struct kj_gopush_options){.limits = {.rooms = 1}});
    int fd = connect_client(fixture);
    say(fd, "{\"type\":\"DANCE\",\"data\":7}");
    say(fd, "{\"data\":{}}");
    say(fd, "{\"type\":\"LEAVE\",\"data\":{\"room\":\"away\"}}");
    say(fd, "{\"type\":\"JOIN\",\"data\":{\"room\":\"one\"}}");
    say(fd, "{\"type\":\"JOIN\",\"data\":{\"room\":\"one\"}}");
    say(fd, "{\"type\":\"JOIN\",\"data\":{\"room\":\"one too many\"}}");
    expect_nothing_but_pong(fd);
    assert_int_equal(fixture->counters.gateway_refusals, 4);
    assert_int_equal(fixture->counters.gateway_joins_over_limit, 1);
    close(fd);
    kj_gopush_free(gopush);
}

static void what_go_push_closes_for_is_closed_with_a_code(void **state)
{
    static const char *const bad[] = {
        "{\"type\":\"JOIN\"",
        "hello",
        "",
        "[]",
        "7",
        "{\"type\":7}",
        "{\"type\":\"JOIN\"}",
        "{\"type\":\"JOIN\",\"data\":{\"room\":\"\"}}",
        "{\"type\":\"JOIN\",\"data\":{\"room\":7}}",
        "{\"type\":\"LEAVE\",\"data\":[]}",
        "{\"type\":\"JOIN\",\"data\":{\"room\":\"a\\u0000b\"}}",
    };
    struct fixture *fixture = *state;
    struct kj_gopush *gopush = begin(fixture, (struct kj_gopush_options){0});
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd = connect_client(fixture);
        say(fd, bad[i]);
        expect_close(fd, KJ_GOPUSH_CLOSE_BAD_REQUEST);
        close(fd);
    }
    assert_int_equal(fixture->counters.gateway_refusals, sizeof bad / sizeof *bad);
    kj_gopush_free(gopush);
}

static void a_client_is_told_its_session_when_asked_for(void **state)
{
    struct fixture *fixture = *state;
    struct kj_gopush *gopush = begin(fixture, (struct kj_gopush_options){.tells_session = true});
    int fd = connect_client(fixture);
    char heard[FRAME_MAX];
    char session[KJ_CLIENT_ID_SIZE];
    assert_true(hear(fd, heard));
    assert_int_equal(
        sscanf(heard, "{\"type\":\"WELCOME\",\"data\":{\"session\":\"%23[^\"]\"}}", session), 1);
    push(fixture, KJ_TOPIC_SESSION, session, "1");
    push(fixture, KJ_TOPIC_SESSION, session, "2"); /* never waits */
    expect(fd, "{\"type\":\"PUSH\",\"data\":{\"items\":[1]}}");
    expect(fd, "{\"type\":\"PUSH\",\"data\":{\"items\":[2]}}");
    close(fd);
    kj_gopush_free(gopush);
}

static void a_list_is_cut_into_its_items(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        long count; /* below 0: a status */
        const char *joined;
    } cases[] = {
        {"[]", 0, ""},
        {" [ \n] ", 0, ""},
        {"[1, \"a,]\\\"[\" ,{\"b\" : [1,{}]},[[]], null]", 5,
         "1|\"a,]\\\"[\"|{\"b\" : [1,{}]}|[[]]|null|"},
        {"[\"\\\\\",1]", 2, "\"\\\\\"|1|"},
        {"[1] [2]", KJ_EPARSE, ""},
        {"{\"a\":[1]}", KJ_EPARSE, ""},
        {"\"[1]\"", KJ_EPARSE, ""},
        {"[1,]", KJ_EPARSE, ""},
        {"[1", KJ_EPARSE, ""},
        {"", KJ_EPARSE, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gopush_item *items;
        size_t count;
        char joined[256] = "";
        enum kj_status status = gopush_items_cut((const uint8_t *)cases[i].text,
                                                 strlen(cases[i].text), &items, &count);
        assert_int_equal(status ? (long)status : (long)count, cases[i].count);
        for (size_t at = 0; at < count; at++) {
            size_t used = strlen(joined);
            (void)snprintf(joined + used, sizeof joined - used, "%.*s|", (int)items[at].len,
                           (const char *)items[at].text);
        }
        assert_string_equal(joined, cases[i].joined);
        free(items);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_room_hears_its_pushes_as_they_were_written),
        TEST(what_follows_the_first_goes_out_together),
        TEST(what_is_no_json_is_base64_and_presence_is_nothing),
        TEST(what_go_push_passes_over_is_counted),
        TEST(what_go_push_closes_for_is_closed_with_a_code),
        TEST(a_client_is_told_its_session_when_asked_for),
        cmocka_unit_test(a_list_is_cut_into_its_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
