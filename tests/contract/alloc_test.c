/* alloc_test.c - constructors and calls under an allocator that fails at each call in turn.
 *
 * The linker sends this program's allocations here (see CMakeLists.txt).
 */
#include "contract/recorder.h"

#include <kujata/pubsub_local.h>
#include <kujata/pubsub_nats.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);

/* Allocations left until one fails; negative: none fails. */
static _Atomic long left = -1;
static _Atomic bool failed;

static bool is_time_to_fail(void)
{
    if (atomic_load(&left) < 0 || atomic_fetch_sub(&left, 1) != 0) {
        return false;
    }
    atomic_store(&failed, true);
    return true;
}

void *__wrap_malloc(size_t size)
{
    return is_time_to_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_time_to_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_time_to_fail() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return is_time_to_fail() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
    return is_time_to_fail() ? NULL : __real_strndup(text, len);
}

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
    atomic_store(&failed, false);
    atomic_store(&left, number);
    enum kj_status status = open(&pubsub);
    atomic_store(&left, -1);
    if (status) {
        assert_int_equal(status, KJ_ENOMEM);
        assert_true(atomic_load(&failed));
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
            atomic_store(&left, number);
            status = kj_pubsub_subscribe(pubsub, "events", &options, ignore, NULL, &subscription);
            atomic_store(&left, -1);
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
        atomic_store(&left, 0);
        enum kj_status status = kj_pubsub_publish(pubsub, publication);
        atomic_store(&left, -1);
        kj_publication_unref(publication);
        kj_pubsub_stats(pubsub, &stats);
        assert_true(status == KJ_ENOMEM || stats.dropped == 1);
        kj_pubsub_free(pubsub);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constructors_survive_each_failing_allocation),
        cmocka_unit_test(subscribing_survives_each_failing_allocation),
        cmocka_unit_test(a_publication_without_memory_is_refused_or_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
