/* processor_test.c - what processors can ask for. */
#include "unit/rest/cmocka_all.h"

#include "unit/rest/fixture.h"

#include <stdio.h>
#include <string.h>

static struct fixture fixture;
static const char *seen; /* by a processor under test */

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    seen = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&fixture);
    return 0;
}

static json_t *echo(struct kj_context *context)
{
    return json_incref(kj_context_input(context));
}

static enum kj_status answer_nothing(struct kj_context *context, void *ctx)
{
    (void)ctx;
    (void)context;
    return KJ_OK;
}

static void no_output_is_a_204_without_event(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, answer_nothing, NULL);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.response.status, 204);
    assert_int_equal(fixture.body.len, 0);
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), "0");
    assert_int_equal(fixture.event_count, 0);
}

static enum kj_status set_status(struct kj_context *context, void *ctx)
{
    kj_context_set_status(context, *(int *)ctx);
    return KJ_OK;
}

static void status_without_output_is_kept(void **state)
{
    (void)state;
    int status = 202;
    fixture_serve_with(&fixture, set_status, &status);

    fixture_create_list(&fixture);
    assert_int_equal(fixture.response.status, 202);
    assert_int_equal(fixture.body.len, 0);

    status = 200;
    fixture_create_list(&fixture);
    assert_int_equal(fixture.response.status, 204);
}

static enum kj_status answer_with_status(struct kj_context *context, void *ctx)
{
    kj_context_set_output_take(context, echo(context));
    return set_status(context, ctx);
}

static void status_with_output_is_kept(void **state)
{
    (void)state;
    int status = 201;
    fixture_serve_with(&fixture, answer_with_status, &status);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.response.status, 201);
    assert_non_null(strstr(fixture_text(&fixture), "\"name\":\"a\""));
    assert_int_equal(fixture.event_count, 1);
}

static enum kj_status say_things(struct kj_context *context, void *ctx)
{
    (void)ctx;
    assert_int_equal(kj_context_add_message(context, "first message"), KJ_OK);
    assert_int_equal(kj_context_add_message(context, "second message"), KJ_OK);
    assert_int_equal(kj_context_add_message(context, "two\r\nlines: x"), KJ_EINVAL);
    assert_int_equal(kj_context_set_next(context, "a\nb"), KJ_EINVAL);
    assert_int_equal(kj_context_set_next(context, "cursor"), KJ_OK);
    kj_context_set_count(context, 7);
    kj_context_set_output_take(context, json_array());
    return KJ_OK;
}

static void messages_count_and_next_become_headers(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, say_things, NULL);

    fixture_send(&fixture, "GET", "/lists", "");

    assert_string_equal(fixture.headers, "Accept: application/msgpack,application/json\n"
                                         "Content-Type: application/json; charset=UTF-8\n"
                                         "Vary: Accept-Encoding\n"
                                         "X-Count-Total: 7\n"
                                         "X-Messages: first message;second message\n"
                                         "X-Next: cursor\n");
    assert_string_equal(fixture_text(&fixture), "[]");
}

static enum kj_status set_cookies(struct kj_context *context, void *ctx)
{
    (void)ctx;
    static const struct kj_cookie good[] = {
        {.name = "c1", .value = "v1", .path = "/"},
        {.name = "c2", .value = "v2", .http_only = true},
        {.name = "c3",
         .domain = "a.example",
         .max_age_s = 60,
         .secure = true,
         .same_site = KJ_SAME_SITE_NONE},
        {.name = "c4", .max_age_s = -1, .same_site = KJ_SAME_SITE_LAX},
    };
    static const struct kj_cookie bad[] = {
        {.name = NULL},
        {.name = ""},
        {.name = "a b"},
        {.name = "a=b"},
        {.name = "a", .value = "v; Path=/"},
        {.name = "a", .value = "v\r\nX: y"},
        {.name = "a", .value = "\xc3\xa9"},
        {.name = "a", .path = "/; Secure"},
        {.name = "a", .domain = "a, b"},
        {.name = "a", .same_site = KJ_SAME_SITE_NONE},
        {.name = "a", .same_site = (enum kj_same_site)7},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(kj_context_add_cookie(context, &good[i]), KJ_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(kj_context_add_cookie(context, &bad[i]), KJ_EINVAL);
    }
    return KJ_OK;
}

static void cookies_become_headers_and_bad_ones_do_not(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, set_cookies, NULL);

    fixture_send(&fixture, "GET", "/lists", "");

    assert_string_equal(fixture.headers,
                        "Accept: application/msgpack,application/json\n"
                        "Content-Type: application/json; charset=UTF-8\n"
                        "Set-Cookie: c1=v1; Path=/\n"
                        "Set-Cookie: c2=v2; HttpOnly\n"
                        "Set-Cookie: c3=; Domain=a.example; Max-Age=60; Secure; SameSite=None\n"
                        "Set-Cookie: c4=; Max-Age=0; SameSite=Lax\n"
                        "Vary: Accept-Encoding\n"
                        "X-Count-Total: 0\n");
}

static enum kj_status set_too_many_cookies(struct kj_context *context, void *ctx)
{
    (void)ctx;
    static char long_value[5000];
    memset(long_value, 'v', sizeof long_value - 1);
    struct kj_cookie cookie = {.name = "c", .value = long_value};
    assert_int_equal(kj_context_add_cookie(context, &cookie), KJ_ELIMIT);
    cookie.value = "v";
    for (int i = 0; i < 64; i++) {
        assert_int_equal(kj_context_add_cookie(context, &cookie), KJ_OK);
    }
    assert_int_equal(kj_context_add_cookie(context, &cookie), KJ_ELIMIT);
    return kj_context_fail(context, &(struct kj_api_error){.code = 418, .title = "Teapot"});
}

static void cookies_are_bounded_and_not_set_by_errors(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, set_too_many_cookies, NULL);

    fixture_send(&fixture, "GET", "/lists", "");

    assert_int_equal(fixture.response.status, 418);
    assert_null(fixture_header(&fixture, "Set-Cookie"));
}

static void lists_make_no_event(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, say_things, NULL);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.event_count, 0);
}

static enum kj_status redirect(struct kj_context *context, void *ctx)
{
    (void)ctx;
    kj_context_set_output_take(context, echo(context));
    return kj_context_set_redirect(context, "http://127.0.0.1/elsewhere");
}

static void redirect_has_no_body_and_no_count_but_its_event(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, redirect, NULL);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.response.status, 302);
    assert_int_equal(fixture.body.len, 0);
    assert_string_equal(fixture.headers, "Accept: application/msgpack,application/json\n"
                                         "Content-Type: application/json; charset=UTF-8\n"
                                         "Location: http://127.0.0.1/elsewhere\n"
                                         "Vary: Accept-Encoding\n");
    assert_int_equal(fixture.event_count, 1);
}

static struct kj_event *make_event(const char *type)
{
    json_t *entity = json_pack("{s:s}", "ID", type);
    struct kj_event *event;
    assert_int_equal(kj_event_new_untyped("thing", type, entity, &event), KJ_OK);
    json_decref(entity);
    return event;
}

static enum kj_status enqueue_two(struct kj_context *context, void *ctx)
{
    static const char *const types[] = {"delete", "update"};
    for (int i = 0; i < 2; i++) {
        struct kj_event *event = make_event(types[i]);
        assert_int_equal(kj_context_enqueue_event(context, event), KJ_OK);
        kj_event_unref(event);
    }
    if (kj_context_input(context)) {
        kj_context_set_output_take(context, echo(context));
    }
    if (ctx) {
        kj_context_disable_push(context);
    }
    return KJ_OK;
}

static void enqueued_events_go_out_in_order_before_the_automatic_one(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, enqueue_two, NULL);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.event_count, 3);
    assert_string_equal(kj_event_type(fixture.events[0]), "delete");
    assert_string_equal(kj_event_type(fixture.events[1]), "update");
    assert_string_equal(kj_event_type(fixture.events[2]), "create");
    assert_string_equal(kj_event_identity(fixture.events[2]), "list");
}

static void disabled_push_leaves_the_enqueued_events(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, enqueue_two, &fixture);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.event_count, 2);
}

static void reads_publish_only_what_was_enqueued(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, enqueue_two, NULL);

    fixture_send(&fixture, "GET", "/lists/1", "");

    assert_int_equal(fixture.response.status, 204);
    assert_int_equal(fixture.event_count, 2);
}

static enum kj_status enqueue_and_fail(struct kj_context *context, void *ctx)
{
    enum kj_status status = enqueue_two(context, NULL);
    struct kj_api_error error = {.code = 409, .title = "First", .description = "first error"};
    json_t *data = json_pack("{s:i}", "n", 12);
    (void)ctx;
    assert_int_equal(status, KJ_OK);
    status = kj_context_fail(context, &error);
    assert_int_equal(status, KJ_EREFUSED);
    error = (struct kj_api_error){
        .code = 403, .title = "Second", .description = "second", .subject = "me", .data = data};
    status = kj_context_fail(context, &error);
    json_decref(data);
    return status;
}

static void failure_answers_every_error_and_publishes_nothing(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, enqueue_and_fail, NULL);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.response.status, 409);
    assert_int_equal(fixture.event_count, 0);
    json_t *errors = fixture_json(&fixture);
    assert_int_equal(json_array_size(errors), 2);
    const json_t *first = json_array_get(errors, 0);
    const json_t *second = json_array_get(errors, 1);
    assert_string_equal(json_string_value(json_object_get(first, "subject")), "kujata");
    assert_string_equal(json_string_value(json_object_get(second, "subject")), "me");
    assert_string_equal(json_string_value(json_object_get(first, "trace")),
                        json_string_value(json_object_get(second, "trace")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(second, "data"), "n")), 12);
    json_decref(errors);
    assert_int_equal(fixture.counters.http_errors_4xx, 1);
}

static enum kj_status return_status(struct kj_context *context, void *ctx)
{
    (void)context;
    return *(enum kj_status *)ctx;
}

static void plain_failure_is_a_500_with_the_status_text(void **state)
{
    (void)state;
    enum kj_status status = KJ_EIO;
    fixture_serve_with(&fixture, return_status, &status);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.response.status, 500);
    assert_string_equal(fixture_error(&fixture, "title"), "Internal Server Error");
    assert_string_equal(fixture_error(&fixture, "description"), kj_status_text(KJ_EIO));
    assert_string_equal(fixture_error(&fixture, "subject"), "elemental");
    assert_int_equal(fixture.counters.http_errors_5xx, 1);
}

static enum kj_status fail_quietly(struct kj_context *context, void *ctx)
{
    (void)enqueue_and_fail(context, ctx);
    return KJ_OK;
}

static void errors_count_even_when_the_processor_returns_ok(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, fail_quietly, NULL);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.response.status, 409);
    assert_int_equal(fixture.event_count, 0);
}

static enum kj_status answer_null(struct kj_context *context, void *ctx)
{
    (void)ctx;
    kj_context_set_output_take(context, json_null());
    return KJ_OK;
}

static void null_list_is_null(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, answer_null, NULL);

    fixture_send(&fixture, "GET", "/lists", "");

    assert_int_equal(fixture.response.status, 200);
    assert_string_equal(fixture_text(&fixture), "null");
}

static json_t *kept; /* an object a processor shares with its answers */

static enum kj_status answer_kept(struct kj_context *context, void *ctx)
{
    (void)ctx;
    bool many = kj_context_request(context)->operation == KJ_OP_RETRIEVE_MANY;
    kj_context_set_output_take(context, many ? json_pack("[O]", kept) : json_incref(kept));
    return KJ_OK;
}

static void secrets_are_blank_in_answers_and_events_but_kept_where_they_are(void **state)
{
    (void)state;
    kept = json_pack("{s:s,s:s}", "name", "a", "secret", "s3cr3t");
    fixture_serve_with(&fixture, answer_kept, NULL);

    fixture_send(&fixture, "GET", "/lists/1", "");
    assert_string_equal(fixture_text(&fixture), "{\"name\":\"a\",\"secret\":\"\"}");
    fixture_send(&fixture, "GET", "/lists", "");
    assert_string_equal(fixture_text(&fixture), "[{\"name\":\"a\",\"secret\":\"\"}]");
    fixture_create_list(&fixture);

    const json_t *entity = kj_event_entity(fixture.events[0]);
    assert_string_equal(json_string_value(json_object_get(entity, "secret")), "");
    assert_string_equal(json_string_value(json_object_get(kept, "secret")), "s3cr3t");
    json_decref(kept);
}

static enum kj_status answer_kept_list(struct kj_context *context, void *ctx)
{
    (void)ctx;
    kj_context_set_output_take(context, json_incref(kept));
    return KJ_OK;
}

static void objects_of_a_shared_list_are_not_changed(void **state)
{
    (void)state;
    kept = json_pack("[{s:s}]", "secret", "s3cr3t");
    fixture_serve_with(&fixture, answer_kept_list, NULL);

    fixture_send(&fixture, "GET", "/lists", "");

    assert_string_equal(fixture_text(&fixture), "[{\"secret\":\"\"}]");
    const json_t *secret = json_object_get(json_array_get(kept, 0), "secret");
    assert_string_equal(json_string_value(secret), "s3cr3t");
    json_decref(kept);
}

static enum kj_status answer_nested(struct kj_context *context, void *ctx)
{
    (void)ctx;
    json_t *value = json_object();
    for (int i = 0; i < 100; i++) {
        value = json_pack("{s:o}", "x", value);
    }
    kj_context_set_output_take(context, value);
    return KJ_OK;
}

static void output_that_nests_too_deep_is_a_500(void **state)
{
    (void)state;
    fixture_serve_with(&fixture, answer_nested, NULL);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.response.status, 500);
    assert_int_equal(fixture.event_count, 0);
    assert_string_equal(fixture_error(&fixture, "description"), kj_status_text(KJ_ELIMIT));
}

static void missing_processor_and_missing_function_are_501(void **state)
{
    (void)state;
    struct kj_processor processor = {.retrieve = answer_nothing};
    assert_int_equal(kj__api_register(&fixture.api, "list", &processor), KJ_OK);

    fixture_send(&fixture, "GET", "/v/1/users", "");
    assert_int_equal(fixture.response.status, 501);
    assert_string_equal(fixture_error(&fixture, "title"), "Not implemented");
    assert_string_equal(fixture_error(&fixture, "subject"), "bahamut");
    assert_string_equal(fixture_error(&fixture, "description"),
                        "No handler for operation retrieve-many on user");

    fixture_send(&fixture, "DELETE", "/v/1/lists/1", "");
    assert_int_equal(fixture.response.status, 501);
    assert_string_equal(fixture_error(&fixture, "description"),
                        "No handler for operation delete on list");
}

static void processors_are_registered_once_and_for_known_identities(void **state)
{
    (void)state;
    struct kj_processor processor = {.retrieve = answer_nothing};

    assert_int_equal(kj__api_register(&fixture.api, "list", &processor), KJ_OK);
    assert_int_equal(kj__api_register(&fixture.api, "list", &processor), KJ_EEXIST);
    assert_int_equal(kj__api_register(&fixture.api, "nothing", &processor), KJ_ENOTFOUND);
    assert_int_equal(kj__api_register(&fixture.api, NULL, &processor), KJ_OK);
    assert_int_equal(kj__api_register(&fixture.api, NULL, &processor), KJ_EEXIST);
}

static enum kj_status look_at_request(struct kj_context *context, void *ctx)
{
    const struct kj_request *request = kj_context_request(context);
    (void)ctx;
    assert_int_equal(strlen(request->id), 36);
    assert_int_equal(request->operation, KJ_OP_RETRIEVE_MANY);
    assert_string_equal(kj_identity_name(request->identity), "task");
    assert_string_equal(kj_identity_name(request->parent_identity), "list");
    assert_string_equal(request->parent_id, "p 1");
    assert_string_equal(request->object_id, "");
    assert_int_equal(request->version, 1);
    assert_string_equal(request->namespace_name, "/bench");
    assert_string_equal(request->username, "Bearer");
    assert_string_equal(request->password, "tok");
    assert_string_equal(request->remote_address, "127.0.0.1");
    assert_int_equal(request->page, 2);
    assert_int_equal(request->page_size, 3);
    assert_string_equal(request->order[0], "-name");
    assert_null(request->order[1]);
    assert_true(request->recursive && !request->propagated);
    assert_string_equal(kj_context_header(context, "x-namespace"), "/bench");
    assert_null(kj_context_header(context, "X-Other"));
    assert_string_equal(kj_context_parameter(context, "page"), "2");
    assert_null(kj_context_parameter(context, "limit"));
    assert_null(kj_context_input(context));
    seen = "request";
    return KJ_OK;
}

static void request_is_what_the_client_asked(void **state)
{
    (void)state;
    struct kj_processor processor = {.retrieve_many = look_at_request};
    assert_int_equal(kj__api_register(&fixture.api, "task", &processor), KJ_OK);

    fixture_send_bytes(&fixture, "GET",
                       "/v/1/lists/p%201/tasks?page=2&pagesize=3&order=-name&recursive=true",
                       "Authorization: Bearer tok\nX-Namespace: /bench\n", "", 0);

    assert_string_equal(seen, "request");
}

static void head_of_an_object_retrieves_and_answers_204(void **state)
{
    (void)state;
    kept = json_pack("{s:s}", "name", "a");
    fixture_serve_with(&fixture, answer_kept, NULL);

    fixture_send(&fixture, "HEAD", "/v/1/lists/1", "");

    assert_int_equal(fixture.response.status, 204);
    assert_int_equal(fixture.body.len, 0);
    assert_string_equal(fixture_header(&fixture, "X-Count-Total"), "0");
    json_decref(kept);
}

static void without_a_publisher_there_are_no_events(void **state)
{
    (void)state;
    fixture.api.publish = NULL;
    fixture_serve_with(&fixture, enqueue_two, NULL);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.response.status, 200);
    assert_int_equal(fixture.event_count, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_output_is_a_204_without_event),
        TEST(status_without_output_is_kept),
        TEST(status_with_output_is_kept),
        TEST(messages_count_and_next_become_headers),
        TEST(cookies_become_headers_and_bad_ones_do_not),
        TEST(cookies_are_bounded_and_not_set_by_errors),
        TEST(lists_make_no_event),
        TEST(redirect_has_no_body_and_no_count_but_its_event),
        TEST(enqueued_events_go_out_in_order_before_the_automatic_one),
        TEST(disabled_push_leaves_the_enqueued_events),
        TEST(reads_publish_only_what_was_enqueued),
        TEST(failure_answers_every_error_and_publishes_nothing),
        TEST(plain_failure_is_a_500_with_the_status_text),
        TEST(errors_count_even_when_the_processor_returns_ok),
        TEST(null_list_is_null),
        TEST(secrets_are_blank_in_answers_and_events_but_kept_where_they_are),
        TEST(objects_of_a_shared_list_are_not_changed),
        TEST(output_that_nests_too_deep_is_a_500),
        TEST(missing_processor_and_missing_function_are_501),
        TEST(processors_are_registered_once_and_for_known_identities),
        TEST(request_is_what_the_client_asked),
        TEST(head_of_an_object_retrieves_and_answers_204),
        TEST(without_a_publisher_there_are_no_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
