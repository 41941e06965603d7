/* memory_test.c - requests under an allocator that fails at each call in turn. */
#include "unit/rest/cmocka_all.h"

#include "support/failing_allocator.h"
#include "unit/rest/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *method, *path, *query, *body;
} requests[] = {
    {"POST", "/v/1/lists", "",
     "{\"name\":\"x\",\"slice\":[\"a\"],\"date\":\"2021-03-04T05:06:07Z\"}"},
    {"POST", "/v/1/lists", "", "{}"},
    {"POST", "/lists/1/tasks", "", "{\"name\":\"x\"}"},
    {"GET", "/lists", "order=-name&limit=1", ""},
    {"GET", "/lists", "order=-name&order=date&limit=1&q=name+!=+x&level=low&level=high", ""},
    {"GET", "/lists", "order=name&after=1&limit=1", ""},
    {"GET", "/lists", "order=name&after=~2231220a6e616d650a226e220a", ""}, /* "1", name, "n" */
    {"GET", "/lists", "order=name&after=~2231220a", ""},
    {"GET", "/lists", "q=name+==", ""},
    {"GET", "/lists", "depth=x", ""},
    {"DELETE", "/users/1", "", ""},
    {"GET", "/lists", "foo=1&bar=2", ""},
    {"GET", "/lists/1", "", ""},
    {"PATCH", "/lists/1", "", "{\"description\":\"q\"}"},
    {"PUT", "/lists/1", "", "{\"name\":\"q\"}"},
    {"DELETE", "/lists/2", "", ""},
    {"GET", "/nowhere/at/all/at/all", "", ""},
};

static struct fixture fixture;
static struct kj__idempotency answers;

/* Under a key that nothing had before. */
static int send_failing(size_t which, const char *accept, long failing_call)
{
    static int number;
    char key[32];
    (void)snprintf(key, sizeof key, "%d", number++);
    struct kj__fields headers;
    struct kj__http_response response;
    kj__fields_init(&headers, true);
    assert_true(kj__fields_add(&headers, "Accept", accept));
    assert_true(kj__fields_add(&headers, "Authorization", "Bearer x"));
    assert_true(kj__fields_add(&headers, "Idempotency-Key", key));
    kj__http_response_init(&response);
    struct kj__http_request request = {.method = requests[which].method,
                                       .path = requests[which].path,
                                       .query = requests[which].query,
                                       .headers = &headers,
                                       .body = (const uint8_t *)requests[which].body,
                                       .body_len = strlen(requests[which].body),
                                       .remote_address = ""};
    allocator_fail_after(failing_call, false);
    kj__api_handle(&fixture.api, &request, &response);
    int status = response.status;
    kj__http_response_fini(&response);
    kj__fields_fini(&headers);
    return status;
}

/* In a text jansson takes want of memory for a fault of the text, in most places. */
static bool holds_texts(size_t which)
{
    return strchr(requests[which].body, '"') || strchr(requests[which].query, '~');
}

/* True once the request needs fewer calls than it would take to fail. Without memory the answer is
 * a server's error or what it is with it, and nothing that the client is to blame for. */
static bool survives(size_t which, const char *accept, long failing_call, int *expected)
{
    int status = send_failing(which, accept, failing_call);
    bool is_over = !allocator_recover();
    assert_in_range(status, 200, 599);
    if (status < 500 && !holds_texts(which)) {
        *expected = *expected ? *expected : status;
        assert_int_equal(status, *expected);
    }
    for (size_t i = 0; i < fixture.event_count; i++) {
        kj_event_unref(fixture.events[i]);
    }
    fixture.event_count = 0;
    return is_over;
}

static void insert_list(const char *id)
{
    const struct kj_identity *list = kj_model_identity(fixture.model, "list");
    json_t *object = json_pack("{s:s,s:s,s:s,s:s}", "ID", id, "parentID", "", "parentType", "root",
                               "name", "n");
    (void)fixture.store->ops->insert(fixture.store, list, object);
    json_decref(object);
}

/* For jansson; one of our own calls, which fail in turn. */
static void *allocate(size_t size)
{
    return malloc(size);
}

static void every_request_is_answered_without_memory(void **state)
{
    (void)state;
    static const char *const accepts[] = {"application/json", "application/msgpack"};
    json_set_alloc_funcs(allocate, free);
    fixture_init(&fixture);
    fixture_serve_store(&fixture);
    insert_list("1");
    kj__idempotency_init(&answers, &fixture.counters);
    answers.limits = (struct kj__idempotency_limits){.answers = 10, .bytes = 1 << 20, .age_ms = 1};
    fixture.api.idempotency = &answers;

    for (size_t which = 0; which < sizeof requests / sizeof *requests; which++) {
        for (size_t i = 0; i < 2; i++) {
            long failing_call = 0;
            int expected = 0;
            do {
                insert_list("2");
            } while (!survives(which, accepts[i], failing_call++, &expected));
            assert_true(failing_call > 3);
        }
    }

    kj__idempotency_fini(&answers);
    fixture_fini(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_is_answered_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
