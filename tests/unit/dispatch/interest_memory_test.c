/* interest_memory_test.c - interests under an allocator that fails at each call in turn.
 *
 * What leaks is the address sanitizer's to report.
 */
#include "dispatch/interest.h"
#include "support/failing_allocator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void interests_survive_every_failing_allocation(void **state)
{
    (void)state;
    static char text[] = "{\"identities\":{\"a\":[\"delete\",\"create\"],\"b\":null,\"c\":[]},"
                         "\"filters\":{\"a\":\"x == 1 and y matches '^z'\",\"c\":\"d exists\"}}";
    struct kj__counters counters = {0};
    struct kj__interests interests;
    enum kj_status status = KJ_ENOMEM;
    kj__interests_init(&interests, 2, &counters);
    for (long calls = 0; status == KJ_ENOMEM; calls++) {
        struct kj_push_config *config;
        struct kj__interest *interest = (void *)1;
        struct kj_error error = {{0}, 0};
        assert_int_equal(
            kj_push_config_decode((uint8_t *)text, strlen(text), KJ_ENCODING_JSON, &config, &error),
            KJ_OK);
        allocator_fail_after(calls, false);
        status = kj__interests_get_take(&interests, config, &interest, &error);
        bool has_failed = allocator_recover();
        assert_int_equal(status, has_failed ? KJ_ENOMEM : KJ_OK);
        assert_true((status == KJ_OK) == (interest != NULL));
        assert_int_equal(counters.interests, status == KJ_OK);
        kj__interest_unref(interest);
        assert_int_equal(counters.interests, 0);
        assert_int_equal(interests.by_key.count, 0);
        assert_in_range(calls, 0, 300);
    }
    assert_int_equal(kj__interests_numbers(&interests), 1); /* none was lost on the way */
    kj__interests_fini(&interests);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interests_survive_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
