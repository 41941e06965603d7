/* alloc_test.c - constructors and calls under an allocator that fails at each call in turn. */
#include "contract/recorder.h"
#include "support/failing_allocator.h"

#include <kujata/pubsub_local.h>
#include <kujata/pubsub_nats.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

static void ignore(struct kj_publication *publication, void *ctx)
{
    (void)publication;
    (void)ctx;
}

static enum kj_status open_local(struct kj_pubsub **pubsub)
{
    return kj_pubsub_local_new(NULL, pubsub);
}

/* Port 1 of the loopback: nobody answers, and nobody needs to. */
static enum kj_status open_nats(struct kj_pubsub **pubsub)
{
    struct kj_pubsub_nats_options options = {.urls = "nats://127.0.0.1:1,nats://[::1]:1"};
    struct kj_error error;
    return kj_pubsub_nats_new(&options, pubsub, &error);
}

/* Opens with the allocation of that number failing; true when there was none to fail. */
static bool open_with_failure(enum kj_status (*open)(struct kj_pubsub **), long number)
{
    struct kj_pubsub *pubsub = NULL;
    allocator_fail_after(number, false);
    enum kj_status status = open(&pubsub);
    bool has_failed = allocator_recover();
    if (status) {
        assert_int_equal(status, KJ_ENOMEM);
        assert_true(has_failed);
        assert_null(pubsub);
    }
    kj_pubsub_free(pubsub);
    return status == KJ_OK;
}

static void constructors_survive_each_failing_allocation(void **state)
{
    enum kj_status (*const opens[])(struct kj_pubsub **) = {open_local, open_nats};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        long number = 0;
        while (!open_with_failure(opens[i], number)) {
            number++;
        }
        assert_true(number > 0);
    }
}

static void subscribing_survives_each_failing_allocation(void **state)
{
    enum kj_status (*const opens[])(struct kj_pubsub **) = {open_local, open_nats};
    struct kj_subscribe_options options = {.group = "group"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct kj_pubsub *pubsub = NULL;
        assert_int_equal(opens[i](&pubsub), KJ_OK);
        enum kj_status status = KJ_ENOMEM;
        for (long number = 0; status == KJ_ENOMEM; number++) {
            struct kj_subscription *subscription = NULL;
            allocator_fail_after(number, false);
            status = kj_pubsub_subscribe(pubsub, "events", &options, ignore, NULL, &subscription);
            allocator_recover();
            assert_true((subscription != NULL) == (status == KJ_OK));
            kj_pubsub_unsubscribe(pubsub, subscription);
        }
        assert_int_equal(status, KJ_OK);
        kj_pubsub_free(pubsub);
    }
}

static void a_publication_without_memory_is_refused_or_counted(void **state)
{
    enum kj_status (*const opens[])(struct kj_pubsub **) = {open_local, open_nats};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct kj_pubsub *pubsub = NULL;
        struct kj_subscription *subscription = NULL;
        struct kj_pubsub_stats stats;
        assert_int_equal(opens[i](&pubsub), KJ_OK);
        assert_int_equal(kj_pubsub_subscribe(pubsub, "events", NULL, ignore, NULL, &subscription),
                         KJ_OK);
        struct kj_publication *publication = publication_of("events", 1);
        allocator_fail_after(0, false);
        enum kj_status status = kj_pubsub_publish(pubsub, publication);
        allocator_recover();
        kj_publication_unref(publication);
        kj_pubsub_stats(pubsub, &stats);
        assert_true(status == KJ_ENOMEM || stats.dropped == 1);
        kj_pubsub_free(pubsub);
    }
}

static void count_call(enum kj_status status, struct kj_publication *reply, void *ctx)
{
    (void)status;
    (void)reply;
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void requesting_survives_each_failing_allocation(void **state)
{
    enum kj_status (*const opens[])(struct kj_pubsub **) = {open_local, open_nats};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct kj_pubsub *pubsub = NULL;
        struct kj_subscription *subscription = NULL;
        atomic_int calls = 0;
        int accepted = 0;
        const struct kj_request_options options = {
            .mode = KJ_RESPONSE_PUBLICATION, .on_reply = count_call, .ctx = &calls};
        assert_int_equal(opens[i](&pubsub), KJ_OK);
        assert_int_equal(kj_pubsub_subscribe(pubsub, "events", NULL, ignore, NULL, &subscription),
                         KJ_OK);
        struct kj_publication *publication = publication_of("events", 1);
        bool has_failed = true;
        for (long number = 0; has_failed; number++) {
            allocator_fail_after(number, false);
            enum kj_status status = kj_pubsub_request(pubsub, publication, &options);
            has_failed = allocator_recover();
            assert_true(status == KJ_OK || status == KJ_ENOMEM);
            accepted += status == KJ_OK;
        }
        kj_publication_unref(publication);
        kj_pubsub_free(pubsub); /* which tells each request that was accepted, once */
        assert_int_equal(atomic_load(&calls), accepted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constructors_survive_each_failing_allocation),
        cmocka_unit_test(subscribing_survives_each_failing_allocation),
        cmocka_unit_test(a_publication_without_memory_is_refused_or_counted),
        cmocka_unit_test(requesting_survives_each_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
