/* store_sqlite_memory_test.c - the storage in SQLite when memory runs out. */
#include "unit/rest/cmocka_all.h"

#include "support/failing_allocator.h"
#include "unit/handlers/storage.h"
#include "unit/rest/fixture.h"

static struct kj_model *model;
static const struct kj_identity *task;

static int set_up(void **state)
{
    (void)state;
    model = fixture_model();
    task = kj_model_identity(model, "task");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kj_model_free(model);
    return 0;
}

static void a_store_is_made_or_not_made(void **state)
{
    (void)state;
    struct kj_store_sqlite_options options = {.path = storage_path(), .model = model};
    bool failed = true;
    for (long calls = 0; failed; calls++) {
        struct kj_store *store = NULL;
        allocator_fail_after(calls, false);
        enum kj_status status = kj_store_sqlite_new(&options, &store, NULL);
        failed = allocator_recover();
        if (status) {
            assert_int_equal(status, KJ_ENOMEM);
            assert_true(failed);
            assert_null(store);
        }
        kj_store_free(store);
    }
    storage_remove();
}

/* Each operation succeeds or leaves the store as it was. */
static enum kj_status work(struct kj_store *store, const json_t *object)
{
    static const char *const order[] = {"-name", "description", NULL};
    struct kj_filter *filter = NULL;
    json_t *got = NULL;
    size_t total;
    enum kj_status status = kj_filter_parse("name in [a, b] or description matches c", &filter,
                                            NULL);
    struct kj_store_query query = {.filter = filter, .order = order, .limit = 3};
    if (!status) {
        status = store->ops->insert(store, task, object);
    }
    if (!status) {
        status = store->ops->list(store, task, &query, &got, &total);
        json_decref(got);
    }
    if (!status) {
        status = store->ops->remove(store, task, "1", &got);
        json_decref(got);
    }
    kj_filter_unref(filter);
    return status;
}

static void operations_succeed_or_change_nothing(void **state)
{
    (void)state;
    struct kj_store *store;
    json_t *got;
    json_t *object = json_pack("{s:s,s:s,s:s,s:s}", "ID", "1", "parentType", "list", "parentID",
                               "p", "name", "a");
    assert_int_equal(storage_open(model, &store), KJ_OK);
    bool failed = true;
    for (long calls = 0; failed; calls++) {
        allocator_fail_after(calls, false);
        enum kj_status status = work(store, object);
        failed = allocator_recover();
        assert_true(status == KJ_OK || (failed && status == KJ_ENOMEM));
        if (store->ops->remove(store, task, "1", &got) == KJ_OK) {
            assert_true(json_equal(got, object));
            json_decref(got);
        }
    }
    size_t total;
    struct kj_store_query all = {0};
    assert_int_equal(store->ops->list(store, task, &all, NULL, &total), KJ_OK);
    assert_int_equal(total, 0);
    json_decref(object);
    storage_close(store);
}

/* The parent is there already, so that a write may fail with nothing changed in the file. */
static void what_failed_is_not_counted(void **state)
{
    (void)state;
    struct kj_store *store;
    json_t *got;
    json_t *first = json_pack("{s:s,s:s,s:s}", "ID", "0", "parentType", "list", "parentID", "p");
    json_t *object = json_pack("{s:s,s:s,s:s}", "ID", "1", "parentType", "list", "parentID", "p");
    assert_int_equal(storage_open(model, &store), KJ_OK);
    assert_int_equal(store->ops->insert(store, task, first), KJ_OK);
    bool failed = true;
    for (long calls = 0; failed; calls++) {
        allocator_fail_after(calls, false);
        enum kj_status status = store->ops->insert(store, task, object);
        failed = allocator_recover();
        size_t total;
        struct kj_store_query all = {0};
        assert_int_equal(store->ops->list(store, task, &all, NULL, &total), KJ_OK);
        assert_int_equal(total, status ? 1 : 2);
        if (!status) {
            assert_int_equal(store->ops->remove(store, task, "1", &got), KJ_OK);
            json_decref(got);
        }
    }
    json_decref(object);
    json_decref(first);
    storage_close(store);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_store_is_made_or_not_made),
        TEST(operations_succeed_or_change_nothing),
        TEST(what_failed_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
