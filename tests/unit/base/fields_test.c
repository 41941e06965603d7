/* fields_test.c - headers and parameters: order, case, removal, copies, packed lists. */
#include "base/fields.h"
#include "check.h"

static void fields_keep_order_and_find_the_first(void **state)
{
    (void)state;
    struct kj__fields fields;
    kj__fields_init(&fields, false);
    static const char *const wanted[][2] = {{"b", "2"}, {"a", "1"}, {"b", ""}};
    for (size_t i = 0; i < LENGTH(wanted); i++) {
        assert_true(kj__fields_add(&fields, wanted[i][0], wanted[i][1]));
    }

    size_t cursor = 0;
    const char *name = NULL, *value = NULL;
    for (size_t i = 0; i < LENGTH(wanted); i++) {
        assert_true(kj__fields_next(&fields, &cursor, &name, &value));
        assert_string_equal(name, wanted[i][0]);
        assert_string_equal(value, wanted[i][1]);
    }

    assert_false(kj__fields_next(&fields, &cursor, &name, &value));
    assert_string_equal(kj__fields_get(&fields, "b"), "2");
    assert_null(kj__fields_get(&fields, "B"));
    kj__fields_fini(&fields);
}

static void fields_may_ignore_case(void **state)
{
    (void)state;
    struct kj__fields fields;
    kj__fields_init(&fields, true);
    assert_true(kj__fields_add(&fields, "Content-Type", "x"));

    assert_string_equal(kj__fields_get(&fields, "content-type"), "x");
    assert_null(kj__fields_get(&fields, "content"));

    kj__fields_fini(&fields);
}

static void fields_remove_every_pair_of_a_name(void **state)
{
    (void)state;
    struct kj__fields fields;
    kj__fields_init(&fields, false);
    static const char *const names[] = {"a", "b", "a", "a", "c", "a"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        assert_true(kj__fields_add(&fields, names[i], names[i]));
    }

    kj__fields_remove(&fields, "a");
    kj__fields_remove(&fields, "none");

    assert_null(kj__fields_get(&fields, "a"));
    assert_int_equal(fields.text.len, 8);
    assert_memory_equal(fields.text.data, "b\0b\0c\0c", 8);
    kj__fields_fini(&fields);
}

static void fields_copy_is_independent(void **state)
{
    (void)state;
    struct kj__fields from, to;
    kj__fields_init(&from, true);
    kj__fields_init(&to, false);
    assert_true(kj__fields_add_len(&from, "kxx", 1, "vxx", 1));
    assert_true(kj__fields_add(&to, "gone", "x"));

    assert_true(kj__fields_copy(&to, &from));
    kj__fields_fini(&from);

    assert_string_equal(kj__fields_get(&to, "K"), "v");
    assert_null(kj__fields_get(&to, "gone"));
    kj__fields_fini(&to);
}

static void fields_are_packed_and_read_as_before(void **state)
{
    (void)state;
    struct kj__fields fields, view;
    struct kj__packed_fields *packed = NULL;
    kj__fields_init(&fields, true);
    assert_true(kj__fields_add(&fields, "Accept", "a"));
    assert_true(kj__fields_add(&fields, "X-Empty", ""));
    assert_true(kj__fields_add(&fields, "accept", "b"));

    assert_true(kj__fields_pack(&fields, &packed));
    kj__fields_fini(&fields); /* the text is its own */

    assert_int_equal(packed->len, 9 + 9 + 9);
    assert_string_equal(kj__packed_fields_get(packed, "ACCEPT"), "a");
    assert_string_equal(kj__packed_fields_get(packed, "x-empty"), "");
    assert_null(kj__packed_fields_get(packed, "X-Emp"));
    assert_null(kj__packed_fields_get(packed, "a"));
    static const char *const wanted[][2] = {{"Accept", "a"}, {"X-Empty", ""}, {"accept", "b"}};
    size_t cursor = 0;
    const char *name = NULL, *value = NULL;
    kj__packed_fields_view(packed, &view);
    for (size_t i = 0; i < LENGTH(wanted); i++) {
        assert_true(kj__fields_next(&view, &cursor, &name, &value));
        assert_string_equal(name, wanted[i][0]);
        assert_string_equal(value, wanted[i][1]);
    }
    assert_false(kj__fields_next(&view, &cursor, &name, &value));
    free(packed);
}

static void packed_fields_keep_whether_case_matters(void **state)
{
    (void)state;
    struct kj__fields fields;
    struct kj__packed_fields *packed = NULL;
    kj__fields_init(&fields, false);
    assert_true(kj__fields_add(&fields, "a", "1"));

    assert_true(kj__fields_pack(&fields, &packed));

    assert_string_equal(kj__packed_fields_get(packed, "a"), "1");
    assert_null(kj__packed_fields_get(packed, "A"));
    kj__fields_fini(&fields);
    free(packed);
}

static void packing_again_replaces_what_was_packed(void **state)
{
    (void)state;
    struct kj__fields fields;
    struct kj__packed_fields *packed = NULL;
    kj__fields_init(&fields, false);
    assert_true(kj__fields_add(&fields, "a", "1"));
    assert_true(kj__fields_pack(&fields, &packed));

    /* a copy through a view, changed and packed into the same place */
    struct kj__fields view, changed;
    kj__packed_fields_view(packed, &view);
    kj__fields_init(&changed, true);
    assert_true(kj__fields_copy(&changed, &view));
    assert_true(kj__fields_add(&changed, "b", "2"));
    assert_true(kj__fields_pack(&changed, &packed));
    assert_string_equal(kj__packed_fields_get(packed, "a"), "1");
    assert_string_equal(kj__packed_fields_get(packed, "b"), "2");

    kj__fields_remove(&changed, "a");
    kj__fields_remove(&changed, "b");
    assert_true(kj__fields_pack(&changed, &packed));
    assert_null(packed);
    kj__fields_fini(&changed);
    kj__fields_fini(&fields);
}

static void an_empty_list_packs_to_nothing(void **state)
{
    (void)state;
    struct kj__fields fields, view;
    struct kj__packed_fields *packed = NULL;
    size_t cursor = 0;
    const char *name = NULL, *value = NULL;
    kj__fields_init(&fields, true);

    assert_true(kj__fields_pack(&fields, &packed));

    assert_null(packed);
    assert_null(kj__packed_fields_get(NULL, "a"));
    kj__packed_fields_view(NULL, &view);
    assert_false(kj__fields_next(&view, &cursor, &name, &value));
    assert_null(kj__fields_get(&view, "a"));
    kj__fields_fini(&fields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_keep_order_and_find_the_first),
        cmocka_unit_test(fields_may_ignore_case),
        cmocka_unit_test(fields_remove_every_pair_of_a_name),
        cmocka_unit_test(fields_copy_is_independent),
        cmocka_unit_test(fields_are_packed_and_read_as_before),
        cmocka_unit_test(packed_fields_keep_whether_case_matters),
        cmocka_unit_test(packing_again_replaces_what_was_packed),
        cmocka_unit_test(an_empty_list_packs_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
