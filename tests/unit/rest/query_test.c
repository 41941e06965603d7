/* query_test.c - built-in parameters, and what is refused. */
#include "unit/rest/cmocka_all.h"

#include "rest/query.h"

#include <stdio.h>
#include <string.h>

/* Nothing declared. */
static const struct kj__query_rules plain = {.operation = KJ_OP_RETRIEVE};

/* What is refused, with the descriptions joined by a bar. */
static const struct {
    const char *query, *descriptions;
} refusals[] = {
    {"foo=1", "Unknown parameter: `foo`"},
    {"foo=1&page=2&bar&foo=2", "Unknown parameter: `foo`|Unknown parameter: `bar`"},
    {"Page=1", "Unknown parameter: `Page`"},
    {"q=name+%3D%3D+x", "Unknown parameter: `q`"}, /* of one object */
    {"%ff=1", "Unknown parameter: `\xef\xbf\xbd`"},
    {"page=x", "Parameter `page` must be an integer"},
    {"page=+1", "Parameter `page` must be an integer"},
    {"page=1x", "Parameter `page` must be an integer"},
    {"page=99999999999999999999", "Parameter `page` must be an integer"},
    {"page=4294967297", "Parameter `page` must be an integer"},
    {"page=-1", "Parameter `page` must be an integer"},
    {"pagesize=1.5", "Parameter `pagesize` must be an integer"},
    {"limit=x", "Parameter `limit` must be an integer"},
    {"page=", "Unknown parameter: `page`"},
    {"page=x&foo=1", "Parameter `page` must be an integer"},
    {"limit=1&pagesize=2", "You cannot set 'limit' and 'pagesize' at the same time"},
    {"limit=x&pagesize=2", "You cannot set 'limit' and 'pagesize' at the same time"},
    {"page=1&after=2", "You cannot set 'after' and 'page' at the same time"},
    {"order=a&order=b&after=2", "You can only order on a single field when using 'after'"},
    {"order=", "Parameter `order` must be set when provided"},
    {"order=a&order=", "Parameter `order` must be set when provided"},
    {"after=%00", "Parameters hold a bad escape or a NUL"},
    {"page=1&q=name+matches+100%&limit=1", "Parameters hold a bad escape or a NUL"},
    {"q=%4", "Parameters hold a bad escape or a NUL"},
    {"q%zz=1", "Parameters hold a bad escape or a NUL"},
    {"order=a&order=a&order=a&order=a&order=a&order=a&order=a&order=a&order=a&order=a&order=a&"
     "order=a&order=a&order=a&order=a&order=a&order=a",
     "Parameter `order` is given more than 16 times"},
};

static void join(const json_t *errors, char *text, size_t size)
{
    size_t index;
    json_t *error;
    text[0] = '\0';
    json_array_foreach(errors, index, error)
    {
        size_t used = strlen(text);
        assert_int_equal(json_integer_value(json_object_get(error, "code")), 400);
        assert_string_equal(json_string_value(json_object_get(error, "title")), "Bad Request");
        assert_string_equal(json_string_value(json_object_get(error, "trace")), "t");
        (void)snprintf(text + used, size - used, "%s%s", index ? "|" : "",
                       json_string_value(json_object_get(error, "description")));
    }
}

static void wrong_parameters_are_refused_with_bahamuts_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct kj__query query;
        json_t *errors = json_array();
        char text[1024];
        kj__query_init(&query);

        enum kj_status status = kj__query_parse(&query, refusals[i].query, &plain, errors, "t");

        join(errors, text, sizeof text);
        assert_string_equal(text, refusals[i].descriptions);
        assert_int_equal(status, KJ_EREFUSED);
        json_decref(errors);
        kj__query_fini(&query);
    }
}

static void parse(struct kj__query *query, const char *text)
{
    json_t *errors = json_array();
    kj__query_init(query);
    assert_int_equal(kj__query_parse(query, text, &plain, errors, "t"), KJ_OK);
    assert_int_equal(json_array_size(errors), 0);
    json_decref(errors);
}

static void pages_and_orders_are_read(void **state)
{
    (void)state;
    struct kj__query query;

    parse(&query, "page=3&pagesize=20&order=-name&order=date");

    assert_int_equal(query.page, 3);
    assert_int_equal(query.page_size, 20);
    assert_string_equal(query.order[0], "-name");
    assert_string_equal(query.order[1], "date");
    assert_null(query.order[2]);
    assert_string_equal(query.after, "");
    kj__query_fini(&query);
}

static void limit_after_and_one_order_go_together(void **state)
{
    (void)state;
    struct kj__query query;

    parse(&query, "limit=5&after=a%20b&order=name");

    assert_int_equal(query.limit, 5);
    assert_string_equal(query.after, "a b");
    assert_string_equal(query.order[0], "name");
    kj__query_fini(&query);
}

static void a_cursor_goes_with_several_orders(void **state)
{
    (void)state;
    struct kj__query query;

    parse(&query, "limit=5&after=~00&order=name&order=-date");

    assert_string_equal(query.after, "~00");
    assert_string_equal(query.order[1], "-date");
    kj__query_fini(&query);
}

static void any_value_sets_a_flag(void **state)
{
    (void)state;
    struct kj__query query;

    parse(&query, "recursive=false&propagated=0&override=true");

    assert_true(query.recursive);
    assert_true(query.propagated);
    assert_true(query.override_protection);
    kj__query_fini(&query);
}

static void a_flag_needs_no_value(void **state)
{
    (void)state;
    struct kj__query query;

    parse(&query, "recursive=&propagated&override=");

    assert_true(query.recursive);
    assert_true(query.propagated);
    assert_true(query.override_protection);
    kj__query_fini(&query);
}

/* Parses under rules; the first refusal, or "". */
static const char *refusal_under(const struct kj__query_rules *rules, const char *text,
                                 struct kj__query *query)
{
    static char description[256];
    json_t *errors = json_array();
    kj__query_init(query);
    enum kj_status status = kj__query_parse(query, text, rules, errors, "t");
    const json_t *first = json_object_get(json_array_get(errors, 0), "description");
    assert_int_equal(status, first ? KJ_EREFUSED : KJ_OK);
    (void)snprintf(description, sizeof description, "%s", first ? json_string_value(first) : "");
    json_decref(errors);
    return description;
}

static void strict_flags_mean_what_they_say(void **state)
{
    (void)state;
    static const struct kj__query_rules strict = {.strict_flags = true};
    struct kj__query query;

    assert_string_equal(refusal_under(&strict, "recursive=false&propagated=YES&override", &query),
                        "");
    assert_false(query.recursive);
    assert_true(query.propagated);
    assert_true(query.override_protection);
    kj__query_fini(&query);

    assert_string_equal(refusal_under(&strict, "recursive=maybe", &query),
                        "Parameter `recursive` must be a boolean");
    kj__query_fini(&query);
}

static void a_largest_page_lowers_limits_and_refuses_sizes(void **state)
{
    (void)state;
    static const struct kj__query_rules small = {.largest_page = 50};
    struct kj__query query;

    assert_string_equal(refusal_under(&small, "limit=51", &query), "");
    assert_int_equal(query.limit, 50);
    kj__query_fini(&query);
    assert_string_equal(refusal_under(&small, "pagesize=50", &query), "");
    assert_int_equal(query.page_size, 50);
    kj__query_fini(&query);
    assert_string_equal(refusal_under(&small, "pagesize=51", &query),
                        "Parameter `pagesize` is above the largest page of 50 objects");
    kj__query_fini(&query);
    assert_string_equal(refusal_under(&small, "page=1&limit=51", &query),
                        "Parameter `limit` is above the largest page of 50 objects");
    kj__query_fini(&query);
}

static void no_query_sets_nothing(void **state)
{
    (void)state;
    struct kj__query query;

    parse(&query, "");

    assert_int_equal(query.page + query.page_size + query.limit, 0);
    assert_null(query.order[0]);
    assert_false(query.recursive || query.propagated || query.override_protection);
    kj__query_fini(&query);
}

static void unknown_parameters_reported_at_once_are_bounded(void **state)
{
    (void)state;
    char text[8192] = "";
    for (int i = 0; i < 500; i++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "&unknown%d", i);
    }
    struct kj__query query;
    json_t *errors = json_array();
    kj__query_init(&query);

    assert_int_equal(kj__query_parse(&query, text, &plain, errors, "t"), KJ_EREFUSED);

    assert_int_equal(json_array_size(errors), KJ__UNKNOWN_PARAMETERS_MAX);
    json_decref(errors);
    kj__query_fini(&query);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_parameters_are_refused_with_bahamuts_words),
        cmocka_unit_test(pages_and_orders_are_read),
        cmocka_unit_test(limit_after_and_one_order_go_together),
        cmocka_unit_test(a_cursor_goes_with_several_orders),
        cmocka_unit_test(any_value_sets_a_flag),
        cmocka_unit_test(a_flag_needs_no_value),
        cmocka_unit_test(strict_flags_mean_what_they_say),
        cmocka_unit_test(a_largest_page_lowers_limits_and_refuses_sizes),
        cmocka_unit_test(no_query_sets_nothing),
        cmocka_unit_test(unknown_parameters_reported_at_once_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
