/* patch_test.c - patches by processors that fetch and update. */
#include "unit/rest/cmocka_all.h"

#include "unit/rest/fixture.h"

#include <string.h>

static struct fixture fixture;

/* One object, kept as a processor of an application might. */
static struct shelf {
    json_t *object;
    enum kj_status fetch_status;
    bool fetch_fails; /* with an error of its own */
    int updates;
    enum kj_operation operation; /* as the latest update saw it */
} shelf;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    shelf = (struct shelf){.object = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:n,s:[]}", "ID", "1",
                                               "parentID", "", "parentType", "root", "name", "old",
                                               "readOnly", "kept", "creationOnly", "kept too",
                                               "description", "d", "date", "slice")};
    json_object_set_new(shelf.object, "secret", json_string("s"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(shelf.object);
    fixture_fini(&fixture);
    return 0;
}

static enum kj_status fetch(struct kj_context *context, json_t **object, void *ctx)
{
    const struct shelf *of = ctx;
    assert_string_equal(kj_context_request(context)->object_id, "1");
    if (of->fetch_fails) {
        struct kj_api_error error = {.code = 410, .title = "Gone"};
        return kj_context_fail(context, &error);
    }
    if (!of->fetch_status) {
        *object = json_incref(of->object);
    }
    return of->fetch_status;
}

static enum kj_status update(struct kj_context *context, void *ctx)
{
    struct shelf *of = ctx;
    of->updates++;
    of->operation = kj_context_request(context)->operation;
    json_decref(of->object);
    of->object = json_incref(kj_context_input(context));
    kj_context_set_output_take(context, json_incref(of->object));
    return KJ_OK;
}

static void serve(kj_process patch)
{
    struct kj_processor processor = {
        .update = update, .patch = patch, .fetch = fetch, .ctx = &shelf};
    assert_int_equal(kj__api_register(&fixture.api, "list", &processor), KJ_OK);
}

static int patch_with(const char *body)
{
    fixture_send(&fixture, "PATCH", "/v/1/lists/1", body);
    return fixture.response.status;
}

static const char *stored(const char *member)
{
    return json_string_value(json_object_get(shelf.object, member));
}

static void a_patch_is_fetched_applied_and_updated(void **state)
{
    (void)state;
    serve(NULL);

    assert_int_equal(patch_with("{\"name\":\"new\"}"), 200);

    assert_string_equal(stored("name"), "new");
    assert_string_equal(stored("description"), "d");
    assert_string_equal(stored("secret"), "s");
    assert_int_equal(shelf.operation, KJ_OP_UPDATE);
    assert_string_equal(fixture_text(&fixture),
                        "{\"ID\":\"1\",\"creationOnly\":\"kept too\",\"date\":null,\"description\":"
                        "\"d\",\"name\":\"new\",\"parentID\":\"\",\"parentType\":\"root\","
                        "\"readOnly\":\"kept\",\"secret\":\"\",\"slice\":[]}");
    assert_int_equal(fixture.event_count, 1);
    assert_string_equal(kj_event_type(fixture.events[0]), KJ_EVENT_UPDATE);
}

static void what_a_client_may_not_set_is_kept(void **state)
{
    (void)state;
    serve(NULL);

    assert_int_equal(patch_with("{\"ID\":\"9\",\"readOnly\":\"r\",\"creationOnly\":\"c\"}"), 200);

    assert_string_equal(stored("ID"), "1");
    assert_string_equal(stored("readOnly"), "kept");
    assert_string_equal(stored("creationOnly"), "kept too");
}

static void a_patch_that_is_wrong_updates_nothing(void **state)
{
    (void)state;
    serve(NULL);
    assert_int_equal(patch_with("{\"name\":\"\"}"), 422);
    assert_int_equal(patch_with("{\"name\":{}}"), 400);
    assert_int_equal(patch_with(""), 400);
    assert_string_equal(fixture_error(&fixture, "description"),
                        "unable to decode application/json: EOF");

    /* What is stored may be wrong by now; the whole is checked, not only what was sent. */
    json_object_set_new(shelf.object, "name", json_string(""));
    assert_int_equal(patch_with("{\"description\":\"e\"}"), 422);
    assert_string_equal(fixture_error(&fixture, "description"), "Attribute 'name' is required");

    assert_int_equal(shelf.updates, 0);
    assert_int_equal(fixture.event_count, 0);
}

static void an_object_that_cannot_be_fetched_is_not_patched(void **state)
{
    (void)state;
    serve(NULL);
    shelf.fetch_status = KJ_ENOTFOUND;
    assert_int_equal(patch_with("{\"name\":\"new\"}"), 404);
    assert_string_equal(fixture_error(&fixture, "title"), "Object not found");
    assert_string_equal(fixture_error(&fixture, "description"), "cannot find list with ID 1");
    shelf.fetch_status = KJ_EIO;
    assert_int_equal(patch_with("{\"name\":\"new\"}"), 500);
    shelf.fetch_fails = true;
    assert_int_equal(patch_with("{\"name\":\"new\"}"), 410);
    assert_int_equal(shelf.updates, 0);
}

static enum kj_status patch_itself(struct kj_context *context, void *ctx)
{
    (void)context, (void)ctx;
    return KJ_OK;
}

static void a_patch_of_its_own_comes_first(void **state)
{
    (void)state;
    serve(patch_itself);
    assert_int_equal(patch_with("{\"name\":\"new\"}"), 204);
    assert_int_equal(shelf.updates, 0);
}

static void without_an_update_there_is_no_patch(void **state)
{
    (void)state;
    struct kj_processor processor = {.fetch = fetch, .ctx = &shelf};
    assert_int_equal(kj__api_register(&fixture.api, "list", &processor), KJ_OK);
    assert_int_equal(patch_with("{\"name\":\"new\"}"), 501);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_patch_is_fetched_applied_and_updated),
        TEST(what_a_client_may_not_set_is_kept),
        TEST(a_patch_that_is_wrong_updates_nothing),
        TEST(an_object_that_cannot_be_fetched_is_not_patched),
        TEST(a_patch_of_its_own_comes_first),
        TEST(without_an_update_there_is_no_patch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
