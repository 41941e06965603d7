/* filter_memory_test.c - filters under an allocator that fails at each call in turn.
 *
 * RE2's go another way. What leaks is the address sanitizer's to report.
 */
#include "make.h"

#include "model/filter.h"
#include "support/failing_allocator.h"

#include <stdlib.h>

static void assert_survives(const char *text, enum kj_status outcome)
{
    enum kj_status status = KJ_ENOMEM;
    for (long calls = 0; status == KJ_ENOMEM; calls++) {
        struct kj_filter *filter = (void *)1;
        struct kj_error error;
        allocator_fail_after(calls, false);
        status = kj__filter_parse(text, strlen(text), KJ__FILTER_FULL, &filter, &error);
        bool has_failed = allocator_recover();
        assert_true((status == KJ_OK) == (filter != NULL));
        assert_int_equal(status, has_failed ? KJ_ENOMEM : outcome);
        kj_filter_unref(filter);
        assert_in_range(calls, 0, 200);
    }
}

static void filter_survives_every_failing_allocation(void **state)
{
    (void)state;
    assert_survives("a in [1, b, 'c', date(2021-01-01), now()] and (b == 1 or c exists or d != x) "
                    "and e matches ['^x', y] and f in [true]",
                    KJ_OK);
    assert_survives("a == 1 and (b == [1, 2, 3] or c ==", KJ_EPARSE);
    assert_survives("a == 1 and b matches [x, '(']", KJ_EPARSE);
}

static void filter_of_a_push_config_survives_them_too(void **state)
{
    (void)state;
    enum kj_status status = KJ_ENOMEM;
    for (long calls = 0; status == KJ_ENOMEM; calls++) {
        struct kj_filter *filter;
        struct kj_error error = {{0}, 0};
        allocator_fail_after(calls, false);
        status = kj__filter_parse_push("a == 1 and b < 2", 16, &filter, &error);
        allocator_recover();
        assert_null(filter);
        assert_true((status == KJ_ENOMEM) == (error.text[0] == '\0'));
    }
    assert_int_equal(status, KJ_EUNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter_survives_every_failing_allocation),
        cmocka_unit_test(filter_of_a_push_config_survives_them_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
