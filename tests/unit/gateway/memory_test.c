/* memory_test.c - the gateway under an allocator that fails at each call in turn.
 *
 * What leaks is the address sanitizer's to report.
 */
#include "gateway/client.h"
#include "handlers/native.h"
#include "support/failing_allocator.h"

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
};

static void give_place(const char *remote_address, void *ctx)
{
    (void)remote_address;
    (void)ctx;
}

static void on_message(struct kj_client *client, enum kj_frame frame, uint8_t *data, size_t len,
                       void *ctx)
{
    (void)client;
    (void)frame;
    (void)data;
    (void)len;
    (void)ctx;
}

static void make_parts(struct parts *parts)
{
    *parts = (struct parts){.limits = {.message_fragments = 16}};
    assert_int_equal(kj_pubsub_local_new(NULL, &parts->pubsub), KJ_OK);
    assert_int_equal(kj__delivery_new(2, KJ_IO_EPOLL, &parts->counters, &parts->delivery), KJ_OK);
}

static void free_parts(struct parts *parts)
{
    kj__delivery_free(parts->delivery);
    kj_pubsub_free(parts->pubsub);
}

static enum kj_status make_gateway(struct parts *parts, struct kj_gateway **gateway,
                                   struct kj__mount **mount)
{
    struct kj_error error;
    enum kj_status status = kj__gateway_new(
        &(struct kj__gateway_options){.delivery = parts->delivery,
                                      .pubsub = parts->pubsub,
                                      .counters = &parts->counters,
                                      .prefix = "test",
                                      .topics = 100,
                                      .limits = &parts->limits,
                                      .give_place = give_place},
        gateway);
    return status ? status
                  : kj__gateway_mount(*gateway,
                                      &(struct kj_protocol){.name = "native",
                                                            .encoding_count = 2,
                                                            .is_open = true,
                                                            .on_message = on_message,
                                                            .encode = native_encode},
                                      NULL, mount, &error);
}

static void gateways_survive_every_failing_allocation(void **state)
{
    (void)state;
    struct parts parts;
    enum kj_status status = KJ_ENOMEM;
    make_parts(&parts);
    for (long calls = 0; status == KJ_ENOMEM; calls++) {
        struct kj_gateway *gateway = NULL;
        struct kj__mount *mount;
        allocator_fail_after(calls, false);
        status = make_gateway(&parts, &gateway, &mount);
        bool has_failed = allocator_recover();
        assert_int_equal(status, has_failed ? KJ_ENOMEM : KJ_OK);
        kj__gateway_free(gateway);
        assert_in_range(calls, 0, 100);
    }
    free_parts(&parts);
}

/* Open without a socket: nothing is written before the shards run, and they never do. */
static struct kj_client *make_client(struct kj__mount *mount)
{
    struct kj__fields headers;
    kj__fields_init(&headers, true);
    struct kj_client *client = kj__client_new(
        mount,
        &(struct kj__session_origin){.headers = &headers, .query = "", .remote_address = "1"});
    assert_non_null(client);
    client->session.connection.state = KJ__CONNECTION_OPEN;
    return client;
}

static void joining_survives_every_failing_allocation(void **state)
{
    (void)state;
    struct parts parts;
    struct kj_gateway *gateway;
    struct kj__mount *mount;
    enum kj_status status = KJ_ENOMEM;
    make_parts(&parts);
    assert_int_equal(make_gateway(&parts, &gateway, &mount), KJ_OK);
    struct kj_client *client = make_client(mount);
    client->is_admitted = true;
    for (long calls = 0; status == KJ_ENOMEM; calls++) {
        allocator_fail_after(calls, false);
        status = kj_client_join(client, "room");
        status = status ? status : kj_client_set_user(client, "ann", "phone");
        bool has_failed = allocator_recover();
        assert_int_equal(status, has_failed ? KJ_ENOMEM : KJ_OK);
        if (status) {
            kj_client_leave(client, "room");
            assert_int_equal(kj_gateway_member_count(gateway, KJ_TOPIC_ROOM, "room"), 0);
        }
        kj__side_reap(kj__side_of(client));
        assert_in_range(calls, 0, 300);
    }
    assert_int_equal(kj_gateway_member_count(gateway, KJ_TOPIC_USER, "ann"), 1);
    while (client->membership_count > 0) {
        kj__membership_end(client->memberships[--client->membership_count]);
    }
    kj_client_unref(client);
    kj__gateway_free(gateway);
    free_parts(&parts);
}

static void publishing_survives_every_failing_allocation(void **state)
{
    (void)state;
    struct parts parts;
    struct kj_gateway *gateway;
    struct kj__mount *mount;
    enum kj_status status = KJ_ENOMEM;
    make_parts(&parts);
    assert_int_equal(make_gateway(&parts, &gateway, &mount), KJ_OK);
    for (long calls = 0; status == KJ_ENOMEM; calls++) {
        struct kj_push_receipt receipt;
        allocator_fail_after(calls, false);
        status = kj_gateway_publish(gateway,
                                    &(struct kj_push_options){.kind = KJ_TOPIC_ROOM,
                                                              .name = "a b",
                                                              .from = "ann",
                                                              .body = (const uint8_t *)"{}",
                                                              .body_len = 2,
                                                              .body_is_json = true},
                                    &receipt);
        bool has_failed = allocator_recover();
        assert_int_equal(status, has_failed ? KJ_ENOMEM : KJ_OK);
        assert_int_equal(receipt.id != 0, status == KJ_OK);
        assert_in_range(calls, 0, 100);
    }
    uint64_t *last = kj__sequences_lock(&gateway->sequences, "room.a=20b");
    assert_int_equal(*last, 1); /* a number is not used up by a failure */
    kj__sequences_unlock(&gateway->sequences, "room.a=20b");
    kj__gateway_free(gateway);
    free_parts(&parts);
}

static struct kj_push *make_push(const struct kj__push_parts *parts, enum kj_status *status)
{
    struct kj__buffer bytes = {0};
    struct kj_push *push = NULL;
    kj__push_encode(parts, &bytes);
    *status = bytes.failed ? KJ_ENOMEM : kj__push_decode(bytes.data, bytes.len, &push);
    kj__buffer_fini(&bytes);
    return push;
}

static enum kj_status encode_all(unsigned encoding)
{
    static const struct kj__push_parts message = {.kind = KJ_TOPIC_ROOM,
                                                  .name = "r",
                                                  .from = "ann",
                                                  .client = 7,
                                                  .op = 3,
                                                  .body = (const uint8_t *)"[1,{\"a\":\"b\"}]",
                                                  .body_len = 13,
                                                  .body_is_json = true};
    static const struct kj__push_parts bytes = {.kind = KJ_TOPIC_ROOM,
                                                .name = "r",
                                                .from = "",
                                                .body = (const uint8_t *)"\xFF\x01",
                                                .body_len = 2};
    static const struct kj__push_parts event = {
        .kind = KJ_TOPIC_ROOM, .name = "r", .from = "", .presence = KJ_PRESENCE_JOINED};
    static const struct kj__mount mount;
    struct kj_frames frames = {.mount = &mount};
    enum kj_status statuses[3];
    struct kj_push *pushes[] = {make_push(&message, &statuses[0]), make_push(&bytes, &statuses[1]),
                                make_push(&event, &statuses[2])};
    enum kj_status status = KJ_ENOMEM;
    if (pushes[0] && pushes[1] && pushes[2]) {
        status = native_encode(encoding, (const struct kj_push *const *)pushes, 3, &frames, NULL);
        assert_true(status || frames.count == 2);
    }
    for (size_t i = 0; i < 3; i++) {
        kj__push_unref(pushes[i]);
    }
    for (size_t i = 0; i < frames.count; i++) {
        kj__out_frame_unref(frames.items[i]);
    }
    free(frames.items);
    return status;
}

static void encoding_survives_every_failing_allocation(void **state)
{
    (void)state;
    for (unsigned encoding = 0; encoding < 2; encoding++) {
        enum kj_status status = KJ_ENOMEM;
        for (long calls = 0; status == KJ_ENOMEM; calls++) {
            allocator_fail_after(calls, false);
            status = encode_all(encoding);
            bool has_failed = allocator_recover();
            assert_int_equal(status, has_failed ? KJ_ENOMEM : KJ_OK);
            assert_in_range(calls, 0, 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gateways_survive_every_failing_allocation),
        cmocka_unit_test(joining_survives_every_failing_allocation),
        cmocka_unit_test(publishing_survives_every_failing_allocation),
        cmocka_unit_test(encoding_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
