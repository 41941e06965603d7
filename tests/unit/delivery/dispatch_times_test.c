/* dispatch_times_test.c - what shards measure, summed up. */
#include "delivery/dispatch_times.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void a_round_is_added_and_begins_anew(void **state)
{
    (void)state;
    struct kj__dispatch_histogram histogram = {0};
    struct kj__dispatch_round round = {.count = 0};
    int64_t now = kj__clock_monotonic_ns();

    kj__dispatch_round_note(&round, now - 2000000000);
    kj__dispatch_round_note(&round, now - 60000000000);
    kj__dispatch_round_end(&round, &histogram);
    kj__dispatch_round_end(&round, &histogram);

    struct kj__buffer out;
    kj__buffer_init(&out);
    kj__dispatch_metrics(&histogram, &out);
    kj__buffer_append_byte(&out, '\0');
    const char *text = (const char *)out.data;
    assert_int_equal(round.count, 0);
    assert_non_null(strstr(text, "dispatch_duration_seconds_bucket{le=\"1\"} 0\n"));
    assert_non_null(strstr(text, "dispatch_duration_seconds_bucket{le=\"5\"} 1\n"));
    assert_non_null(strstr(text, "dispatch_duration_seconds_bucket{le=\"+Inf\"} 2\n"));
    assert_non_null(strstr(text, "dispatch_duration_seconds_count 2\n"));
    kj__buffer_fini(&out);
}

static void more_than_a_round_holds_is_not_measured(void **state)
{
    (void)state;
    struct kj__dispatch_histogram histogram = {0};
    struct kj__dispatch_round round = {.count = 0};
    uint64_t total = 0;

    for (size_t i = 0; i < KJ__DISPATCH_ROUND_MAX + 10; i++) {
        kj__dispatch_round_note(&round, kj__clock_monotonic_ns());
    }
    kj__dispatch_round_end(&round, &histogram);

    for (size_t i = 0; i < KJ__DISPATCH_BUCKETS; i++) {
        total += atomic_load(&histogram.counts[i]);
    }
    assert_int_equal(total, KJ__DISPATCH_ROUND_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_is_added_and_begins_anew),
        cmocka_unit_test(more_than_a_round_holds_is_not_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
