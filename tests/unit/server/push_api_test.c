/* push_api_test.c - what the push API makes of limits, of statuses, and of who publishes. */
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

struct node {
    struct kj_model *model;
    struct kj_pubsub *pubsub;
    struct kj_native *native;
    struct kj_server *server;
    struct kj_push_api *api;
    uint16_t port;
};

static void make(struct node *node, const struct kj_push_api_options *options, bool is_mounted)
{
    const struct kj_model_spec spec = {
        .identities = identities, .identity_count = 1, .relations = relations, .relation_count = 1};
    *node = (struct node){0};
    assert_int_equal(kj_model_new(&spec, &node->model, NULL), KJ_OK);
    assert_int_equal(kj_pubsub_local_new(NULL, &node->pubsub), KJ_OK);
    assert_int_equal(kj_native_new(&(struct kj_native_options){.is_open = true}, &node->native),
                     KJ_OK);
    assert_int_equal(kj_server_new(&(struct kj_server_options){.listen = "127.0.0.1:0",
                                                               .api_listen = "127.0.0.1:0",
                                                               .api_open = true,
                                                               .model = node->model,
                                                               .pubsub = node->pubsub},
                                   &node->server, NULL),
                     KJ_OK);
    const struct kj_protocol protocol = kj_native_protocol(node->native);
    if (is_mounted) {
        assert_int_equal(kj_server_mount(node->server, "/connect", &protocol, NULL), KJ_OK);
    }
    assert_int_equal(kj_push_api_new(options, &node->api), KJ_OK);
    assert_int_equal(kj_push_api_add_routes(node->api, node->server, NULL), KJ_OK);
    assert_int_equal(kj_server_start(node->server, NULL), KJ_OK);
    node->port = kj_server_api_port(node->server);
}

static void release(struct node *node)
{
    kj_server_free(node->server);
    kj_push_api_free(node->api);
    kj_native_free(node->native);
    kj_pubsub_free(node->pubsub);
    kj_model_free(node->model);
}

static int push(const struct node *node, const char *body)
{
    return ask(node->port, "POST /v1/push", "", body);
}

/* Stands in for something that keeps messages. */
struct keeper {
    enum kj_status statuses[4]; /* of the first calls */
    int calls;
    uint32_t ttl_s;
    char name[32], body[32];
};

static enum kj_status keep(struct kj_gateway *gateway, const struct kj_push_options *options,
                           uint32_t ttl_s, struct kj_push_receipt *receipt, void *ctx)
{
    struct keeper *keeper = ctx;
    assert_non_null(gateway);
    keeper->ttl_s = ttl_s;
    (void)snprintf(keeper->name, sizeof keeper->name, "%s", options->name);
    (void)snprintf(keeper->body, sizeof keeper->body, "%.*s", (int)options->body_len,
                   (const char *)options->body);
    *receipt = (struct kj_push_receipt){.id = 0xabc, .reached = 3};
    int call = keeper->calls++;
    return call < 4 ? keeper->statuses[call] : KJ_OK;
}

static void who_keeps_messages_publishes_them(void **state)
{
    (void)state;
    struct node node;
    struct keeper keeper = {.calls = 0};
    make(&node, &(struct kj_push_api_options){.publish = keep, .ctx = &keeper}, true);
    assert_int_equal(
        push(&node, "{\"to\":{\"users\":[\"ann\"]},\"items\":[{\"a\":1}],\"ttl_s\":60}"), 202);
    assert_string_equal(body_of_answer(),
                        "{\"id\":\"0000000000000abc\",\"pushes\":1,\"sessions\":3}");
    assert_int_equal(keeper.ttl_s, 60);
    assert_string_equal(keeper.name, "ann");
    assert_string_equal(keeper.body, "{\"a\":1}");
    assert_int_equal(push(&node, "{\"to\":{\"users\":[\"ann\"]},\"items\":[1]}"), 202);
    assert_int_equal(keeper.ttl_s, 0);
    release(&node);
}

static void a_status_of_the_gateway_is_one_of_http(void **state)
{
    (void)state;
    static const struct {
        enum kj_status status;
        int answer;
    } rows[] = {{KJ_EINVAL, 400}, {KJ_ELIMIT, 413},  {KJ_ENOTFOUND, 404},    {KJ_EFULL, 429},
                {KJ_ENOMEM, 503}, {KJ_ECLOSED, 503}, {KJ_EDISCONNECTED, 503}};
    struct node node;
    struct keeper keeper;
    make(&node, &(struct kj_push_api_options){.publish = keep, .ctx = &keeper}, true);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        keeper = (struct keeper){.statuses = {rows[i].status}};
        assert_int_equal(push(&node, "{\"to\":{\"users\":[\"ann\"]},\"items\":[1,2]}"),
                         rows[i].answer);
        assert_int_equal(says("Retry-After: 1\r\n"), rows[i].answer == 429);
        assert_int_equal(keeper.calls, 1);
    }
    release(&node);
}

static void what_could_not_be_pushed_is_told_beside_what_was(void **state)
{
    (void)state;
    static const char three[] = "{\"to\":{\"users\":[\"a\",\"b\",\"c\"]},\"items\":[1]}";
    struct node node;
    struct keeper keeper = {.statuses = {KJ_OK, KJ_ENOTFOUND, KJ_OK}};
    make(&node, &(struct kj_push_api_options){.publish = keep, .ctx = &keeper}, true);
    assert_int_equal(push(&node, three), 202);
    assert_int_equal(keeper.calls, 3);
    assert_true(says("\"pushes\":2,\"sessions\":6"));
    assert_true(says("\"status\":404,\"to\":\"b\""));
    /* With no more room for one there is none for the others. */
    keeper = (struct keeper){.statuses = {KJ_OK, KJ_EFULL}};
    assert_int_equal(push(&node, three), 202);
    assert_int_equal(keeper.calls, 2);
    assert_true(says("\"status\":429,\"to\":\"b\"") && says("\"status\":429,\"to\":\"c\""));
    release(&node);
}

static void limits_are_those_of_the_options(void **state)
{
    (void)state;
    static const struct {
        const char *line, *body;
        int status;
    } rows[] = {
        {"POST /v1/push", "{\"to\":{\"rooms\":[\"a\",\"b\"]},\"items\":[1]}", 202},
        {"POST /v1/push", "{\"to\":{\"rooms\":[\"a\",\"b\",\"c\"]},\"items\":[1]}", 400},
        {"POST /v1/push", "{\"to\":{\"rooms\":[\"a\"]},\"items\":[1,2]}", 202},
        {"POST /v1/push", "{\"to\":{\"rooms\":[\"a\"]},\"items\":[1,2,3]}", 400},
        {"POST /v1/push", "{\"to\":{\"rooms\":[\"a\",\"b\"]},\"items\":[1,2]}", 413},
        {"POST /v1/push/batch", "{\"messages\":[1,2]}", 202},
        {"POST /v1/push/batch", "{\"messages\":[1,2,3]}", 400},
        {"POST /v1/kick", "{\"to\":{\"rooms\":[\"a\",\"b\",\"c\"]}}", 400},
        {"POST /v1/online", "{\"rooms\":[\"a\",\"b\",\"c\"]}", 400},
    };
    struct node node;
    make(&node, &(struct kj_push_api_options){.targets = 2, .items = 2, .requests = 2, .pushes = 3},
         true);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(ask(node.port, rows[i].line, "", rows[i].body), rows[i].status);
    }
    release(&node);
}

static void without_clients_there_is_nothing_to_push_to(void **state)
{
    (void)state;
    static const char *const lines[] = {"POST /v1/push",  "POST /v1/push/batch", "POST /v1/kick",
                                        "GET /v1/online", "POST /v1/online",     "GET /v1/stats"};
    struct node node;
    make(&node, NULL, false);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_int_equal(ask(node.port, lines[i], "", "{}"), 503);
    }
    release(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_keeps_messages_publishes_them),
        cmocka_unit_test(a_status_of_the_gateway_is_one_of_http),
        cmocka_unit_test(what_could_not_be_pushed_is_told_beside_what_was),
        cmocka_unit_test(limits_are_those_of_the_options),
        cmocka_unit_test(without_clients_there_is_nothing_to_push_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
