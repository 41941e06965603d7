/* store_processor_test.c - an identity served from a storage, over REST. */
#include "unit/rest/cmocka_all.h"

#include "unit/handlers/stored_lists.h"

#include <stdio.h>
#include <string.h>

static const char *text_member(const char *name)
{
    static char text[256];
    json_t *object = fixture_json(&fixture);
    (void)snprintf(text, sizeof text, "%s", json_string_value(json_object_get(object, name)));
    json_decref(object);
    return text;
}

static void ids_grow_with_time(void **state)
{
    (void)state;
    char ids[3][KJ_OBJECT_ID_SIZE];

    create_lists(3, ids);

    assert_int_equal(strlen(ids[0]), 24);
    assert_int_equal(strspn(ids[0], "0123456789abcdef"), 24);
    assert_true(strcmp(ids[0], ids[1]) < 0 && strcmp(ids[1], ids[2]) < 0);
}

static void pages_and_sizes_select(void **state)
{
    (void)state;
    char ids[5][KJ_OBJECT_ID_SIZE];
    create_lists(5, ids);

    assert_string_equal(list_names("/lists"), "n0 n1 n2 n3 n4");
    assert_string_equal(list_names("/lists?page=2&pagesize=2"), "n2 n3");
    assert_string_equal(list_names("/lists?page=3&pagesize=2"), "n4");
    assert_string_equal(list_names("/lists?page=9&pagesize=2"), "");
    assert_string_equal(list_names("/lists?page=2147483647&pagesize=2147483647"), "");
    assert_string_equal(list_names("/lists?pagesize=1"), "n0");
    assert_string_equal(list_names("/lists?page=1"), "n0 n1 n2 n3 n4");
    assert_string_equal(list_names("/lists?page=2&limit=2"), "n2 n3");
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), "5");
    assert_null(fixture_header(&fixture, "X-Next"));
}

static void next_leads_through_every_object_once(void **state)
{
    (void)state;
    char ids[5][KJ_OBJECT_ID_SIZE];
    char target[128];
    char seen[256] = "";
    create_lists(5, ids);

    (void)snprintf(target, sizeof target, "/lists?limit=2&order=-name");
    for (int pages = 0; pages < 3; pages++) {
        (void)snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s ", list_names(target));
        const char *next = fixture_header(&fixture, "X-Next");
        if (!next) {
            break;
        }
        (void)snprintf(target, sizeof target, "/lists?limit=2&order=-name&after=%s", next);
    }

    assert_string_equal(seen, "n4 n3 n2 n1 n0 ");
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), "5");
}

/* The address of the page behind the one just fetched. */
static const char *next_page(const char *target)
{
    static char next[8192];
    assert_non_null(fixture_header(&fixture, "X-Next"));
    (void)snprintf(next, sizeof next, "%s&after=%s", target, fixture_header(&fixture, "X-Next"));
    return next;
}

static void a_next_page_needs_no_object_of_the_page_before(void **state)
{
    (void)state;
    static const char page[] = "/lists?limit=2&order=description&order=-name";
    char ids[6][KJ_OBJECT_ID_SIZE];
    char target[64];
    create_lists(6, ids);
    assert_string_equal(list_names(page), "n4 n2");
    const char *next = next_page(page);

    (void)snprintf(target, sizeof target, "/lists/%s", ids[2]);
    fixture_send(&fixture, "DELETE", target, "");

    assert_string_equal(list_names(next), "n0 n5");
    assert_string_equal(list_names(next_page(page)), "n3 n1");
    assert_null(fixture_header(&fixture, "X-Next"));
}

static void a_cursor_goes_with_its_order_only(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "/lists?order=-name&after=%s",
        "/lists?order=name&after=%.20s",
        "/lists?order=name&after=%.21s",
        "/lists?order=name&after=%s0",
        "/lists?order=name&after=%s00",
        "/lists?order=name&order=date&after=%s",
        "/lists?order=name&after=~%.0s",
        "/lists?order=name&after=~7b7d0a%.0s",
        "/lists?order=name&after=~2231220a6e616d650a205b5b5d5d0a%.0s", /* "1", name, [[]] */
        "/lists?order=name&after=~2231220a6e616d650a0d7b7d0a%.0s",
        "/lists?after=%s",
    };
    char ids[3][KJ_OBJECT_ID_SIZE];
    char target[512];
    char next[256];
    create_lists(3, ids);
    (void)list_names("/lists?order=name&limit=1");
    (void)snprintf(next, sizeof next, "%s", fixture_header(&fixture, "X-Next"));
    assert_int_equal(next[0], KJ_CURSOR_MARK);

    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        (void)snprintf(target, sizeof target, targets[i], next);
        fixture_send(&fixture, "GET", target, "");
        assert_int_equal(fixture.response.status, 400);
    }
    (void)snprintf(target, sizeof target, "/lists?order=name&after=%s", next);
    assert_string_equal(list_names(target), "n1 n2");
}

static void values_too_long_for_a_cursor_leave_the_id(void **state)
{
    (void)state;
    static char json[6000];
    char ids[2][KJ_OBJECT_ID_SIZE];
    for (int i = 0; i < 2; i++) {
        (void)snprintf(json, sizeof json, "{\"name\":\"n%d\",\"description\":\"%0*d\"}", i, 5000,
                       i);
        fixture_create(&fixture, "/lists", json, ids[i]);
    }

    assert_string_equal(list_names("/lists?limit=1&order=description"), "n0");
    assert_true(strlen(fixture_header(&fixture, "X-Next")) < 100);
    assert_string_equal(list_names(next_page("/lists?limit=1&order=description")), "n1");
    assert_null(fixture_header(&fixture, "X-Next"));

    const char *two_keys = "/lists?limit=1&order=name&order=description";
    assert_string_equal(list_names(two_keys), "n0");
    const char *next = next_page(two_keys);
    assert_string_equal(list_names(next), "n1");

    char target[64];
    (void)snprintf(target, sizeof target, "/lists/%s", ids[0]);
    fixture_send(&fixture, "DELETE", target, "");
    fixture_send(&fixture, "GET", next, "");
    assert_int_equal(fixture.response.status, 400);
    assert_string_equal(fixture_error(&fixture, "description"),
                        "Parameter `after` names no object");
}

static void a_page_that_holds_the_rest_has_no_next(void **state)
{
    (void)state;
    char ids[2][KJ_OBJECT_ID_SIZE];
    create_lists(2, ids);

    assert_string_equal(list_names("/lists?limit=2"), "n0 n1");

    assert_null(fixture_header(&fixture, "X-Next"));
}

static void several_keys_order(void **state)
{
    (void)state;
    char ids[4][KJ_OBJECT_ID_SIZE];
    create_lists(4, ids);

    assert_string_equal(list_names("/lists?order=-description&order=-name"), "n3 n1 n2 n0");
    assert_string_equal(list_names("/lists?order=nothing"), "n0 n1 n2 n3");
}

static void after_needs_its_object_only_in_an_order(void **state)
{
    (void)state;
    char ids[2][KJ_OBJECT_ID_SIZE];
    create_lists(2, ids);

    assert_string_equal(list_names("/lists?after=00"), "n0 n1");
    fixture_send(&fixture, "GET", "/lists?after=00&order=name", "");

    assert_int_equal(fixture.response.status, 400);
    assert_string_equal(fixture_error(&fixture, "description"),
                        "Parameter `after` names no object");
}

static void after_knows_no_object_of_another_parent(void **state)
{
    (void)state;
    char lists[2][KJ_OBJECT_ID_SIZE];
    char task[KJ_OBJECT_ID_SIZE];
    char target[128];
    create_lists(2, lists);
    (void)snprintf(target, sizeof target, "/lists/%s/tasks", lists[0]);
    fixture_create(&fixture, target, "{\"name\":\"t\"}", task);

    for (int i = 0; i < 2; i++) {
        (void)snprintf(target, sizeof target, "/lists/%s/tasks?order=name&after=%s", lists[i],
                       task);
        fixture_send(&fixture, "GET", target, "");
        assert_int_equal(fixture.response.status, i == 0 ? 200 : 400);
    }
    assert_string_equal(fixture_error(&fixture, "description"),
                        "Parameter `after` names no object");
}

static void a_list_ends_at_the_largest_page(void **state)
{
    (void)state;
    char ids[6][KJ_OBJECT_ID_SIZE];
    fixture.api.page_objects = 4;
    create_lists(6, ids);

    assert_string_equal(list_names("/lists"), "n0 n1 n2 n3");
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), "6");
    assert_string_equal(fixture_header(&fixture, "X-Next"), ids[3]);
    assert_string_equal(fixture_header(&fixture, "X-Messages"),
                        "These are 4 objects of more: X-Next leads on");
    assert_string_equal(list_names(next_page("/lists?order=ID&limit=100")), "n4 n5");
    assert_null(fixture_header(&fixture, "X-Next"));
    assert_null(fixture_header(&fixture, "X-Messages"));
    assert_string_equal(list_names("/lists?page=2"), "n4 n5");
    assert_string_equal(list_names("/lists?q=name+!=+n0&order=-name"), "n5 n4 n3 n2");
    fixture.api.page_objects = 6;
    assert_string_equal(list_names("/lists"), "n0 n1 n2 n3 n4 n5");
    assert_null(fixture_header(&fixture, "X-Next"));
}

static enum kj_status take_too_long(struct kj_store *self, const struct kj_identity *identity,
                                    const struct kj_store_query *query, json_t **objects,
                                    size_t *total)
{
    (void)self;
    (void)identity;
    (void)total;
    assert_int_equal(query->time_limit_ms, 10000);
    if (objects) {
        *objects = NULL;
    }
    return KJ_ELIMIT;
}

static void a_list_that_takes_too_long_is_a_400(void **state)
{
    (void)state;
    const struct kj_store_ops *ops = fixture.store->ops;
    struct kj_store_ops slow = *ops;
    slow.list = take_too_long;
    fixture.store->ops = &slow;

    fixture_send(&fixture, "GET", "/lists", "");
    assert_int_equal(fixture.response.status, 400);
    assert_string_equal(fixture_error(&fixture, "description"),
                        "The list takes longer than 10 seconds");
    fixture_send(&fixture, "HEAD", "/lists", "");
    assert_int_equal(fixture.response.status, 400);
    fixture.store->ops = ops;
}

static void filters_select_and_count(void **state)
{
    (void)state;
    char ids[6][KJ_OBJECT_ID_SIZE];
    create_lists(6, ids);

    assert_string_equal(list_names("/lists?q=description+==+b"), "n1 n3 n5");
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), "3");
    assert_string_equal(list_names("/lists?q=name+in+%5Bn1,n4,n5%5D&order=-name&limit=2"), "n5 n4");
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), "3");
    assert_string_equal(
        list_names(next_page("/lists?q=name+in+%5Bn1,n4,n5%5D&order=-name&limit=2")), "n1");
    assert_string_equal(list_names("/lists?q=description+==+a&page=2&pagesize=2"), "n4");
    assert_string_equal(list_names("/lists?q=description+==+a&limit=1"), "n0");
    assert_string_equal(fixture_header(&fixture, "X-Next"), ids[0]);
    assert_string_equal(list_names(next_page("/lists?q=description+==+a&limit=1")), "n2");
    assert_string_equal(list_names("/lists?q="), "n0 n1 n2 n3 n4 n5");
    fixture_send(&fixture, "HEAD", "/lists?q=name+matches+%22%5En%5B12%5D%22", "");
    assert_int_equal(fixture.response.status, 204);
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), "2");
}

static void objects_too_costly_for_a_filter_are_counted(void **state)
{
    (void)state;
    static const char target[] = "/lists?q=description+matches+'(a%7Caa)*(a?)%7B300%7Da%7B300%7Db'";
    static char json[60000];
    char id[KJ_OBJECT_ID_SIZE];
    (void)snprintf(json, sizeof json, "{\"name\":\"n\",\"description\":\"%050000d\"}", 0);
    fixture_create(&fixture, "/lists", json, id);
    fixture_create(&fixture, "/lists", "{\"name\":\"m\",\"description\":\"b\"}", id);

    assert_string_equal(list_names(target), "");
    assert_int_equal(fixture.counters.query_filters_cut, 1);
    assert_string_equal(list_names("/lists?q=description+matches+'^b'"), "m");
    assert_int_equal(fixture.counters.query_filters_cut, 1);
}

static void bad_filters_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *query, *description;
        int position;
    } cases[] = {
        {"name+%3D%3D", "invalid value. found EOF", 7},
        {"nothing+==+1", "attribute \"nothing\" of list does not exist", 0},
        {"secret+==+s", "attribute \"secret\" of list is secret", 0},
        {"date+==+x", "attribute \"date\" of list is compared with an RFC 3339 time: \"x\" is none",
         8},
        {"name+==+a+and+(+nothing+exists+)", "attribute \"nothing\" of list does not exist", 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char target[128];
        (void)snprintf(target, sizeof target, "/v/1/lists?q=%s", cases[i].query);

        fixture_send(&fixture, "GET", target, "");

        assert_int_equal(fixture.response.status, 400);
        assert_string_equal(fixture_error(&fixture, "description"), cases[i].description);
        assert_string_equal(fixture_error(&fixture, "title"), "Bad Request");
        assert_string_equal(fixture_error(&fixture, "subject"), "kujata");
        json_t *errors = fixture_json(&fixture);
        const json_t *data = json_object_get(json_array_get(errors, 0), "data");
        const json_t *position = json_object_get(data, "position");
        assert_string_equal(json_string_value(json_object_get(data, "parameter")), "q");
        assert_true(json_is_integer(position));
        assert_int_equal(json_integer_value(position), cases[i].position);
        json_decref(errors);
    }
}

static void fields_asked_for_are_those_of_every_object(void **state)
{
    (void)state;
    char ids[2][KJ_OBJECT_ID_SIZE];
    create_lists(2, ids);

    fixture_send_bytes(&fixture, "GET", "/lists?order=-name",
                       "X-Fields: name\nx-fields: description\nX-Fields: name\nX-Fields: none\n",
                       "", 0);

    assert_string_equal(fixture_text(&fixture), "[{\"description\":\"b\",\"name\":\"n1\"},"
                                                "{\"description\":\"a\",\"name\":\"n0\"}]");
}

static void an_order_by_a_secret_is_refused(void **state)
{
    (void)state;
    fixture_send(&fixture, "GET", "/lists?order=name&order=-secret", "");

    assert_int_equal(fixture.response.status, 400);
    assert_string_equal(fixture_error(&fixture, "description"),
                        "Parameter `order` names the secret attribute 'secret'");
}

static void children_know_their_parent(void **state)
{
    (void)state;
    char ids[2][KJ_OBJECT_ID_SIZE];
    char target[128];
    char id[KJ_OBJECT_ID_SIZE];
    create_lists(2, ids);

    (void)snprintf(target, sizeof target, "/lists/%s/tasks", ids[0]);
    fixture_create(&fixture, target, "{\"name\":\"t0\"}", id);
    assert_string_equal(text_member("parentID"), ids[0]);
    assert_string_equal(text_member("parentType"), "list");
    assert_string_equal(text_member("status"), "TODO");
    assert_string_equal(list_names(target), "t0");
    fixture_send(&fixture, "HEAD", target, "");
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), "1");

    (void)snprintf(target, sizeof target, "/lists/%s/tasks", ids[1]);
    assert_string_equal(list_names(target), "");
    (void)snprintf(target, sizeof target, "/tasks/%s", id);
    fixture_send(&fixture, "GET", target, "");
    assert_string_equal(text_member("name"), "t0");
}

static void updates_keep_what_a_client_may_not_set(void **state)
{
    (void)state;
    char target[64];
    char id[KJ_OBJECT_ID_SIZE];
    fixture_create(&fixture, "/lists",
                   "{\"name\":\"a\",\"description\":\"d\",\"creationOnly\":\"c\"}", id);
    (void)snprintf(target, sizeof target, "/lists/%s", id);

    fixture_send(&fixture, "PUT", target,
                 "{\"ID\":\"x\",\"parentID\":\"x\",\"name\":\"b\",\"creationOnly\":\"x\","
                 "\"readOnly\":\"x\"}");

    assert_int_equal(fixture.response.status, 200);
    assert_string_equal(text_member("ID"), id);
    assert_string_equal(text_member("parentID"), "");
    assert_string_equal(text_member("name"), "b");
    assert_string_equal(text_member("description"), "");
    assert_string_equal(text_member("creationOnly"), "c");
    assert_string_equal(text_member("readOnly"), "");
}

static void patches_change_what_was_sent_and_nothing_else(void **state)
{
    (void)state;
    char target[64];
    char id[KJ_OBJECT_ID_SIZE];
    fixture_create(&fixture, "/lists",
                   "{\"name\":\"a\",\"description\":\"d\",\"creationOnly\":\"c\"}", id);
    (void)snprintf(target, sizeof target, "/lists/%s", id);

    fixture_send(&fixture, "PATCH", target,
                 "{\"ID\":\"x\",\"description\":\"e\",\"creationOnly\":\"x\",\"readOnly\":\"x\"}");

    assert_string_equal(text_member("ID"), id);
    assert_string_equal(text_member("name"), "a");
    assert_string_equal(text_member("description"), "e");
    assert_string_equal(text_member("creationOnly"), "c");
    assert_string_equal(text_member("readOnly"), "");
    assert_string_equal(kj_event_type(fixture.events[fixture.event_count - 1]), "update");
}

static void invalid_patches_are_refused_and_leave_the_object(void **state)
{
    (void)state;
    char target[64];
    char id[KJ_OBJECT_ID_SIZE];
    fixture_create(&fixture, "/lists", "{\"name\":\"a\"}", id);
    (void)snprintf(target, sizeof target, "/lists/%s", id);

    fixture_send(&fixture, "PATCH", target, "{\"name\":null}");
    assert_int_equal(fixture.response.status, 422);
    assert_string_equal(fixture_error(&fixture, "description"), "Attribute 'name' is required");

    fixture_send(&fixture, "GET", target, "");
    assert_string_equal(text_member("name"), "a");
    assert_int_equal(fixture.event_count, 1);
}

static void a_patch_is_validated_again_with_what_is_stored(void **state)
{
    (void)state;
    char target[64];
    char id[KJ_OBJECT_ID_SIZE];
    fixture_create(&fixture, "/users",
                   "{\"firstName\":\"f\",\"lastName\":\"l\",\"userName\":\"u\"}", id);
    const struct kj_identity *user = kj_model_identity(fixture.model, "user");
    json_t *incomplete = json_pack("{s:s,s:s,s:s,s:s}", "ID", "1", "parentID", "", "parentType",
                                   "root", "firstName", "f");
    assert_int_equal(fixture.store->ops->insert(fixture.store, user, incomplete), KJ_OK);
    json_decref(incomplete);

    fixture_send(&fixture, "PATCH", "/users/1", "{\"lastName\":\"l\"}");
    assert_int_equal(fixture.response.status, 422);
    assert_string_equal(fixture_error(&fixture, "description"), "Attribute 'userName' is required");

    (void)snprintf(target, sizeof target, "/users/%s", id);
    fixture_send(&fixture, "PATCH", target, "{\"lastName\":\"m\"}");
    assert_int_equal(fixture.response.status, 200);
}

static void secrets_are_stored_and_never_shown(void **state)
{
    (void)state;
    char id[KJ_OBJECT_ID_SIZE];
    json_t *object;
    fixture_create(&fixture, "/lists", "{\"name\":\"a\",\"secret\":\"s3cr3t\"}", id);
    assert_string_equal(text_member("secret"), "");

    const struct kj_identity *list = kj_model_identity(fixture.model, "list");
    assert_int_equal(fixture.store->ops->get(fixture.store, list, id, &object), KJ_OK);
    assert_string_equal(json_string_value(json_object_get(object, "secret")), "s3cr3t");
    json_decref(object);
}

static void missing_objects_are_404_for_every_operation(void **state)
{
    (void)state;
    static const struct {
        const char *method, *body;
    } calls[] = {{"GET", ""},
                 {"HEAD", ""},
                 {"DELETE", ""},
                 {"PUT", "{\"name\":\"a\"}"},
                 {"PATCH", "{\"name\":\"a\"}"}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        fixture_send(&fixture, calls[i].method, "/v/1/lists/none", calls[i].body);
        assert_int_equal(fixture.response.status, 404);
        assert_string_equal(fixture_error(&fixture, "title"), "Object not found");
        assert_string_equal(fixture_error(&fixture, "subject"), "kujata");
        assert_string_equal(fixture_error(&fixture, "description"),
                            "cannot find list with ID none");
    }
    assert_int_equal(fixture.event_count, 0);
}

static void deleting_answers_and_announces_the_object(void **state)
{
    (void)state;
    char target[64];
    char id[KJ_OBJECT_ID_SIZE];
    fixture_create(&fixture, "/lists", "{\"name\":\"a\"}", id);
    (void)snprintf(target, sizeof target, "/lists/%s", id);

    fixture_send(&fixture, "DELETE", target, "");
    assert_int_equal(fixture.response.status, 200);
    assert_string_equal(text_member("ID"), id);
    assert_string_equal(kj_event_type(fixture.events[1]), "delete");

    fixture_send(&fixture, "GET", target, "");
    assert_int_equal(fixture.response.status, 404);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ids_grow_with_time),
        TEST(pages_and_sizes_select),
        TEST(next_leads_through_every_object_once),
        TEST(a_next_page_needs_no_object_of_the_page_before),
        TEST(a_cursor_goes_with_its_order_only),
        TEST(values_too_long_for_a_cursor_leave_the_id),
        TEST(a_page_that_holds_the_rest_has_no_next),
        TEST(several_keys_order),
        TEST(after_needs_its_object_only_in_an_order),
        TEST(after_knows_no_object_of_another_parent),
        TEST(a_list_ends_at_the_largest_page),
        TEST(a_list_that_takes_too_long_is_a_400),
        TEST(filters_select_and_count),
        TEST(objects_too_costly_for_a_filter_are_counted),
        TEST(bad_filters_are_refused_with_their_place),
        TEST(fields_asked_for_are_those_of_every_object),
        TEST(an_order_by_a_secret_is_refused),
        TEST(children_know_their_parent),
        TEST(updates_keep_what_a_client_may_not_set),
        TEST(patches_change_what_was_sent_and_nothing_else),
        TEST(invalid_patches_are_refused_and_leave_the_object),
        TEST(a_patch_is_validated_again_with_what_is_stored),
        TEST(secrets_are_stored_and_never_shown),
        TEST(missing_objects_are_404_for_every_operation),
        TEST(deleting_answers_and_announces_the_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
