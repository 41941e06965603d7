/* filter_random_test.c - filters against a naive twin, and on the stack of an HTTP worker. */
#include "make.h"

#include "base/buffer.h"
#include "model/filter.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 4, ITEMS_MAX = 3, TERMS_MAX = 3, LEVELS_MAX = 3, ROUNDS = 20000 };

/* A member that is absent, a number, or a list of numbers. */
struct member {
    enum member_type { ABSENT, NUMBER, LIST } type;
    size_t count;
    int items[ITEMS_MAX];
};

static uint64_t random_state = 1;

static size_t below(size_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % bound);
}

static json_t *make_entity(struct member members[KEYS])
{
    json_t *entity = json_object();
    for (size_t i = 0; i < KEYS; i++) {
        const char key[] = {(char)('a' + i), '\0'};
        json_t *list = json_array();
        members[i].type = (enum member_type)below(3);
        members[i].count = members[i].type == LIST ? below(ITEMS_MAX + 1) : members[i].type;
        for (size_t j = 0; j < members[i].count; j++) {
            members[i].items[j] = (int)below(4);
            assert_int_equal(json_array_append_new(list, json_integer(members[i].items[j])), 0);
        }
        if (members[i].type == NUMBER) {
            assert_int_equal(json_object_set(entity, key, json_array_get(list, 0)), 0);
        } else if (members[i].type == LIST) {
            assert_int_equal(json_object_set(entity, key, list), 0);
        }
        json_decref(list);
    }
    return entity;
}

static bool is_so(int item, const char *comparator, int value)
{
    switch (comparator[0]) {
    case '<':
        return comparator[1] ? item <= value : item < value;
    case '>':
        return comparator[1] ? item >= value : item > value;
    default:
        return item == value;
    }
}

/* Writes a comparison and says whether it holds. */
static bool write_comparison(const struct member members[KEYS], struct kj__buffer *text)
{
    static const char *const comparators[] = {"==",       "!=",           "<",      "<=",
                                              ">",        ">=",           "in",     "not in",
                                              "contains", "not contains", "exists", "not exists"};
    size_t key = below(KEYS);
    size_t chosen = below(sizeof comparators / sizeof *comparators);
    const char *comparator = comparators[chosen];
    int value = (int)below(4);
    kj__buffer_printf(text, below(2) ? "%c %s " : "'%c'%s ", (int)('a' + key), comparator);
    if (chosen >= 10) {
        return (members[key].type != ABSENT) == (chosen == 10);
    }
    if (below(3) == 0) {
        kj__buffer_printf(text, " \"%d\"", value);
    } else {
        kj__buffer_printf(text, below(2) ? "%d" : "%d.0 ", value);
    }
    bool found = false;
    for (size_t i = 0; i < members[key].count; i++) {
        found = found || is_so(members[key].items[i], comparator, value);
    }
    bool is_negated = comparator[0] == '!' || comparator[0] == 'n';
    return found != is_negated;
}

/* Writes terms and conjunctions; what they mean from left to right is the result. */
static bool write_group(const struct member members[KEYS], int level, struct kj__buffer *text)
{
    bool result = true, is_and = true;
    size_t count = 1 + below(TERMS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            is_and = below(2) != 0;
            kj__buffer_append_text(text, is_and ? " and " : " OR ");
        }
        bool in_group = level < LEVELS_MAX && below(3) == 0;
        kj__buffer_append_text(text, in_group ? "(" : "");
        bool term = in_group ? write_group(members, level + 1, text)
                             : write_comparison(members, text);
        kj__buffer_append_text(text, in_group ? ")" : "");
        result = is_and ? result && term : result || term;
    }
    return result;
}

static void filter_agrees_with_a_naive_twin(void **state)
{
    (void)state;
    size_t matches = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct member members[KEYS] = {0};
        struct kj__filter_round round = {0};
        struct kj_filter *filter;
        struct kj__buffer text;
        json_t *entity = make_entity(members);
        kj__buffer_init(&text);

        bool wanted = write_group(members, 0, &text);

        assert_false(text.failed);
        assert_int_equal(
            kj__filter_parse((const char *)text.data, text.len, KJ__FILTER_FULL, &filter, NULL),
            KJ_OK);
        if (kj__filter_matches(filter, entity, &round) != wanted) {
            char *shown = json_dumps(entity, 0);
            fail_msg("%.*s on %s is %d", (int)text.len, (const char *)text.data, shown, wanted);
        }
        matches += wanted;
        kj_filter_unref(filter);
        kj__buffer_fini(&text);
        json_decref(entity);
    }
    assert_in_range(matches, ROUNDS / 4, ROUNDS);
}

static void *parse_and_match(void *argument)
{
    struct kj__filter_round round = {0};
    struct kj_filter *filter;
    char text[KJ__FILTER_TEXT_MAX] = "";
    char *at = text;
    for (int i = 0; i < KJ__FILTER_DEPTH_MAX; i++) {
        at = stpcpy(at, i % 2 ? "a == 1 and (" : "a == 1 or (");
    }
    (void)stpcpy(at, "b matches '((((((((x+)*y)*z)?)*){2}){2}){2})*(\\d|[^a-f]{20}){4}$'");
    if (kj__filter_parse(text, strlen(text), KJ__FILTER_FULL, &filter, NULL) == KJ_OK) {
        (void)kj__filter_matches(filter, argument, &round);
        kj_filter_unref(filter);
        return argument;
    }
    return NULL;
}

static void filter_fits_the_stack_of_an_http_worker(void **state)
{
    (void)state;
    json_t *entity = json_pack("{s:s}", "b", "xxyzxyzyxyxyzxyyzzxyyzyxyzyxyxxyzyxyxy0xyzxyzxyxyz");
    pthread_attr_t attributes;
    pthread_t thread;
    void *result;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, 100 * 1024), 0);
    assert_int_equal(pthread_create(&thread, &attributes, parse_and_match, entity), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_non_null(result);
    assert_int_equal(pthread_attr_destroy(&attributes), 0);
    json_decref(entity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter_agrees_with_a_naive_twin),
        cmocka_unit_test(filter_fits_the_stack_of_an_http_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
