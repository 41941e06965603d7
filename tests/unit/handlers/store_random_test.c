/* store_random_test.c - lists of a storage against a naive twin: random objects, filters,
 * orders and pages. */
#include "unit/rest/cmocka_all.h"

#include "unit/handlers/storage.h"
#include "unit/rest/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OBJECTS = 700, ROUNDS = 400, KEYS_MAX = 3, PARENTS = 3 };

/* What the twin knows of an object; the order of its numbers is that of the values. */
struct twin {
    char id[8];
    int parent;
    int name, date; /* 0: absent */
    size_t bytes;   /* of its text */
};

/* Texts of equal and different points in time, in order. */
static const struct {
    const char *text;
    int rank;
} dates[] = {
    {NULL, 0},
    {"0001-01-02T00:00:00Z", 1},
    {"2021-03-04T06:00:00+02:00", 2},
    {"2021-03-04T04:00:00Z", 2},
    {"2021-03-04T04:00:00.000000001Z", 3},
    {"2021-03-03T23:00:00.1-05:00", 4},
    {"9999-12-31T00:00:00Z", 5},
};
enum { DATES = sizeof dates / sizeof *dates, NAMES = 9 };

/* One list that is asked for. */
struct wish {
    const char *order[KEYS_MAX + 1];
    const char *filter;
    bool (*matches)(const struct twin *twin);
    int parent; /* -1: any */
};

static struct kj_model *model;
static const struct kj_identity *list;
static struct kj_store *store;
static struct twin twins[OBJECTS];
static unsigned seed = 4711;

static unsigned draw(unsigned below)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 12) % below;
}

static void insert(struct twin *twin)
{
    char parent[8];
    size_t date = draw(DATES);
    (void)snprintf(parent, sizeof parent, "p%d", twin->parent);
    json_t *object = json_pack("{s:s,s:s,s:s}", "ID", twin->id, "parentType", "list", "parentID",
                               parent);
    if (twin->name) {
        json_object_set_new(object, "name", json_sprintf("n%d", twin->name));
    }
    if (dates[date].text) {
        json_object_set_new(object, "date", json_string(dates[date].text));
    }
    twin->date = dates[date].rank;
    twin->bytes = json_dumpb(object, NULL, 0, JSON_COMPACT);
    assert_int_equal(store->ops->insert(store, list, object), KJ_OK);
    json_decref(object);
}

static int set_up(void **state)
{
    (void)state;
    model = fixture_model();
    list = kj_model_identity(model, "list");
    assert_int_equal(storage_open(model, &store), KJ_OK);
    for (int i = 0; i < OBJECTS; i++) {
        twins[i].parent = (int)draw(PARENTS);
        twins[i].name = (int)draw(NAMES);
        /* IDs differ and come in no order. */
        (void)snprintf(twins[i].id, sizeof twins[i].id, "%04d", (i * 389) % 1009);
        insert(&twins[i]);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    storage_close(store);
    kj_model_free(model);
    return 0;
}

static bool has_any(const struct twin *twin)
{
    (void)twin;
    return true;
}

static bool is_named_n3_or_n5(const struct twin *twin)
{
    return twin->name == 3 || twin->name == 5;
}

static bool is_late_and_not_n4(const struct twin *twin)
{
    return twin->date >= 2 && twin->name != 4;
}

static bool is_nothing(const struct twin *twin)
{
    (void)twin;
    return false;
}

static void draw_wish(struct wish *wish)
{
    static const struct {
        const char *text;
        bool (*matches)(const struct twin *twin);
    } filters[] = {
        {NULL, has_any},
        {"name in [n3, n5]", is_named_n3_or_n5},
        {"date >= date(2021-03-04T04:00:00Z) and name != n4", is_late_and_not_n4},
        {"name == none", is_nothing},
    };
    static const char *const keys[] = {"name", "-name", "date", "-date", "parentID", "-ID", "x"};
    size_t filter = draw(sizeof filters / sizeof *filters);
    size_t count = draw(KEYS_MAX + 1);
    *wish = (struct wish){.filter = filters[filter].text,
                          .matches = filters[filter].matches,
                          .parent = (int)draw(PARENTS + 1) - 1};
    for (size_t i = 0; i < count; i++) {
        wish->order[i] = keys[draw(sizeof keys / sizeof *keys)];
    }
}

static int compare_by(const char *key, const struct twin *left, const struct twin *right)
{
    if (strcmp(key, "name") == 0) {
        return left->name - right->name;
    }
    if (strcmp(key, "date") == 0) {
        return left->date - right->date;
    }
    if (strcmp(key, "parentID") == 0) {
        return left->parent - right->parent;
    }
    return strcmp(key, "ID") == 0 ? strcmp(left->id, right->id) : 0;
}

static int compare(const struct wish *wish, const struct twin *left, const struct twin *right)
{
    for (size_t i = 0; wish->order[i]; i++) {
        bool is_down = wish->order[i][0] == '-';
        int order = compare_by(wish->order[i] + is_down, left, right);
        if (order) {
            return is_down ? -order : order;
        }
    }
    return strcmp(left->id, right->id);
}

/* What the wish gives, by insertion. */
static size_t expect(const struct wish *wish, const struct twin **expected)
{
    size_t count = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        const struct twin *twin = &twins[i];
        if (!wish->matches(twin) || (wish->parent >= 0 && twin->parent != wish->parent)) {
            continue;
        }
        size_t at = count++;
        for (; at > 0 && compare(wish, twin, expected[at - 1]) < 0; at--) {
            expected[at] = expected[at - 1];
        }
        expected[at] = twin;
    }
    return count;
}

/* How many of `count` objects a page takes for their bytes. */
static size_t count_fitting(const struct twin *const *objects, size_t count, size_t bytes)
{
    size_t used = 0;
    for (size_t i = 0; bytes && i < count; i++) {
        used += objects[i]->bytes;
        if (i > 0 && used > bytes) {
            return i;
        }
    }
    return count;
}

/* The page at `start` of what is expected, asked for by offset or behind the object before it. */
static void check_page(struct kj_store_query query, const struct twin *const *expected,
                       size_t count, size_t start)
{
    json_t *page;
    size_t total = 0;
    bool is_cut = false;
    query.is_cut = &is_cut;
    assert_int_equal(store->ops->list(store, list, &query, &page, &total), KJ_OK);
    size_t left = start < count ? count - start : 0;
    size_t wanted = query.limit && query.limit < left ? query.limit : left;
    size_t size = count_fitting(expected + start, wanted, query.page_bytes);
    assert_int_equal(total, count);
    assert_int_equal(is_cut, size < wanted);
    assert_int_equal(json_array_size(page), size);
    for (size_t i = 0; i < size; i++) {
        const json_t *id = json_object_get(json_array_get(page, i), "ID");
        assert_string_equal(json_string_value(id), expected[start + i]->id);
    }
    json_decref(page);
}

static json_t *keys_of(const struct wish *wish, const char *id)
{
    json_t *object;
    json_t *keys = json_array();
    assert_int_equal(store->ops->get(store, list, id, &object), KJ_OK);
    for (size_t i = 0; wish->order[i]; i++) {
        json_t *value = json_object_get(object, wish->order[i] + (wish->order[i][0] == '-'));
        json_array_append_new(keys, value ? json_incref(value) : json_null());
    }
    json_decref(object);
    return keys;
}

/* A page by offset, the first one, one behind an object, and the count alone. */
static void check_wish(const struct wish *wish, struct kj_store_query query)
{
    static const struct twin *expected[OBJECTS];
    size_t count = expect(wish, expected);
    size_t total = 0;
    query.offset = draw(OBJECTS + 9);
    check_page(query, expected, count, query.offset);
    query.offset = 0;
    check_page(query, expected, count, 0);
    if (count > 0) {
        size_t last = draw((unsigned)count);
        json_t *keys = keys_of(wish, expected[last]->id);
        query.after = expected[last]->id;
        query.after_keys = keys;
        check_page(query, expected, count, last + 1);
        json_decref(keys);
    }
    query.after_keys = NULL;
    query.after = NULL;
    assert_int_equal(store->ops->list(store, list, &query, NULL, &total), KJ_OK);
    assert_int_equal(total, count);
}

static void random_lists_agree_with_a_naive_twin(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct wish wish;
        struct kj_filter *filter = NULL;
        char parent[8];
        draw_wish(&wish);
        if (wish.filter) {
            assert_int_equal(kj_filter_parse(wish.filter, &filter, NULL), KJ_OK);
        }
        (void)snprintf(parent, sizeof parent, "p%d", wish.parent);
        check_wish(&wish, (struct kj_store_query){.parent_type = wish.parent < 0 ? NULL : "list",
                                                  .parent_id = parent,
                                                  .filter = filter,
                                                  .order = wish.order,
                                                  .limit = draw(4) ? 1 + draw(300) : 0,
                                                  .page_bytes = draw(3) ? 0 : 1 + draw(6000)});
        kj_filter_unref(filter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_lists_agree_with_a_naive_twin, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
