/* store_test.c - the promises of a storage, kept by each. */
#include "unit/rest/cmocka_all.h"

#include "unit/handlers/storage.h"
#include "unit/rest/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct kj_model *model;
static const struct kj_identity *task, *list;
static struct kj_store *store;

static int set_up(void **state)
{
    (void)state;
    model = fixture_model();
    task = kj_model_identity(model, "task");
    list = kj_model_identity(model, "list");
    return storage_open(model, &store);
}

static int tear_down(void **state)
{
    (void)state;
    storage_close(store);
    kj_model_free(model);
    return 0;
}

static enum kj_status insert(const char *id, const char *parent_id, json_t *name)
{
    json_t *object = json_pack("{s:s,s:s,s:s,s:o}", "ID", id, "parentType", "list", "parentID",
                               parent_id, "name", name);
    enum kj_status status = store->ops->insert(store, task, object);
    json_decref(object);
    return status;
}

static void fill(size_t count)
{
    char id[32];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(id, sizeof id, "%03zu", i);
        assert_int_equal(insert(id, i % 2 ? "odd" : "even", json_integer((json_int_t)(i % 3))),
                         KJ_OK);
    }
}

/* The IDs of a page, one blank between them. */
static const char *ids_of(const struct kj_store_query *query, size_t *total)
{
    static char text[4096];
    json_t *objects;
    size_t index;
    json_t *object;
    text[0] = '\0';
    assert_int_equal(store->ops->list(store, task, query, &objects, total), KJ_OK);
    json_array_foreach(objects, index, object)
    {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%s%s", index ? " " : "",
                       json_string_value(json_object_get(object, "ID")));
    }
    json_decref(objects);
    return text;
}

static void objects_are_copied_in_and_out(void **state)
{
    (void)state;
    json_t *object = json_pack("{s:s,s:[s]}", "ID", "1", "slice", "a");
    json_t *got;
    assert_int_equal(store->ops->insert(store, list, object), KJ_OK);
    json_array_append_new(json_object_get(object, "slice"), json_string("b"));

    assert_int_equal(store->ops->get(store, list, "1", &got), KJ_OK);
    assert_int_equal(json_array_size(json_object_get(got, "slice")), 1);
    json_array_clear(json_object_get(got, "slice"));
    json_decref(got);

    assert_int_equal(store->ops->get(store, list, "1", &got), KJ_OK);
    assert_int_equal(json_array_size(json_object_get(got, "slice")), 1);
    json_decref(got);
    json_decref(object);
}

static void ids_are_taken_once_per_identity(void **state)
{
    (void)state;
    json_t *object = json_pack("{s:s}", "ID", "1");
    json_t *nameless = json_object();

    assert_int_equal(store->ops->insert(store, list, object), KJ_OK);
    assert_int_equal(store->ops->insert(store, list, object), KJ_EEXIST);
    assert_int_equal(store->ops->insert(store, task, object), KJ_OK);
    assert_int_equal(store->ops->insert(store, task, nameless), KJ_EINVAL);

    json_decref(nameless);
    json_decref(object);
}

static void missing_objects_are_not_found(void **state)
{
    (void)state;
    json_t *object = json_null();

    assert_int_equal(store->ops->get(store, task, "1", &object), KJ_ENOTFOUND);
    assert_null(object);
    assert_int_equal(store->ops->remove(store, task, "1", &object), KJ_ENOTFOUND);
    assert_null(object);
    assert_int_equal(store->ops->update(store, task, "1", NULL, NULL, &object), KJ_ENOTFOUND);
    assert_null(object);
}

static void removal_returns_the_object_and_forgets_it(void **state)
{
    (void)state;
    struct kj_store_query odd = {.parent_type = "list", .parent_id = "odd"};
    size_t total;
    json_t *object;
    fill(4);

    assert_int_equal(store->ops->remove(store, task, "001", &object), KJ_OK);
    assert_string_equal(json_string_value(json_object_get(object, "ID")), "001");
    json_decref(object);
    assert_string_equal(ids_of(&(struct kj_store_query){0}, &total), "000 002 003");
    assert_string_equal(ids_of(&odd, &total), "003");

    assert_int_equal(store->ops->remove(store, task, "003", &object), KJ_OK);
    json_decref(object);
    assert_string_equal(ids_of(&odd, &total), "");
    assert_int_equal(total, 0);
}

static void lists_go_by_id_whatever_the_insertion(void **state)
{
    (void)state;
    size_t total;
    assert_int_equal(insert("b", "p", json_null()), KJ_OK);
    assert_int_equal(insert("c", "p", json_null()), KJ_OK);
    assert_int_equal(insert("a", "q", json_null()), KJ_OK);

    assert_string_equal(ids_of(&(struct kj_store_query){0}, &total), "a b c");
    assert_int_equal(total, 3);
}

static void pages_are_cut_and_the_total_stays(void **state)
{
    (void)state;
    size_t total;
    fill(7);

    assert_string_equal(ids_of(&(struct kj_store_query){.limit = 3}, &total), "000 001 002");
    assert_int_equal(total, 7);
    assert_string_equal(ids_of(&(struct kj_store_query){.limit = 3, .offset = 6}, &total), "006");
    assert_string_equal(ids_of(&(struct kj_store_query){.limit = 3, .offset = 7}, &total), "");
    assert_string_equal(ids_of(&(struct kj_store_query){.offset = SIZE_MAX}, &total), "");
    assert_string_equal(ids_of(&(struct kj_store_query){.after = "004"}, &total), "005 006");
    assert_string_equal(ids_of(&(struct kj_store_query){.after = "004x", .limit = 1}, &total),
                        "005");
    assert_string_equal(ids_of(&(struct kj_store_query){.after = "", .limit = 1}, &total), "000");
    assert_int_equal(total, 7);
}

static void children_are_listed_by_parent(void **state)
{
    (void)state;
    struct kj_store_query query = {.parent_type = "list", .parent_id = "odd"};
    size_t total;
    fill(6);

    assert_string_equal(ids_of(&query, &total), "001 003 005");
    assert_int_equal(total, 3);
    query.after = "001";
    assert_string_equal(ids_of(&query, &total), "003 005");
    query.parent_id = "none";
    assert_string_equal(ids_of(&query, &total), "");
    query.parent_type = "root";
    query.parent_id = NULL;
    assert_string_equal(ids_of(&query, &total), "");
}

static void orders_compare_by_kind_then_value_then_id(void **state)
{
    (void)state;
    static const char *const up[] = {"name", NULL};
    static const char *const down[] = {"-name", NULL};
    size_t total;
    insert("0", "p", json_string("b"));
    insert("1", "p", json_integer(10));
    insert("2", "p", json_integer(9));
    insert("3", "p", json_real(9.5));
    insert("4", "p", json_true());
    insert("5", "p", json_false());
    insert("6", "p", json_null());
    insert("7", "p", json_string("a"));
    insert("8", "p", json_string("a"));
    insert("9", "p", json_array());

    assert_string_equal(ids_of(&(struct kj_store_query){.order = up}, &total),
                        "6 5 4 2 3 1 7 8 0 9");
    assert_string_equal(ids_of(&(struct kj_store_query){.order = down}, &total),
                        "9 0 7 8 1 3 2 4 5 6");
}

static void large_numbers_are_compared_exactly(void **state)
{
    (void)state;
    static const char *const up[] = {"name", NULL};
    size_t total;
    insert("a", "p", json_integer(9007199254740993));
    insert("b", "p", json_real(9007199254740992.0));
    insert("c", "p", json_integer(9007199254740991));

    assert_string_equal(ids_of(&(struct kj_store_query){.order = up}, &total), "c b a");
}

static void several_keys_break_ties_in_turn(void **state)
{
    (void)state;
    static const char *const order[] = {"-name", "parentID", "-ID", NULL};
    size_t total;
    fill(9);

    assert_string_equal(ids_of(&(struct kj_store_query){.order = order}, &total),
                        "008 002 005 004 007 001 006 000 003");
}

static void pages_of_an_order_go_on_behind_an_object(void **state)
{
    (void)state;
    static const char *const order[] = {"-name", NULL};
    json_t *keys = json_pack("[i]", 2);
    struct kj_store_query query = {.order = order, .after = "008", .after_keys = keys, .limit = 2};
    size_t total;
    fill(9);

    assert_string_equal(ids_of(&query, &total), "001 004");
    assert_int_equal(total, 9);
    query.after = "002x";
    assert_string_equal(ids_of(&query, &total), "005 008");
    json_decref(keys);
}

static void a_place_needs_no_object(void **state)
{
    (void)state;
    static const char *const order[] = {"name", "-parentID", NULL};
    json_t *keys = json_pack("[fn]", 0.5);
    struct kj_store_query query = {.order = order, .after = "any", .after_keys = keys, .limit = 3};
    size_t total;
    fill(9);

    assert_string_equal(ids_of(&query, &total), "001 007 004");
    json_decref(keys);
}

static enum kj_status insert_list(const char *id, const char *date)
{
    json_t *object = json_pack("{s:s,s:s,s:s}", "ID", id, "date", date, "name", date);
    enum kj_status status = store->ops->insert(store, list, object);
    json_decref(object);
    return status;
}

static const char *list_ids(const char *const *order)
{
    static char text[256];
    json_t *objects;
    size_t index;
    json_t *object;
    struct kj_store_query query = {.order = order};
    text[0] = '\0';
    assert_int_equal(store->ops->list(store, list, &query, &objects, NULL), KJ_OK);
    json_array_foreach(objects, index, object)
    {
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", index ? " " : "",
                       json_string_value(json_object_get(object, "ID")));
    }
    json_decref(objects);
    return text;
}

static void times_are_ordered_as_times(void **state)
{
    (void)state;
    static const char *const by_date[] = {"date", NULL};
    static const char *const by_date_down[] = {"-date", NULL};
    static const char *const by_text[] = {"name", NULL};
    insert_list("a", "2021-03-04T05:00:00Z");
    insert_list("b", "2021-03-04T05:00:00.5Z");
    insert_list("c", "2021-03-04T06:30:00+02:00");
    insert_list("d", "2021-03-03T23:00:00-08:00");
    insert_list("e", "no time");

    assert_string_equal(list_ids(by_date), "c a b d e");
    assert_string_equal(list_ids(by_date_down), "e d b a c");
    assert_string_equal(list_ids(by_text), "d b a c e");
}

static void a_list_that_takes_too_long_is_given_up(void **state)
{
    (void)state;
    static char long_text[8000];
    struct kj_filter *filter;
    json_t *objects;
    size_t total;
    char id[16];
    memset(long_text, 'a', sizeof long_text - 1);
    for (int i = 0; i < 600; i++) {
        (void)snprintf(id, sizeof id, "%03d", i);
        insert(id, "p", json_string(long_text));
    }
    assert_int_equal(kj_filter_parse("name matches \"(a|b)*c\"", &filter, NULL), KJ_OK);
    struct kj_store_query query = {.filter = filter, .time_limit_ms = 1};

    assert_int_equal(store->ops->list(store, task, &query, &objects, &total), KJ_ELIMIT);
    assert_null(objects);
    assert_int_equal(store->ops->list(store, task, &query, NULL, &total), KJ_ELIMIT);

    query.time_limit_ms = 600000;
    assert_int_equal(store->ops->list(store, task, &query, NULL, &total), KJ_OK);
    assert_int_equal(total, 0);
    kj_filter_unref(filter);
}

static enum kj_status rename_object(json_t *object, void *ctx)
{
    json_object_set_new(object, "name", json_string(ctx));
    return KJ_OK;
}

/* "1" becomes "1", a zero byte and "x". */
static enum kj_status add_zero_byte(json_t *object, void *ctx)
{
    const char *name = ctx;
    char text[8] = {0};
    const json_t *value = json_object_get(object, name);
    size_t len = json_string_length(value);
    assert_true(len < 4);
    memcpy(text, json_string_value(value), len);
    text[len + 1] = 'x';
    return json_object_set_new(object, name, json_stringn(text, len + 2)) ? KJ_ENOMEM : KJ_OK;
}

static void ids_have_no_zero_byte(void **state)
{
    (void)state;
    static char members[][12] = {"ID", "parentID", "parentType"};
    for (size_t i = 0; i < 3; i++) {
        json_t *object = json_pack("{s:s,s:s,s:s}", "ID", "1", "parentID", "p", "parentType", "l");
        assert_int_equal(add_zero_byte(object, members[i]), KJ_OK);
        assert_int_equal(store->ops->insert(store, task, object), KJ_EINVAL);
        json_decref(object);
    }
    json_t *none;
    assert_int_equal(store->ops->get(store, task, "1", &none), KJ_ENOTFOUND);
}

static enum kj_status move_object(json_t *object, void *ctx)
{
    json_object_set_new(object, ctx, json_string("other"));
    return KJ_OK;
}

static enum kj_status refuse(json_t *object, void *ctx)
{
    json_object_clear(object);
    return *(enum kj_status *)ctx;
}

static void assert_name(const char *id, const char *name)
{
    json_t *object;
    assert_int_equal(store->ops->get(store, task, id, &object), KJ_OK);
    assert_string_equal(json_string_value(json_object_get(object, "name")), name);
    json_decref(object);
}

static void updates_store_what_the_edit_leaves(void **state)
{
    (void)state;
    json_t *object;
    insert("1", "p", json_string("old"));

    assert_int_equal(store->ops->update(store, task, "1", rename_object, "new", &object), KJ_OK);

    assert_string_equal(json_string_value(json_object_get(object, "name")), "new");
    json_decref(object);
    assert_name("1", "new");
}

static void refused_updates_change_nothing(void **state)
{
    (void)state;
    enum kj_status status = KJ_EREFUSED;
    json_t *object;
    insert("1", "p", json_string("old"));

    assert_int_equal(store->ops->update(store, task, "1", refuse, &status, &object), KJ_EREFUSED);
    assert_null(object);
    assert_int_equal(store->ops->update(store, task, "1", move_object, "ID", &object), KJ_EINVAL);
    assert_int_equal(store->ops->update(store, task, "1", add_zero_byte, "ID", &object), KJ_EINVAL);
    assert_int_equal(store->ops->update(store, task, "1", add_zero_byte, "parentID", &object),
                     KJ_EINVAL);
    assert_int_equal(store->ops->update(store, task, "1", move_object, "parentID", &object),
                     KJ_EINVAL);
    assert_null(object);

    assert_name("1", "old");
}

static enum kj_status write_between(json_t *object, void *ctx)
{
    int *calls = ctx;
    json_t *other;
    if ((*calls)++ == 0) {
        assert_int_equal(store->ops->update(store, task, "1", rename_object, "other", &other),
                         KJ_OK);
        json_decref(other);
    }
    const char *name = json_string_value(json_object_get(object, "name"));
    char text[64];
    (void)snprintf(text, sizeof text, "%s+edit", name);
    return rename_object(object, text);
}

static void edit_runs_again_when_another_write_came_between(void **state)
{
    (void)state;
    int calls = 0;
    json_t *object;
    insert("1", "p", json_string("old"));

    assert_int_equal(store->ops->update(store, task, "1", write_between, &calls, &object), KJ_OK);
    json_decref(object);

    assert_int_equal(calls, 2);
    assert_name("1", "other+edit");
}

static enum kj_status remove_and_put_back(json_t *object, void *ctx)
{
    bool *done = ctx;
    json_t *removed;
    if (!*done) {
        *done = true;
        assert_int_equal(store->ops->remove(store, task, "1", &removed), KJ_OK);
        json_decref(removed);
        assert_int_equal(insert("1", "p", json_string("second")), KJ_OK);
    }
    (void)object;
    return KJ_OK;
}

static void an_object_put_back_under_the_same_id_is_another(void **state)
{
    (void)state;
    bool done = false;
    json_t *object;
    insert("1", "p", json_string("first"));

    assert_int_equal(store->ops->update(store, task, "1", remove_and_put_back, &done, &object),
                     KJ_OK);
    json_decref(object);

    assert_name("1", "second");
}

static void random_inserts_and_removals_agree_with_a_naive_twin(void **state)
{
    (void)state;
    enum { IDS = 300, STEPS = 6000 };
    static bool present[IDS];
    unsigned random = 12345;
    char id[16];
    for (int step = 0; step < STEPS; step++) {
        random = random * 1103515245 + 12345;
        unsigned n = (random >> 8) % IDS;
        json_t *object = NULL;
        (void)snprintf(id, sizeof id, "%03u", n);
        if (present[n]) {
            assert_int_equal(store->ops->remove(store, task, id, &object), KJ_OK);
            json_decref(object);
        } else {
            assert_int_equal(insert(id, n % 2 ? "odd" : "even", json_null()), KJ_OK);
        }
        present[n] = !present[n];
    }

    char expected[4096] = "";
    size_t count = 0;
    for (unsigned n = 1; n < IDS; n += 2) {
        size_t used = strlen(expected);
        if (present[n]) {
            (void)snprintf(expected + used, sizeof expected - used, "%s%03u", count ? " " : "", n);
            count++;
        }
    }
    struct kj_store_query odd = {.parent_type = "list", .parent_id = "odd"};
    size_t total;
    assert_string_equal(ids_of(&odd, &total), expected);
    assert_int_equal(total, count);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(objects_are_copied_in_and_out),
        TEST(ids_are_taken_once_per_identity),
        TEST(ids_have_no_zero_byte),
        TEST(missing_objects_are_not_found),
        TEST(removal_returns_the_object_and_forgets_it),
        TEST(lists_go_by_id_whatever_the_insertion),
        TEST(pages_are_cut_and_the_total_stays),
        TEST(children_are_listed_by_parent),
        TEST(orders_compare_by_kind_then_value_then_id),
        TEST(large_numbers_are_compared_exactly),
        TEST(several_keys_break_ties_in_turn),
        TEST(pages_of_an_order_go_on_behind_an_object),
        TEST(a_place_needs_no_object),
        TEST(times_are_ordered_as_times),
        TEST(a_list_that_takes_too_long_is_given_up),
        TEST(updates_store_what_the_edit_leaves),
        TEST(refused_updates_change_nothing),
        TEST(edit_runs_again_when_another_write_came_between),
        TEST(an_object_put_back_under_the_same_id_is_another),
        TEST(random_inserts_and_removals_agree_with_a_naive_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
