/* metrics_test.c - the text format, and quantiles against sorted samples. */
#include "base/latency.h"
#include "base/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void samples_follow_their_head(void **state)
{
    (void)state;
    struct kj__buffer out;
    kj__buffer_init(&out);

    kj__metrics_head(&out, "a_total", KJ__COUNTER, "Some a.");
    kj__metrics_number(&out, "a_total", "x=\"1\"", 18446744073709551615U);
    kj__metrics_real(&out, "a_total", "", 0.5);
    kj__metrics_family(&out, "b", KJ__GAUGE, "Some b.", (double)-NAN);
    kj__buffer_append_byte(&out, '\0');

    assert_string_equal((char *)out.data, "# HELP a_total Some a.\n"
                                          "# TYPE a_total counter\n"
                                          "a_total{x=\"1\"} 18446744073709551615\n"
                                          "a_total 0.5\n"
                                          "# HELP b Some b.\n"
                                          "# TYPE b gauge\n"
                                          "b NaN\n");
    kj__buffer_fini(&out);
}

static void a_process_has_its_numbers(void **state)
{
    (void)state;
    struct kj__buffer out;
    kj__buffer_init(&out);

    kj__metrics_process(&out);
    kj__buffer_append_byte(&out, '\0');

    static const char *const names[] = {"process_open_fds",
                                        "process_max_fds",
                                        "process_cpu_seconds_total",
                                        "process_start_time_seconds",
                                        "process_resident_memory_bytes",
                                        "process_virtual_memory_bytes",
                                        "process_threads"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_non_null(strstr((char *)out.data, names[i]));
    }
    kj__buffer_fini(&out);
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void quantiles_are_right_within_an_eighth(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static uint64_t samples[COUNT];
    static const double quantiles[] = {0.01, 0.5, 0.9, 0.99, 1};
    struct kj__latency latency = {0};
    srand(7);
    for (size_t i = 0; i < COUNT; i++) {
        samples[i] = (uint64_t)rand() >> (rand() % 31);
        kj__latency_add(&latency, 1, samples[i]);
    }
    qsort(samples, COUNT, sizeof *samples, compare);

    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        double exact = (double)samples[(size_t)(quantiles[i] * COUNT) - 1];
        double told = kj__latency_quantile(&latency, 2, quantiles[i]);
        assert_true(fabs(told - exact) <= exact / 8);
    }
    assert_int_equal(latency.count, COUNT);
}

static void what_is_long_ago_is_forgotten_and_still_counted(void **state)
{
    (void)state;
    struct kj__latency latency = {0};
    assert_true(kj__latency_quantile(&latency, 1, 0.5) < 0);

    kj__latency_add(&latency, 1, 100);
    kj__latency_add(&latency, KJ__LATENCY_WINDOW_MS + 2, 6);
    assert_true(kj__latency_quantile(&latency, KJ__LATENCY_WINDOW_MS + 2, 0.99) > 90);
    uint64_t later = (uint64_t)KJ__LATENCY_WINDOW_MS * 2 + 3;
    assert_true(kj__latency_quantile(&latency, later, 0.99) == 6);
    later += (uint64_t)KJ__LATENCY_WINDOW_MS * 2;
    assert_true(kj__latency_quantile(&latency, later, 0.99) < 0);
    assert_int_equal(latency.count, 2);
    assert_int_equal(latency.sum_us, 106);
}

static void the_longest_times_have_a_bucket(void **state)
{
    (void)state;
    struct kj__latency latency = {0};
    kj__latency_add(&latency, 1, UINT64_MAX);
    assert_true(kj__latency_quantile(&latency, 1, 0.5) > 1e9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_follow_their_head),
        cmocka_unit_test(a_process_has_its_numbers),
        cmocka_unit_test(quantiles_are_right_within_an_eighth),
        cmocka_unit_test(what_is_long_ago_is_forgotten_and_still_counted),
        cmocka_unit_test(the_longest_times_have_a_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
