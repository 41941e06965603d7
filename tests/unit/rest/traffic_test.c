/* traffic_test.c - requests by shape: the right row, and never more rows than shapes. */
#include "rest/traffic.h"

#include "unit/rest/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char model_text[] =
    "{\"identities\": [{\"name\": \"list\", \"category\": \"lists\", \"attributes\": []},"
    " {\"name\": \"task\", \"category\": \"tasks\", \"attributes\": []}],"
    " \"relations\": [{\"parent\": \"list\", \"child\": \"task\", \"operations\": [\"create\"]}]}";

struct fixture {
    struct kj_model *model;
    struct kj__traffic traffic;
};

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    struct kj_error error = {0};
    assert_int_equal(kj_model_parse(model_text, strlen(model_text), "test", &fixture.model, &error),
                     KJ_OK);
    kj__traffic_init(&fixture.traffic, fixture.model);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kj__traffic_fini(&fixture.traffic);
    kj_model_free(fixture.model);
    return 0;
}

static bool tells(const char *line)
{
    struct kj__buffer out;
    kj__buffer_init(&out);
    kj__traffic_metrics(&fixture.traffic, &out);
    kj__buffer_append_byte(&out, '\0');
    bool found = strstr((const char *)out.data, line) != NULL;
    kj__buffer_fini(&out);
    return found;
}

static void a_url_counts_under_its_shape(void **state)
{
    (void)state;
    static const struct {
        const char *path, *line;
    } cases[] = {
        {"/", "url=\"/\",code=\"200\"} 1\n"},
        {"/lists", "url=\"/lists\",code=\"200\"} 1\n"},
        {"/v/1/lists/7", "url=\"/lists/:id\",code=\"200\"} 1\n"},
        {"/lists/7", "url=\"/lists/:id\",code=\"200\"} 2\n"},
        {"/lists/7/tasks", "url=\"/lists/:id/tasks\",code=\"200\"} 1\n"},
        {"/tasks/7/lists", "url=\"other\",code=\"200\"} 1\n"},
        {"/tasks/7/tasks", "url=\"other\",code=\"200\"} 2\n"},
        {"/lists/7/nope", "url=\"other\",code=\"200\"} 3\n"},
        {"/lists/7/tasks/8", "url=\"other\",code=\"200\"} 4\n"},
        {"/v/x/lists", "url=\"other\",code=\"200\"} 5\n"},
        {"", "url=\"other\",code=\"200\"} 6\n"},
        {"/nope", "url=\"other\",code=\"200\"} 7\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kj__traffic_count(&fixture.traffic, "GET", cases[i].path, 200, 10);
        assert_true(tells(cases[i].line));
    }
}

static void clients_cannot_make_rows(void **state)
{
    (void)state;
    srand(3);
    for (int i = 0; i < 5000; i++) {
        char path[64];
        char method[16];
        (void)snprintf(path, sizeof path, "/%x/%x/%s", rand(), rand(), i % 2 ? "tasks" : "\"\n");
        (void)snprintf(method, sizeof method, "M%x", rand());
        kj__traffic_count(&fixture.traffic, method, path, 404, 10);
        kj__traffic_count(&fixture.traffic, "GET", path + 1, 100 + i, 10);
    }
    assert_int_equal(fixture.traffic.rows.count, 2);
    assert_true(tells("http_requests_total{method=\"other\",url=\"other\",code=\"404\"} 5000\n"));
}

static void errors_of_the_server_count_twice(void **state)
{
    (void)state;
    kj__traffic_count(&fixture.traffic, "PUT", "/tasks/1", 499, 10);
    kj__traffic_count(&fixture.traffic, "PUT", "/tasks/1", 500, 10);

    assert_true(tells("http_errors_5xx_total{method=\"PUT\",url=\"/tasks/:id\",code=\"500\"} 1\n"));
    assert_false(tells("http_errors_5xx_total{method=\"PUT\",url=\"/tasks/:id\",code=\"499\"}"));
    assert_true(
        tells("http_requests_duration_seconds_count{method=\"PUT\",url=\"/tasks/:id\"} 2\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_url_counts_under_its_shape, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clients_cannot_make_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_of_the_server_count_twice, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
