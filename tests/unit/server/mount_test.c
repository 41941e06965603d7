/* mount_test.c - protocols at paths of a whole server, by the public interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
    struct kj_protocol protocol;
    struct kj_error error;
};

static void make(struct node *node, bool has_backend, const struct kj_native_options *native)
{
    const struct kj_model_spec spec = {
        .identities = identities, .identity_count = 1, .relations = relations, .relation_count = 1};
    *node = (struct node){0};
    assert_int_equal(kj_model_new(&spec, &node->model, NULL), KJ_OK);
    assert_int_equal(kj_pubsub_local_new(NULL, &node->pubsub), KJ_OK);
    assert_int_equal(kj_native_new(native, &node->native), KJ_OK);
    assert_int_equal(
        kj_server_new(&(struct kj_server_options){.listen = "127.0.0.1:0",
                                                  .model = node->model,
                                                  .pubsub = has_backend ? node->pubsub : NULL},
                      &node->server, &node->error),
        KJ_OK);
    node->protocol = kj_native_protocol(node->native);
}

static void release(struct node *node)
{
    kj_server_free(node->server);
    kj_native_free(node->native);
    kj_pubsub_free(node->pubsub);
    kj_model_free(node->model);
}

static enum kj_status mount(struct node *node, const char *path)
{
    return kj_server_mount(node->server, path, &node->protocol, &node->error);
}

static const struct kj_native_options everybody = {.is_open = true};

static void a_path_is_given_once_and_hides_nothing(void **state)
{
    (void)state;
    struct node node;
    make(&node, true, &everybody);
    assert_null(kj_server_gateway(node.server));
    assert_int_equal(mount(&node, "/connect"), KJ_OK);
    assert_non_null(kj_server_gateway(node.server));
    assert_int_equal(mount(&node, "/connect"), KJ_EEXIST);
    assert_int_equal(mount(&node, "/events"), KJ_EEXIST);
    assert_int_equal(mount(&node, "/tasks"), KJ_EINVAL);
    assert_non_null(strstr(node.error.text, "/tasks"));
    assert_int_equal(mount(&node, "connect"), KJ_EINVAL);
    assert_int_equal(mount(&node, "/"), KJ_EINVAL);
    assert_int_equal(mount(&node, "/a b"), KJ_EINVAL);
    assert_int_equal(mount(&node, "/other"), KJ_OK);
    release(&node);
}

static void there_are_so_many_protocols(void **state)
{
    (void)state;
    struct node node;
    char path[16];
    make(&node, true, &everybody);
    for (int i = 0; i < 16; i++) {
        (void)snprintf(path, sizeof path, "/p%d", i);
        assert_int_equal(mount(&node, path), KJ_OK);
    }
    assert_int_equal(mount(&node, "/p16"), KJ_ELIMIT);
    assert_int_equal(kj_server_start(node.server, &node.error), KJ_OK);
    release(&node);
}

static void a_protocol_is_whole_and_lets_somebody_in(void **state)
{
    (void)state;
    struct node node;
    make(&node, true, NULL);
    assert_int_equal(mount(&node, "/connect"), KJ_EINVAL);
    assert_non_null(strstr(node.error.text, "is_open"));
    node.protocol.is_open = true;
    node.protocol.encode = NULL;
    assert_int_equal(mount(&node, "/connect"), KJ_EINVAL);
    node.protocol = kj_native_protocol(node.native);
    node.protocol.is_open = true;
    node.protocol.encoding_count = KJ_PROTOCOL_ENCODINGS_MAX + 1;
    assert_int_equal(mount(&node, "/connect"), KJ_EINVAL);
    node.protocol.encoding_count = 2;
    node.protocol.slow_rooms = (enum kj_slow_policy)9;
    assert_int_equal(mount(&node, "/connect"), KJ_EINVAL);
    release(&node);
}

static enum kj_auth refuse(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)session, (void)error, (void)ctx;
    return KJ_AUTH_REFUSE;
}

static void an_authenticator_of_its_own_lets_clients_in(void **state)
{
    (void)state;
    struct node node;
    make(&node, true, NULL);
    node.protocol.authenticate = refuse;
    assert_int_equal(mount(&node, "/connect"), KJ_OK);
    release(&node);
}

static void a_server_is_mounted_before_it_starts_and_with_a_backend(void **state)
{
    (void)state;
    struct node node;
    make(&node, true, &everybody);
    assert_int_equal(kj_server_start(node.server, &node.error), KJ_OK);
    assert_int_equal(mount(&node, "/connect"), KJ_EINVAL);
    release(&node);
    make(&node, false, &everybody);
    assert_int_equal(mount(&node, "/connect"), KJ_EUNSUPPORTED);
    release(&node);
}

static void the_application_publishes_while_the_server_runs(void **state)
{
    (void)state;
    struct node node;
    struct kj_push_receipt receipt;
    struct kj_gateway_counts counts;
    const struct kj_push_options push = {
        .kind = KJ_TOPIC_ALL, .body = (const uint8_t *)"1", .body_len = 1, .body_is_json = true};
    make(&node, true, &everybody);
    assert_int_equal(mount(&node, "/connect"), KJ_OK);
    assert_int_equal(kj_server_start(node.server, &node.error), KJ_OK);
    struct kj_gateway *gateway = kj_server_gateway(node.server);
    assert_int_equal(kj_gateway_publish(gateway, &push, &receipt), KJ_OK);
    assert_int_equal(receipt.reached, 0);
    uint64_t first = receipt.id;
    assert_int_equal(kj_gateway_publish(gateway, &push, &receipt), KJ_OK);
    assert_true(receipt.id > first);
    kj_gateway_count(gateway, &counts);
    assert_int_equal(counts.clients, 0);
    kj_server_stop(node.server);
    assert_int_equal(kj_gateway_publish(gateway, &push, &receipt), KJ_ECLOSED);
    release(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_given_once_and_hides_nothing),
        cmocka_unit_test(there_are_so_many_protocols),
        cmocka_unit_test(a_protocol_is_whole_and_lets_somebody_in),
        cmocka_unit_test(an_authenticator_of_its_own_lets_clients_in),
        cmocka_unit_test(a_server_is_mounted_before_it_starts_and_with_a_backend),
        cmocka_unit_test(the_application_publishes_while_the_server_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
