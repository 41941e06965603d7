/* store_bytes_test.c - lists of a storage that end for their bytes, over REST. */
#include "unit/rest/cmocka_all.h"

#include "unit/handlers/stored_lists.h"

#include <stdio.h>
#include <string.h>

/* The address of the page behind the one just fetched. */
static const char *next_page(const char *target)
{
    static char next[8192];
    assert_non_null(fixture_header(&fixture, "X-Next"));
    (void)snprintf(next, sizeof next, "%s&after=%s", target, fixture_header(&fixture, "X-Next"));
    return next;
}

/* Bytes of the text of each object of create_lists, as the storage has it. */
static size_t list_bytes(const char *id)
{
    json_t *object;
    const struct kj_identity *identity = kj_model_identity(fixture.model, "list");
    assert_int_equal(fixture.store->ops->get(fixture.store, identity, id, &object), KJ_OK);
    size_t bytes = json_dumpb(object, NULL, 0, JSON_COMPACT);
    json_decref(object);
    return bytes;
}

static void a_list_ends_at_the_most_bytes(void **state)
{
    (void)state;
    char ids[6][KJ_OBJECT_ID_SIZE];
    create_lists(6, ids);
    fixture.api.page_bytes = (uint32_t)(3 * list_bytes(ids[0]));

    assert_string_equal(list_names("/lists"), "n0 n1 n2");
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), "6");
    assert_string_equal(fixture_header(&fixture, "X-Next"), ids[2]);
    assert_string_equal(fixture_header(&fixture, "X-Messages"),
                        "These are 3 objects of more: X-Next leads on");
    assert_string_equal(list_names(next_page("/lists?order=ID&limit=100")), "n3 n4 n5");
    assert_null(fixture_header(&fixture, "X-Next"));
    assert_int_equal(fixture.counters.lists_over_bytes, 1);
    assert_string_equal(list_names("/lists?limit=3"), "n0 n1 n2");
    assert_non_null(fixture_header(&fixture, "X-Next"));
    assert_null(fixture_header(&fixture, "X-Messages"));
    assert_string_equal(list_names("/lists?limit=5&order=description&order=-name"), "n4 n2 n0");
    assert_string_equal(list_names(next_page("/lists?limit=5&order=description&order=-name")),
                        "n5 n3 n1");
    assert_string_equal(list_names("/lists?limit=4&order=-name&q=name+!=+n4"), "n5 n3 n2");
    assert_non_null(fixture_header(&fixture, "X-Messages"));
}

static void a_list_has_one_object_however_large(void **state)
{
    (void)state;
    char ids[3][KJ_OBJECT_ID_SIZE];
    create_lists(3, ids);
    fixture.api.page_bytes = 1;

    assert_string_equal(list_names("/lists?order=-name"), "n2");
    assert_string_equal(list_names(next_page("/lists?order=-name")), "n1");
    assert_string_equal(list_names(next_page("/lists?order=-name")), "n0");
    assert_null(fixture_header(&fixture, "X-Next"));
    fixture_send(&fixture, "HEAD", "/lists", "");
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), "3");
}

static void a_page_by_number_of_too_many_bytes_is_a_400(void **state)
{
    (void)state;
    char ids[4][KJ_OBJECT_ID_SIZE];
    create_lists(4, ids);
    fixture.api.page_bytes = (uint32_t)(2 * list_bytes(ids[0]));

    assert_string_equal(list_names("/lists?page=2&pagesize=2"), "n2 n3");
    assert_int_equal(fixture.counters.lists_over_bytes, 0);
    fixture_send(&fixture, "GET", "/lists?page=1", "");
    assert_int_equal(fixture.response.status, 400);
    assert_non_null(strstr(fixture_error(&fixture, "description"), "take a smaller `pagesize`"));
    assert_int_equal(fixture.counters.lists_over_bytes, 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_list_ends_at_the_most_bytes),
        TEST(a_list_has_one_object_however_large),
        TEST(a_page_by_number_of_too_many_bytes_is_a_400),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
