/* idempotency_test.c - writes that come again with their key. */
#include "unit/rest/cmocka_all.h"

#include "unit/rest/fixture.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEADLINE_MS = 10000, LONG_MS = 60000 };

static const char keyed[] = "Idempotency-Key: k1\n";
static const char named[] = "{\"name\":\"a\",\"secret\":\"s\"}";
static const char named_otherwise[] = "{\"name\":\"b\"}";

static struct fixture fixture;
static struct kj__idempotency store;
static int runs; /* of the processor under test */

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    kj__idempotency_init(&store, &fixture.counters);
    store.limits = (struct kj__idempotency_limits){
        .answers = 100, .bytes = 1 << 20, .age_ms = LONG_MS, .wait_ms = DEADLINE_MS, .waiters = 1};
    fixture.api.idempotency = &store;
    runs = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kj__idempotency_fini(&store);
    fixture_fini(&fixture);
    return 0;
}

static int send(const char *method, const char *target, const char *headers, const char *body)
{
    fixture_send_bytes(&fixture, method, target, headers, body, strlen(body));
    return fixture.response.status;
}

static int create(const char *headers, const char *body)
{
    return send("POST", "/v/1/lists", headers, body);
}

/* ---- with the store ---- */

static void assert_count(const char *count)
{
    assert_int_equal(send("HEAD", "/lists", "", ""), 204);
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), count);
}

static void a_repeated_create_gets_its_first_answer(void **state)
{
    (void)state;
    fixture_serve_store(&fixture);
    assert_int_equal(create(keyed, named), 200);
    char *body = strdup(fixture_text(&fixture));
    char *headers = strdup(fixture.headers);

    assert_int_equal(create(keyed, named), 200);

    assert_string_equal(fixture_text(&fixture), body);
    assert_string_equal(fixture.headers, headers);
    assert_non_null(strstr(body, "\"secret\":\"\""));
    assert_int_equal(fixture.event_count, 1);
    assert_int_equal(fixture.counters.idempotency_hits, 1);
    assert_int_equal(fixture.counters.idempotency_answers, 1);
    assert_true(fixture.counters.idempotency_bytes > strlen(body));
    assert_count("1");
    free(headers);
    free(body);
}

static void without_a_key_or_with_another_it_is_another_write(void **state)
{
    (void)state;
    fixture_serve_store(&fixture);
    create(keyed, named);
    create("", named);
    create("Idempotency-Key: \n", named);
    create("Idempotency-Key: k2\n", named);
    assert_count("4");
    assert_int_equal(fixture.event_count, 4);
}

static void updates_and_patches_are_done_once(void **state)
{
    (void)state;
    char id[KJ_OBJECT_ID_SIZE];
    char path[64];
    fixture_serve_store(&fixture);
    fixture_create(&fixture, "/lists", named, id);
    (void)snprintf(path, sizeof path, "/lists/%s", id);
    static const char *const methods[] = {"PUT", "PATCH"};
    for (size_t i = 0; i < 2; i++) {
        char headers[64];
        (void)snprintf(headers, sizeof headers, "Idempotency-Key: %s\n", methods[i]);
        size_t events = fixture.event_count;
        assert_int_equal(send(methods[i], path, headers, "{\"name\":\"mine\"}"), 200);
        assert_int_equal(send("PATCH", path, "", "{\"name\":\"theirs\"}"), 200);

        assert_int_equal(send(methods[i], path, headers, "{\"name\":\"mine\"}"), 200);

        assert_non_null(strstr(fixture_text(&fixture), "\"name\":\"mine\""));
        assert_int_equal(fixture.event_count, events + 2);
        assert_int_equal(send("GET", path, "", ""), 200);
        assert_non_null(strstr(fixture_text(&fixture), "\"name\":\"theirs\""));
    }
}

static void a_key_with_another_request_is_refused(void **state)
{
    (void)state;
    fixture_serve_store(&fixture);
    create(keyed, named);
    static const struct {
        const char *method, *target, *headers, *body;
    } others[] = {
        {"POST", "/v/1/lists", "Idempotency-Key: k1\n", named_otherwise},
        {"POST", "/lists", "Idempotency-Key: k1\n", named},
        {"POST", "/v/1/users", "Idempotency-Key: k1\n", named},
        {"PUT", "/v/1/lists/1", "Idempotency-Key: k1\n", named},
        {"POST", "/v/1/lists?recursive=1", "Idempotency-Key: k1\n", named},
        {"POST", "/v/1/lists", "Idempotency-Key: k1\nX-Namespace: /other\n", named},
        {"POST", "/v/1/lists", "Idempotency-Key: k1\nX-Fields: name\n", named},
        {"POST", "/v/1/lists", "Idempotency-Key: k1\nAccept: application/msgpack\n", named},
    };
    size_t count = sizeof others / sizeof *others;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(
            send(others[i].method, others[i].target, others[i].headers, others[i].body), 422);
    }
    assert_int_equal(fixture.counters.idempotency_conflicts, count);
    assert_int_equal(create(keyed, named_otherwise), 422);
    assert_string_equal(fixture_error(&fixture, "title"), "Idempotency-Key is already used");
    assert_string_equal(fixture_error(&fixture, "subject"), "kujata");
    assert_int_equal(create(keyed, named), 200);
    assert_count("1");
}

static void reads_and_deletes_have_no_use_for_keys(void **state)
{
    (void)state;
    fixture_serve_store(&fixture);
    create(keyed, named);
    assert_int_equal(send("GET", "/lists", keyed, ""), 200);
    assert_int_equal(send("DELETE", "/lists/1", keyed, ""), 404);
    assert_int_equal(send("DELETE", "/lists/2", keyed, ""), 404);
}

static void a_key_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    char headers[400];
    fixture_serve_store(&fixture);
    (void)snprintf(headers, sizeof headers, "Idempotency-Key: %0256d\n", 1);
    assert_int_equal(create(headers, named), 400);
    (void)snprintf(headers, sizeof headers, "Idempotency-Key: %0255d\n", 1);
    assert_int_equal(create(headers, named), 200);
    assert_int_equal(create(headers, named), 200);
    assert_count("1");
}

/* ---- callers ---- */

static void another_caller_has_keys_of_its_own(void **state)
{
    (void)state;
    fixture_serve_store(&fixture);
    static const char *const callers[] = {
        "Idempotency-Key: k1\n",
        "Idempotency-Key: k1\nAuthorization: Bearer one\n",
        "Idempotency-Key: k1\nAuthorization: Bearer two\n",
        "Idempotency-Key: k1\nCookie: token=one\n",
        "Idempotency-Key: k1\nCookie: Bearer one\n",
    };
    for (size_t i = 0; i < sizeof callers / sizeof *callers; i++) {
        assert_int_equal(create(callers[i], named), 200);
        assert_int_equal(create(callers[i], named), 200);
    }
    assert_count("5");
    assert_int_equal(fixture.counters.idempotency_hits, 5);
}

static int create_with_certificate(const char *der)
{
    static const char *const names[] = {NULL};
    const struct kj_certificate values = {
        .subject = "CN=x", .names = names, .der = (const uint8_t *)der, .der_len = strlen(der)};
    struct kj__certificate *certificate = kj__certificate_new(&values);
    struct kj__fields headers;
    struct kj__http_response response;
    kj__fields_init(&headers, true);
    kj__http_response_init(&response);
    assert_non_null(certificate);
    assert_true(kj__fields_add(&headers, "Idempotency-Key", "k1"));
    struct kj__http_request request = {.method = "POST",
                                       .path = "/v/1/lists",
                                       .query = "",
                                       .headers = &headers,
                                       .body = (const uint8_t *)named,
                                       .body_len = strlen(named),
                                       .remote_address = "127.0.0.1",
                                       .certificate = certificate};
    kj__api_handle(&fixture.api, &request, &response);
    int status = response.status;
    kj__http_response_fini(&response);
    kj__fields_fini(&headers);
    kj__certificate_unref(certificate);
    return status;
}

static void another_certificate_is_another_caller(void **state)
{
    (void)state;
    fixture_serve_store(&fixture);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(create_with_certificate("one"), 200);
        assert_int_equal(create_with_certificate("two"), 200);
        assert_int_equal(create(keyed, named), 200);
    }
    assert_int_equal(fixture.counters.idempotency_hits, 3);
    assert_count("3");
}

/* The token's first letter is who it is. */
static enum kj_auth know_the_caller(struct kj_context *context, void *ctx)
{
    (void)ctx;
    char claim[] = "sub=?";
    claim[4] = kj_context_request(context)->password[0];
    const char *claims[] = {claim};
    assert_int_equal(kj_context_set_claims(context, claims, 1), KJ_OK);
    return KJ_AUTH_ACCEPT;
}

static void a_known_caller_may_renew_its_token(void **state)
{
    (void)state;
    const struct kj_request_authenticator authenticator = {.authenticate = know_the_caller};
    fixture_serve_store(&fixture);
    fixture.api.authenticators = &authenticator;
    fixture.api.authenticator_count = 1;

    create("Idempotency-Key: k1\nAuthorization: Bearer a1\n", named);
    create("Idempotency-Key: k1\nAuthorization: Bearer a2\n", named);
    create("Idempotency-Key: k1\nAuthorization: Bearer b1\n", named);

    assert_int_equal(fixture.counters.idempotency_hits, 1);
    assert_int_equal(fixture.event_count, 2);
}

static enum kj_auth refuse_all(struct kj_context *context, void *ctx)
{
    (void)context, (void)ctx;
    return KJ_AUTH_REFUSE;
}

static void who_is_refused_sees_no_answer_and_leaves_none(void **state)
{
    (void)state;
    const struct kj_request_authenticator authenticator = {.authenticate = refuse_all};
    fixture_serve_store(&fixture);
    create(keyed, named);
    fixture.api.authenticators = &authenticator;
    fixture.api.authenticator_count = 1;
    assert_int_equal(create(keyed, named), 401);
    assert_int_equal(create("Idempotency-Key: k2\n", named), 401);
    fixture.api.authenticator_count = 0;
    assert_int_equal(create("Idempotency-Key: k2\n", named), 200);
    assert_count("2");
}

/* ---- which answers are kept ---- */

/* Answers with the status at ctx: an error, or that status, with the input where it is 200. */
static enum kj_status answer_with(struct kj_context *context, void *ctx)
{
    int status = *(const int *)ctx;
    runs++;
    if (status >= 400) {
        struct kj_api_error error = {.code = status, .title = "t"};
        return kj_context_fail(context, &error);
    }
    if (status == 200) {
        kj_context_set_output_take(context, json_incref(kj_context_input(context)));
    }
    kj_context_set_status(context, status);
    return KJ_OK;
}

static void answers_that_invite_a_retry_are_not_kept(void **state)
{
    (void)state;
    static const int passing[] = {401, 403, 408, 423, 425, 429, 500, 502, 503, 504};
    int status = 0;
    fixture_serve_with(&fixture, answer_with, &status);
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        char headers[64];
        (void)snprintf(headers, sizeof headers, "Idempotency-Key: %d\n", passing[i]);
        runs = 0;
        status = passing[i];
        assert_int_equal(create(headers, named), passing[i]);
        status = 200;
        assert_int_equal(create(headers, named), 200);
        assert_int_equal(create(headers, named), 200);
        assert_int_equal(runs, 2);
    }
    assert_int_equal(fixture.counters.idempotency_evictions, 0);
}

static void a_refusal_of_the_processor_is_kept_but_claims_no_key(void **state)
{
    (void)state;
    int status = 409;
    fixture_serve_with(&fixture, answer_with, &status);
    assert_int_equal(create(keyed, named), 409);
    char *body = strdup(fixture_text(&fixture));
    status = 200;
    assert_int_equal(create(keyed, named), 409);
    assert_string_equal(fixture_text(&fixture), body);
    assert_int_equal(runs, 1);

    assert_int_equal(create(keyed, named_otherwise), 200);
    assert_int_equal(runs, 2);
    assert_int_equal(create(keyed, named), 422);
    free(body);
}

/* Says once more that it was here. */
static json_t *stamp(struct kj_context *context, const json_t *errors, void *ctx)
{
    (void)context;
    (void)ctx;
    json_t *stamped = json_deep_copy(errors);
    json_t *error = json_array_get(stamped, 0);
    const char *title = json_string_value(json_object_get(error, "title"));
    json_object_set_new(error, "title", json_sprintf("%s!", title));
    return stamped;
}

static void the_errors_of_a_write_with_a_key_are_transformed_once(void **state)
{
    (void)state;
    int status = 409;
    fixture_serve_with(&fixture, answer_with, &status);
    fixture.api.policy.transformer.transform = stamp;
    assert_int_equal(create(keyed, named), 409);
    assert_string_equal(fixture_error(&fixture, "title"), "t!");
    assert_int_equal(create(keyed, named), 409);
    assert_string_equal(fixture_error(&fixture, "title"), "t!");
    assert_int_equal(runs, 1);
}

/* Puts the status at ctx in place of the errors' own. */
static json_t *dress_up(struct kj_context *context, const json_t *errors, void *ctx)
{
    (void)context;
    json_t *dressed = json_deep_copy(errors);
    json_object_set_new(json_array_get(dressed, 0), "code", json_integer(*(const int *)ctx));
    return dressed;
}

static void what_a_transformer_makes_of_a_status_is_not_more_final(void **state)
{
    (void)state;
    static const struct {
        int status, dressed;
    } rows[] = {{503, 400}, {422, 500}};
    int status = 0;
    int dressed = 0;
    fixture_serve_with(&fixture, answer_with, &status);
    fixture.api.policy.transformer = (struct kj_error_transformer){dress_up, &dressed};
    for (size_t i = 0; i < 2; i++) {
        char headers[64];
        status = rows[i].status;
        dressed = rows[i].dressed;
        (void)snprintf(headers, sizeof headers, "Idempotency-Key: %d\n", status);
        assert_int_equal(create(headers, named), dressed);
        status = 200;
        assert_int_equal(create(headers, named), 200);
    }
}

static void what_no_processor_saw_is_not_kept(void **state)
{
    (void)state;
    int status = 200;
    fixture_serve_with(&fixture, answer_with, &status);
    assert_int_equal(create(keyed, "{}"), 422);
    assert_int_equal(create(keyed, "{"), 400);
    assert_int_equal(fixture.counters.idempotency_answers, 0);
    assert_int_equal(create(keyed, named), 200);
    assert_int_equal(runs, 1);
}

/* The client of bahamut goes on with a key whose answer had no body. */
static void an_answer_without_a_body_claims_no_key(void **state)
{
    (void)state;
    int status = 204;
    fixture_serve_with(&fixture, answer_with, &status);
    assert_int_equal(create(keyed, named), 204);
    assert_int_equal(create(keyed, named), 204);
    assert_int_equal(runs, 1);

    assert_int_equal(create(keyed, named_otherwise), 204);
    assert_int_equal(runs, 2);
    assert_int_equal(send("PUT", "/lists/1", keyed, named), 204);
    assert_int_equal(runs, 3);
    assert_int_equal(send("PUT", "/lists/1", keyed, named), 204);
    assert_int_equal(runs, 4);
    assert_int_equal(fixture.counters.idempotency_conflicts, 0);
}

static void without_a_store_keys_mean_nothing(void **state)
{
    (void)state;
    fixture.api.idempotency = NULL;
    fixture_serve_store(&fixture);
    create(keyed, named);
    create(keyed, named);
    assert_count("2");
}

/* ---- bounds ---- */

static void create_numbered(int number)
{
    char headers[64];
    (void)snprintf(headers, sizeof headers, "Idempotency-Key: n%d\n", number);
    assert_int_equal(create(headers, named), 200);
}

static void the_oldest_answers_give_way_to_new_ones(void **state)
{
    (void)state;
    int status = 200;
    store.limits.answers = 2;
    fixture_serve_with(&fixture, answer_with, &status);
    fixture.api.publish = NULL;
    for (int i = 0; i < 3; i++) {
        create_numbered(i);
    }
    assert_int_equal(fixture.counters.idempotency_evictions, 1);
    assert_int_equal(fixture.counters.idempotency_answers, 2);
    create_numbered(1);
    create_numbered(2);
    assert_int_equal(runs, 3);
    create_numbered(0);
    assert_int_equal(runs, 4);
}

static void answers_are_bounded_in_bytes(void **state)
{
    (void)state;
    int status = 200;
    fixture_serve_with(&fixture, answer_with, &status);
    fixture.api.publish = NULL;
    create_numbered(0);
    uint64_t one = fixture.counters.idempotency_bytes;
    store.limits.bytes = (uint32_t)(one * 5 / 2);
    for (int i = 1; i < 10; i++) {
        create_numbered(i);
        assert_in_range(fixture.counters.idempotency_bytes, one, store.limits.bytes);
    }
    assert_int_equal(fixture.counters.idempotency_evictions, 8);
    assert_int_equal(fixture.counters.idempotency_answers, 2);

    /* One that cannot be kept leaves the others where they are. */
    store.limits.bytes = (uint32_t)one - 1;
    create_numbered(10);
    assert_int_equal(fixture.counters.idempotency_evictions, 9);
    assert_int_equal(fixture.counters.idempotency_answers, 2);
}

static void answers_grow_old(void **state)
{
    (void)state;
    int status = 200;
    store.limits.age_ms = 1;
    fixture_serve_with(&fixture, answer_with, &status);
    fixture.api.publish = NULL;
    for (int waited = 0; runs < 2; waited++) {
        assert_true(waited < DEADLINE_MS);
        create_numbered(0);
        poll(NULL, 0, 1);
    }
    assert_int_equal(fixture.counters.idempotency_evictions, 0);
    assert_int_equal(fixture.counters.idempotency_conflicts, 0);
}

/* ---- at once ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int entered;
    bool is_open;
    int status; /* of the first run */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static enum kj_status pass_the_gate(struct kj_context *context, void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&gate.lock);
    int number = gate.entered++;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.is_open) {
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    int status = number == 0 ? gate.status : 200;
    pthread_mutex_unlock(&gate.lock);
    return answer_with(context, &status);
}

static void close_gate(int status)
{
    gate.entered = 0;
    gate.is_open = false;
    gate.status = status;
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void wait_for_entry(void)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.entered == 0) {
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    pthread_mutex_unlock(&gate.lock);
}

static void wait_for_waiter(void)
{
    for (uint32_t waiters = 0; waiters == 0;) {
        pthread_mutex_lock(&store.lock);
        waiters = store.waiters;
        pthread_mutex_unlock(&store.lock);
        poll(NULL, 0, 1);
    }
}

/* A create of `named` from a thread of its own; its status. */
static void *create_apart(void *ctx)
{
    struct kj__fields headers;
    struct kj__http_response response;
    kj__fields_init(&headers, true);
    kj__http_response_init(&response);
    (void)kj__fields_add(&headers, "Idempotency-Key", "k1");
    struct kj__http_request request = {.method = "POST",
                                       .path = "/v/1/lists",
                                       .query = "",
                                       .headers = &headers,
                                       .body = (const uint8_t *)named,
                                       .body_len = strlen(named),
                                       .remote_address = "127.0.0.1"};
    kj__api_handle(&fixture.api, &request, &response);
    *(int *)ctx = response.status;
    kj__http_response_fini(&response);
    kj__fields_fini(&headers);
    return NULL;
}

/* One runs, one waits for it; the first run ends with this status. */
static void run_two(int first_status, int *first, int *second)
{
    pthread_t threads[2];
    close_gate(first_status);
    fixture_serve_with(&fixture, pass_the_gate, NULL);
    fixture.api.publish = NULL;
    assert_int_equal(pthread_create(&threads[0], NULL, create_apart, first), 0);
    wait_for_entry();
    assert_int_equal(pthread_create(&threads[1], NULL, create_apart, second), 0);
    wait_for_waiter();
    /* No more than the one may wait. */
    assert_int_equal(create(keyed, named), 409);
    assert_string_equal(fixture_error(&fixture, "title"), "Conflict");
    assert_int_equal(create(keyed, named_otherwise), 422);
    open_gate();
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
}

static void of_two_equal_requests_at_once_one_runs(void **state)
{
    (void)state;
    int first = 0, second = 0;
    run_two(200, &first, &second);
    assert_int_equal(first, 200);
    assert_int_equal(second, 200);
    assert_int_equal(runs, 1);
    assert_int_equal(fixture.counters.idempotency_hits, 1);
    assert_int_equal(fixture.counters.idempotency_conflicts, 2);
}

/* Others that finish wake whoever waits, who then goes on waiting. */
static void another_write_that_finishes_changes_nothing(void **state)
{
    (void)state;
    int first = 0, second = 0;
    pthread_t threads[2];
    close_gate(200);
    fixture_serve_with(&fixture, pass_the_gate, NULL);
    struct kj_processor users = kj_store_processor(fixture.store);
    assert_int_equal(kj__api_register(&fixture.api, "user", &users), KJ_OK);
    fixture.api.publish = NULL;
    assert_int_equal(pthread_create(&threads[0], NULL, create_apart, &first), 0);
    wait_for_entry();
    assert_int_equal(pthread_create(&threads[1], NULL, create_apart, &second), 0);
    wait_for_waiter();
    for (int i = 0; i < 100; i++) {
        char headers[64];
        (void)snprintf(headers, sizeof headers, "Idempotency-Key: u%d\n", i);
        assert_int_equal(send("POST", "/users", headers,
                              "{\"firstName\":\"a\",\"lastName\":\"b\",\"userName\":\"c\"}"),
                         200);
        assert_int_equal(create(keyed, named), 409); /* the one place is taken */
    }
    open_gate();
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    assert_int_equal(first, 200);
    assert_int_equal(second, 200);
    assert_int_equal(runs, 1);
    assert_int_equal(store.waiters, 0);
}

static void who_waited_runs_when_the_first_failed(void **state)
{
    (void)state;
    int first = 0, second = 0;
    run_two(503, &first, &second);
    assert_int_equal(first, 503);
    assert_int_equal(second, 200);
    assert_int_equal(runs, 2);
    assert_int_equal(fixture.counters.idempotency_answers, 1);
}

static void who_waits_too_long_gets_a_409(void **state)
{
    (void)state;
    int first = 0;
    pthread_t thread;
    store.limits.wait_ms = 1;
    close_gate(200);
    fixture_serve_with(&fixture, pass_the_gate, NULL);
    fixture.api.publish = NULL;
    assert_int_equal(pthread_create(&thread, NULL, create_apart, &first), 0);
    wait_for_entry();
    assert_int_equal(create(keyed, named), 409);
    assert_int_equal(store.waiters, 0);
    open_gate();
    pthread_join(thread, NULL);
    assert_int_equal(create(keyed, named), 200);
    assert_int_equal(runs, 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_repeated_create_gets_its_first_answer),
        TEST(without_a_key_or_with_another_it_is_another_write),
        TEST(updates_and_patches_are_done_once),
        TEST(a_key_with_another_request_is_refused),
        TEST(reads_and_deletes_have_no_use_for_keys),
        TEST(a_key_beyond_the_limit_is_refused),
        TEST(another_caller_has_keys_of_its_own),
        TEST(another_certificate_is_another_caller),
        TEST(a_known_caller_may_renew_its_token),
        TEST(who_is_refused_sees_no_answer_and_leaves_none),
        TEST(answers_that_invite_a_retry_are_not_kept),
        TEST(a_refusal_of_the_processor_is_kept_but_claims_no_key),
        TEST(the_errors_of_a_write_with_a_key_are_transformed_once),
        TEST(what_a_transformer_makes_of_a_status_is_not_more_final),
        TEST(what_no_processor_saw_is_not_kept),
        TEST(an_answer_without_a_body_claims_no_key),
        TEST(without_a_store_keys_mean_nothing),
        TEST(the_oldest_answers_give_way_to_new_ones),
        TEST(answers_are_bounded_in_bytes),
        TEST(answers_grow_old),
        TEST(of_two_equal_requests_at_once_one_runs),
        TEST(another_write_that_finishes_changes_nothing),
        TEST(who_waited_runs_when_the_first_failed),
        TEST(who_waits_too_long_gets_a_409),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
