/* row_index_test.c - rows found by the value their filter wants. */
#include "dispatch/row_index.h"
#include "support/failing_allocator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 500, VALUES = 60 };

/* A row is a number here, as a pointer; zero is none. */
static struct kj__row *row_of(size_t number)
{
    static char numbers[ROWS];
    return (struct kj__row *)(void *)&numbers[number];
}

static void note(struct kj__row *row, void *ctx)
{
    int *seen = ctx;
    seen[(char *)(void *)row - (char *)(void *)row_of(0)]++;
}

static struct kj_filter *filter_for(const char *member, int value)
{
    struct kj_filter *filter;
    char text[100];
    (void)snprintf(text, sizeof text, "other exists and %s == %d", member, value);
    assert_int_equal(kj_filter_parse(text, &filter, NULL), KJ_OK);
    return filter;
}

static void rows_come_and_go(void **state)
{
    (void)state;
    struct kj__row_index index;
    struct kj_filter *filters[ROWS];
    struct kj__filter_key key;
    kj__row_index_init(&index);
    for (size_t i = 0; i < ROWS; i++) {
        filters[i] = filter_for(i % 2 ? "a" : "b", (int)i % VALUES);
        assert_true(kj__filter_key(filters[i], &key));
        assert_true(kj__row_index_add(&index, &key, row_of(i)));
    }
    for (size_t gone = 0; gone <= ROWS; gone++) {
        if (gone % 50 == 0) {
            int seen[ROWS] = {0};
            json_t *entity = json_pack("{s:i, s:s}", "a", 7, "b", "8");
            kj__row_index_visit(&index, entity, note, seen);
            for (size_t i = 0; i < ROWS; i++) {
                size_t wanted = i % 2 ? 7 : 8;
                assert_int_equal(seen[i], i >= gone && i % VALUES == wanted);
            }
            json_decref(entity);
        }
        if (gone < ROWS) {
            assert_false(kj__row_index_is_empty(&index));
            assert_true(kj__filter_key(filters[gone], &key));
            kj__row_index_remove(&index, &key, row_of(gone));
            kj__row_index_remove(&index, &key, row_of(gone)); /* no longer there: fine */
            kj_filter_unref(filters[gone]);
        }
    }
    assert_true(kj__row_index_is_empty(&index));
    kj__row_index_visit(&index, NULL, note, NULL);
    kj__row_index_fini(&index);
}

static void a_row_added_in_part_can_be_removed(void **state)
{
    (void)state;
    struct kj_filter *filter;
    struct kj__filter_key key;
    assert_int_equal(kj_filter_parse("m in [1,2,3,4,5,6,7,8,9,10,11,12]", &filter, NULL), KJ_OK);
    assert_true(kj__filter_key(filter, &key));
    bool is_added = false;
    for (long calls = 0; !is_added; calls++) {
        struct kj__row_index index;
        kj__row_index_init(&index);
        allocator_fail_after(calls, false);
        is_added = kj__row_index_add(&index, &key, row_of(1));
        allocator_recover();
        kj__row_index_remove(&index, &key, row_of(1));
        assert_true(kj__row_index_is_empty(&index));
        kj__row_index_fini(&index);
        assert_in_range(calls, 0, 50);
    }
    kj_filter_unref(filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_and_go),
        cmocka_unit_test(a_row_added_in_part_can_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
