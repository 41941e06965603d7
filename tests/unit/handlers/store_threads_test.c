/* store_threads_test.c - a storage under several threads. */
#include "unit/rest/cmocka_all.h"

#include "unit/handlers/storage.h"
#include "unit/rest/fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 1000 };

static struct kj_model *model;
static const struct kj_identity *task;
static struct kj_store *store;
static struct kj_filter *filter; /* lets every object through */

static int set_up(void **state)
{
    (void)state;
    model = fixture_model();
    task = kj_model_identity(model, "task");
    assert_int_equal(kj_filter_parse("count >= 0", &filter, NULL), KJ_OK);
    return storage_open(model, &store);
}

static int tear_down(void **state)
{
    (void)state;
    storage_close(store);
    kj_filter_unref(filter);
    kj_model_free(model);
    return 0;
}

static enum kj_status insert(const char *id)
{
    json_t *object = json_pack("{s:s,s:s,s:i}", "ID", id, "parentID", "p", "count", 0);
    enum kj_status status = store->ops->insert(store, task, object);
    json_decref(object);
    return status;
}

/* Runs the function in every thread; each gets its number, and returns NULL when all is well. */
static void run(void *(*function)(void *))
{
    pthread_t threads[THREADS];
    static int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, function, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        if (wrong) {
            fail_msg("%s", (const char *)wrong);
        }
    }
}

static enum kj_status count_one(json_t *object, void *ctx)
{
    (void)ctx;
    json_int_t count = json_integer_value(json_object_get(object, "count"));
    json_object_set_new(object, "count", json_integer(count + 1));
    return KJ_OK;
}

static void *count_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        json_t *object;
        if (store->ops->update(store, task, "1", count_one, NULL, &object)) {
            return "an update failed";
        }
        json_decref(object);
    }
    return NULL;
}

static void concurrent_updates_lose_nothing(void **state)
{
    (void)state;
    json_t *object;
    assert_int_equal(insert("1"), KJ_OK);

    run(count_often);

    assert_int_equal(store->ops->get(store, task, "1", &object), KJ_OK);
    assert_int_equal(json_integer_value(json_object_get(object, "count")), THREADS * ROUNDS);
    json_decref(object);
}

/* Half of the threads change the set of objects, the other half read all there is. */
static void *mix(void *arg)
{
    static const char *const order[] = {"-count", NULL};
    int number = *(int *)arg;
    struct kj_store_query query = {.parent_type = "", .parent_id = "p", .limit = 10};
    char id[32];
    for (int i = 0; i < ROUNDS; i++) {
        json_t *value = NULL;
        size_t total;
        (void)snprintf(id, sizeof id, "%d-%d", number, i);
        if (number % 2 == 0) {
            if (insert(id) || (i % 3 == 0 && store->ops->remove(store, task, id, &value))) {
                return "a write failed";
            }
        } else {
            query.order = i % 2 ? order : NULL;
            query.filter = i % 4 < 2 ? filter : NULL;
            if (store->ops->list(store, task, &query, &value, &total)) {
                return "a list failed";
            }
            if (json_array_size(value) > 10 || json_array_size(value) > total) {
                return "a list is longer than it may be";
            }
        }
        json_decref(value);
    }
    return NULL;
}

static void readers_and_writers_go_together(void **state)
{
    (void)state;
    size_t total;

    run(mix);

    assert_int_equal(store->ops->list(store, task, &(struct kj_store_query){0}, NULL, &total),
                     KJ_OK);
    assert_int_equal(total, 2 * (ROUNDS - (ROUNDS + 2) / 3));
}

static void *insert_the_same(void *arg)
{
    static atomic_int won[ROUNDS];
    char id[32];
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        (void)snprintf(id, sizeof id, "%d", i);
        enum kj_status status = insert(id);
        if (status == KJ_OK && atomic_fetch_add(&won[i], 1) > 0) {
            return "two inserts of one ID succeeded";
        }
        if (status && status != KJ_EEXIST) {
            return "an insert failed";
        }
    }
    return NULL;
}

static void one_of_several_inserts_of_an_id_wins(void **state)
{
    (void)state;
    size_t total;

    run(insert_the_same);

    assert_int_equal(store->ops->list(store, task, &(struct kj_store_query){0}, NULL, &total),
                     KJ_OK);
    assert_int_equal(total, ROUNDS);
}

static struct kj__api api;
static struct kj__counters counters;

static int answer(const char *method, const char *path, const char *body)
{
    struct kj__fields headers;
    struct kj__http_response response;
    kj__fields_init(&headers, true);
    kj__http_response_init(&response);
    struct kj__http_request request = {.method = method,
                                       .path = path,
                                       .query = "",
                                       .headers = &headers,
                                       .body = (const uint8_t *)body,
                                       .body_len = strlen(body),
                                       .remote_address = ""};
    kj__api_handle(&api, &request, &response);
    int status = response.status;
    kj__http_response_fini(&response);
    kj__fields_fini(&headers);
    return status;
}

static void *send_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS / 4; i++) {
        if (answer("PATCH", "/tasks/1", "{\"description\":\"d\"}") != 200 ||
            answer("POST", "/lists/1/tasks", "{\"name\":\"n\"}") != 200 ||
            answer("GET", "/tasks/1", "") != 200 || answer("GET", "/tasks/2", "") != 404) {
            return "a request was answered otherwise";
        }
    }
    return NULL;
}

static void requests_of_several_workers_are_all_answered(void **state)
{
    (void)state;
    size_t total;
    struct kj_processor processor = kj_store_processor(store);
    kj__api_init(&api, model, &counters);
    assert_int_equal(kj__api_register(&api, NULL, &processor), KJ_OK);
    json_t *object = json_pack("{s:s,s:s}", "ID", "1", "name", "n");
    assert_int_equal(store->ops->insert(store, task, object), KJ_OK);
    assert_int_equal(store->ops->insert(store, kj_model_identity(model, "list"), object), KJ_OK);
    json_decref(object);

    run(send_often);

    assert_int_equal(store->ops->list(store, task, &(struct kj_store_query){0}, NULL, &total),
                     KJ_OK);
    assert_int_equal(total, 1 + THREADS * (ROUNDS / 4));
    assert_int_equal(counters.http_requests, THREADS * ROUNDS);
    assert_int_equal(counters.http_errors_4xx, THREADS * (ROUNDS / 4));
    kj__api_fini(&api);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(concurrent_updates_lose_nothing),
        TEST(readers_and_writers_go_together),
        TEST(one_of_several_inserts_of_an_id_wins),
        TEST(requests_of_several_workers_are_all_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
