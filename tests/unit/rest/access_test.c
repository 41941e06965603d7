/* access_test.c - authenticators and authorizers: who gets in, and what the others are told. */
#include "unit/rest/cmocka_all.h"

#include "unit/rest/fixture.h"

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

static enum kj_status answer_nothing(struct kj_context *context, void *ctx)
{
    (void)ctx;
    (void)context;
    return KJ_OK;
}

static enum kj_status look_at_claims(struct kj_context *context, void *ctx)
{
    size_t count;
    (void)ctx;
    const char *const *claims = kj_context_claims(context, &count);
    assert_int_equal(count, 2);
    assert_string_equal(claims[0], "sub=me");
    assert_string_equal(kj_context_claim(context, "role"), "a=b");
    assert_null(kj_context_claim(context, "ro"));
    seen = "claims";
    return KJ_OK;
}

static enum kj_auth set_claims(struct kj_context *context, void *ctx)
{
    static const char *const claims[] = {"sub=me", "role=a=b"};
    static const char *const bad[] = {"sub=you", "role"};
    (void)ctx;
    assert_int_equal(kj_context_set_claims(context, claims, 1), KJ_OK);
    assert_int_equal(kj_context_set_claims(context, claims, 2), KJ_OK);
    assert_int_equal(kj_context_set_claims(context, bad, 2), KJ_EINVAL);
    return KJ_AUTH_CONTINUE;
}

static void claims_of_an_authenticator_reach_the_processor(void **state)
{
    (void)state;
    struct kj_request_authenticator authenticator = {set_claims, NULL};
    fixture.api.authenticators = &authenticator;
    fixture.api.authenticator_count = 1;
    fixture_serve_with(&fixture, look_at_claims, NULL);

    fixture_create_list(&fixture);

    assert_string_equal(seen, "claims");
}

static enum kj_auth say(struct kj_context *context, void *ctx)
{
    (void)context;
    return *(enum kj_auth *)ctx;
}

static enum kj_auth never_asked(struct kj_context *context, void *ctx)
{
    (void)context;
    (void)ctx;
    fail_msg("asked although the chain had its answer");
    return KJ_AUTH_REFUSE;
}

static enum kj_auth refuse_in_own_words(struct kj_context *context, void *ctx)
{
    struct kj_api_error error = {.code = 418, .title = "Teapot", .description = "short and stout"};
    (void)ctx;
    (void)kj_context_fail(context, &error);
    return KJ_AUTH_REFUSE;
}

static void refusal_of_an_authenticator_is_a_401_before_the_body_is_read(void **state)
{
    (void)state;
    enum kj_auth verdict = KJ_AUTH_REFUSE;
    struct kj_request_authenticator chain[] = {{say, &verdict}, {never_asked, NULL}};
    fixture.api.authenticators = chain;
    fixture.api.authenticator_count = 2;
    fixture_serve_with(&fixture, answer_nothing, NULL);

    fixture_send(&fixture, "POST", "/lists", "{not json");

    assert_int_equal(fixture.response.status, 401);
    assert_string_equal(fixture_error(&fixture, "title"), "Unauthorized");
    assert_string_equal(fixture_error(&fixture, "subject"), "bahamut");
    assert_string_equal(fixture_error(&fixture, "description"),
                        "You are not authorized to access this resource.");
}

static void acceptance_ends_the_chain_and_refusal_of_an_authorizer_is_a_403(void **state)
{
    (void)state;
    enum kj_auth accept = KJ_AUTH_ACCEPT;
    enum kj_auth refuse = KJ_AUTH_REFUSE;
    struct kj_request_authenticator authenticators[] = {
        {NULL, NULL}, {say, &accept}, {never_asked, NULL}};
    struct kj_authorizer authorizers[] = {{say, &refuse}, {never_asked, NULL}};
    fixture.api.authenticators = authenticators;
    fixture.api.authenticator_count = 3;
    fixture.api.authorizers = authorizers;
    fixture.api.authorizer_count = 2;
    fixture_serve_with(&fixture, answer_nothing, NULL);

    fixture_create_list(&fixture);
    assert_int_equal(fixture.response.status, 403);
    assert_string_equal(fixture_error(&fixture, "title"), "Forbidden");

    refuse = KJ_AUTH_ACCEPT;
    fixture_create_list(&fixture);
    assert_int_equal(fixture.response.status, 204);
}

static void refusal_in_own_words_is_kept(void **state)
{
    (void)state;
    struct kj_request_authenticator authenticator = {refuse_in_own_words, NULL};
    fixture.api.authenticators = &authenticator;
    fixture.api.authenticator_count = 1;
    fixture_serve_with(&fixture, answer_nothing, NULL);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.response.status, 418);
    assert_string_equal(fixture_error(&fixture, "title"), "Teapot");
}

static void relations_are_checked_before_authenticators(void **state)
{
    (void)state;
    struct kj_request_authenticator authenticator = {never_asked, NULL};
    fixture.api.authenticators = &authenticator;
    fixture.api.authenticator_count = 1;

    fixture_send(&fixture, "GET", "/tasks", "");

    assert_int_equal(fixture.response.status, 405);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(claims_of_an_authenticator_reach_the_processor),
        TEST(refusal_of_an_authenticator_is_a_401_before_the_body_is_read),
        TEST(acceptance_ends_the_chain_and_refusal_of_an_authorizer_is_a_403),
        TEST(refusal_in_own_words_is_kept),
        TEST(relations_are_checked_before_authenticators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
