/* access_test.c - authenticators and authorizers: who gets in, and what the others are told. */
#include "unit/rest/cmocka_all.h"

#include "unit/rest/fixture.h"

#include <stdio.h>

static struct fixture fixture;
static const char *seen; /* by a processor under test */
static char token_seen[64], audited[64];
static enum kj_status audit_status;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    seen = NULL;
    audit_status = KJ_OK;
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

static enum kj_auth fail_and_accept(struct kj_context *context, void *ctx)
{
    struct kj_api_error error = {.code = 500, .title = "Internal Server Error"};
    (void)ctx;
    (void)kj_context_fail(context, &error);
    return KJ_AUTH_ACCEPT;
}

static enum kj_auth keep_token(struct kj_context *context, void *ctx)
{
    (void)ctx;
    const char *token = kj_context_token(context);
    (void)snprintf(token_seen, sizeof token_seen, "%s", token ? token : "none");
    return KJ_AUTH_ACCEPT;
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

static void an_error_left_by_a_handler_that_lets_the_call_pass_refuses_it(void **state)
{
    (void)state;
    struct kj_request_authenticator authenticator = {fail_and_accept, NULL};
    fixture.api.authenticators = &authenticator;
    fixture.api.authenticator_count = 1;
    fixture_serve_with(&fixture, look_at_claims, NULL);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.response.status, 500);
    assert_null(seen);
    assert_int_equal(fixture.counters.auth_refused, 1);
}

static void a_verdict_that_is_none_refuses(void **state)
{
    (void)state;
    enum kj_auth verdict = (enum kj_auth)7;
    struct kj_authorizer authorizer = {say, &verdict};
    fixture.api.authorizers = &authorizer;
    fixture.api.authorizer_count = 1;
    fixture_serve_with(&fixture, answer_nothing, NULL);

    fixture_create_list(&fixture);

    assert_int_equal(fixture.response.status, 403);
    assert_int_equal(fixture.counters.access_refused, 1);
}

/* ---- tokens ---- */

static const char *token_of(const char *target, const char *headers)
{
    token_seen[0] = '\0';
    fixture_send_bytes(&fixture, "GET", target, headers, "", 0);
    return fixture.response.status == 204 ? token_seen : "refused";
}

static void a_token_is_found_where_the_server_looks_for_it(void **state)
{
    (void)state;
    struct kj_request_authenticator authenticator = {keep_token, NULL};
    fixture.api.authenticators = &authenticator;
    fixture.api.authenticator_count = 1;
    fixture_serve_with(&fixture, answer_nothing, NULL);

    assert_string_equal(token_of("/lists", ""), "none");
    assert_string_equal(token_of("/lists", "Authorization: bearer a.b\n"), "a.b");
    assert_string_equal(token_of("/lists", "Authorization: Bearer \n"), "none");
    assert_string_equal(token_of("/lists", "Authorization: Basic a\n"), "none");
    assert_string_equal(token_of("/lists", "Cookie: sid=c\n"), "none");
    assert_string_equal(token_of("/lists?token=q", ""), "refused");

    fixture.api.credentials.cookie = "sid";
    fixture.api.credentials.in_query = true;
    assert_string_equal(token_of("/lists?token=q", "Cookie: x=1; sid=c\nAuthorization: Bearer b\n"),
                        "b");
    assert_string_equal(token_of("/lists?token=q", "Cookie: x=1; sid=c; sid=d\n"), "c");
    assert_string_equal(token_of("/lists?token=q", "Cookie: xsid=1; sid=\n"), "q");
    assert_string_equal(token_of("/lists?token=q&tokens=r", ""), "refused");
}

static void a_cookie_does_not_count_for_pages_of_other_origins(void **state)
{
    (void)state;
    static const char *const allowed[] = {"https://friend.example", NULL};
    struct kj_request_authenticator authenticator = {keep_token, NULL};
    fixture.api.authenticators = &authenticator;
    fixture.api.authenticator_count = 1;
    fixture.api.credentials.cookie = "sid";
    fixture.api.credentials.allowed_origins = allowed;
    fixture_serve_with(&fixture, answer_nothing, NULL);

#define FROM(origin) token_of("/lists", "Host: kj:80\nCookie: sid=c\nOrigin: " origin "\n")
    assert_string_equal(FROM("http://kj:80"), "c");
    assert_string_equal(FROM("https://friend.example"), "c");
    assert_string_equal(FROM("https://foe.example"), "none");
    assert_string_equal(FROM("null"), "none");
#undef FROM
}

static enum kj_status look_at_certificate(struct kj_context *context, void *ctx)
{
    (void)ctx;
    seen = kj_context_peer_certificate(context) ? "certificate" : "none";
    return KJ_OK;
}

/* What a processor sees of the certificate of a page's call; NULL: of no page's. */
static const char *certificate_of(const char *origin)
{
    static const char *const names[] = {NULL};
    const struct kj_certificate values = {
        .subject = "CN=x", .names = names, .der = (const uint8_t *)"x", .der_len = 1};
    struct kj__certificate *certificate = kj__certificate_new(&values);
    struct kj__fields headers;
    struct kj__http_response response;
    kj__fields_init(&headers, true);
    kj__http_response_init(&response);
    assert_non_null(certificate);
    assert_true(kj__fields_add(&headers, "Host", "kj:80"));
    assert_true(!origin || kj__fields_add(&headers, "Origin", origin));
    struct kj__http_request request = {.method = "GET",
                                       .path = "/lists",
                                       .query = "",
                                       .headers = &headers,
                                       .remote_address = "127.0.0.1",
                                       .certificate = certificate};
    seen = "refused";
    kj__api_handle(&fixture.api, &request, &response);
    kj__http_response_fini(&response);
    kj__fields_fini(&headers);
    kj__certificate_unref(certificate);
    return seen;
}

static void a_certificate_does_not_count_for_pages_of_other_origins(void **state)
{
    (void)state;
    static const char *const allowed[] = {"https://friend.example", NULL};
    fixture.api.credentials.allowed_origins = allowed;
    fixture_serve_with(&fixture, look_at_certificate, NULL);

    assert_string_equal(certificate_of(NULL), "certificate");
    assert_string_equal(certificate_of("http://kj:80"), "certificate");
    assert_string_equal(certificate_of("https://friend.example"), "certificate");
    assert_string_equal(certificate_of("https://foe.example"), "none");
    assert_string_equal(certificate_of("null"), "none");
}

/* ---- audit ---- */

static enum kj_status keep_outcome(const struct kj_context *context,
                                   const struct kj_audit_outcome *outcome, void *ctx)
{
    (void)ctx;
    snprintf(audited, sizeof audited, "%s %d %s",
             kj_identity_name(kj_context_request(context)->identity), outcome->status,
             outcome->error_title ? outcome->error_title : "-");
    return audit_status;
}

static const char *audit_of(const char *method, const char *target, const char *body)
{
    audited[0] = '\0';
    fixture_send(&fixture, method, target, body);
    return audited;
}

static void every_call_that_came_to_the_authenticators_is_audited(void **state)
{
    (void)state;
    enum kj_auth verdict = KJ_AUTH_ACCEPT;
    struct kj_request_authenticator authenticator = {say, &verdict};
    fixture.api.authenticators = &authenticator;
    fixture.api.authenticator_count = 1;
    fixture.api.audit = (struct kj_auditor){.audit = keep_outcome};
    fixture_serve_store(&fixture);

    assert_string_equal(audit_of("POST", "/lists", "{\"name\":\"a\"}"), "list 200 -");
    assert_string_equal(audit_of("POST", "/lists", "{}"), "list 422 Validation Error");
    assert_string_equal(audit_of("POST", "/lists", "{"), "list 400 Bad Request");
    assert_string_equal(audit_of("GET", "/lists/none", ""), "list 404 Object not found");
    assert_string_equal(audit_of("GET", "/nothing", ""), "");
    assert_string_equal(audit_of("GET", "/tasks", ""), "");
    assert_string_equal(audit_of("GET", "/lists?x=1", ""), "");
    verdict = KJ_AUTH_REFUSE;
    assert_string_equal(audit_of("GET", "/lists", ""), "list 401 Unauthorized");
    assert_int_equal(fixture.counters.audit_records, 5);

    audit_status = KJ_EIO;
    assert_string_equal(audit_of("GET", "/lists", ""), "list 401 Unauthorized");
    assert_int_equal(fixture.counters.audit_lost, 1);
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
        TEST(an_error_left_by_a_handler_that_lets_the_call_pass_refuses_it),
        TEST(a_verdict_that_is_none_refuses),
        TEST(a_token_is_found_where_the_server_looks_for_it),
        TEST(a_cookie_does_not_count_for_pages_of_other_origins),
        TEST(a_certificate_does_not_count_for_pages_of_other_origins),
        TEST(every_call_that_came_to_the_authenticators_is_audited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
