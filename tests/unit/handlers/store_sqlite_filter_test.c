/* store_sqlite_filter_test.c - filters, orders and pages in SQL against kj_filter_matches and the
 * storage in memory, on random objects.
 */
#include "unit/rest/cmocka_all.h"

#include "unit/handlers/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { OBJECTS = 150, ROUNDS = 700, TERMS_MAX = 4, TEXT_MAX = 4096, ORDER_MAX = 3 };

static const struct kj_attribute_spec attributes[] = {
    {.name = "s"},
    {.name = "n", .type = KJ_TYPE_INTEGER},
    {.name = "f", .type = KJ_TYPE_FLOAT},
    {.name = "b", .type = KJ_TYPE_BOOLEAN},
    {.name = "t", .type = KJ_TYPE_TIME},
    {.name = "free", .unindexed = true},
    {.name = "l", .type = KJ_TYPE_LIST},
    {.name = "o", .type = KJ_TYPE_OBJECT},
};
static const struct kj_identity_spec identities[] = {
    {.name = "thing",
     .category = "things",
     .attributes = attributes,
     .attribute_count = COUNT(attributes)},
};
static const struct kj_model_spec spec = {.identities = identities, .identity_count = 1};

static struct kj_model *model;
static const struct kj_identity *thing;
static struct kj_store *file, *memory;
static json_t *objects[OBJECTS];

static uint64_t random_state = 88172645463325252;

static size_t below(size_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % bound);
}

static const char *const texts[] = {
    "",
    "a",
    "b",
    "ab",
    "true",
    "false",
    "5",
    "10",
    "9.5",
    "2021-03-04",
    "Z",
    "\xc3\xa9t\xc3\xa9",
    "a longer text",
    "null",
    "1e3",
    "-3",
    "-",
    "aa",
    "2021-03-04T05:06:07Z",
};
static const char *const times[] = {
    "2021-03-04T05:06:07Z",    "2021-03-04T07:06:07+02:00", "2021-03-04T05:06:07.5Z",
    "1969-12-31T23:59:59.25Z", "2021-03-04T00:00:00Z",      "2090-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
};
static const json_int_t integers[] = {0,         1,        -1, 5, 10, 1000, -3, 9007199254740993,
                                      INT64_MAX, INT64_MIN};
static const double reals[] = {
    0.0, -0.0, 0.5, 9.5, -3.0, 5.0, 1e300, -1e300, 5e-324, 9007199254740992.0, 1e19};

static json_t *text_value(void)
{
    return below(30) ? json_string(texts[below(COUNT(texts))]) : json_stringn("a\0b", 3);
}

static json_t *any_value(void)
{
    switch (below(9)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(below(2));
    case 2:
        return json_integer(integers[below(COUNT(integers))]);
    case 3:
        return json_real(reals[below(COUNT(reals))]);
    case 4:
        return json_string(times[below(COUNT(times))]);
    case 5:
        return json_pack("[s, i]", texts[below(COUNT(texts))], (int)below(6));
    case 6:
        return json_pack("{s:i}", "k", (int)below(6));
    default:
        return text_value();
    }
}

/* As a model's checks leave it. */
static json_t *typed_value(enum kj_attribute_type type)
{
    switch (type) {
    case KJ_TYPE_INTEGER:
        return json_integer(integers[below(COUNT(integers))]);
    case KJ_TYPE_FLOAT:
        return json_real(reals[below(COUNT(reals))]);
    case KJ_TYPE_BOOLEAN:
        return json_boolean(below(2));
    case KJ_TYPE_TIME:
        return below(8) ? json_string(times[below(COUNT(times))]) : json_null();
    case KJ_TYPE_LIST:
        return json_pack("[s, s]", texts[below(COUNT(texts))], texts[below(COUNT(texts))]);
    case KJ_TYPE_OBJECT:
        return json_pack("{s:i}", "k", (int)below(6));
    default:
        return text_value();
    }
}

static json_t *make_object(size_t number, bool is_typed)
{
    char id[16];
    (void)snprintf(id, sizeof id, "%zx", number * 7919 % 4099);
    json_t *object = json_pack("{s:s,s:s,s:s}", "ID", id, "parentType", "shelf", "parentID",
                               below(3) ? "large" : "small");
    for (size_t i = 0; i < COUNT(attributes); i++) {
        json_t *value = is_typed ? typed_value(attributes[i].type) : any_value();
        if (is_typed || below(6)) {
            json_object_set_new(object, attributes[i].name, value);
        } else {
            json_decref(value);
        }
    }
    return object;
}

static void fill(bool is_typed)
{
    struct kj_error error = {0};
    assert_int_equal(kj_model_new(&spec, &model, &error), KJ_OK);
    thing = kj_model_identity(model, "thing");
    assert_int_equal(storage_open(model, &file), KJ_OK);
    assert_int_equal(kj_store_memory_new(&memory), KJ_OK);
    for (size_t i = 0; i < OBJECTS; i++) {
        objects[i] = make_object(i, is_typed);
        assert_int_equal(file->ops->insert(file, thing, objects[i]), KJ_OK);
        assert_int_equal(memory->ops->insert(memory, thing, objects[i]), KJ_OK);
    }
}

static void clear(void)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        json_decref(objects[i]);
    }
    kj_store_free(memory);
    storage_close(file);
    kj_model_free(model);
}

/* ---- random questions ---- */

static void append(char *text, const char *more)
{
    size_t used = strlen(text);
    assert_true(used + strlen(more) < TEXT_MAX);
    (void)snprintf(text + used, TEXT_MAX - used, "%s", more);
}

static void write_constant(char *text)
{
    static const char *const others[] = {"5",
                                         "9.5",
                                         "-3",
                                         "true",
                                         "false",
                                         "1e3",
                                         "word",
                                         "now()",
                                         "0",
                                         "9007199254740993",
                                         "1e999",
                                         "date(2021-03-04)",
                                         "date(\"2021-03-04T05:06:07Z\")",
                                         "now(\"-1h\")"};
    if (below(2)) {
        append(text, others[below(COUNT(others))]);
        return;
    }
    append(text, "\"");
    append(text, below(3) ? texts[below(COUNT(texts))] : times[below(COUNT(times))]);
    append(text, "\"");
}

static void write_comparison(char *text)
{
    static const char *const keys[] = {"s", "n",       "f", "b", "t",  "s",    "n",
                                       "t", "b",       "f", "l", "ID", "free", "o.k",
                                       "o", "missing", "s", "n", "t",  "b",    "parentID"};
    static const char *const comparators[] = {
        "==",       "!=",           "<",       "<=",     ">",          ">=", "in", "not in",
        "contains", "not contains", "matches", "exists", "not exists", "==", "!="};
    size_t chosen = below(COUNT(comparators));
    append(text, keys[below(COUNT(keys))]);
    append(text, " ");
    append(text, comparators[chosen]);
    append(text, " ");
    if (strstr(comparators[chosen], "exists")) {
        return;
    }
    if (strcmp(comparators[chosen], "matches") == 0) {
        append(text, below(2) ? "\"^a\"" : "\"[0-9]\"");
        return;
    }
    bool is_list = strstr(comparators[chosen], "in") || below(6) == 0;
    size_t count = is_list ? 1 + below(3) : 1;
    append(text, is_list ? "[" : "");
    for (size_t i = 0; i < count; i++) {
        append(text, i ? ", " : "");
        write_constant(text);
    }
    append(text, is_list ? "]" : "");
}

static void write_filter(char *text, int level)
{
    size_t count = 1 + below(level ? 2 : TERMS_MAX);
    for (size_t i = 0; i < count; i++) {
        append(text, i == 0 ? "" : below(2) ? " and " : " or ");
        if (level < 2 && below(4) == 0) {
            append(text, "(");
            write_filter(text, level + 1);
            append(text, ")");
        } else {
            write_comparison(text);
        }
    }
}

static const char *const *random_order(void)
{
    static const char *const keys[] = {"s",  "-s", "n",  "-n",   "f",  "-f",  "b",
                                       "-b", "t",  "-t", "free", "ID", "-ID", "parentID"};
    static const char *order[ORDER_MAX + 1];
    size_t count = below(3) ? below(2) : below(ORDER_MAX + 1);
    for (size_t i = 0; i < count; i++) {
        order[i] = keys[below(COUNT(keys))];
    }
    order[count] = NULL;
    return order;
}

/* A place somewhere in the list. The values live as long as `keys`. */
static void choose_place(struct kj_store_query *query, json_t *keys)
{
    const json_t *object = objects[below(OBJECTS)];
    query->after = json_string_value(json_object_get(object, "ID"));
    for (size_t i = 0; query->order[i]; i++) {
        json_t *value = json_object_get(object, query->order[i] + (query->order[i][0] == '-'));
        json_array_append_new(keys, value ? json_incref(value) : json_null());
    }
    query->after_keys = keys;
}

/* ---- answers ---- */

static size_t count_matches(const struct kj_store_query *query)
{
    size_t count = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        const char *parent = json_string_value(json_object_get(objects[i], "parentID"));
        bool is_child = !query->parent_id || strcmp(parent, query->parent_id) == 0;
        count += is_child && (!query->filter || kj_filter_matches(query->filter, objects[i]));
    }
    return count;
}

/* What the storage in memory has behind the place, in order, thinned and cut here. */
static json_t *expected_page(const struct kj_store_query *query)
{
    struct kj_store_query ordered = *query;
    json_t *page = json_array();
    json_t *all;
    json_t *object;
    size_t index;
    size_t skipped = 0;
    ordered.filter = NULL;
    ordered.limit = ordered.offset = 0;
    assert_int_equal(memory->ops->list(memory, thing, &ordered, &all, NULL), KJ_OK);
    json_array_foreach(all, index, object)
    {
        bool is_match = !query->filter || kj_filter_matches(query->filter, object);
        bool has_room = !query->limit || json_array_size(page) < query->limit;
        if (is_match && has_room && skipped++ >= query->offset) {
            json_array_append(page, object);
        }
    }
    json_decref(all);
    return page;
}

static void compare_lists(const struct kj_store_query *query, const char *text)
{
    json_t *expected = expected_page(query);
    json_t *given;
    size_t total;
    assert_int_equal(file->ops->list(file, thing, query, &given, &total), KJ_OK);
    if (total != count_matches(query) || !json_equal(given, expected)) {
        char *left = json_dumps(given, JSON_COMPACT);
        char *right = json_dumps(expected, JSON_COMPACT);
        print_message("filter: %s\norder: %s %s %s\nafter: %s\ntotals %zu, %zu\n%s\n%s\n", text,
                      query->order[0] ? query->order[0] : "",
                      query->order[0] && query->order[1] ? query->order[1] : "",
                      query->order[0] && query->order[1] && query->order[2] ? query->order[2] : "",
                      query->after ? query->after : "", total, count_matches(query), left, right);
        fail_msg("the lists differ");
    }
    json_decref(given);
    json_decref(expected);
}

static void ask_at_random(void)
{
    size_t asked = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        char text[TEXT_MAX] = "";
        struct kj_filter *filter = NULL;
        write_filter(text, 0);
        bool has_filter = below(8) != 0;
        if (has_filter && kj_filter_parse(text, &filter, NULL)) {
            continue; /* such as a list behind `<` */
        }
        json_t *keys = json_array();
        struct kj_store_query query = {.filter = filter, .order = random_order()};
        if (below(2)) {
            query.parent_type = "shelf";
            query.parent_id = below(2) ? "large" : "small";
        }
        query.limit = below(4) ? 1 + below(20) : 0;
        query.offset = below(4) ? 0 : below(30);
        if (below(2)) {
            choose_place(&query, keys);
        }
        compare_lists(&query, has_filter ? text : "");
        asked++;
        json_decref(keys);
        kj_filter_unref(filter);
    }
    assert_true(asked > ROUNDS / 2);
}

static void typed_objects_are_listed_as_by_the_naive_twins(void **state)
{
    (void)state;
    fill(true);
    ask_at_random();
    clear();
}

static void any_objects_are_listed_as_by_the_naive_twins(void **state)
{
    (void)state;
    fill(false);
    ask_at_random();
    clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typed_objects_are_listed_as_by_the_naive_twins),
        cmocka_unit_test(any_objects_are_listed_as_by_the_naive_twins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
