/* messages_memory_test.c - the message store when memory runs out. */
#include "unit/rest/cmocka_all.h"

#include "support/failing_allocator.h"
#include "unit/handlers/storage.h"

static void a_store_is_made_or_not_made(void **state)
{
    (void)state;
    const struct kj_messages_options options = {.path = storage_path()};
    bool failed = true;
    for (long calls = 0; failed; calls++) {
        struct kj_messages *messages = NULL;
        allocator_fail_after(calls, false);
        enum kj_status status = kj_messages_new(&options, &messages, NULL);
        failed = allocator_recover();
        assert_int_equal(status, failed ? KJ_ENOMEM : KJ_OK);
        assert_int_equal(messages != NULL, status == KJ_OK);
        kj_messages_free(messages);
    }
    storage_remove();
}

static enum kj_status work(struct kj_messages *messages)
{
    static const uint64_t id = 7;
    const struct kj_message message = {.id = id,
                                       .user = "bob",
                                       .from = "ann",
                                       .time_ms = (int64_t)1 << 50,
                                       .body = (const uint8_t *)"1",
                                       .body_len = 1};
    const struct kj_messages_append append = {.to_mailbox = true, .to_history = true, .key = "key"};
    const struct kj_history_query query = {
        .conversation = {.users = {"bob", "ann"}}, .max = 10, .max_bytes = 100};
    struct kj_messages_receipt receipt;
    struct kj_messages_page *page = NULL;
    enum kj_status status = kj_messages_append(messages, &message, &append, &receipt);
    if (!status) {
        status = kj_messages_mailbox(messages, "bob", 0, 10, 100, &page);
        kj_messages_page_free(page);
    }
    if (!status) {
        status = kj_messages_history(messages, &query, &page);
        kj_messages_page_free(page);
    }
    if (!status) {
        status = kj_messages_acknowledge(messages, "bob", &id, 1, &page);
        kj_messages_page_free(page);
    }
    return status;
}

static void calls_succeed_or_change_nothing(void **state)
{
    (void)state;
    struct kj_messages *messages;
    size_t count;
    assert_int_equal(kj_messages_new(&(struct kj_messages_options){0}, &messages, NULL), KJ_OK);
    bool failed = true;
    for (long calls = 0; failed; calls++) {
        allocator_fail_after(calls, false);
        enum kj_status status = work(messages);
        failed = allocator_recover();
        /* A write is tried twice. */
        assert_true(status == KJ_OK || (failed && status == KJ_ENOMEM));
        assert_int_equal(kj_messages_unread(messages, "bob", 0, &count), KJ_OK);
        assert_in_range(count, 0, 1);
    }
    assert_int_equal(count, 0);
    kj_messages_free(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_is_made_or_not_made),
        cmocka_unit_test(calls_succeed_or_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
