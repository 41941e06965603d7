/* parameters_test.c - declared query parameters in requests: bahamut's refusals, and what
 * processors read. */
#include "unit/rest/cmocka_all.h"

#include "unit/rest/fixture.h"

#include <stdio.h>
#include <string.h>

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&fixture);
    return 0;
}

static const struct {
    const char *method, *target, *title, *description;
} refusals[] = {
    {"GET", "/v/1/lists?rlgmp2=maybe", "Invalid Parameter",
     "Parameter 'rlgmp2' must be a boolean, got 'maybe'"},
    {"GET", "/lists?depth=x", "Invalid Parameter", "Parameter 'depth' must be an integer, got 'x'"},
    {"GET", "/lists?depth=", "Invalid Parameter", "Parameter 'depth' must be an integer, got ''"},
    {"GET", "/lists?ratio=1,5", "Invalid Parameter",
     "Parameter 'ratio' must be a float, got '1,5'"},
    {"GET", "/lists?level=low&level=middle", "Invalid Parameter",
     "Parameter 'level' must be one of 'low, high', got 'middle'"},
    {"GET", "/lists?wait=5", "Invalid Parameter",
     "Parameter 'wait' must be a valid duration, got '5'"},
    {"GET", "/lists?since=yesterday", "Invalid Parameter",
     "Parameter 'since' must be a valid date, got 'yesterday'"},
    {"GET", "/lists?depth=1&depth=2", "Invalid Parameter",
     "Parameter 'depth' must be sent only once"},
    {"GET", "/lists?q=a&q=b", "Invalid Parameter", "Parameter 'q' must be sent only once"},
    {"GET", "/lists?foo=1&depth=x", "Invalid Parameter",
     "Parameter 'depth' must be an integer, got 'x'"},
    {"GET", "/lists?depth=1&foo=1", "Bad Request", "Unknown parameter: `foo`"},
    {"GET", "/lists?confirm=true", "Bad Request", "Unknown parameter: `confirm`"},
    {"GET", "/lists/1?q=a", "Bad Request", "Unknown parameter: `q`"},
    {"HEAD", "/lists?depth=1", "Bad Request", "Unknown parameter: `depth`"},
    {"DELETE", "/v/1/users/1", "Bad Request", "Missing Required parameters: `confirm`"},
    {"DELETE", "/v/1/users/1?foo=1", "Bad Request", "Unknown parameter: `foo`"},
    {"GET", "/nothings?depth=1", "Bad Request", "Unknown parameter: `depth`"},
};

static void wrong_values_are_refused_with_bahamuts_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        fixture_send(&fixture, refusals[i].method, refusals[i].target, "");

        assert_int_equal(fixture.response.status, 400);
        assert_string_equal(fixture_error(&fixture, "description"), refusals[i].description);
        assert_string_equal(fixture_error(&fixture, "title"), refusals[i].title);
        assert_string_equal(fixture_error(&fixture, "subject"), "elemental");
    }
}

static void an_error_is_bahamuts_byte_for_byte(void **state)
{
    (void)state;
    static const char before[] =
        "[{\"code\":400,\"description\":\"Parameter 'rlgmp2' must be a boolean, got 'maybe'\","
        "\"subject\":\"elemental\",\"title\":\"Invalid Parameter\",\"trace\":\"";

    fixture_send(&fixture, "GET", "/v/1/lists?rlgmp2=maybe", "");

    assert_int_equal(strncmp(fixture_text(&fixture), before, strlen(before)), 0);
    assert_string_equal(fixture_text(&fixture) + fixture.body.len - 3, "\"}]");
}

static enum kj_status read_sent(struct kj_context *context, void *ctx)
{
    *(bool *)ctx = true;
    assert_string_equal(kj_context_parameter_text(context, "rlgmp1", 0), "a b");
    assert_true(kj_context_parameter_boolean(context, "rlgmp2", 0));
    assert_int_equal(kj_context_parameter_integer(context, "depth", 0), -7);
    assert_true(kj_context_parameter_float(context, "ratio", 0) > 0.24);
    assert_int_equal(kj_context_parameter_count(context, "level"), 2);
    assert_string_equal(kj_context_parameter_text(context, "level", 0), "high");
    assert_string_equal(kj_context_parameter_text(context, "level", 1), "low");
    assert_string_equal(kj_context_parameter_text(context, "level", 2), "");
    assert_int_equal(kj_context_parameter_time(context, "since", 0).seconds, 1614816000);
    assert_int_equal(kj_context_parameter_duration_ns(context, "wait", 0), 90000000000);
    return KJ_OK;
}

static void processors_read_what_was_sent(void **state)
{
    (void)state;
    bool called = false;
    fixture_serve_with(&fixture, read_sent, &called);

    fixture_send(&fixture, "GET",
                 "/lists?level=high&rlgmp1=a+b&rlgmp2=YES&depth=-7&ratio=.25&level=low"
                 "&since=2021-03-04&wait=1m30s",
                 "");

    assert_true(called);
    assert_int_equal(fixture.response.status, 204);
}

static enum kj_status read_absent(struct kj_context *context, void *ctx)
{
    *(bool *)ctx = true;
    assert_null(kj_context_parameter(context, "depth"));
    assert_int_equal(kj_context_parameter_count(context, "depth"), 1);
    assert_int_equal(kj_context_parameter_integer(context, "depth", 0), 3);
    assert_int_equal(kj_context_parameter_integer(context, "depth", 1), 0);
    assert_int_equal(kj_context_parameter_count(context, "rlgmp2"), 0);
    assert_false(kj_context_parameter_boolean(context, "rlgmp2", 0));
    assert_string_equal(kj_context_parameter_text(context, "depth", 0), "");
    assert_int_equal(kj_context_parameter_integer(context, "unheard-of", 0), 0);
    assert_true(kj_context_parameter_time(context, "since", 0).seconds == 0);
    return KJ_OK;
}

static void defaults_stand_in_for_what_is_absent(void **state)
{
    (void)state;
    bool called = false;
    fixture_serve_with(&fixture, read_absent, &called);

    fixture_send(&fixture, "GET", "/lists", "");

    assert_true(called);
}

static void required_parameters_let_the_request_through(void **state)
{
    (void)state;
    char id[KJ_OBJECT_ID_SIZE];
    char target[64];
    fixture_serve_store(&fixture);
    fixture_create(&fixture, "/users",
                   "{\"firstName\":\"f\",\"lastName\":\"l\",\"userName\":\"u\"}", id);

    (void)snprintf(target, sizeof target, "/v/1/users/%s?confirm=true", id);
    fixture_send(&fixture, "DELETE", target, "");

    assert_int_equal(fixture.response.status, 200);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_values_are_refused_with_bahamuts_words),
        TEST(an_error_is_bahamuts_byte_for_byte),
        TEST(processors_read_what_was_sent),
        TEST(defaults_stand_in_for_what_is_absent),
        TEST(required_parameters_let_the_request_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
