/* route_test.c - an application's routes and the API listener of a whole server, by the public
 * interface.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/server/asking.h"

#include <kujata/kujata.h>
#include <stdio.h>
#include <string.h>

static const struct kj_identity_spec identities[] = {{.name = "task", .category = "tasks"}};
static const struct kj_relation_spec relations[] = {
    {.parent = "root", .child = "task", .operations = KJ_OP_ALL}};

static const char *const some_keys[] = {"first-key", "second-key", NULL};

struct node {
    struct kj_model *model;
    struct kj_pubsub *pubsub;
    struct kj_server *server;
    struct kj_error error;
};

static enum kj_status make(struct node *node, struct kj_server_options options)
{
    const struct kj_model_spec spec = {
        .identities = identities, .identity_count = 1, .relations = relations, .relation_count = 1};
    *node = (struct node){0};
    assert_int_equal(kj_model_new(&spec, &node->model, NULL), KJ_OK);
    assert_int_equal(kj_pubsub_local_new(NULL, &node->pubsub), KJ_OK);
    options.listen = "127.0.0.1:0";
    options.model = node->model;
    options.pubsub = node->pubsub;
    return kj_server_new(&options, &node->server, &node->error);
}

static void release(struct node *node)
{
    kj_server_free(node->server);
    kj_pubsub_free(node->pubsub);
    kj_model_free(node->model);
}

static enum kj_status add(struct node *node, const struct kj_route *route)
{
    return kj_server_add_route(node->server, route, &node->error);
}

static void start(struct node *node)
{
    enum kj_status status = kj_server_start(node->server, &node->error);
    if (status) {
        fail_msg("%s", node->error.text);
    }
}

/* ---- handlers ---- */

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* Tells what it was asked. */
static void echo(struct kj_exchange *exchange, void *ctx)
{
    size_t len;
    const uint8_t *body = kj_exchange_body(exchange, &len);
    assert_true(len == 0 || body);
    json_t *told = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:O?, s:s, s:I, s:s}", "method",
        kj_exchange_method(exchange), "path", kj_exchange_path(exchange), "rest",
        kj_exchange_rest(exchange), "address", kj_exchange_remote_address(exchange), "header",
        text_or_null(kj_exchange_header(exchange, "x-word")), "parameter",
        text_or_null(kj_exchange_parameter(exchange, "a")), "form",
        text_or_null(kj_exchange_form(exchange, "a")), "cookie",
        text_or_null(kj_exchange_cookie(exchange, "a")), "other",
        text_or_null(kj_exchange_cookie(exchange, "b")), "token",
        text_or_null(kj_exchange_token(exchange)), "json", kj_exchange_json(exchange), "fault",
        kj_exchange_fault(exchange), "len", (json_int_t)len, "ctx", (const char *)ctx);
    assert_non_null(told);
    assert_int_equal(kj_exchange_answer_json_take(exchange, 200, told), KJ_OK);
}

static void say_ctx(struct kj_exchange *exchange, void *ctx)
{
    const char *text = ctx;
    assert_int_equal(kj_exchange_answer(exchange, 200, "text/plain", text, strlen(text)), KJ_OK);
}

static void say_nothing(struct kj_exchange *exchange, void *ctx)
{
    (void)exchange;
    (void)ctx;
}

static void try_headers(struct kj_exchange *exchange, void *ctx)
{
    (void)ctx;
    assert_int_equal(kj_exchange_add_header(exchange, "X-Good", "yes"), KJ_OK);
    assert_int_equal(kj_exchange_add_header(exchange, "X-Bad", "a\r\nX-Worse: b"), KJ_EINVAL);
    assert_int_equal(kj_exchange_add_header(exchange, "X Bad", "a"), KJ_EINVAL);
    assert_int_equal(kj_exchange_add_header(exchange, "content-length", "1"), KJ_EINVAL);
    for (int i = 1; i < 64; i++) {
        assert_int_equal(kj_exchange_add_header(exchange, "Set-Cookie", "a=b"), KJ_OK);
    }
    assert_int_equal(kj_exchange_add_header(exchange, "X-More", "a"), KJ_ELIMIT);
    assert_int_equal(kj_exchange_answer(exchange, 199, NULL, NULL, 0), KJ_EINVAL);
    assert_int_equal(kj_exchange_answer(exchange, 600, NULL, NULL, 0), KJ_EINVAL);
    assert_int_equal(kj_exchange_answer(exchange, 200, "a\nb", NULL, 0), KJ_EINVAL);
    assert_int_equal(kj_exchange_answer_json_take(exchange, 200, NULL), KJ_ENOMEM);
    kj_exchange_refuse(exchange, 500, "not yet");
    assert_int_equal(kj_exchange_answer(exchange, 204, NULL, NULL, 0), KJ_OK);
}

static void say_unchanged(struct kj_exchange *exchange, void *ctx)
{
    (void)ctx;
    assert_int_equal(kj_exchange_answer(exchange, 304, "text/plain", "the same", 8), KJ_OK);
}

/* ---- tests ---- */

static void a_route_is_whole_and_is_given_once(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        enum kj_status status;
    } rows[] = {
        {"GET", "/x", KJ_OK},       {"POST", "/x", KJ_OK},        {"GET", "/x", KJ_EEXIST},
        {"GET", "/x/*", KJ_OK},     {"GET", "/tasks", KJ_OK},     {"GET", "/events", KJ_EEXIST},
        {"GET", "x", KJ_EINVAL},    {"GET", "/x*", KJ_EINVAL},    {"GET", "/*/x", KJ_EINVAL},
        {"GET", "/a b", KJ_EINVAL}, {"GET", "//", KJ_EINVAL},     {"GET", "", KJ_EINVAL},
        {"GET", NULL, KJ_EINVAL},   {"get", "/y", KJ_EINVAL},     {"", "/y", KJ_EINVAL},
        {NULL, "/y", KJ_EINVAL},    {"GET", "/a%20b", KJ_EINVAL}, {"GET", "/", KJ_OK},
        {"GET", "/*", KJ_OK},
    };
    struct node node;
    assert_int_equal(make(&node, (struct kj_server_options){0}), KJ_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        node.error.text[0] = '\0';
        enum kj_status status = add(&node, &(struct kj_route){.method = rows[i].method,
                                                              .path = rows[i].path,
                                                              .handle = say_nothing});
        assert_int_equal(status, rows[i].status);
        assert_int_equal(node.error.text[0] != '\0', status != KJ_OK);
    }
    assert_int_equal(add(&node, &(struct kj_route){.method = "GET", .path = "/z"}), KJ_EINVAL);
    assert_int_equal(add(&node, &(struct kj_route){.listener = (enum kj_listener)7,
                                                   .method = "GET",
                                                   .path = "/z",
                                                   .handle = say_nothing}),
                     KJ_EINVAL);
    assert_int_equal(add(&node, &(struct kj_route){.listener = KJ_LISTENER_API,
                                                   .method = "GET",
                                                   .path = "/z",
                                                   .handle = say_nothing}),
                     KJ_EINVAL);
    assert_non_null(strstr(node.error.text, "--api"));
    start(&node);
    assert_int_equal(
        add(&node, &(struct kj_route){.method = "GET", .path = "/z", .handle = say_nothing}),
        KJ_EINVAL);
    release(&node);
}

static void a_protocol_is_not_mounted_over_a_route(void **state)
{
    (void)state;
    struct node node;
    struct kj_native *native;
    assert_int_equal(make(&node, (struct kj_server_options){0}), KJ_OK);
    assert_int_equal(kj_native_new(&(struct kj_native_options){.is_open = true}, &native), KJ_OK);
    const struct kj_protocol protocol = kj_native_protocol(native);
    assert_int_equal(
        add(&node, &(struct kj_route){.method = "GET", .path = "/connect", .handle = say_nothing}),
        KJ_OK);
    assert_int_equal(
        add(&node, &(struct kj_route){.method = "GET", .path = "/sub/*", .handle = say_nothing}),
        KJ_OK);
    assert_int_equal(kj_server_mount(node.server, "/connect", &protocol, &node.error), KJ_EEXIST);
    assert_int_equal(kj_server_mount(node.server, "/sub/ws", &protocol, &node.error), KJ_OK);
    assert_int_equal(
        add(&node, &(struct kj_route){.method = "POST", .path = "/sub/ws", .handle = say_nothing}),
        KJ_EEXIST);
    release(&node);
    kj_native_free(native);
}

static void the_closest_path_wins_over_others_and_the_model(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text;
    } routes[] = {{"/tasks", "tasks"}, {"/x/*", "below x"}, {"/x/y/*", "below y"}, {"/x/y", "y"}};
    static const struct {
        const char *line, *text; /* NULL: not a route */
    } rows[] = {
        {"GET /tasks", "tasks"}, {"GET /x/", "below x"},   {"GET /x/z", "below x"},
        {"GET /x/y", "y"},       {"GET /x/y/", "below y"}, {"GET /x/y/z?a=b", "below y"},
        {"GET /x", NULL},        {"GET /tasks/1", NULL},   {"GET /tasksx", NULL},
    };
    struct node node;
    assert_int_equal(make(&node, (struct kj_server_options){0}), KJ_OK);
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        assert_int_equal(add(&node, &(struct kj_route){.method = "GET",
                                                       .path = routes[i].path,
                                                       .handle = say_ctx,
                                                       .ctx = (void *)routes[i].text}),
                         KJ_OK);
    }
    start(&node);
    uint16_t port = kj_server_port(node.server);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int status = ask(port, rows[i].line, "", "");
        assert_int_equal(status == 200, rows[i].text != NULL);
        if (rows[i].text) {
            assert_string_equal(body_of_answer(), rows[i].text);
        }
    }
    assert_int_equal(kj_server_counter(node.server, "route_requests_total"), 6);
    release(&node);
}

static void a_handler_is_told_what_was_asked(void **state)
{
    (void)state;
    struct node node;
    assert_int_equal(make(&node, (struct kj_server_options){0}), KJ_OK);
    assert_int_equal(
        add(&node,
            &(struct kj_route){.method = "POST", .path = "/echo/*", .handle = echo, .ctx = "mine"}),
        KJ_OK);
    start(&node);
    uint16_t port = kj_server_port(node.server);

    assert_int_equal(ask(port, "POST /echo/b%2Fc%C3%A9?a=1+2&a=3",
                         "X-Word: w\r\nAuthorization: bearer tok\r\nCookie: b=2; a=x=y\r\n",
                         "{\"k\": [1]}"),
                     200);
    assert_string_equal(body_of_answer(),
                        "{\"address\":\"127.0.0.1\",\"cookie\":\"x=y\",\"ctx\":\"mine\","
                        "\"fault\":\"\",\"form\":null,\"header\":\"w\",\"json\":{\"k\":[1]},"
                        "\"len\":10,\"method\":\"POST\",\"other\":\"2\",\"parameter\":\"1 2\","
                        "\"path\":\"/echo/b%2Fc%C3%A9\",\"rest\":\"b/c\xc3\xa9\","
                        "\"token\":\"tok\"}");
    assert_true(says("Content-Type: application/json"));

    assert_int_equal(ask(port, "POST /echo/",
                         "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n",
                         "b=1&a=%5B%22x%22%5D"),
                     200);
    assert_true(says("\"form\":\"[\\\"x\\\"]\""));
    assert_true(says("\"json\":null"));
    release(&node);
}

static void cookies_of_other_sites_do_not_count(void **state)
{
    (void)state;
    static const char *const allowed[] = {"http://friend.example", NULL};
    struct node node;
    assert_int_equal(make(&node, (struct kj_server_options){.allowed_origins = allowed}), KJ_OK);
    assert_int_equal(
        add(&node, &(struct kj_route){.method = "GET", .path = "/e", .handle = echo, .ctx = ""}),
        KJ_OK);
    start(&node);
    uint16_t port = kj_server_port(node.server);
    assert_int_equal(ask(port, "GET /e", "Cookie: a=1\r\nOrigin: http://evil.example\r\n", ""),
                     200);
    assert_true(says("\"cookie\":null"));
    assert_int_equal(ask(port, "GET /e", "Cookie: a=1\r\nOrigin: http://friend.example\r\n", ""),
                     200);
    assert_true(says("\"cookie\":\"1\""));
    /* As sessions read them. */
    assert_int_equal(ask(port, "GET /e", "Cookie: a=\"x y\" ; b=2  \r\n", ""), 200);
    assert_true(says("\"cookie\":\"x y\""));
    assert_true(says("\"other\":\"2\""));
    release(&node);
}

static void what_cannot_be_read_is_a_400(void **state)
{
    (void)state;
    static const char form[] = "Content-Type: application/x-www-form-urlencoded\r\n";
    static const struct {
        const char *line, *headers, *body;
    } rows[] = {
        {"POST /e/%zz", "", ""},    {"POST /e/%00", "", ""},     {"POST /e/%ff", "", ""},
        {"POST /e/?a=%z", "", ""},  {"POST /e/?a=%", "", ""},    {"POST /e/?%ff=1", "", ""},
        {"POST /e/", form, "a=%4"}, {"POST /e/", form, "a=%00"}, {"POST /e/", form, "a=\xff"},
    };
    struct node node;
    char many[257 * 4 + 1] = "";
    assert_int_equal(make(&node, (struct kj_server_options){0}), KJ_OK);
    assert_int_equal(
        add(&node, &(struct kj_route){.method = "POST", .path = "/e/*", .handle = echo, .ctx = ""}),
        KJ_OK);
    start(&node);
    uint16_t port = kj_server_port(node.server);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(ask(port, rows[i].line, rows[i].headers, rows[i].body), 400);
        assert_true(says("{\"error\":\""));
    }
    for (int i = 0; i < 257; i++) {
        memcpy(many + (size_t)i * 4, "b=1&", 5);
    }
    assert_int_equal(ask(port, "POST /e/", form, many), 400);
    many[(size_t)256 * 4] = '\0';
    assert_int_equal(ask(port, "POST /e/", form, many), 200);
    char deep[161];
    memset(deep, '[', 80);
    memset(deep + 80, ']', 80);
    deep[160] = '\0';
    assert_int_equal(ask(port, "POST /e/", "", deep), 200);
    assert_true(says("\"json\":null"));
    assert_false(says("\"fault\":\"\""));
    release(&node);
}

static void other_methods_are_told_which_there_are(void **state)
{
    (void)state;
    struct node node;
    assert_int_equal(make(&node, (struct kj_server_options){0}), KJ_OK);
    assert_int_equal(add(&node, &(struct kj_route){.method = "GET",
                                                   .path = "/x",
                                                   .handle = say_ctx,
                                                   .ctx = "twelve bytes"}),
                     KJ_OK);
    assert_int_equal(
        add(&node, &(struct kj_route){.method = "POST", .path = "/x", .handle = say_nothing}),
        KJ_OK);
    start(&node);
    uint16_t port = kj_server_port(node.server);
    assert_int_equal(ask(port, "DELETE /x", "", ""), 405);
    assert_true(says("Allow: GET, HEAD, POST\r\n"));
    assert_int_equal(ask(port, "OPTIONS /x", "", ""), 405);
    assert_int_equal(ask(port, "HEAD /x", "", ""), 200);
    assert_true(says("Content-Length: 12\r\n"));
    assert_string_equal(body_of_answer(), "");
    assert_int_equal(ask(port, "POST /x", "", ""), 500);
    assert_int_equal(kj_server_counter(node.server, "http_errors_4xx_total"), 2);
    assert_int_equal(kj_server_counter(node.server, "http_errors_5xx_total"), 1);
    release(&node);
}

static void the_policy_of_the_public_listener_holds(void **state)
{
    (void)state;
    struct node node;
    assert_int_equal(make(&node, (struct kj_server_options){.limits = {.body_bytes = 8},
                                                            .http = {.cors_origin = "mirror",
                                                                     .request_rate = {1, 2}}}),
                     KJ_OK);
    assert_int_equal(
        add(&node,
            &(struct kj_route){.method = "POST", .path = "/x", .handle = say_ctx, .ctx = "x"}),
        KJ_OK);
    start(&node);
    uint16_t port = kj_server_port(node.server);
    assert_int_equal(ask(port, "OPTIONS /x", "Origin: http://a.example\r\n", ""), 200);
    assert_true(says("Access-Control-Allow-Methods: "));
    assert_int_equal(ask(port, "POST /x", "Origin: http://a.example\r\n", "12345678"), 200);
    assert_true(says("Access-Control-Allow-Origin: http://a.example\r\n"));
    assert_int_equal(ask(port, "POST /x", "", "123456789"), 413);
    assert_int_equal(ask(port, "POST /x", "", ""), 200);
    int status = 200;
    for (int i = 0; i < 100 && status == 200; i++) {
        status = ask(port, "POST /x", "", "");
    }
    assert_int_equal(status, 429);
    assert_true(says("Retry-After: 1\r\n"));
    release(&node);
}

static void headers_are_checked_and_the_last_answer_holds(void **state)
{
    (void)state;
    struct node node;
    assert_int_equal(make(&node, (struct kj_server_options){0}), KJ_OK);
    assert_int_equal(
        add(&node, &(struct kj_route){.method = "GET", .path = "/x", .handle = try_headers}),
        KJ_OK);
    start(&node);
    assert_int_equal(ask(kj_server_port(node.server), "GET /x", "", ""), 204);
    assert_true(says("X-Good: yes\r\n"));
    assert_false(says("Worse"));
    assert_string_equal(body_of_answer(), "");
    release(&node);
}

static void what_has_not_changed_has_no_body(void **state)
{
    (void)state;
    struct node node;
    assert_int_equal(make(&node, (struct kj_server_options){0}), KJ_OK);
    assert_int_equal(
        add(&node, &(struct kj_route){.method = "GET", .path = "/x", .handle = say_unchanged}),
        KJ_OK);
    start(&node);
    assert_int_equal(ask(kj_server_port(node.server), "GET /x", "", ""), 304);
    assert_false(says("Content-Length"));
    assert_string_equal(body_of_answer(), "");
    release(&node);
}

static void the_api_listener_has_its_routes_behind_its_keys(void **state)
{
    (void)state;
    struct node node;
    assert_int_equal(
        make(&node, (struct kj_server_options){.api_listen = "127.0.0.1:0", .api_keys = some_keys}),
        KJ_OK);
    assert_int_equal(kj_server_api_port(node.server), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(add(&node, &(struct kj_route){.listener = (enum kj_listener)i,
                                                       .method = "GET",
                                                       .path = "/x",
                                                       .handle = say_ctx,
                                                       .ctx = i ? "api" : "public"}),
                         KJ_OK);
    }
    start(&node);
    uint16_t port = kj_server_api_port(node.server);
    assert_int_equal(ask(kj_server_port(node.server), "GET /x", "", ""), 200);
    assert_string_equal(body_of_answer(), "public");
    assert_int_equal(ask(port, "GET /x", "Authorization: Bearer first-key\r\n", ""), 200);
    assert_string_equal(body_of_answer(), "api");
    assert_int_equal(ask(port, "GET /x", "Authorization: Bearer second-key\r\n", ""), 200);
    assert_int_equal(ask(port, "GET /tasks", "Authorization: Bearer second-key\r\n", ""), 404);

    static const char *const bad[] = {
        "", "Authorization: Bearer\r\n", "Authorization: Bearer first-ke\r\n",
        "Authorization: Bearer first-keyx\r\n", "Authorization: Basic first-key\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ask(port, "GET /x", bad[i], ""), 401);
        assert_true(says("WWW-Authenticate: Bearer\r\n"));
        assert_int_equal(ask(port, "GET /nowhere", bad[i], ""), 401);
    }
    assert_int_equal(kj_server_counter(node.server, "api_keys_refused_total"), 10);
    kj_server_stop(node.server);
    assert_int_equal(kj_server_api_port(node.server), 0);
    release(&node);
}

static void an_open_api_asks_for_no_key(void **state)
{
    (void)state;
    struct node node;
    assert_int_equal(
        make(&node, (struct kj_server_options){.api_listen = "127.0.0.1:0", .api_open = true}),
        KJ_OK);
    start(&node);
    assert_int_equal(ask(kj_server_api_port(node.server), "GET /", "", ""), 404);
    release(&node);
}

static void an_api_without_keys_must_be_meant(void **state)
{
    (void)state;
    static const char *const blank[] = {"a b", NULL};
    static const char *const empty[] = {"", NULL};
    const struct {
        struct kj_server_options options;
        const char *named;
    } rows[] = {
        {{.api_listen = "127.0.0.1:0"}, "--api-open"},
        {{.api_open = true}, "--api"},
        {{.api_keys = some_keys}, "--api"},
        {{.api_listen = "127.0.0.1:0", .api_keys = some_keys, .api_open = true}, "--api-open"},
        {{.api_listen = "127.0.0.1:0", .api_keys = blank}, "--api-key"},
        {{.api_listen = "127.0.0.1:0", .api_keys = empty}, "--api-key"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct node node;
        assert_int_equal(make(&node, rows[i].options), KJ_EINVAL);
        assert_non_null(strstr(node.error.text, rows[i].named));
        release(&node);
    }
    struct node node;
    assert_int_equal(make(&node, (struct kj_server_options){.api_listen = "x", .api_open = true}),
                     KJ_OK);
    assert_int_equal(kj_server_start(node.server, &node.error), KJ_EINVAL);
    assert_non_null(strstr(node.error.text, "api_listen"));
    release(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_is_whole_and_is_given_once),
        cmocka_unit_test(a_protocol_is_not_mounted_over_a_route),
        cmocka_unit_test(the_closest_path_wins_over_others_and_the_model),
        cmocka_unit_test(a_handler_is_told_what_was_asked),
        cmocka_unit_test(cookies_of_other_sites_do_not_count),
        cmocka_unit_test(what_cannot_be_read_is_a_400),
        cmocka_unit_test(other_methods_are_told_which_there_are),
        cmocka_unit_test(the_policy_of_the_public_listener_holds),
        cmocka_unit_test(headers_are_checked_and_the_last_answer_holds),
        cmocka_unit_test(what_has_not_changed_has_no_body),
        cmocka_unit_test(the_api_listener_has_its_routes_behind_its_keys),
        cmocka_unit_test(an_open_api_asks_for_no_key),
        cmocka_unit_test(an_api_without_keys_must_be_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
