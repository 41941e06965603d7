/* filter_match_test.c - which entities fit which filters; what an index finds them by. */
#include "make.h"

#include "codec/event.h"
#include "model/filter.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* 2026-01-01T00:00:00Z, which is what now() is here. */
static const int64_t now_ns = INT64_C(1767225600) * 1000000000;

static const char entity_text[] =
    "{\"name\":\"alpha\",\"empty\":\"\",\"n\":5,\"big\":9007199254740993,\"low\":-"
    "9223372036854775808,\"f\":1.5,\"yes\":true,"
    "\"no\":false,\"null\":null,\"zip\":\"05\",\"word\":\"true\","
    "\"at\":\"2025-12-31T23:00:00Z\",\"day\":\"2025-12-31\","
    "\"tags\":[\"red\",\"green\",7],\"none\":[],\"pairs\":[[\"a\",\"b\"],[\"c\"]],"
    "\"o\":{\"p\":{\"q\":3},\"x.y\":4},\"o.z\":9,\"accent\":\"\\u00e9t\\u00e9\"}";

struct row {
    const char *filter;
    bool matches;
};

static struct kj_filter *parse(const char *text)
{
    struct kj_filter *filter;
    struct kj_error error = {{0}, 0};
    enum kj_status status = kj__filter_parse(text, strlen(text), KJ__FILTER_FULL, &filter, &error);
    if (status) {
        print_error("%s: %s\n", text, error.text);
    }
    assert_int_equal(status, KJ_OK);
    return filter;
}

static void collect(uint64_t hash, void *ctx)
{
    const struct kj__filter_key *key = ((void **)ctx)[0];
    bool *found = ((void **)ctx)[1];
    for (size_t i = 0; i < key->count; i++) {
        *found = *found || key->hashes[i] == hash;
    }
}

/* Whether an index would try the filter on the entity. */
static bool is_candidate(const struct kj_filter *filter, const json_t *entity)
{
    struct kj__filter_key key;
    bool found = false;
    void *ctx[] = {&key, &found};
    if (!kj__filter_key(filter, &key)) {
        return true;
    }
    kj__filter_visit_keys(entity, key.member, collect, ctx);
    return found;
}

static void assert_rows(const struct row *rows, size_t count)
{
    json_t *entity = json_loads(entity_text, 0, NULL);
    assert_non_null(entity);
    for (size_t i = 0; i < count; i++) {
        struct kj__filter_round round = {.now_ns = now_ns};
        struct kj_filter *filter = parse(rows[i].filter);
        if (kj__filter_matches(filter, entity, &round) != rows[i].matches) {
            fail_msg("%s: %s", rows[i].filter, rows[i].matches ? "no match" : "matches");
        }
        if (rows[i].matches && !is_candidate(filter, entity)) {
            fail_msg("%s: an index would miss it", rows[i].filter);
        }
        assert_int_equal(round.cut, 0);
        kj_filter_unref(filter);
    }
    json_decref(entity);
}
#define ASSERT_ROWS(rows) assert_rows(rows, sizeof(rows) / sizeof *(rows))

static void filter_compares_for_equality(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"name == alpha", true},
        {"name == 'alpha'", true},
        {"name == Alpha", false},
        {"name == alph", false},
        {"name == alphas", false},
        {"name != alpha", false},
        {"name != beta", true},
        {"accent == '\xc3\xa9t\xc3\xa9'", true},
        {"empty == ''", true},
        {"empty != ''", false},
        {"absent == ''", false},
        {"absent != ''", true},
        {"null == ''", false},
        {"null != 'null'", true},
        {"n == 5", true},
        {"n == 5.0", true},
        {"n == '5'", true},
        {"n == 0.5e1", true},
        {"n == 6", false},
        {"n == five", false},
        {"n == true", false},
        {"n != 5", false},
        {"n != five", true},
        {"big == 9007199254740993", true},
        {"big == 9007199254740992", false},
        {"big == 9007199254740992.0", false},
        {"low == -9223372036854775808", true},
        {"low == -9223372036854775809", false},
        {"low > -9223372036854775809", true},
        {"low < 9223372036854775808", true},
        {"f == 1.5", true},
        {"f == 1", false},
        {"zip == 05", true},
        {"zip == 5", false},
        {"zip == '05'", true},
        {"yes == true", true},
        {"yes == TRUE", true},
        {"yes == 'true'", true},
        {"yes == 1", false},
        {"no == false", true},
        {"no != true", true},
        {"word == true", true},
        {"o == 3", false},
        {"o != 3", true},
    };
    ASSERT_ROWS(rows);
}

static void filter_compares_for_order(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"n < 6", true},
        {"n < 5", false},
        {"n <= 5", true},
        {"n <= 4.9", false},
        {"n > 4.99", true},
        {"n > 5", false},
        {"n >= 5", true},
        {"n >= '4'", true},
        {"n < x", false},
        {"n >= x", false},
        {"f > 1", true},
        {"f < 1.25", false},
        {"f < 2", true},
        {"f >= 1.5", true},
        {"big > 9007199254740992", true},
        {"big > 9007199254740992.5", true},
        {"big < 1e300", true},
        {"big > -1e300", true},
        {"name < beta", true},
        {"name < alp", false},
        {"name <= alpha", true},
        {"name > ''", true},
        {"name > 5", false},
        {"name < 5", false},
        {"yes >= true", true},
        {"yes > false", false},
        {"absent < 5", false},
        {"absent >= ''", false},
        {"null <= 0", false},
        {"tags < h", true},
        {"tags > 6", true},
        {"tags > 7", false},
        {"none < 5", false},
        {"o > 0", false},
    };
    ASSERT_ROWS(rows);
}

static void filter_compares_times_as_times(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"at == date('2025-12-31T23:00:00Z')", true},
        {"at == date('2026-01-01T01:00:00+02:00')", true},
        {"at == '2026-01-01T01:00:00+02:00'", true},
        {"at == '2025-12-31T23:00:00.5Z'", false},
        {"at == date('2025-12-31 23:00')", true},
        {"at > date(2025-12-31)", true},
        {"at > '2025-12-31'", true},
        {"at < date(2026-01-01)", true},
        {"at < now()", true},
        {"at >= now('-1h')", true},
        {"at > now('-1h')", false},
        {"at > now('-59m59.5s')", false},
        {"at > now('-1h0m0.000000001s')", true},
        {"at == now('-60m')", true},
        {"at < now('1h')", true},
        {"day == date(2025-12-31)", true},
        {"day in [date(2025-12-30), date('2025-12-31T00:00:00Z')]", true},
        {"name > date(2000-01-01)", false},
        {"name != date(2000-01-01)", true},
        {"n > date(2000-01-01)", false},
        {"n < now()", false},
        {"at > 5", false},
    };
    ASSERT_ROWS(rows);
}

static void filter_looks_into_lists(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"tags == red", true},
        {"tags == 7", true},
        {"tags == '7'", true},
        {"tags == blue", false},
        {"tags != red", false},
        {"tags != blue", true},
        {"tags == [red, green, 7]", true},
        {"tags == [green, red, 7]", false},
        {"tags == [red, green]", false},
        {"tags != [red, green]", true},
        {"none == []", true},
        {"tags == []", false},
        {"name == [alpha]", false},
        {"pairs == [a, b]", true},
        {"pairs == [c]", true},
        {"pairs == [b]", false},
        {"pairs == c", false},
        {"name in [alpha, beta]", true},
        {"name in [beta]", false},
        {"name in alpha", true},
        {"name in []", false},
        {"n in ['4', 5]", true},
        {"tags in [blue, green]", true},
        {"none in [blue]", false},
        {"absent in [x]", false},
        {"name not in [beta]", true},
        {"name not in [alpha]", false},
        {"tags not in [blue]", true},
        {"absent not in [x]", true},
        {"null not in [x]", true},
        {"tags contains red", true},
        {"tags contains [blue, red]", true},
        {"tags contains [blue]", false},
        {"tags contains re", false},
        {"tags contains []", false},
        {"tags not contains [blue]", true},
        {"tags not contains [blue, red]", false},
        {"none not contains [x]", true},
        {"absent contains [x]", false},
        {"absent not contains [x]", true},
        {"name contains lph", true},
        {"name contains [x, pha]", true},
        {"name contains Lph", false},
        {"name contains now()", false},
        {"name not contains lph", false},
        {"zip contains 5", true},
        {"n contains 5", true},
        {"n not contains 5", false},
    };
    ASSERT_ROWS(rows);
}

static void filter_matches_patterns_anywhere_in_a_text(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"name matches lp", true},
        {"name matches '^al'", true},
        {"name matches '^lp'", false},
        {"name matches [x, 'a$']", true},
        {"name matches '(?i)ALPHA'", true},
        {"name matches '\\w{5}'", true},
        {"name matches '\\d'", false},
        {"name matches ''", true},
        {"name matches []", false},
        {"accent matches '^.t.$'", true},
        {"accent matches '^\\pL+$'", true},
        {"tags matches '^gr'", true},
        {"tags matches '7'", false},
        {"zip matches 5", true},
        {"n matches 5", false},
        {"word matches true", true},
        {"none matches ''", false},
        {"absent matches ''", false},
        {"null matches ''", false},
    };
    ASSERT_ROWS(rows);
}

static void filter_asks_for_members(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"name exists", true},       {"null exists", true},  {"absent exists", false},
        {"o.p exists", true},        {"o.p.q exists", true}, {"o.p.r exists", false},
        {"name.x exists", false},    {"o.z exists", true},   {"name not exists", false},
        {"absent not exists", true}, {"o.p.q == 3", true},   {"o.p.q > 3", false},
        {"o.z == 9", true},          {"o.x.y == 4", true},   {"'o.' exists", false},
        {"'.' exists", false},       {"'' exists", false},   {"o.p.r != 3", true},
    };
    ASSERT_ROWS(rows);
}

static void filter_joins_from_left_to_right(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"n == 5 and name == alpha", true},
        {"n == 5 and name == beta", false},
        {"n == 6 or name == alpha", true},
        {"n == 6 or name == beta", false},
        {"n == 5 or n == 6 and name == beta", false},
        {"n == 5 or (n == 6 and name == beta)", true},
        {"n == 6 and n == 7 or name == alpha", true},
        {"n == 6 and (n == 7 or name == alpha)", false},
        {"name == alpha and n in [4, 5] and yes == true", true},
    };
    ASSERT_ROWS(rows);
}

static void filter_matches_no_entity_that_is_missing(void **state)
{
    (void)state;
    struct kj__filter_round round = {.now_ns = now_ns};
    struct kj_filter *filter = parse("a != 1");
    assert_false(kj__filter_matches(filter, NULL, &round));
    assert_int_equal(round.cut, 0);
    kj_filter_unref(filter);
}

static void filter_sees_the_same_in_both_encodings(void **state)
{
    (void)state;
    static const uint8_t entity[] = "\x83\xa2"
                                    "at\xd6\xff\x69\x55\xb9\x00\xa3"
                                    "raw\xc4\x03"
                                    "abc\xa1n\xcd\x01\x00";
    struct kj__buffer bytes;
    kj__buffer_init(&bytes);
    kj__buffer_append(&bytes, entity, sizeof entity - 1);
    struct kj_event *event;
    assert_int_equal(kj__event_new_take("create", "thing", 0, KJ_ENCODING_MSGPACK, &bytes, &event),
                     KJ_OK);
    static const char *const texts[] = {
        "at == date('2026-01-01T00:00:00Z')",
        "at < now('1ns') and at >= now()",
        "raw == 'YWJj'",
        "n == 256",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct kj__filter_round round = {.now_ns = now_ns};
        struct kj_filter *filter = parse(texts[i]);
        assert_true(kj__filter_matches(filter, kj_event_entity(event), &round));
        kj_filter_unref(filter);
    }
    kj_event_unref(event);
}

static json_t *entity_with(const char *text, size_t times)
{
    json_t *list = json_array();
    for (size_t i = 0; i < times; i++) {
        assert_int_equal(json_array_append_new(list, json_string(text)), 0);
    }
    return json_pack("{s:o}", "a", list);
}

static void assert_cut(const char *text, const json_t *entity, uint64_t cut)
{
    struct kj__filter_round round = {.now_ns = now_ns};
    struct kj_filter *filter = parse(text);
    assert_false(kj__filter_matches(filter, entity, &round));
    assert_int_equal(round.cut, cut);
    kj_filter_unref(filter);
}

static void filter_gives_up_on_an_entity_that_costs_too_much(void **state)
{
    (void)state;
    char *long_text = calloc(1, 1 << 20);
    assert_non_null(long_text);
    memset(long_text, 'a', (1 << 20) - 1);
    json_t *many = entity_with("x", 65536), *some = entity_with("x", 1000);
    json_t *large = json_pack("{s:s}", "a", long_text);

    assert_cut("a == y", many, 1);
    assert_cut("a != y", many, 1);
    assert_cut("b == y or a != y", many, 1);
    assert_cut("a == y", some, 0);
    assert_cut("a matches '(a+)+$b'", some, 0);
    assert_cut("a matches '(a|aa)+[a-y]*(a?){300}a{300}b'", large, 1);

    json_decref(many);
    json_decref(some);
    json_decref(large);
    free(long_text);
}

static void filter_has_a_key_when_a_member_must_equal_something(void **state)
{
    (void)state;
    static const struct {
        const char *text, *member;
        size_t count;
    } rows[] = {
        {"a == 1", "a", 1},
        {"a in [1, 2, 1.0, '2']", "a", 2},
        {"a in []", "a", 0},
        {"a in [x, y] and b == 1", "b", 1},
        {"a != 1 and o.p == x and c == 2", "o.p", 1},
        {"(a == 1 or b == 2) and c == date(2021-01-01)", "c", 1},
        {"a == 1 or b == 2", NULL, 0},
        {"a != 1", NULL, 0},
        {"a > 1", NULL, 0},
        {"a not in [1]", NULL, 0},
        {"a == now()", NULL, 0},
        {"a == [1]", NULL, 0},
        {"a contains [1]", NULL, 0},
        {"a matches [x]", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kj__filter_key key;
        struct kj_filter *filter = parse(rows[i].text);
        assert_true(kj__filter_key(filter, &key) == (rows[i].member != NULL));
        if (rows[i].member) {
            assert_string_equal(key.member, rows[i].member);
            assert_int_equal(key.count, rows[i].count);
        }
        kj_filter_unref(filter);
    }
}

static void filter_is_tried_only_where_its_key_is(void **state)
{
    (void)state;
    json_t *entity = json_loads(entity_text, 0, NULL);
    static const char *const others[] = {"name == beta", "n == 6", "zip == 6",   "yes == false",
                                         "null == x",    "o == 1", "absent == 1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct kj_filter *filter = parse(others[i]);
        assert_false(is_candidate(filter, entity));
        kj_filter_unref(filter);
    }
    json_decref(entity);
}

/* What several threads evaluate. */
struct shared {
    struct kj_filter *filter;
    const json_t *entity;
};

static void *evaluate_often(void *argument)
{
    const struct shared *shared = argument;
    struct kj__filter_round round = {.now_ns = now_ns};
    size_t matches = 0;
    for (int i = 0; i < 2000; i++) {
        matches += kj__filter_matches(shared->filter, shared->entity, &round);
    }
    return matches == 2000 ? argument : NULL;
}

static void filter_serves_several_threads_at_once(void **state)
{
    (void)state;
    json_t *entity = json_loads(entity_text, 0, NULL);
    struct shared shared = {parse("name matches ['^x', '(al|la)+.*a$'] and at < now()"), entity};
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, evaluate_often, &shared), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
    kj_filter_unref(shared.filter);
    json_decref(entity);
}

static void filter_is_checked_against_an_identity(void **state)
{
    (void)state;
    static const struct kj_attribute_spec attributes[] = {
        {.name = "s", .type = KJ_TYPE_STRING},
        {.name = "n", .type = KJ_TYPE_INTEGER},
        {.name = "f", .type = KJ_TYPE_FLOAT},
        {.name = "b", .type = KJ_TYPE_BOOLEAN},
        {.name = "t", .type = KJ_TYPE_TIME},
        {.name = "l", .type = KJ_TYPE_LIST},
        {.name = "o", .type = KJ_TYPE_OBJECT},
        {.name = "k", .type = KJ_TYPE_STRING, .secret = true},
        {.name = "i", .type = KJ_TYPE_LIST, .items = KJ_TYPE_INTEGER},
    };
    static const struct {
        const char *text, *reason; /* NULL: fine */
    } rows[] = {
        {"s == x and s != 5 and s < b and ID == x", NULL},
        {"n > 5 or n == '5' or f <= 1.5", NULL},
        {"b == true and b != 'false'", NULL},
        {"t > now() and t == date(2021-01-01) and t < '2021-01-01'", NULL},
        {"l contains [a, 5] and l == [x] and i contains [1] and i > 5 and l matches x", NULL},
        {"o exists and o.x.y == 5 and s not exists", NULL},
        {"x == 1", "attribute \"x\" of thing does not exist"},
        {"x exists", "attribute \"x\" of thing does not exist"},
        {"s.x == 1", "attribute \"s.x\" of thing does not exist"},
        {"k == 1", "attribute \"k\" of thing is secret"},
        {"s == now()", "attribute \"s\" of thing is compared with a string: now(\"0ns\") is none"},
        {"s == a and n == x",
         "attribute \"n\" of thing is compared with an integer: \"x\" is none"},
        {"f < true", "attribute \"f\" of thing is compared with a number: true is none"},
        {"b == 1", "attribute \"b\" of thing is compared with a boolean: 1 is none"},
        {"b < true", "attribute \"b\" of thing has no order"},
        {"t > 5", "attribute \"t\" of thing is compared with an RFC 3339 time: 5 is none"},
        {"i contains [1, x]",
         "attribute \"i\" of thing is compared with an integer: \"x\" is none"},
        {"o == 1", "attribute \"o\" of thing is compared with an object: 1 is none"},
        {"n matches 5", "attribute \"n\" of thing has no text to match"},
    };
    struct kj_model *model;
    assert_int_equal(make_thing(attributes, sizeof attributes / sizeof *attributes, &model, NULL),
                     KJ_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kj_error error = {{0}, 0};
        struct kj_filter *filter = parse(rows[i].text);
        enum kj_status status = kj__filter_check(filter, kj_model_identity(model, "thing"), &error);
        assert_string_equal(error.text, rows[i].reason ? rows[i].reason : "");
        assert_int_equal(status, rows[i].reason ? KJ_EINVAL : KJ_OK);
        kj_filter_unref(filter);
    }
    kj_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter_compares_for_equality),
        cmocka_unit_test(filter_compares_for_order),
        cmocka_unit_test(filter_compares_times_as_times),
        cmocka_unit_test(filter_looks_into_lists),
        cmocka_unit_test(filter_matches_patterns_anywhere_in_a_text),
        cmocka_unit_test(filter_asks_for_members),
        cmocka_unit_test(filter_joins_from_left_to_right),
        cmocka_unit_test(filter_matches_no_entity_that_is_missing),
        cmocka_unit_test(filter_sees_the_same_in_both_encodings),
        cmocka_unit_test(filter_gives_up_on_an_entity_that_costs_too_much),
        cmocka_unit_test(filter_has_a_key_when_a_member_must_equal_something),
        cmocka_unit_test(filter_is_tried_only_where_its_key_is),
        cmocka_unit_test(filter_serves_several_threads_at_once),
        cmocka_unit_test(filter_is_checked_against_an_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
