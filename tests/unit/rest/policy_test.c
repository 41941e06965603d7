/* policy_test.c - what a server asks of its clients, compared with the answers of bahamut. */
#include "unit/rest/cmocka_all.h"

#include "rest/compress.h"
#include "rest/idempotency.h"
#include "unit/rest/fixture.h"

#include <string.h>
#include <zlib.h>

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&fixture);
    return 0;
}

static void use(const struct kj_http_policy *policy)
{
    struct kj_error error = {.text = ""};
    if (kj__policy_set(&fixture.api.policy, policy, fixture.model, &error)) {
        fail_msg("%s", error.text);
    }
}

static void get(const char *path, const char *headers)
{
    fixture_send_bytes(&fixture, "GET", path, headers, "", 0);
}

/* The trace is the one thing in it that varies. */
static void assert_error(int status, const char *before_trace)
{
    assert_int_equal(fixture.response.status, status);
    assert_int_equal(strncmp(fixture_text(&fixture), before_trace, strlen(before_trace)), 0);
}

#define ACCEPT "Accept: application/msgpack,application/json\n"
#define JSON_TYPE "Content-Type: application/json; charset=UTF-8\n"
#define VARY "Vary: Accept-Encoding\n"
#define COUNT "X-Count-Total: 0\n"
#define EXPOSE                                                                                     \
    "Access-Control-Expose-Headers: X-Requested-With, X-Count-Total, X-Namespace, X-Messages, "    \
    "X-Fields, X-Next\n"

/* ---- compression ---- */

static void weights_decide_whether_gzip_is_accepted(void **state)
{
    (void)state;
    static const char *const yes[] = {"gzip",         "deflate, gzip;q=0.5", "GZIP",
                                      "gzip;q=0.001", "br;q=0, gzip",        "gzip ; q=1",
                                      "identity,gzip"};
    static const char *const no[] = {"",           "identity",  "*",           "gzip;q=0",
                                     "x-gzip",     "gzip;q=0.", "gzip; q=0.0", "gzip ;Q=0.000",
                                     "gzipped, br"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (!kj__accepts_gzip(yes[i])) {
            fail_msg("%s", yes[i]);
        }
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        if (kj__accepts_gzip(no[i])) {
            fail_msg("%s", no[i]);
        }
    }
    assert_false(kj__accepts_gzip(NULL));
}

static enum kj_status answer_long(struct kj_context *context, void *ctx)
{
    size_t len = *(size_t *)ctx;
    static char text[8192];
    memset(text, 'a', sizeof text);
    /* "[\"...\"]" */
    kj_context_set_output_take(context, json_pack("[s#]", text, (int)len - 4));
    return KJ_OK;
}

static size_t unpack(char *out, size_t size)
{
    z_stream stream = {.next_in = fixture.body.data,
                       .avail_in = (uInt)fixture.body.len,
                       .next_out = (Bytef *)out,
                       .avail_out = (uInt)size};
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t len = stream.total_out;
    inflateEnd(&stream);
    return len;
}

static void long_answers_are_compressed_where_that_is_allowed(void **state)
{
    (void)state;
    size_t len = 1400;
    char unpacked[2000];
    fixture_serve_with(&fixture, answer_long, &len);

    for (int turn = 0; turn < 2; turn++) {
        get("/lists", "Accept-Encoding: gzip\n");
        assert_string_equal(fixture.headers,
                            ACCEPT "Content-Encoding: gzip\n" JSON_TYPE VARY COUNT);
        assert_memory_equal(fixture.body.data, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", 10);
        assert_int_equal(unpack(unpacked, sizeof unpacked), 1400);
        assert_memory_equal(unpacked, "[\"aaa", 5);
    }

    get("/lists", "");
    assert_string_equal(fixture.headers, ACCEPT JSON_TYPE VARY COUNT);
    assert_int_equal(fixture.body.len, 1400);

    len = 1399;
    get("/lists", "Accept-Encoding: gzip\n");
    assert_string_equal(fixture.headers, ACCEPT JSON_TYPE VARY COUNT);
}

static void compression_can_be_turned_off(void **state)
{
    (void)state;
    size_t len = 5000;
    fixture_serve_with(&fixture, answer_long, &len);
    use(&(struct kj_http_policy){.no_compression = true});

    get("/lists", "Accept-Encoding: gzip\n");

    assert_string_equal(fixture.headers, ACCEPT JSON_TYPE COUNT);
    assert_int_equal(fixture.body.len, 5000);
}

/* ---- CORS ---- */

static void preflight_is_answered_as_bahamut_does(void **state)
{
    (void)state;
    use(&(struct kj_http_policy){.cors_origin = "mirror"});

    fixture_send_bytes(&fixture, "OPTIONS", "/v/1/lists",
                       "Origin: http://o.example\nAccess-Control-Request-Method: POST\n", "", 0);

    assert_int_equal(fixture.response.status, 200);
    assert_string_equal(
        fixture.headers,
        ACCEPT "Access-Control-Allow-Credentials: true\n"
               "Access-Control-Allow-Headers: Authorization, Accept, Content-Type, Cache-Control, "
               "Cookie, If-Modified-Since, X-Requested-With, X-Count-Total, X-Namespace, "
               "X-External-Tracking-Type, X-External-Tracking-ID, X-TLS-Client-Certificate, "
               "Accept-Encoding, X-Fields, X-Read-Consistency, X-Write-Consistency, "
               "Idempotency-Key\n"
               "Access-Control-Allow-Methods: GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS\n"
               "Access-Control-Allow-Origin: http://o.example\n" EXPOSE
               "Access-Control-Max-Age: 1500\n" JSON_TYPE);
    assert_int_equal(fixture.body.len, 0);

    fixture_send_bytes(&fixture, "OPTIONS", "/no/route/at/all", "", "", 0);
    assert_int_equal(fixture.response.status, 200);
}

static void answers_carry_cors_as_bahamuts_do(void **state)
{
    (void)state;
    fixture_serve_store(&fixture);
    use(&(struct kj_http_policy){.cors_origin = "mirror"});

    get("/v/1/users", "Origin: http://o.example\n");
    assert_int_equal(fixture.response.status, 200);
    assert_string_equal(
        fixture.headers,
        ACCEPT "Access-Control-Allow-Credentials: true\n"
               "Access-Control-Allow-Origin: http://o.example\n" EXPOSE JSON_TYPE VARY COUNT);

    get("/v/1/users", "");
    assert_string_equal(fixture.headers, ACCEPT EXPOSE JSON_TYPE VARY COUNT);

    get("/v/1/nothings", "Origin: http://o.example\n");
    assert_int_equal(fixture.response.status, 405);
    assert_string_equal(fixture_header(&fixture, "Access-Control-Allow-Origin"),
                        "http://o.example");

    get("/a/b/c/d/e/f", "Origin: http://o.example\n");
    assert_int_equal(fixture.response.status, 405);
    assert_string_equal(fixture.headers, "");
    assert_int_equal(fixture.body.len, 0);
}

static const char *allowed_for(const char *headers)
{
    get("/v/1/users", headers);
    const char *origin = fixture_header(&fixture, "Access-Control-Allow-Origin");
    const char *credentials = fixture_header(&fixture, "Access-Control-Allow-Credentials");
    assert_int_equal(credentials != NULL, strcmp(origin, "*") != 0);
    return origin;
}

static void fixed_origin_is_told_to_all_but_the_listed(void **state)
{
    (void)state;
    static const char *const others[] = {"http://b.example", "http://c.example:81", NULL};
    fixture_serve_store(&fixture);
    use(&(struct kj_http_policy){.cors_origin = "http://a.example", .cors_origins = others});

    assert_string_equal(allowed_for(""), "http://a.example");
    assert_string_equal(allowed_for("Origin: http://x.example\n"), "http://a.example");
    assert_string_equal(allowed_for("Origin: http://c.example:81\n"), "http://c.example:81");
}

static void any_origin_comes_without_credentials(void **state)
{
    (void)state;
    fixture_serve_store(&fixture);
    use(&(struct kj_http_policy){.cors_origin = "*"});

    assert_string_equal(allowed_for("Origin: http://x.example\n"), "*");
}

static void options_without_cors_is_a_bare_405(void **state)
{
    (void)state;
    fixture_send(&fixture, "OPTIONS", "/v/1/lists", "");
    assert_int_equal(fixture.response.status, 405);
    assert_string_equal(fixture.headers, "");

    fixture_send(&fixture, "OPTIONS", "*", "");
    assert_int_equal(fixture.response.status, 200);
    assert_string_equal(fixture.headers, "");
}

static void answers_that_are_given_again_are_for_whoever_asks(void **state)
{
    (void)state;
    static const char first[] = "Idempotency-Key: k\nAccept-Encoding: gzip\n"
                                "Origin: http://a.example\n";
    static const char again[] = "Idempotency-Key: k\nOrigin: http://b.example\n";
    size_t len = 2000;
    struct kj__idempotency store;
    kj__idempotency_init(&store, &fixture.counters);
    store.limits = (struct kj__idempotency_limits){.answers = 2, .bytes = 1 << 20, .age_ms = 60000};
    fixture.api.idempotency = &store;
    fixture_serve_with(&fixture, answer_long, &len);
    use(&(struct kj_http_policy){.cors_origin = "mirror"});

    fixture_send_bytes(&fixture, "POST", "/v/1/lists", first, "{\"name\":\"a\"}", 12);
    assert_string_equal(fixture_header(&fixture, "Content-Encoding"), "gzip");
    fixture_send_bytes(&fixture, "POST", "/v/1/lists", again, "{\"name\":\"a\"}", 12);

    assert_int_equal(fixture.counters.idempotency_hits, 1);
    assert_null(fixture_header(&fixture, "Content-Encoding"));
    assert_string_equal(fixture_header(&fixture, "Access-Control-Allow-Origin"),
                        "http://b.example");
    assert_int_equal(fixture.body.len, 2000);
    kj__idempotency_fini(&store);
}

/* ---- rates ---- */

static void too_many_requests_are_told_when_to_come_again(void **state)
{
    (void)state;
    fixture_serve_store(&fixture);
    use(&(struct kj_http_policy){.request_rate = {.per_second = 1, .burst = 2}});

    get("/v/1/lists", "");
    get("/v/1/lists", "");
    assert_int_equal(fixture.response.status, 200);
    get("/v/1/lists", "");

    assert_error(429, "[{\"code\":429,\"description\":\"You have exceeded your rate limit\","
                      "\"subject\":\"bahamut\",\"title\":\"Rate Limit\",\"trace\":\"");
    assert_string_equal(fixture.headers, ACCEPT JSON_TYPE "Retry-After: 1\n" VARY COUNT);
    assert_int_equal(fixture.counters.http_rate_limited, 1);

    /* Before relations and authenticators, and not for what is no call. */
    get("/v/1/nothings", "");
    assert_int_equal(fixture.response.status, 429);
    get("/", "");
    assert_int_equal(fixture.response.status, 200);
    get("/v/1/lists?nonsense=1", "");
    assert_int_equal(fixture.response.status, 400);
}

static void identities_have_rates_of_their_own(void **state)
{
    (void)state;
    static const struct kj_identity_rate rates[] = {{"list", {.per_second = 1, .burst = 1}},
                                                    {"task", {.per_second = 1, .burst = 1}}};
    fixture_serve_store(&fixture);
    use(&(struct kj_http_policy){.identity_rates = rates, .identity_rate_count = 2});

    get("/v/1/lists", "");
    assert_int_equal(fixture.response.status, 200);
    get("/v/1/lists", "Accept: application/msgpack\n");
    assert_int_equal(fixture.response.status, 429);
    assert_string_equal(fixture_header(&fixture, "Content-Type"), "application/msgpack");
    get("/v/1/lists/1/tasks", "");
    assert_int_equal(fixture.response.status, 404);
    get("/v/1/lists/1/tasks", "");
    assert_int_equal(fixture.response.status, 429);
    for (int i = 0; i < 10; i++) {
        get("/v/1/users", "");
        assert_int_equal(fixture.response.status, 200);
    }
}

/* ---- read-only ---- */

static void read_only_refuses_writes_as_bahamut_does(void **state)
{
    (void)state;
    static const char *const except[] = {"user", NULL};
    fixture_serve_store(&fixture);
    use(&(struct kj_http_policy){.read_only = true, .read_only_except = except});

    fixture_create_list(&fixture);
    assert_error(423, "[{\"code\":423,\"description\":\"This api is currently locked. Please try "
                      "again later\",\"subject\":\"bahamut\",\"title\":\"Locked\",\"trace\":\"");
    assert_string_equal(fixture.headers, ACCEPT JSON_TYPE VARY COUNT);
    static const char *const writes[] = {"PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < 3; i++) {
        fixture_send(&fixture, writes[i], "/v/1/lists/1", "{}");
        assert_int_equal(fixture.response.status, 423);
    }
    assert_int_equal(fixture.counters.http_locked, 4);

    get("/v/1/lists", "");
    assert_int_equal(fixture.response.status, 200);
    fixture_send(&fixture, "POST", "/v/1/users", "{}");
    assert_int_equal(fixture.response.status, 422);

    fixture.api.policy.is_read_only = false;
    fixture_create_list(&fixture);
    assert_int_equal(fixture.response.status, 200);
}

static enum kj_auth refuse(struct kj_context *context, void *ctx)
{
    (void)context;
    (void)ctx;
    return KJ_AUTH_REFUSE;
}

static void read_only_is_told_to_those_who_may_enter(void **state)
{
    (void)state;
    struct kj_authorizer authorizer = {refuse, NULL};
    fixture.api.authorizers = &authorizer;
    fixture.api.authorizer_count = 1;
    use(&(struct kj_http_policy){.read_only = true});

    fixture_create_list(&fixture);

    assert_int_equal(fixture.response.status, 403);
}

/* ---- prefix and root ---- */

static void assert_status(const char *method, const char *path, int status, const char *headers)
{
    fixture_send(&fixture, method, path, "");
    if (fixture.response.status != status || (headers && strcmp(fixture.headers, headers) != 0)) {
        fail_msg("%s %s: %d\n%s", method, path, fixture.response.status, fixture.headers);
    }
}

static void api_lies_behind_its_prefix(void **state)
{
    (void)state;
    fixture_serve_store(&fixture);
    use(&(struct kj_http_policy){.api_prefix = "/api"});
    assert_int_equal(kj__api_add_document(&fixture.api, "/_meta/name", "text/plain", "n", 1),
                     KJ_OK);

    assert_status("GET", "/api/v/1/users", 200, ACCEPT JSON_TYPE VARY COUNT);
    assert_status("GET", "/api/users", 200, NULL);
    assert_status("GET", "/v/1/users", 404, ACCEPT JSON_TYPE COUNT);
    assert_status("GET", "/apis/users", 404, NULL);
    assert_status("GET", "/api", 404, NULL);
    assert_status("GET", "/api/", 405, ACCEPT JSON_TYPE VARY COUNT);
    assert_status("GET", "/", 200, "");
    assert_status("HEAD", "/", 200, "");
    assert_status("POST", "/", 405, "");
    assert_status("GET", "/_meta/name", 200, NULL);
    assert_status("POST", "/_meta/name", 404, NULL);
}

static void root_may_be_a_document_or_a_redirect(void **state)
{
    (void)state;
    assert_int_equal(kj__api_add_redirect(&fixture.api, "/", "/console"), KJ_OK);
    assert_int_equal(kj__api_add_redirect(&fixture.api, "/", "/console"), KJ_EEXIST);

    assert_status("GET", "/", 302, ACCEPT JSON_TYPE "Location: /console\n");
    assert_int_equal(fixture.body.len, 0);
}

/* ---- errors ---- */

static json_t *hide_details(struct kj_context *context, const json_t *errors, void *ctx)
{
    *(const json_t **)ctx = errors;
    assert_string_equal(kj_context_request(context)->namespace_name, "");
    return json_pack("[{s:i,s:s,s:s,s:s}]", "code", 503, "title", "Away", "description", "later",
                     "subject", "us");
}

static json_t *keep(struct kj_context *context, const json_t *errors, void *ctx)
{
    (void)context;
    (void)errors;
    return json_incref(ctx);
}

static void errors_may_be_rewritten_once_a_request_is_parsed(void **state)
{
    (void)state;
    const json_t *seen = NULL;
    use(&(struct kj_http_policy){.error_transformer = {hide_details, &seen}});

    get("/v/1/lists", "");
    assert_int_equal(fixture.response.status, 503);
    assert_string_equal(fixture_error(&fixture, "description"), "later");
    assert_non_null(seen);

    get("/v/1/lists?nonsense=1", "");
    assert_int_equal(fixture.response.status, 400);
    get("/no/route/at/all", "");
    assert_int_equal(fixture.response.status, 404);
}

static void no_errors_in_place_of_errors_change_nothing(void **state)
{
    (void)state;
    json_t *empty = json_array();
    use(&(struct kj_http_policy){.error_transformer = {keep, empty}});

    get("/v/1/lists", "");

    assert_int_equal(fixture.response.status, 501);
    json_decref(empty);
}

/* ---- options ---- */

static void bad_options_are_named(void **state)
{
    (void)state;
    static const char *const bad_origins[] = {"b.example", NULL};
    static const char *const bad_names[] = {"nothing", NULL};
    static const struct kj_identity_rate unknown = {"nothing", {1, 1}};
    static const struct kj_identity_rate twice[] = {{"list", {1, 1}}, {"list", {1, 1}}};
    const struct {
        const char *option;
        struct kj_http_policy policy;
    } cases[] = {
        {"cors_origin", {.cors_origin = "a.example"}},
        {"cors_origin", {.cors_origin = "http://a.example/"}},
        {"cors_origin", {.cors_origin = "http://a\r\nX: y"}},
        {"cors_origins", {.cors_origin = "*", .cors_origins = bad_origins}},
        {"cors_origins", {.cors_origins = bad_origins}},
        {"request_rate", {.request_rate = {0, 5}}},
        {"request_rate", {.request_rate = {1000001, 0}}},
        {"identity_rates", {.identity_rates = &unknown, .identity_rate_count = 1}},
        {"identity_rates", {.identity_rates = twice, .identity_rate_count = 2}},
        {"read_only_except", {.read_only_except = bad_names}},
        {"api_prefix", {.api_prefix = "api"}},
        {"api_prefix", {.api_prefix = "/api/"}},
        {"api_prefix", {.api_prefix = "/"}},
        {"api_prefix", {.api_prefix = "/a//b"}},
        {"api_prefix", {.api_prefix = "/a b"}},
        {"api_prefix", {.api_prefix = "/_meta"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kj__policy policy;
        struct kj_error error = {.text = ""};
        kj__policy_init(&policy);
        if (kj__policy_set(&policy, &cases[i].policy, fixture.model, &error) != KJ_EINVAL ||
            !strstr(error.text, cases[i].option)) {
            fail_msg("case %zu: \"%s\"", i, error.text);
        }
        kj__policy_fini(&policy);
    }
}

static void head_is_answered_like_get(void **state)
{
    (void)state;
    size_t len = 2000;
    fixture_serve_with(&fixture, answer_long, &len);
    fixture_send_bytes(&fixture, "HEAD", "/lists", "Accept-Encoding: gzip\n", "", 0);
    assert_int_equal(fixture.response.status, 204);
    assert_null(fixture_header(&fixture, "Content-Encoding"));
    assert_string_equal(fixture_header(&fixture, "Vary"), "Accept-Encoding");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_decide_whether_gzip_is_accepted),
        TEST(long_answers_are_compressed_where_that_is_allowed),
        TEST(compression_can_be_turned_off),
        TEST(head_is_answered_like_get),
        TEST(preflight_is_answered_as_bahamut_does),
        TEST(answers_carry_cors_as_bahamuts_do),
        TEST(fixed_origin_is_told_to_all_but_the_listed),
        TEST(any_origin_comes_without_credentials),
        TEST(options_without_cors_is_a_bare_405),
        TEST(answers_that_are_given_again_are_for_whoever_asks),
        TEST(too_many_requests_are_told_when_to_come_again),
        TEST(identities_have_rates_of_their_own),
        TEST(read_only_refuses_writes_as_bahamut_does),
        TEST(read_only_is_told_to_those_who_may_enter),
        TEST(api_lies_behind_its_prefix),
        TEST(root_may_be_a_document_or_a_redirect),
        TEST(errors_may_be_rewritten_once_a_request_is_parsed),
        TEST(no_errors_in_place_of_errors_change_nothing),
        TEST(bad_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
