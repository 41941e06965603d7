/* store_sqlite_own_test.c - what only the storage in SQLite does: its file, its versions, its indexes,
 * and objects that a text might not hold.
 */
#include "unit/rest/cmocka_all.h"

#include "unit/handlers/storage.h"
#include "unit/rest/fixture.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

/* A model of tasks with these attributes. */
static struct kj_model *model_of(const char *attributes)
{
    char text[1024];
    struct kj_model *model;
    struct kj_error error = {0};
    (void)snprintf(text, sizeof text,
                   "{\"identities\": [{\"name\": \"task\", \"category\": \"tasks\","
                   " \"attributes\": [%s]}]}",
                   attributes);
    if (kj_model_parse(text, strlen(text), "model", &model, &error)) {
        fail_msg("%s", error.text);
    }
    return model;
}

static struct kj_store *open_with(const struct kj_store_sqlite_options *options)
{
    struct kj_store *store;
    struct kj_error error = {0};
    if (kj_store_sqlite_new(options, &store, &error)) {
        fail_msg("%s", error.text);
    }
    return store;
}

static struct kj_store *open_file(const struct kj_model *model)
{
    return open_with(&(struct kj_store_sqlite_options){.path = path, .model = model});
}

static void execute(const char *sql)
{
    sqlite3 *db;
    char *error = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &error)) {
        fail_msg("%s", error);
    }
    sqlite3_close(db);
}

static int64_t ask(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

static size_t count_of(struct kj_store *store, const struct kj_model *model, const char *text)
{
    size_t total = 0;
    struct kj_filter *filter = NULL;
    if (text) {
        assert_int_equal(kj_filter_parse(text, &filter, NULL), KJ_OK);
    }
    struct kj_store_query query = {.filter = filter};
    assert_int_equal(
        store->ops->list(store, kj_model_identity(model, "task"), &query, NULL, &total), KJ_OK);
    kj_filter_unref(filter);
    return total;
}

static uint64_t counted;

static void pick(const char *name, const char *help, uint64_t value, void *ctx)
{
    assert_non_null(help);
    if (strcmp(name, ctx) == 0) {
        counted = value;
    }
}

static uint64_t counter(struct kj_store *store, const char *name)
{
    counted = UINT64_MAX;
    kj_store_sqlite_counters(store, pick, (void *)name);
    return counted;
}

static void insert(struct kj_store *store, const struct kj_model *model, json_t *object)
{
    const struct kj_identity *task = kj_model_identity(model, "task");
    assert_non_null(object);
    assert_int_equal(store->ops->insert(store, task, object), KJ_OK);
    json_decref(object);
}

/* ---- versions ---- */

/* As the first version made it: no counts. */
static const char version_1[] =
    "CREATE TABLE state(revision INTEGER NOT NULL);"
    "INSERT INTO state VALUES(3);"
    "CREATE TABLE identities(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE attributes(number INTEGER PRIMARY KEY, identity INTEGER NOT NULL,"
    " name TEXT NOT NULL, isTime INTEGER NOT NULL, UNIQUE(identity, name));"
    "CREATE TABLE parents(number INTEGER PRIMARY KEY, identity INTEGER NOT NULL,"
    " type TEXT NOT NULL, ID TEXT NOT NULL, UNIQUE(identity, type, ID));"
    "CREATE TABLE objects(number INTEGER PRIMARY KEY, identity INTEGER NOT NULL, ID TEXT NOT NULL,"
    " parentType TEXT NOT NULL, parentID TEXT NOT NULL, revision INTEGER NOT NULL,"
    " object TEXT NOT NULL);"
    "INSERT INTO identities VALUES(1, 'other'), (2, 'task');"
    "CREATE TABLE keys_2(object INTEGER PRIMARY KEY, ID TEXT NOT NULL, parent INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX id_2 ON keys_2(ID);"
    "CREATE INDEX parent_2 ON keys_2(parent, ID);"
    "INSERT INTO parents VALUES(1, 2, 'list', 'p'), (2, 2, 'list', 'q');"
    "INSERT INTO objects VALUES"
    "(1, 2, 'a', 'list', 'p', 1, '{\"ID\":\"a\",\"parentType\":\"list\",\"parentID\":\"p\","
    "\"n\":1}'),"
    "(2, 2, 'b', 'list', 'p', 2, '{\"ID\":\"b\",\"parentType\":\"list\",\"parentID\":\"p\","
    "\"n\":2}'),"
    "(3, 2, 'c', 'list', 'q', 3, '{\"ID\":\"c\",\"parentType\":\"list\",\"parentID\":\"q\","
    "\"n\":3}');"
    "INSERT INTO keys_2 VALUES(1, 'a', 1), (2, 'b', 1), (3, 'c', 2);"
    "PRAGMA application_id = 0x4b6a7461;"
    "PRAGMA user_version = 1;";

static void a_file_of_version_1_is_brought_up_to_date(void **state)
{
    (void)state;
    struct kj_model *model = model_of("{\"name\": \"n\", \"type\": \"integer\"}");
    execute(version_1);

    struct kj_store *store = open_file(model);
    struct kj_store_query children = {.parent_type = "list", .parent_id = "p"};
    size_t total = 0;
    json_t *object;
    assert_int_equal(count_of(store, model, NULL), 3);
    assert_int_equal(
        store->ops->list(store, kj_model_identity(model, "task"), &children, NULL, &total), KJ_OK);
    assert_int_equal(total, 2);
    assert_int_equal(count_of(store, model, "n >= 2"), 2);
    assert_int_equal(store->ops->remove(store, kj_model_identity(model, "task"), "a", &object),
                     KJ_OK);
    json_decref(object);
    assert_int_equal(count_of(store, model, NULL), 2);
    kj_store_free(store);

    assert_int_equal(ask("PRAGMA user_version"), 2);
    assert_int_equal(ask("SELECT count FROM parents WHERE ID = 'p'"), 1);
    kj_model_free(model);
}

static void refuse(const struct kj_model *model, enum kj_status expected, const char *part)
{
    struct kj_store *store;
    struct kj_error error = {0};
    struct kj_store_sqlite_options options = {.path = path, .model = model, .busy_timeout_ms = 1};
    assert_int_equal(kj_store_sqlite_new(&options, &store, &error), expected);
    assert_null(store);
    if (!strstr(error.text, part)) {
        fail_msg("\"%s\" lacks \"%s\"", error.text, part);
    }
}

static void a_file_of_a_later_version_is_refused_and_left_alone(void **state)
{
    (void)state;
    struct kj_model *model = model_of("");
    kj_store_free(open_file(model));
    execute("PRAGMA user_version = 3");

    refuse(model, KJ_EUNSUPPORTED, "made by a later kujata: its schema has version 3");

    assert_int_equal(ask("PRAGMA user_version"), 3);
    kj_model_free(model);
}

static void a_file_of_another_program_is_refused(void **state)
{
    (void)state;
    struct kj_model *model = model_of("");
    execute("CREATE TABLE theirs(x)");
    refuse(model, KJ_EPARSE, "not one of kujata's");
    kj_model_free(model);
}

static void a_file_that_is_held_is_not_waited_for_for_ever(void **state)
{
    (void)state;
    struct kj_model *model = model_of("");
    sqlite3 *db;
    kj_store_free(open_file(model));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    refuse(model, KJ_ETIMEOUT, "locked");
    sqlite3_close(db);
    kj_model_free(model);
}

static void options_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct kj_model *model = model_of("");
    static const char *const paths[] = {NULL, "", ":memory:", "file:x?mode=memory"};
    const char *own = path;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        path = paths[i];
        refuse(model, KJ_EINVAL, "path");
    }
    path = own;
    refuse(NULL, KJ_EINVAL, "model");
    kj_model_free(model);
}

/* ---- indexes ---- */

static int64_t index_count(void)
{
    return ask("SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name LIKE 'key_%'");
}

static void indexes_follow_the_model(void **state)
{
    (void)state;
    struct kj_model *first = model_of("{\"name\": \"n\", \"type\": \"integer\"},"
                                      "{\"name\": \"w\"}, {\"name\": \"secret\", \"secret\": true},"
                                      "{\"name\": \"l\", \"type\": \"list\"}");
    struct kj_model *second = model_of("{\"name\": \"w\", \"type\": \"time\"},"
                                       "{\"name\": \"x\"},"
                                       "{\"name\": \"n\", \"indexed\": false}");
    struct kj_store *store = open_file(first);
    insert(store, first,
           json_pack("{s:s,s:i,s:s,s:s}", "ID", "1", "n", 5, "w", "2021-03-04T05:06:07Z", "x",
                     "there"));
    kj_store_free(store);
    assert_int_equal(index_count(), 2);

    store = open_file(second);
    assert_int_equal(count_of(store, second, "w == date(2021-03-04T05:06:07Z)"), 1);
    assert_int_equal(count_of(store, second, "x == there and w < now()"), 1);
    assert_int_equal(counter(store, "store_unindexed_lists_total"), 0);
    assert_int_equal(count_of(store, second, "n == 5"), 1);
    assert_int_equal(counter(store, "store_unindexed_lists_total"), 1);
    insert(store, second, json_pack("{s:s,s:s}", "ID", "2", "x", "too"));
    assert_int_equal(count_of(store, second, "x > there"), 1);
    kj_store_free(store);
    assert_int_equal(index_count(), 2);

    kj_model_free(second);
    kj_model_free(first);
}

/* ---- objects ---- */

static json_t *nested(size_t depth)
{
    json_t *value = json_integer(1);
    while (depth-- > 0) {
        value = json_pack("[o]", value);
    }
    return value;
}

static void values_come_back_as_they_went(void **state)
{
    (void)state;
    struct kj_model *model = model_of("{\"name\": \"s\"}");
    const struct kj_identity *task = kj_model_identity(model, "task");
    struct kj_store *store = open_file(model);
    json_t *got;
    json_t *object = json_pack("{s:s,s:s%,s:I,s:I,s:f,s:f,s:f,s:s,s:o,s:n,s:{}}", "ID", "1", "s",
                               "a\0b", (size_t)3, "least", (json_int_t)INT64_MIN, "most",
                               (json_int_t)INT64_MAX, "tiny", 5e-324, "third", 1.0 / 3, "whole",
                               3.0, "text", "\"\\/\b\f\n\r\t\x01\xf0\x9f\x98\x80", "deep",
                               nested(100), "null", "empty");
    assert_non_null(object);
    assert_int_equal(store->ops->insert(store, task, object), KJ_OK);

    assert_int_equal(store->ops->get(store, task, "1", &got), KJ_OK);
    assert_true(json_equal(got, object));
    assert_true(json_is_real(json_object_get(got, "whole")));
    json_decref(got);
    assert_int_equal(store->ops->remove(store, task, "1", &got), KJ_OK);
    assert_true(json_equal(got, object));
    json_decref(got);
    json_decref(object);
    kj_store_free(store);
    kj_model_free(model);
}

static void what_could_not_be_read_again_is_not_written(void **state)
{
    (void)state;
    struct kj_model *model = model_of("{\"name\": \"s\"}");
    const struct kj_identity *task = kj_model_identity(model, "task");
    struct kj_store *store = open_file(model);
    json_t *deep = json_pack("{s:s,s:o}", "ID", "1", "s", nested(3000));
    json_t *inner = json_object();
    json_object_setn_new(inner, "a\0b", 3, json_true());
    json_t *named = json_pack("{s:s,s:o}", "ID", "1", "s", inner);

    assert_int_equal(store->ops->insert(store, task, deep), KJ_ELIMIT);
    assert_int_equal(store->ops->insert(store, task, named), KJ_ELIMIT);
    assert_int_equal(count_of(store, model, NULL), 0);

    json_decref(named);
    json_decref(deep);
    kj_store_free(store);
    kj_model_free(model);
}

/* ---- writes that share a commit ---- */

enum { THREADS = 8, IDS = 60 };

static struct kj_store *shared;
static const struct kj_identity *shared_task;
static _Atomic int taken[IDS], failed;

/* Every thread wants every ID, so that most writes of a commit fail. */
static void *insert_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < IDS; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "id %d", i);
        json_t *object = json_pack("{s:s,s:s}", "ID", id, "parentID", "p");
        enum kj_status status = shared->ops->insert(shared, shared_task, object);
        json_decref(object);
        taken[i] += status == KJ_OK;
        failed += status != KJ_OK && status != KJ_EEXIST;
    }
    return NULL;
}

static void a_write_that_fails_undoes_no_other(void **state)
{
    (void)state;
    struct kj_model *model = model_of("{\"name\": \"s\"}");
    pthread_t threads[THREADS];
    struct kj_store_query children = {.parent_type = "", .parent_id = "p"};
    size_t total = 0;
    shared = open_file(model);
    shared_task = kj_model_identity(model, "task");
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, insert_all, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }

    assert_int_equal(failed, 0);
    for (int i = 0; i < IDS; i++) {
        assert_int_equal(taken[i], 1);
    }
    assert_int_equal(count_of(shared, model, NULL), IDS);
    assert_int_equal(shared->ops->list(shared, shared_task, &children, NULL, &total), KJ_OK);
    assert_int_equal(total, IDS);
    assert_int_equal(counter(shared, "store_writes_total"), IDS);
    assert_true(counter(shared, "store_commits_total") < (uint64_t)THREADS * IDS);
    kj_store_free(shared);
    assert_int_equal(ask("SELECT count(*) FROM objects"), IDS);
    kj_model_free(model);
}

/* ---- the file's own ---- */

enum { BLOB_BYTES = 1 << 20, BIG_WRITES = 160, LOG_BYTES_MAX = 128 << 20 };

static _Atomic bool is_over;

static void assert_done(sqlite3 *db, const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* One of two reads goes on at any time, each for some time, as on a busy server. */
static void *read_on(void *arg)
{
    static const char start[] =
        "BEGIN; SELECT revision FROM state;"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " SELECT count(*) FROM n";
    sqlite3 *readers[2];
    (void)arg;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(sqlite3_open(path, &readers[i]), SQLITE_OK);
    }
    assert_done(readers[0], start);
    for (size_t i = 0; !atomic_load(&is_over); i = !i) {
        assert_done(readers[!i], start);
        assert_done(readers[i], "COMMIT");
    }
    for (size_t i = 0; i < 2; i++) {
        sqlite3_close(readers[i]);
    }
    return NULL;
}

static enum kj_status put_text(json_t *object, void *ctx)
{
    return json_object_set_new(object, "text", json_string(ctx)) ? KJ_ENOMEM : KJ_OK;
}

static void readers_do_not_make_the_log_grow_for_ever(void **state)
{
    (void)state;
    struct kj_model *model = model_of("{\"name\": \"text\"}");
    const struct kj_identity *task = kj_model_identity(model, "task");
    struct kj_store *store = open_with(&(struct kj_store_sqlite_options){
        .path = path, .model = model, .is_relaxed = true, .busy_timeout_ms = 60000});
    char *text = malloc(BLOB_BYTES + 1);
    assert_non_null(text);
    memset(text, 'x', BLOB_BYTES);
    text[BLOB_BYTES] = '\0';
    insert(store, model, json_pack("{s:s}", "ID", "1"));
    pthread_t reader;
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&reader, NULL, read_on, NULL), 0);

    for (int i = 0; i < BIG_WRITES; i++) {
        json_t *object;
        assert_int_equal(store->ops->update(store, task, "1", put_text, text, &object), KJ_OK);
        json_decref(object);
    }

    char log[512];
    struct stat status;
    (void)snprintf(log, sizeof log, "%s-wal", path);
    assert_int_equal(stat(log, &status), 0);
    assert_in_range(status.st_size, 1, LOG_BYTES_MAX);
    atomic_store(&is_over, true);
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_int_equal(counter(store, "store_busy_total"), 0);
    kj_store_free(store);
    free(text);
    kj_model_free(model);
}

static void nobody_else_may_read_the_file(void **state)
{
    (void)state;
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct kj_model *model = model_of("{\"name\": \"s\"}");
    mode_t before = umask(0);
    struct kj_store *store = open_file(model);
    insert(store, model, json_pack("{s:s}", "ID", "1"));
    (void)umask(before);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[512];
        struct stat status;
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        assert_int_equal(stat(name, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    kj_store_free(store);
    kj_model_free(model);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_of_version_1_is_brought_up_to_date),
        TEST(a_file_of_a_later_version_is_refused_and_left_alone),
        TEST(a_file_of_another_program_is_refused),
        TEST(a_file_that_is_held_is_not_waited_for_for_ever),
        TEST(options_that_make_no_sense_are_refused),
        TEST(indexes_follow_the_model),
        TEST(values_come_back_as_they_went),
        TEST(what_could_not_be_read_again_is_not_written),
        TEST(a_write_that_fails_undoes_no_other),
        TEST(readers_do_not_make_the_log_grow_for_ever),
        TEST(nobody_else_may_read_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
