/* routes_test.c - what methods and paths ask for. */
#include "unit/rest/cmocka_all.h"

#include "rest/routes.h"

#include <string.h>

struct expectation {
    const char *method, *path;
    enum kj__route_kind kind;
    enum kj__route_problem problem;
    enum kj_operation operation;
    int version;
    const char *parent_category, *parent_id, *category, *object_id;
};

#define OPERATION KJ__ROUTE_OPERATION, KJ__ROUTE_FINE

static const struct expectation expectations[] = {
    {"GET", "/lists", OPERATION, KJ_OP_RETRIEVE_MANY, 0, "", "", "lists", ""},
    {"POST", "/lists", OPERATION, KJ_OP_CREATE, 0, "", "", "lists", ""},
    {"HEAD", "/lists", OPERATION, KJ_OP_INFO, 0, "", "", "lists", ""},
    {"GET", "/lists/1", OPERATION, KJ_OP_RETRIEVE, 0, "", "", "lists", "1"},
    {"PUT", "/lists/1", OPERATION, KJ_OP_UPDATE, 0, "", "", "lists", "1"},
    {"PATCH", "/lists/1", OPERATION, KJ_OP_PATCH, 0, "", "", "lists", "1"},
    {"DELETE", "/lists/1", OPERATION, KJ_OP_DELETE, 0, "", "", "lists", "1"},
    {"HEAD", "/lists/1", OPERATION, KJ_OP_RETRIEVE, 0, "", "", "lists", "1"},
    {"GET", "/lists/1/tasks", OPERATION, KJ_OP_RETRIEVE_MANY, 0, "lists", "1", "tasks", ""},
    {"POST", "/lists/1/tasks", OPERATION, KJ_OP_CREATE, 0, "lists", "1", "tasks", ""},
    {"HEAD", "/lists/1/tasks", OPERATION, KJ_OP_INFO, 0, "lists", "1", "tasks", ""},
    {"GET", "/v/1/lists", OPERATION, KJ_OP_RETRIEVE_MANY, 1, "", "", "lists", ""},
    {"GET", "/v/12/lists/1", OPERATION, KJ_OP_RETRIEVE, 12, "", "", "lists", "1"},
    {"POST", "/v/1/lists/1/tasks", OPERATION, KJ_OP_CREATE, 1, "lists", "1", "tasks", ""},

    /* Segments may be empty. */
    {"GET", "/lists/", OPERATION, KJ_OP_RETRIEVE, 0, "", "", "lists", ""},
    {"GET", "/v/1/lists/", OPERATION, KJ_OP_RETRIEVE, 1, "", "", "lists", ""},
    {"GET", "//lists", OPERATION, KJ_OP_RETRIEVE, 0, "", "", "", "lists"},
    {"POST", "/", OPERATION, KJ_OP_CREATE, 0, "", "", "", ""},
    {"HEAD", "/", OPERATION, KJ_OP_INFO, 0, "", "", "", ""},
    {"GET", "/", KJ__ROUTE_ROOT, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},

    /* Escapes are undone in the parts; a slash in one never names an object. */
    {"GET", "/lists/a%20b%2B", OPERATION, KJ_OP_RETRIEVE, 0, "", "", "lists", "a b+"},
    {"GET", "/lists/a+b", OPERATION, KJ_OP_RETRIEVE, 0, "", "", "lists", "a+b"},
    {"GET", "/lists/%c3%a9", OPERATION, KJ_OP_RETRIEVE, 0, "", "", "lists", "\xc3\xa9"},
    {"GET", "/lists/a%2Fb", OPERATION, KJ_OP_RETRIEVE, 0, "", "", "", "a/b"},
    {"GET", "/lists/a%2fb/tasks", OPERATION, KJ_OP_RETRIEVE_MANY, 0, "lists", "a/b", "", ""},
    {"GET", "/lists/a%00b", KJ__ROUTE_OPERATION, KJ__ROUTE_BAD_ESCAPE, KJ_OP_RETRIEVE, 0, "", "",
     "lists", ""},
    {"GET", "/lists/%zz", KJ__ROUTE_OPERATION, KJ__ROUTE_BAD_ESCAPE, KJ_OP_RETRIEVE, 0, "", "",
     "lists", ""},
    {"GET", "/lists/%ff", KJ__ROUTE_OPERATION, KJ__ROUTE_BAD_ESCAPE, KJ_OP_RETRIEVE, 0, "", "",
     "lists", ""},

    /* Versions are digits. */
    {"GET", "/v/zz/lists", KJ__ROUTE_OPERATION, KJ__ROUTE_BAD_VERSION, KJ_OP_RETRIEVE_MANY, 0, "",
     "", "", ""},
    {"GET", "/v/-1/lists", KJ__ROUTE_OPERATION, KJ__ROUTE_BAD_VERSION, KJ_OP_RETRIEVE_MANY, 0, "",
     "", "", ""},
    {"GET", "/v//lists", KJ__ROUTE_OPERATION, KJ__ROUTE_BAD_VERSION, KJ_OP_RETRIEVE_MANY, 0, "", "",
     "", ""},
    {"GET", "/v/99999999999/lists", KJ__ROUTE_OPERATION, KJ__ROUTE_BAD_VERSION, KJ_OP_RETRIEVE_MANY,
     0, "", "", "", ""},
    {"GET", "/v", KJ__ROUTE_OPERATION, KJ__ROUTE_NO_CATEGORY, KJ_OP_RETRIEVE_MANY, 0, "", "", "",
     ""},
    {"GET", "/v/1", KJ__ROUTE_OPERATION, KJ__ROUTE_NO_CATEGORY, KJ_OP_RETRIEVE, 1, "", "", "", ""},

    /* Known for other methods only. */
    {"DELETE", "/lists", KJ__ROUTE_OTHER_METHOD, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},
    {"POST", "/lists/1", KJ__ROUTE_OTHER_METHOD, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},
    {"PUT", "/lists/1/tasks", KJ__ROUTE_OTHER_METHOD, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},
    {"OPTIONS", "/v/1/lists", KJ__ROUTE_OTHER_METHOD, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},
    {"FOO", "/v/1/lists/1", KJ__ROUTE_OTHER_METHOD, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},
    {"get", "/lists", KJ__ROUTE_OTHER_METHOD, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},
    {"PUT", "/", KJ__ROUTE_OTHER_METHOD, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},

    /* No route at all. */
    {"GET", "/a/b/c/d", KJ__ROUTE_NONE, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},
    {"GET", "/a/b/c/d/e", KJ__ROUTE_NONE, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},
    {"GET", "/v/1/lists/1/tasks/1", KJ__ROUTE_NONE, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},
    {"GET", "", KJ__ROUTE_NONE, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},
    {"OPTIONS", "*", KJ__ROUTE_NONE, KJ__ROUTE_FINE, 0, 0, "", "", "", ""},
};

static void check(const struct expectation *expected)
{
    struct kj__route route;
    assert_true(kj__route_parse(&route, expected->method, expected->path, false));
    if (route.kind != expected->kind || route.problem != expected->problem ||
        route.operation != expected->operation || route.version != expected->version) {
        fail_msg("%s %s: kind %d, problem %d, operation %u, version %d", expected->method,
                 expected->path, route.kind, route.problem, route.operation, route.version);
    }
    assert_string_equal(route.category, expected->category);
    assert_string_equal(route.object_id, expected->object_id);
    assert_string_equal(route.parent_category, expected->parent_category);
    assert_string_equal(route.parent_id, expected->parent_id);
    kj__route_fini(&route);
}

static void routes_are_those_of_bahamut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
        check(&expectations[i]);
    }
}

static void only_head_of_an_object_is_marked(void **state)
{
    (void)state;
    struct kj__route route;

    assert_true(kj__route_parse(&route, "HEAD", "/lists/1", false));
    assert_true(route.is_head);
    kj__route_fini(&route);

    assert_true(kj__route_parse(&route, "HEAD", "/lists", false));
    assert_false(route.is_head);
    kj__route_fini(&route);
}

static void long_paths_are_no_route(void **state)
{
    (void)state;
    static char path[16385];
    memset(path, '/', sizeof path - 1);
    struct kj__route route;

    assert_true(kj__route_parse(&route, "GET", path, false));

    assert_int_equal(route.kind, KJ__ROUTE_NONE);
    kj__route_fini(&route);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_those_of_bahamut),
        cmocka_unit_test(only_head_of_an_object_is_marked),
        cmocka_unit_test(long_paths_are_no_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
