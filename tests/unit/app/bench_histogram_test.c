/* bench_histogram_test.c - quantiles of the bench's histogram against the values themselves. */
#include "bench/histogram.h"
#include "check.h"

enum { VALUES = 20000 };

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Every magnitude equally often, as durations from nanoseconds to hours would be. */
static uint64_t any_value(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 20 >> (*seed >> 58) % 44;
}

static void assert_within_half_a_percent(uint64_t value, uint64_t expected)
{
    uint64_t distance = value > expected ? value - expected : expected - value;
    if (distance * 200 > expected) {
        fail_msg("%llu is not near %llu", (unsigned long long)value, (unsigned long long)expected);
    }
}

static struct histogram *new_histogram(void)
{
    struct histogram *histogram = calloc(1, sizeof *histogram);
    assert_non_null(histogram);
    return histogram;
}

static void histogram_without_values_has_zero_quantiles(void **state)
{
    (void)state;
    struct histogram *histogram = new_histogram();
    assert_int_equal(histogram_quantile(histogram, 0.5), 0);
    assert_int_equal(histogram_quantile(histogram, 1), 0);
    free(histogram);
}

static void histogram_is_exact_for_small_values(void **state)
{
    (void)state;
    struct histogram *histogram = new_histogram();
    for (uint64_t value = 1; value <= 200; value++) {
        histogram_record(histogram, value);
    }
    assert_int_equal(histogram_quantile(histogram, 0.5), 100);
    assert_int_equal(histogram_quantile(histogram, 0.99), 198);
    assert_int_equal(histogram_quantile(histogram, 1), 200);
    free(histogram);
}

static void histogram_quantiles_are_within_half_a_percent(void **state)
{
    (void)state;
    static uint64_t values[VALUES];
    static const double shares[] = {0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    struct histogram *histogram = new_histogram();
    uint64_t seed = 1;
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = any_value(&seed);
        histogram_record(histogram, values[i]);
    }
    qsort(values, VALUES, sizeof *values, compare);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        size_t rank = (size_t)(shares[i] * VALUES + 0.5);
        assert_within_half_a_percent(histogram_quantile(histogram, shares[i]), values[rank - 1]);
    }
    assert_int_equal(histogram->maximum, values[VALUES - 1]);
    free(histogram);
}

static void histogram_takes_the_largest_value_there_is(void **state)
{
    (void)state;
    struct histogram *histogram = new_histogram();
    histogram_record(histogram, UINT64_MAX);
    histogram_record(histogram, 0);
    assert_int_equal(histogram_quantile(histogram, 0.5), 0);
    assert_within_half_a_percent(histogram_quantile(histogram, 1) / 1000, UINT64_MAX / 1000);
    free(histogram);
}

static void histogram_merged_is_as_if_recorded_in_one(void **state)
{
    (void)state;
    struct histogram *whole = new_histogram();
    struct histogram *parts[2] = {new_histogram(), new_histogram()};
    uint64_t seed = 2;
    for (size_t i = 0; i < VALUES; i++) {
        uint64_t value = any_value(&seed);
        histogram_record(whole, value);
        histogram_record(parts[i % 2], value);
    }
    histogram_merge(parts[0], parts[1]);
    assert_memory_equal(parts[0], whole, sizeof *whole);
    free(parts[1]);
    free(parts[0]);
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histogram_without_values_has_zero_quantiles),
        cmocka_unit_test(histogram_is_exact_for_small_values),
        cmocka_unit_test(histogram_quantiles_are_within_half_a_percent),
        cmocka_unit_test(histogram_takes_the_largest_value_there_is),
        cmocka_unit_test(histogram_merged_is_as_if_recorded_in_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
