/* body_test.c - bodies good and bad, in both encodings, and what is made of them. */
#include "unit/rest/cmocka_all.h"

#include "unit/rest/fixture.h"

#include <stdlib.h>
#include <string.h>

static const char in_msgpack[] = "Content-Type: application/msgpack\n";
static const char both_msgpack[] =
    "Content-Type: application/msgpack\nAccept: application/msgpack\n";

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fixture_serve_store(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&fixture);
    return 0;
}

static void create_with(const char *headers, const void *body, size_t len)
{
    fixture_send_bytes(&fixture, "POST", "/v/1/lists", headers, body, len);
}

/* A 400 of one error whose description starts so, and nothing stored or published. */
static void assert_refused(const char *subject, const char *start)
{
    assert_int_equal(fixture.response.status, 400);
    assert_string_equal(fixture_error(&fixture, "title"), "Bad Request");
    assert_string_equal(fixture_error(&fixture, "subject"), subject);
    const char *description = fixture_error(&fixture, "description");
    if (strncmp(description, start, strlen(start)) != 0) {
        fail_msg("\"%s\" does not start with \"%s\"", description, start);
    }
    assert_int_equal(fixture.event_count, 0);
    fixture_send(&fixture, "HEAD", "/lists", "");
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), "0");
}

static void malformed_bodies_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{not json",
        "{\"name\":\"a\",}",
        "{\"name\"",
        "{\"name\"=\"a\"}",
        "{\"name\":\"a\"",
        "[[[[",
        "{\"name\":\"\\ud83d\"}",
        "]",
        "\xff",
        "{'name':'a'}",
        "\xef\xbb\xbf{\"a\":1}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        create_with("", bodies[i], strlen(bodies[i]));
        assert_refused("bahamut", "unable to decode application/json: ");
    }
}

static void values_that_are_no_object_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {"true", "12", "\"x\"", "[1]", "[{\"name\":\"a\"}]"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        create_with("", bodies[i], strlen(bodies[i]));
        assert_refused("bahamut", "unable to decode application/json: only an object");
    }
    create_with(in_msgpack, "\x01", 1);
    assert_refused("bahamut", "unable to decode application/msgpack: only an object");
}

static void members_of_the_wrong_type_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"name\":{}}",
        "{\"name\":[]}",
        "{\"name\":\"a\",\"slice\":\"x\"}",
        "{\"name\":\"a\",\"date\":\"yesterday\"}",
        "{\"name\":\"a\",\"date\":12}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        create_with("", bodies[i], strlen(bodies[i]));
        assert_refused("bahamut", "unable to decode application/json: attribute ");
    }
}

static void numbers_that_would_become_others_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"name\":\"a\",\"x\":9223372036854775808}",
        "{\"name\":\"a\",\"x\":[{\"y\":-9223372036854775809}]}",
        "{\"name\":\"a\",\"x\":18446744073709551615}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        fixture_send(&fixture, "POST", "/v/1/lists", bodies[i]);
        assert_refused("bahamut", "unable to decode application/json: json decode error [pos ");
    }
    static const struct {
        const char *bytes;
        size_t len;
    } packed[] = {
        {"\x82\xa4name\xa1"
         "a\xa1x\xcf\x80\0\0\0\0\0\0\0",
         19},
        {"\x82\xa4name\xa1"
         "a\xa1x\x91\xcb\x7f\xf0\0\0\0\0\0\0",
         20},
        {"\x82\xa4name\xa1"
         "a\xa1x\x81\xa1y\xca\x7f\xc0\0\0",
         18},
    };
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        create_with(in_msgpack, packed[i].bytes, packed[i].len);
        assert_refused("bahamut", "unable to decode application/msgpack: msgpack decode error");
    }
}

static void the_largest_numbers_are_not_refused(void **state)
{
    (void)state;
    fixture_send(&fixture, "POST", "/v/1/lists",
                 "{\"name\":\"a\",\"x\":[9223372036854775807,-9223372036854775808,"
                 "10000000000000000000,9.3e18,\"9223372036854775808\"]}");
    assert_int_equal(fixture.response.status, 200);
    create_with(in_msgpack,
                "\x82\xa4name\xa1"
                "a\xa1x\xcf\x7f\xff\xff\xff\xff\xff\xff\xff",
                19);
    assert_int_equal(fixture.response.status, 200);
}

static void a_hundred_thousand_brackets_are_refused(void **state)
{
    (void)state;
    enum { LEN = 100000 };
    char *body = malloc(LEN);
    assert_non_null(body);

    memset(body, '[', LEN);
    create_with("", body, LEN);
    assert_refused("kujata", "unable to decode application/json: ");

    memset(body, 0x91, LEN);
    create_with(in_msgpack, body, LEN);
    assert_refused("kujata", "unable to decode application/msgpack: ");
    free(body);
}

static void counts_beyond_the_body_are_refused(void **state)
{
    (void)state;
    create_with(in_msgpack, "\xdd\x05\xf5\xe1\x00", 5); /* an array of 100 million */
    assert_refused("bahamut", "unable to decode application/msgpack: EOF");

    create_with(in_msgpack, "\xdf\x05\xf5\xe1\x00", 5); /* a map of as many */
    assert_refused("bahamut", "unable to decode application/msgpack: EOF");

    create_with(in_msgpack,
                "\x81\xa4name\xdb\x7f\xff\xff\xff"
                "a",
                12);
    assert_refused("bahamut", "unable to decode application/msgpack: EOF");
}

static void every_truncation_of_a_msgpack_body_is_refused(void **state)
{
    (void)state;
    static const char body[] = "\x82\xa4name\xa1x\xa5slice\x91\xa1y";
    for (size_t len = 1; len < sizeof body - 1; len++) {
        create_with(in_msgpack, body, len);
        assert_refused("bahamut", "unable to decode application/msgpack: EOF");
    }
    create_with(in_msgpack, body, sizeof body - 1);
    assert_int_equal(fixture.response.status, 200);
}

static void null_and_nothing_are_an_empty_object(void **state)
{
    (void)state;
    static const char *const bodies[] = {"null", "[]", "{}", ""};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        create_with("", bodies[i], strlen(bodies[i]));
        assert_int_equal(fixture.response.status, 422);
        assert_string_equal(fixture_error(&fixture, "description"), "Attribute 'name' is required");
    }
    create_with(in_msgpack, "\xc0", 1);
    assert_int_equal(fixture.response.status, 422);
}

static void times_cross_the_encodings(void **state)
{
    (void)state;
    static const char body[] = "\x82\xa4name\xa1x\xa4"
                               "date\xd6\xff\x00\x00\x00\x01";
    create_with(in_msgpack, body, sizeof body - 1);
    assert_non_null(strstr(fixture_text(&fixture), "\"date\":\"1970-01-01T00:00:01Z\""));

    create_with(both_msgpack, body, sizeof body - 1);
    static const char date[] = "\xa4"
                               "date\xd6\xff\x00\x00\x00\x01";
    assert_non_null(memmem(fixture.body.data, fixture.body.len, date, sizeof date - 1));
    assert_string_equal(fixture_header(&fixture, "Content-Type"), "application/msgpack");

    fixture_send_bytes(&fixture, "GET", "/lists", "Accept: application/msgpack\n", "", 0);
    assert_int_equal(fixture.body.data[0], 0x92);
    assert_non_null(memmem(fixture.body.data, fixture.body.len, date, sizeof date - 1));
}

static void errors_after_the_parsing_follow_accept_and_before_it_are_json(void **state)
{
    (void)state;
    create_with(both_msgpack, "\xc1", 1);
    assert_string_equal(fixture_header(&fixture, "Content-Type"), "application/msgpack");
    assert_int_equal(fixture.body.data[0], 0x91);
    assert_int_equal(fixture.body.data[1], 0x86);

    fixture_send_bytes(&fixture, "GET", "/lists?foo=1", "Accept: application/msgpack\n", "", 0);
    assert_string_equal(fixture_header(&fixture, "Content-Type"),
                        "application/json; charset=UTF-8");
    assert_string_equal(fixture_error(&fixture, "description"), "Unknown parameter: `foo`");

    fixture_send_bytes(&fixture, "GET", "/v/1/lists", "Content-Type: text/html\n", "", 0);
    assert_int_equal(fixture.response.status, 415);
}

static void read_only_members_of_a_client_are_ignored(void **state)
{
    (void)state;
    char id[KJ_OBJECT_ID_SIZE];
    fixture_create(&fixture, "/v/1/lists",
                   "{\"ID\":\"mine\",\"parentID\":\"p\",\"parentType\":\"t\",\"readOnly\":\"r\","
                   "\"creationOnly\":\"c\",\"name\":\"a\",\"unknown\":1}",
                   id);

    json_t *object = fixture_json(&fixture);
    assert_string_not_equal(id, "mine");
    assert_string_equal(json_string_value(json_object_get(object, "parentID")), "");
    assert_string_equal(json_string_value(json_object_get(object, "parentType")), "root");
    assert_string_equal(json_string_value(json_object_get(object, "readOnly")), "");
    assert_string_equal(json_string_value(json_object_get(object, "creationOnly")), "c");
    assert_null(json_object_get(object, "unknown"));
    json_decref(object);
}

static void text_that_is_not_utf8_in_an_error_is_replaced(void **state)
{
    (void)state;
    fixture_send_bytes(&fixture, "GET", "/lists", "Accept: text/\xff\xfe\n", "", 0);
    assert_int_equal(fixture.response.status, 400);

    fixture_send(&fixture, "GET", "/lists/%ff", "");
    assert_int_equal(fixture.response.status, 400);
    assert_string_equal(fixture_error(&fixture, "subject"), "kujata");
}

static void versions_and_short_paths_are_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *path, *description;
    } cases[] = {
        {"/v", "/v is not a valid request path: no category follows"},
        {"/v/1", "/v/1 is not a valid request path: no category follows"},
        {"/v/99", "Unknown api version"},
        {"/v/99/lists/1/tasks", "Unknown api version"},
        {"/v/x/lists", "Invalid api version number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_send(&fixture, "GET", cases[i].path, "");
        assert_int_equal(fixture.response.status, 400);
        assert_string_equal(fixture_error(&fixture, "description"), cases[i].description);
    }
}

static void unknown_parent_allows_nothing(void **state)
{
    (void)state;
    fixture_send(&fixture, "POST", "/nothings/1/lists", "{\"name\":\"a\"}");

    assert_int_equal(fixture.response.status, 405);
    assert_string_equal(fixture_error(&fixture, "description"),
                        "Create operation not allowed on list");
}

static void trace_is_one_for_a_request_and_another_for_the_next(void **state)
{
    (void)state;
    fixture_send(&fixture, "GET", "/lists?a=1&b=2", "");
    json_t *errors = fixture_json(&fixture);
    const json_t *first = json_object_get(json_array_get(errors, 0), "trace");
    assert_int_equal(json_string_length(first), 36);
    assert_true(json_equal(first, json_object_get(json_array_get(errors, 1), "trace")));

    fixture_send(&fixture, "GET", "/lists?a=1&b=2", "");
    assert_string_not_equal(fixture_error(&fixture, "trace"), json_string_value(first));
    json_decref(errors);
}

static void one_element_responses_come_in_either_encoding(void **state)
{
    (void)state;
    struct kj__http_response response;
    struct kj_api_error error = {.code = 413, .title = "Too large"};
    kj__http_response_init(&response);

    kj__http_response_error(&response, KJ_ENCODING_MSGPACK, &error);
    assert_int_equal(response.status, 413);
    assert_int_equal(response.body.data[0], 0x91);
    kj__http_response_error(&response, KJ_ENCODING_JSON, &error);
    assert_int_equal(response.body.data[0], '[');
    assert_string_equal(kj__fields_get(&response.headers, "X-Count-Total"), "0");

    kj__http_response_fini(&response);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(malformed_bodies_are_refused),
        TEST(values_that_are_no_object_are_refused),
        TEST(members_of_the_wrong_type_are_refused),
        TEST(numbers_that_would_become_others_are_refused),
        TEST(the_largest_numbers_are_not_refused),
        TEST(a_hundred_thousand_brackets_are_refused),
        TEST(counts_beyond_the_body_are_refused),
        TEST(every_truncation_of_a_msgpack_body_is_refused),
        TEST(null_and_nothing_are_an_empty_object),
        TEST(times_cross_the_encodings),
        TEST(errors_after_the_parsing_follow_accept_and_before_it_are_json),
        TEST(read_only_members_of_a_client_are_ignored),
        TEST(text_that_is_not_utf8_in_an_error_is_replaced),
        TEST(versions_and_short_paths_are_refused_in_words),
        TEST(unknown_parent_allows_nothing),
        TEST(trace_is_one_for_a_request_and_another_for_the_next),
        TEST(one_element_responses_come_in_either_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
