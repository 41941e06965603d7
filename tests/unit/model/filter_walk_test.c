/* filter_walk_test.c - a filter node by node, as storages see it, and which attributes they index. */
#include "make.h"

#include <kujata/filter.h>
#include <stdlib.h>

static struct kj_filter *parse(const char *text)
{
    struct kj_filter *filter;
    struct kj_error error = {{0}, 0};
    if (kj_filter_parse(text, &filter, &error)) {
        fail_msg("%s", error.text);
    }
    return filter;
}

static void groups_and_comparisons_come_in_the_order_of_the_text(void **state)
{
    (void)state;
    struct kj_filter *filter = parse("a == 1 and (b.c not in [x, y] or 'd e' exists)");
    const struct kj_filter_node *root = kj_filter_root(filter);
    assert_int_equal(kj_filter_node_type(root), KJ_FILTER_AND);

    const struct kj_filter_node *node = kj_filter_node_first(root);
    assert_int_equal(kj_filter_node_type(node), KJ_FILTER_COMPARISON);
    assert_string_equal(kj_filter_node_key(node), "a");
    assert_int_equal(kj_filter_node_comparator(node), KJ_FILTER_EQUAL);
    assert_false(kj_filter_node_is_list(node));

    const struct kj_filter_node *group = kj_filter_node_next(node);
    assert_int_equal(kj_filter_node_type(group), KJ_FILTER_OR);
    assert_null(kj_filter_node_next(group));
    node = kj_filter_node_first(group);
    assert_string_equal(kj_filter_node_key(node), "b.c");
    assert_int_equal(kj_filter_node_comparator(node), KJ_FILTER_NOT_IN);
    assert_int_equal(kj_filter_node_constant_count(node), 2);
    node = kj_filter_node_next(node);
    assert_string_equal(kj_filter_node_key(node), "d e");
    assert_int_equal(kj_filter_node_comparator(node), KJ_FILTER_EXISTS);
    assert_int_equal(kj_filter_node_constant_count(node), 0);
    assert_null(kj_filter_node_next(node));
    kj_filter_unref(filter);
}

static void constants_tell_all_they_can_be_taken_for(void **state)
{
    (void)state;
    struct kj_filter *filter = parse("a in [word, 5, \"9.5\", true, date(1970-01-02), now()]");
    const struct kj_filter_node *node = kj_filter_root(filter);
    struct kj_filter_constant constant;

    kj_filter_node_constant(node, 0, &constant);
    assert_string_equal(constant.text, "word");
    assert_int_equal(constant.len, 4);
    assert_true(constant.has_text && constant.is_ordered);
    assert_false(constant.is_number || constant.is_time);

    kj_filter_node_constant(node, 1, &constant);
    assert_true(constant.has_text && !constant.is_ordered);
    assert_true(constant.is_number && constant.is_integer && constant.integer == 5);

    kj_filter_node_constant(node, 2, &constant);
    assert_true(constant.has_text && constant.is_ordered);
    assert_true(constant.is_number && !constant.is_integer && constant.real > 9.4);

    kj_filter_node_constant(node, 3, &constant);
    assert_string_equal(constant.text, "true");
    assert_true(constant.has_text && !constant.is_ordered);

    kj_filter_node_constant(node, 4, &constant);
    assert_true(constant.is_time && !constant.has_text);
    assert_int_equal(constant.time.seconds, 86400);

    kj_filter_node_constant(node, 5, &constant);
    assert_true(constant.is_time && !constant.has_text);
    assert_true(constant.time.seconds > 1600000000);
    kj_filter_unref(filter);
}

static void scalars_are_indexed_unless_they_say_no(void **state)
{
    (void)state;
    static const struct kj_attribute_spec attributes[] = {
        {.name = "time", .type = KJ_TYPE_TIME},    {.name = "text"},
        {.name = "note", .unindexed = true},       {.name = "secret", .secret = true},
        {.name = "list", .type = KJ_TYPE_LIST},    {.name = "object", .type = KJ_TYPE_OBJECT},
        {.name = "flag", .type = KJ_TYPE_BOOLEAN},
    };
    struct kj_model *model;
    assert_int_equal(make_thing(attributes, sizeof attributes / sizeof *attributes, &model, NULL),
                     KJ_OK);
    const struct kj_identity *thing = kj_model_identity_at(model, 0);

    assert_string_equal(kj_identity_next_indexed(thing, NULL), "flag");
    assert_string_equal(kj_identity_next_indexed(thing, "flag"), "text");
    assert_string_equal(kj_identity_next_indexed(thing, "text"), "time");
    assert_null(kj_identity_next_indexed(thing, "time"));
    kj_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_and_comparisons_come_in_the_order_of_the_text),
        cmocka_unit_test(constants_tell_all_they_can_be_taken_for),
        cmocka_unit_test(scalars_are_indexed_unless_they_say_no),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
