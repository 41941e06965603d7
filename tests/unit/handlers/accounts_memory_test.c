/* accounts_memory_test.c - accounts, and gochat's protocol over them, when memory runs out. */
#include "unit/rest/cmocka_all.h"

#include "support/failing_allocator.h"

#include <kujata/gochat.h>

static enum kj_status make(struct kj_accounts **accounts)
{
    return kj_accounts_new(&(struct kj_accounts_options){.hash_memory_kib = 8192}, accounts, NULL);
}

static void accounts_are_made_or_not_made(void **state)
{
    (void)state;
    bool failed = true;
    for (long calls = 0; failed; calls++) {
        struct kj_accounts *accounts = NULL;
        allocator_fail_after(calls, false);
        enum kj_status status = make(&accounts);
        failed = allocator_recover();
        if (status) {
            assert_int_equal(status, KJ_ENOMEM);
            assert_true(failed);
            assert_null(accounts);
        }
        kj_accounts_free(accounts);
    }
}

static void gochat_is_made_or_not_made(void **state)
{
    (void)state;
    bool failed = true;
    struct kj_accounts *accounts;
    assert_int_equal(make(&accounts), KJ_OK);
    for (long calls = 0; failed; calls++) {
        struct kj_gochat *gochat = NULL;
        allocator_fail_after(calls, false);
        enum kj_status status = kj_gochat_new(&(struct kj_gochat_options){.accounts = accounts},
                                              &gochat);
        failed = allocator_recover();
        if (status) {
            assert_int_equal(status, KJ_ENOMEM);
            assert_true(failed);
            assert_null(gochat);
        }
        kj_gochat_free(gochat);
    }
    struct kj_gochat *none;
    assert_int_equal(kj_gochat_new(&(struct kj_gochat_options){.accounts = NULL}, &none),
                     KJ_EINVAL);
    kj_accounts_free(accounts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounts_are_made_or_not_made),
        cmocka_unit_test(gochat_is_made_or_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
