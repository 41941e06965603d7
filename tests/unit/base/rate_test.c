/* rate_test.c - token buckets, with a clock of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rate.h"

#include <stdio.h>

#define SECOND INT64_C(1000000000)
#define NOW (INT64_C(1000) * SECOND)

static void bucket_gives_its_burst_and_then_its_rate(void **state)
{
    (void)state;
    struct kj__bucket bucket;
    kj__bucket_init(&bucket, kj__rate_make(10, 3));

    for (int i = 0; i < 3; i++) {
        assert_int_equal(kj__bucket_take(&bucket, NOW), 0);
    }
    assert_int_equal(kj__bucket_take(&bucket, NOW), SECOND / 10);
    assert_int_equal(kj__bucket_take(&bucket, NOW + SECOND / 10 - 1), 1);

    assert_int_equal(kj__bucket_take(&bucket, NOW + SECOND / 10), 0);
    assert_int_equal(kj__bucket_take(&bucket, NOW + SECOND / 10), SECOND / 10);
}

static void bucket_never_holds_more_than_its_burst(void **state)
{
    (void)state;
    struct kj__bucket bucket;
    kj__bucket_init(&bucket, kj__rate_make(10, 3));
    assert_int_equal(kj__bucket_take(&bucket, NOW), 0);

    int taken = 0;
    while (kj__bucket_take(&bucket, NOW + 60 * SECOND) == 0) {
        taken++;
    }

    assert_int_equal(taken, 3);
}

static void no_rate_is_no_limit(void **state)
{
    (void)state;
    struct kj__bucket bucket;
    struct kj__address_buckets addresses;
    kj__bucket_init(&bucket, kj__rate_make(0, 0));
    assert_true(kj__address_buckets_init(&addresses, kj__rate_make(0, 5)));

    for (int i = 0; i < 1000; i++) {
        assert_int_equal(kj__bucket_take(&bucket, NOW), 0);
        assert_int_equal(kj__address_buckets_take(&addresses, "127.0.0.1", NOW), 0);
    }
    kj__address_buckets_fini(&addresses);
}

static void burst_is_that_of_a_second_when_none_is_given(void **state)
{
    (void)state;
    struct kj__bucket bucket;
    kj__bucket_init(&bucket, kj__rate_make(7, 0));
    int taken = 0;
    while (kj__bucket_take(&bucket, NOW) == 0) {
        taken++;
    }
    assert_int_equal(taken, 7);
}

static void addresses_have_buckets_of_their_own_and_networks_share_one(void **state)
{
    (void)state;
    struct kj__address_buckets addresses;
    assert_true(kj__address_buckets_init(&addresses, kj__rate_make(1, 1)));

    assert_int_equal(kj__address_buckets_take(&addresses, "10.0.0.1", NOW), 0);
    assert_int_equal(kj__address_buckets_take(&addresses, "10.0.0.1", NOW), SECOND);
    assert_int_equal(kj__address_buckets_take(&addresses, "10.0.0.2", NOW), 0);

    assert_int_equal(kj__address_buckets_take(&addresses, "2001:db8:0:1::1", NOW), 0);
    assert_int_equal(kj__address_buckets_take(&addresses, "2001:db8:0:1:ffff::2", NOW), SECOND);
    assert_int_equal(kj__address_buckets_take(&addresses, "2001:db8:0:2::1", NOW), 0);
    kj__address_buckets_fini(&addresses);
}

static void more_addresses_than_there_is_room_for_are_limited_still(void **state)
{
    (void)state;
    struct kj__address_buckets addresses;
    assert_true(kj__address_buckets_init(&addresses, kj__rate_make(1, 1)));
    char address[32];
    for (int i = 0; i < 100000; i++) {
        (void)snprintf(address, sizeof address, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        assert_int_equal(kj__address_buckets_take(&addresses, address, NOW + i), 0);
    }

    assert_true(kj__address_buckets_take(&addresses, address, NOW + 100000) > 0);
    kj__address_buckets_fini(&addresses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bucket_gives_its_burst_and_then_its_rate),
        cmocka_unit_test(bucket_never_holds_more_than_its_burst),
        cmocka_unit_test(no_rate_is_no_limit),
        cmocka_unit_test(burst_is_that_of_a_second_when_none_is_given),
        cmocka_unit_test(addresses_have_buckets_of_their_own_and_networks_share_one),
        cmocka_unit_test(more_addresses_than_there_is_room_for_are_limited_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
