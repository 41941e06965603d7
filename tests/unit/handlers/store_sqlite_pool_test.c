/* store_sqlite_pool_test.c - who gets a reader, and who waits. */
#include "unit/rest/cmocka_all.h"

#include "handlers/store_sqlite_pool.h"
#include "unit/handlers/storage.h"

enum { TIMEOUT_MS = 20 };

static struct kj__sqlite_numbers numbers;
static struct kj__sqlite_pool pool;

static void open_pool(uint32_t readers)
{
    const struct kj_store_sqlite_options options = {.path = storage_path(), .readers = readers};
    struct kj_error error = {{0}, 0};
    kj__sqlite_pool_init(&pool);
    assert_int_equal(kj__sqlite_pool_open(&pool, &options, &numbers, NULL, &error), KJ_OK);
}

static void close_pool(void)
{
    kj__sqlite_pool_fini(&pool);
    storage_remove();
}

static void one_reader_is_left_to_those_who_take_no_time(void **state)
{
    (void)state;
    open_pool(2);
    struct kj__sqlite_connection *slow = kj__sqlite_pool_take_long(&pool, 0);

    assert_non_null(slow);
    assert_null(kj__sqlite_pool_take_long(&pool, TIMEOUT_MS));
    struct kj__sqlite_connection *quick = kj__sqlite_pool_take(&pool);
    assert_ptr_not_equal(quick, slow);
    kj__sqlite_pool_give(&pool, quick);

    kj__sqlite_pool_give_long(&pool, slow);
    slow = kj__sqlite_pool_take_long(&pool, TIMEOUT_MS);
    assert_non_null(slow);
    kj__sqlite_pool_give_long(&pool, slow);
    close_pool();
}

static void the_only_reader_is_for_all(void **state)
{
    (void)state;
    open_pool(1);
    struct kj__sqlite_connection *reader = kj__sqlite_pool_take_long(&pool, TIMEOUT_MS);

    assert_non_null(reader);
    assert_null(kj__sqlite_pool_take_long(&pool, TIMEOUT_MS));

    kj__sqlite_pool_give_long(&pool, reader);
    reader = kj__sqlite_pool_take(&pool);
    assert_null(kj__sqlite_pool_take_long(&pool, TIMEOUT_MS));
    kj__sqlite_pool_give(&pool, reader);
    close_pool();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_reader_is_left_to_those_who_take_no_time),
        cmocka_unit_test(the_only_reader_is_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
