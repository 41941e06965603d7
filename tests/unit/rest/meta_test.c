/* meta_test.c - what a node tells of itself. */
#include "unit/rest/cmocka_all.h"

#include "rest/route_list.h"
#include "unit/rest/fixture.h"

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

static void assert_routes(const char *expected)
{
    struct kj__route_lists lists;
    struct kj__buffer text;
    kj__buffer_init(&text);
    assert_int_equal(kj__route_lists_make(&fixture.api, &lists), KJ_OK);
    kj__route_lists_print(&lists, &text);
    kj__buffer_append_byte(&text, 0);
    assert_string_equal(text.data, expected);
    kj__buffer_fini(&text);
    kj__route_lists_fini(&lists);
}

#define ALL_ROUTES                                                                                 \
    "[{\"identity\":\"lists\",\"url\":\"/lists\",\"verbs\":[\"GET\",\"POST\"]},"                   \
    "{\"identity\":\"lists\",\"url\":\"/lists/:id\",\"verbs\":[\"DELETE\",\"GET\",\"PUT\"]},"      \
    "{\"identity\":\"tasks\",\"url\":\"/lists/:id/tasks\",\"verbs\":[\"GET\",\"POST\"]},"          \
    "{\"identity\":\"users\",\"url\":\"/lists/:id/users\",\"verbs\":[\"GET\"]},"                   \
    "{\"identity\":\"tasks\",\"url\":\"/tasks\",\"verbs\":[\"POST\"]},"                            \
    "{\"identity\":\"tasks\",\"url\":\"/tasks/:id\",\"verbs\":[\"DELETE\",\"GET\",\"PUT\"]},"      \
    "{\"identity\":\"users\",\"url\":\"/users\",\"verbs\":[\"GET\",\"POST\"]},"                    \
    "{\"identity\":\"users\",\"url\":\"/users/:id\",\"verbs\":[\"DELETE\",\"GET\",\"PUT\"]}]"

static void routes_are_listed_as_bahamut_lists_them(void **state)
{
    (void)state;
    fixture_serve_store(&fixture);

    assert_routes("{\"0\":" ALL_ROUTES ",\"1\":" ALL_ROUTES "}");
}

static void routes_without_a_processor_are_not_listed(void **state)
{
    (void)state;
    struct kj_processor none = {0};
    assert_int_equal(kj__api_register(&fixture.api, "user", &none), KJ_OK);

    assert_routes("{\"0\":[{\"identity\":\"users\",\"url\":\"/lists/:id/users\",\"verbs\":[\"GET\"]"
                  "},{\"identity\":\"users\",\"url\":\"/users\",\"verbs\":[\"GET\",\"POST\"]},"
                  "{\"identity\":\"users\",\"url\":\"/users/:id\",\"verbs\":[\"DELETE\",\"GET\","
                  "\"PUT\"]}],\"1\":[{\"identity\":\"users\",\"url\":\"/lists/:id/users\","
                  "\"verbs\":[\"GET\"]},{\"identity\":\"users\",\"url\":\"/users\",\"verbs\":["
                  "\"GET\",\"POST\"]},{\"identity\":\"users\",\"url\":\"/users/:id\",\"verbs\":["
                  "\"DELETE\",\"GET\",\"PUT\"]}]}");
}

static void documents_are_served_as_they_are(void **state)
{
    (void)state;
    static const char text[] = "bahamut-bench";
    assert_int_equal(
        kj__api_add_document(&fixture.api, "/_meta/name", "text/plain", text, strlen(text)), KJ_OK);
    assert_int_equal(kj__api_add_document(&fixture.api, "/_meta/name", "text/plain", "", 0),
                     KJ_EEXIST);

    fixture_send(&fixture, "GET", "/_meta/name", "");

    assert_int_equal(fixture.response.status, 200);
    assert_string_equal(fixture.headers, "Accept: application/msgpack,application/json\n"
                                         "Content-Type: text/plain\n");
    assert_string_equal(fixture_text(&fixture), text);

    fixture_send(&fixture, "HEAD", "/_meta/name", "");
    assert_int_equal(fixture.response.status, 200);

    fixture_send(&fixture, "POST", "/_meta/name", "");
    assert_int_equal(fixture.response.status, 405);
    assert_string_equal(fixture.headers, "");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(routes_are_listed_as_bahamut_lists_them),
        TEST(routes_without_a_processor_are_not_listed),
        TEST(documents_are_served_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
