/* store_sqlite_count_test.c - counts of the storage in SQLite: those the file keeps, and those of
 * filters that leave many of many objects.
 */
#include "unit/rest/cmocka_all.h"

#include "unit/handlers/storage.h"
#include "unit/rest/fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { OBJECTS = 6000, REMOVED_EVERY = 11, THREADS = 8, ROUNDS = 40, PARENTS = 97 };

static const char model_text[] =
    "{\"identities\": [{\"name\": \"task\", \"category\": \"tasks\", \"attributes\": ["
    "{\"name\": \"n\", \"type\": \"integer\"}, {\"name\": \"kind\"},"
    "{\"name\": \"done\", \"type\": \"boolean\"}]},"
    "{\"name\": \"note\", \"category\": \"notes\", \"attributes\": []}]}";

static struct kj_model *model;
static struct kj_store *store;
static const struct kj_identity *task, *note;

static int set_up(void **state)
{
    (void)state;
    struct kj_error error = {0};
    assert_int_equal(kj_model_parse(model_text, strlen(model_text), "model", &model, &error),
                     KJ_OK);
    struct kj_store_sqlite_options options = {
        .path = storage_path(), .model = model, .is_relaxed = true};
    assert_int_equal(kj_store_sqlite_new(&options, &store, &error), KJ_OK);
    task = kj_model_identity(model, "task");
    note = kj_model_identity(model, "note");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kj_store_free(store);
    storage_remove();
    kj_model_free(model);
    return 0;
}

static size_t count_of(const struct kj_identity *identity, const char *filter, const char *parent)
{
    size_t total = 0;
    struct kj_filter *parsed = NULL;
    if (filter) {
        assert_int_equal(kj_filter_parse(filter, &parsed, NULL), KJ_OK);
    }
    struct kj_store_query query = {.filter = parsed};
    if (parent) {
        query.parent_type = "list";
        query.parent_id = parent;
    }
    assert_int_equal(store->ops->list(store, identity, &query, NULL, &total), KJ_OK);
    kj_filter_unref(parsed);
    return total;
}

/* ---- filters ---- */

static bool is_there(int i)
{
    return i % REMOVED_EVERY != 0;
}

static bool is_low_and_odd(int i)
{
    return i < OBJECTS / 2 && i % 2 == 1;
}

static bool is_middle(int i)
{
    return i >= OBJECTS / 4 && i < OBJECTS / 2 && i % 2 == 1 && i % 3 != 0;
}

static bool is_odd_or_third_and_low(int i)
{
    return (i % 2 == 1 || i % 3 == 0) && i < OBJECTS / 2;
}

static bool is_rare(int i)
{
    return i < 10 && i % 2 == 1;
}

static size_t expect(bool (*matches)(int i), int modulus)
{
    size_t count = 0;
    for (int i = 0; i < OBJECTS; i++) {
        count += is_there(i) && i % modulus == 0 && matches(i);
    }
    return count;
}

static void make_objects(void)
{
    char id[16];
    json_t *removed;
    for (int i = 0; i < OBJECTS; i++) {
        (void)snprintf(id, sizeof id, "%08d", i * 7919 % OBJECTS);
        json_t *object = json_pack("{s:s,s:s,s:s,s:i,s:s,s:b}", "ID", id, "parentType", "list",
                                   "parentID", i % 5 ? "p" : "q", "n", i, "kind",
                                   i % 2 ? "odd" : "even", "done", i % 3 == 0);
        assert_non_null(object);
        assert_int_equal(store->ops->insert(store, task, object), KJ_OK);
        json_decref(object);
    }
    for (int i = 0; i < OBJECTS; i += REMOVED_EVERY) {
        (void)snprintf(id, sizeof id, "%08d", i * 7919 % OBJECTS);
        assert_int_equal(store->ops->remove(store, task, id, &removed), KJ_OK);
        json_decref(removed);
    }
}

static void what_several_comparisons_have_in_common_is_counted(void **state)
{
    (void)state;
    static const struct {
        const char *filter;
        bool (*matches)(int i);
    } cases[] = {
        {"n < 3000 and kind == odd", is_low_and_odd},
        {"kind == odd and n >= 1500 and n < 3000 and done != true", is_middle},
        {"(kind == odd or done == true) and n < 3000", is_odd_or_third_and_low},
        {"n < 10 and kind == odd", is_rare},
    };
    make_objects();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(count_of(task, cases[i].filter, NULL), expect(cases[i].matches, 1));
        assert_int_equal(count_of(task, cases[i].filter, "q"), expect(cases[i].matches, 5));
    }
    assert_int_equal(count_of(task, "n < 3000 and kind == neither", NULL), 0);
}

/* ---- kept counts ---- */

static void *write_and_remove(void *arg)
{
    int thread = *(int *)arg;
    for (int i = 0; i < ROUNDS * PARENTS; i++) {
        char id[32];
        char parent[16];
        json_t *removed;
        const struct kj_identity *identity = i % 2 ? task : note;
        (void)snprintf(id, sizeof id, "%d %d", thread, i);
        (void)snprintf(parent, sizeof parent, "p%d", i % PARENTS);
        json_t *object = json_pack("{s:s,s:s,s:s}", "ID", id, "parentType", "list", "parentID",
                                   parent);
        assert_int_equal(store->ops->insert(store, identity, object), KJ_OK);
        json_decref(object);
        if (i % 4 > 1) {
            assert_int_equal(store->ops->remove(store, identity, id, &removed), KJ_OK);
            json_decref(removed);
        }
    }
    return NULL;
}

/* More parents than a transaction keeps sums of, some of which come and go. */
static void kept_counts_are_those_of_the_objects(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int numbers[THREADS];
    size_t tasks[PARENTS] = {0};
    size_t notes[PARENTS] = {0};
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_remove, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }

    size_t sums[2] = {0};
    for (int i = 0; i < ROUNDS * PARENTS; i++) {
        if (i % 4 <= 1) {
            size_t *counts = i % 2 ? tasks : notes;
            counts[i % PARENTS] += THREADS;
            sums[i % 2] += THREADS;
        }
    }
    for (int i = 0; i < PARENTS; i++) {
        char parent[16];
        (void)snprintf(parent, sizeof parent, "p%d", i);
        assert_int_equal(count_of(task, NULL, parent), tasks[i]);
        assert_int_equal(count_of(note, NULL, parent), notes[i]);
    }
    assert_int_equal(count_of(note, NULL, NULL), sums[0]);
    assert_int_equal(count_of(task, NULL, NULL), sums[1]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_several_comparisons_have_in_common_is_counted),
        TEST(kept_counts_are_those_of_the_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
