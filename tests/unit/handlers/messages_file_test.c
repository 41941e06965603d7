/* messages_file_test.c - what only a message store in a file does: it stays, it has a version, and
 * its disk may fail. */
#include "unit/rest/cmocka_all.h"

#include "unit/handlers/storage.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *path;

static int set_up(void **state)
{
    (void)state;
    path = storage_path();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    storage_remove();
    return 0;
}

static struct kj_messages *open_with(struct kj_messages_options options)
{
    struct kj_messages *messages;
    struct kj_error error = {0};
    options.path = path;
    if (kj_messages_new(&options, &messages, &error)) {
        fail_msg("%s", error.text);
    }
    return messages;
}

static struct kj_messages *open_file(void)
{
    return open_with((struct kj_messages_options){.busy_timeout_ms = 1});
}

static void refuse(enum kj_status expected, const char *text)
{
    struct kj_messages *messages;
    struct kj_error error = {0};
    struct kj_messages_options options = {.path = path, .busy_timeout_ms = 1};
    assert_int_equal(kj_messages_new(&options, &messages, &error), expected);
    assert_null(messages);
    assert_non_null(strstr(error.text, text));
}

static enum kj_status say(struct kj_messages *messages, uint64_t id, size_t len)
{
    static const uint8_t body[KJ_MESSAGE_BODY_MAX];
    struct kj_messages_receipt receipt;
    const struct kj_message message = {.id = id,
                                       .user = "bob",
                                       .from = "ann",
                                       .time_ms = (int64_t)1 << 50,
                                       .body = body,
                                       .body_len = len};
    const struct kj_messages_append append = {.to_mailbox = true, .to_history = true};
    return kj_messages_append(messages, &message, &append, &receipt);
}

static size_t unread(struct kj_messages *messages)
{
    size_t count;
    assert_int_equal(kj_messages_unread(messages, "bob", 0, &count), KJ_OK);
    return count;
}

static sqlite3 *execute(const char *sql)
{
    sqlite3 *db;
    char *error = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &error)) {
        fail_msg("%s", error);
    }
    return db;
}

static uint64_t counted;

static void pick(const char *name, const char *help, uint64_t value, void *ctx)
{
    (void)help;
    if (strcmp(name, ctx) == 0) {
        counted = value;
    }
}

static uint64_t counter(struct kj_messages *messages, const char *name)
{
    counted = UINT64_MAX;
    kj_messages_counters(messages, pick, (void *)name);
    return counted;
}

static void what_was_kept_is_there_again(void **state)
{
    (void)state;
    struct stat file;
    struct kj_messages *messages = open_file();
    assert_int_equal(say(messages, 1, 10), KJ_OK);
    kj_messages_free(messages);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    messages = open_file();
    assert_int_equal(unread(messages), 1);
    assert_int_equal(say(messages, 1, 10), KJ_OK);
    assert_int_equal(unread(messages), 1);
    kj_messages_free(messages);
}

static void a_file_of_the_first_version_goes_on(void **state)
{
    (void)state;
    struct kj_messages *messages = open_file();
    assert_int_equal(say(messages, 1, 10), KJ_OK);
    kj_messages_free(messages);
    sqlite3_close(execute("DROP INDEX history_time; DROP INDEX keys_time;"
                          "PRAGMA user_version = 1"));
    messages = open_file();
    assert_int_equal(say(messages, 2, 10), KJ_OK);
    assert_int_equal(unread(messages), 2);
    kj_messages_free(messages);
    sqlite3_close(execute("DROP INDEX history_time; DROP INDEX keys_time"));
}

static void a_file_of_a_later_version_is_refused(void **state)
{
    (void)state;
    kj_messages_free(open_file());
    sqlite3_close(execute("PRAGMA user_version = 99"));
    refuse(KJ_EUNSUPPORTED, "made by a later kujata: its schema has version 99");
}

static void a_file_of_something_else_is_refused(void **state)
{
    (void)state;
    sqlite3_close(execute("CREATE TABLE other(a)"));
    refuse(KJ_EPARSE, "not one of kujata's");
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++) {
        fputs("no database", file);
    }
    fclose(file);
    refuse(KJ_EPARSE, path);
}

static void the_options_are_checked(void **state)
{
    (void)state;
    struct kj_messages *messages;
    struct kj_error error = {0};
    struct kj_messages_options options = {.path = ""};
    assert_int_equal(kj_messages_new(&options, &messages, &error), KJ_EINVAL);
    options = (struct kj_messages_options){.path = path, .readers = 65};
    assert_int_equal(kj_messages_new(&options, &messages, &error), KJ_EINVAL);
    assert_non_null(strstr(error.text, "readers"));
}

static void a_file_that_another_holds_refuses_and_recovers(void **state)
{
    (void)state;
    struct kj_messages *messages = open_file();
    sqlite3 *other = execute("BEGIN IMMEDIATE");
    assert_int_equal(say(messages, 1, 10), KJ_ETIMEOUT);
    assert_int_equal(unread(messages), 0);
    assert_int_equal(counter(messages, "messages_busy_total"), 1);
    assert_int_equal(counter(messages, "messages_appended_total"), 0);
    sqlite3_close(other);
    assert_int_equal(say(messages, 1, 10), KJ_OK);
    kj_messages_free(messages);
}

static void a_full_file_refuses_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct kj_messages *messages = open_with(
        (struct kj_messages_options){.max_bytes = 1 << 20, .history_count = 1});
    uint64_t id = 1;
    while (say(messages, id, 60000) == KJ_OK) {
        id++;
        assert_true(id < 100);
    }
    assert_int_equal(say(messages, id, 60000), KJ_EFULL);
    assert_int_equal(unread(messages), id - 1);
    assert_true(counter(messages, "messages_full_total") > 0);
    assert_int_equal(kj_messages_acknowledge_until(messages, "bob", id, NULL), KJ_OK);
    assert_int_equal(say(messages, id, 60000), KJ_OK);
    kj_messages_free(messages);
}

static void a_damaged_file_is_an_error_and_no_crash(void **state)
{
    (void)state;
    struct kj_messages *messages = open_file();
    for (uint64_t id = 1; id < 20; id++) {
        assert_int_equal(say(messages, id, 60000), KJ_OK);
    }
    kj_messages_free(messages);
    FILE *file = fopen(path, "r+e");
    assert_non_null(file);
    assert_int_equal(fseek(file, 4096, SEEK_SET), 0); /* the tables stay described */
    for (int i = 0; i < 40 * 4096; i++) {
        fputc(0xa5, file);
    }
    fclose(file);
    struct kj_messages_options options = {.path = path};
    struct kj_error error = {0};
    enum kj_status status = kj_messages_new(&options, &messages, &error);
    if (!status) {
        struct kj_messages_page *page;
        status = kj_messages_mailbox(messages, "bob", 0, 1000, 4 << 20, &page);
        assert_true(counter(messages, "messages_failed_total") > 0);
        kj_messages_free(messages);
    }
    assert_int_equal(status, KJ_EIO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_kept_is_there_again),
        TEST(a_file_of_the_first_version_goes_on),
        TEST(a_file_of_a_later_version_is_refused),
        TEST(a_file_of_something_else_is_refused),
        TEST(the_options_are_checked),
        TEST(a_file_that_another_holds_refuses_and_recovers),
        TEST(a_full_file_refuses_and_keeps_what_it_has),
        TEST(a_damaged_file_is_an_error_and_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
