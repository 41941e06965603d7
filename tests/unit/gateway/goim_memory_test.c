/* goim_memory_test.c - goim's protocol under an allocator that fails at each call in turn.
 *
 * What leaks is the address sanitizer's to report.
 */
#include "gateway/client.h"
#include "support/failing_allocator.h"

#include <kujata/goim.h>
#include <kujata/pubsub_local.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct parts {
    struct kj__counters counters;
    struct kj_limits limits;
    struct kj__delivery *delivery;
    struct kj_pubsub *pubsub;
    struct kj_goim *goim;
    struct kj_gateway *gateway;
    struct kj__mount *mount;
};

static void give_place(const char *remote_address, void *ctx)
{
    (void)remote_address;
    (void)ctx;
}

static void make_parts(struct parts *parts)
{
    struct kj_error error;
    const struct kj_stream_options stream = {.listen = "127.0.0.1:0"};
    *parts = (struct parts){.limits = {.message_fragments = 16}};
    assert_int_equal(kj_pubsub_local_new(NULL, &parts->pubsub), KJ_OK);
    assert_int_equal(kj__delivery_new(1, KJ_IO_EPOLL, &parts->counters, &parts->delivery), KJ_OK);
    assert_int_equal(kj_goim_new(&(struct kj_goim_options){.is_open = true}, &parts->goim), KJ_OK);
    const struct kj_protocol protocol = kj_goim_stream_protocol(parts->goim);
    assert_int_equal(kj__gateway_new(&(struct kj__gateway_options){.delivery = parts->delivery,
                                                                   .pubsub = parts->pubsub,
                                                                   .counters = &parts->counters,
                                                                   .prefix = "test",
                                                                   .topics = 100,
                                                                   .limits = &parts->limits,
                                                                   .give_place = give_place},
                                     &parts->gateway),
                     KJ_OK);
    assert_int_equal(kj__gateway_mount(parts->gateway, &protocol, &stream, &parts->mount, &error),
                     KJ_OK);
}

static void free_parts(struct parts *parts)
{
    kj__gateway_free(parts->gateway);
    kj__delivery_free(parts->delivery);
    kj_pubsub_free(parts->pubsub);
    kj_goim_free(parts->goim);
}

/* Open without a socket: nothing is written before the shards run, and they never do. */
static struct kj_client *make_client(struct parts *parts)
{
    struct kj__fields headers;
    kj__fields_init(&headers, true);
    struct kj_client *client = kj__client_new(
        parts->mount,
        &(struct kj__session_origin){.headers = &headers, .query = "", .remote_address = "1"});
    assert_non_null(client);
    client->session.connection.state = KJ__CONNECTION_OPEN;
    return client;
}

/* As its shard ends it. */
static void end(struct kj_client *client)
{
    struct kj__connection *connection = &client->session.connection;
    kj__wheel_disarm(&connection->shard->wheel, &connection->timer);
    kj__list_unlink(&connection->round_link);
    kj__out_queue_clear(&connection->out);
    kj__shard_count_waiting(connection->shard, connection);
    connection->state = KJ__CONNECTION_CLOSED;
    connection->endpoint->protocol->on_closed(connection, true);
    kj__side_reap(kj__side_of(client));
    kj_client_unref(client);
}

static void hear(struct kj_client *client, uint8_t op, const char *body)
{
    const struct kj_protocol *protocol = &client->mount->protocol;
    uint8_t packet[256] = {0, 0, 0, (uint8_t)(16 + strlen(body)), 0, 16, 0, 1, 0, 0, 0, op};
    memcpy(packet + 16, body, strlen(body));
    protocol->on_message(client, KJ_FRAME_BINARY, packet, 16 + strlen(body), protocol->ctx);
}

static void it_is_made_or_not(void **state)
{
    (void)state;
    enum kj_status status = KJ_ENOMEM;
    for (long calls = 0; status == KJ_ENOMEM; calls++) {
        struct kj_goim *goim;
        allocator_fail_after(calls, false);
        status = kj_goim_new(&(struct kj_goim_options){.domain = "push.example"}, &goim);
        assert_int_equal(status, allocator_recover() ? KJ_ENOMEM : KJ_OK);
        kj_goim_free(goim);
    }
    kj_goim_free(NULL);
}

/* A client that is in has all it asked for, and one that is not is being closed. */
static void a_client_is_let_in_or_closed(void **state)
{
    (void)state;
    struct parts parts;
    bool is_in = false;
    make_parts(&parts);
    for (long calls = 0; !is_in; calls++) {
        struct kj_client *client = make_client(&parts);
        allocator_fail_after(calls, false);
        hear(client, 7, "{\"mid\":1,\"room_id\":\"live://1\",\"accepts\":[1,2,3,4,5]}");
        bool has_failed = allocator_recover();
        is_in = !has_failed;
        if (kj_client_is_open(client)) {
            assert_true(kj_client_is_admitted(client));
            assert_true(kj_client_is_in(client, "live://1"));
            assert_non_null(kj_client_user(client));
        } else {
            assert_true(has_failed);
        }
        end(client);
        assert_in_range(calls, 0, 300);
    }
    free_parts(&parts);
}

static void requests_survive(void **state)
{
    static const char list[] = "11,12,13,14,15,16,17,18,19,20";
    (void)state;
    struct parts parts;
    bool has_failed = true;
    make_parts(&parts);
    for (long calls = 0; has_failed; calls++) {
        struct kj_client *client = make_client(&parts);
        hear(client, 7, "{\"accepts\":[]}");
        allocator_fail_after(calls, false);
        hear(client, 12, "live://1");
        hear(client, 2, "");
        hear(client, 14, list);
        hear(client, 16, list);
        hear(client, 100, "x");
        has_failed = allocator_recover();
        end(client);
        assert_in_range(calls, 0, 300);
    }
    free_parts(&parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_made_or_not),
        cmocka_unit_test(a_client_is_let_in_or_closed),
        cmocka_unit_test(requests_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
