/* native.c - messages of a client of the native protocol: the first byte says whether it is a text.
 * Each is answered, or the client is closed. */
#include "fuzz.h"
#include "gateway/client.h"

#include <kujata/native.h>
#include <kujata/pubsub_local.h>
#include <string.h>

/* Made once; its shards do not run, so what is published is dropped. */
static struct {
    struct kj__counters counters;
    struct kj_limits limits;
    struct kj__delivery *delivery;
    struct kj_pubsub *pubsub;
    struct kj_native *native;
    struct kj_gateway *gateway;
    struct kj__mount *mount;
} node;

static void give_place(const char *remote_address, void *ctx)
{
    (void)remote_address;
    (void)ctx;
}

static void make_node(void)
{
    struct kj_error error;
    node.limits.message_fragments = 16;
    FUZZ_REQUIRE(kj_pubsub_local_new(NULL, &node.pubsub) == KJ_OK);
    FUZZ_REQUIRE(kj__delivery_new(1, KJ_IO_EPOLL, &node.counters, &node.delivery) == KJ_OK);
    kj__delivery_stop(node.delivery, 0);
    FUZZ_REQUIRE(kj_native_new(&(struct kj_native_options){.is_open = true}, &node.native) ==
                 KJ_OK);
    FUZZ_REQUIRE(kj__gateway_new(&(struct kj__gateway_options){.delivery = node.delivery,
                                                               .pubsub = node.pubsub,
                                                               .counters = &node.counters,
                                                               .prefix = "fuzz",
                                                               .topics = 64,
                                                               .limits = &node.limits,
                                                               .give_place = give_place},
                                 &node.gateway) == KJ_OK);
    const struct kj_protocol protocol = kj_native_protocol(node.native);
    FUZZ_REQUIRE(kj__gateway_mount(node.gateway, &protocol, NULL, &node.mount, &error) == KJ_OK);
}

/* Open without a socket. */
static struct kj_client *make_client(bool reads_msgpack)
{
    struct kj__fields headers;
    kj__fields_init(&headers, true);
    struct kj_client *client = kj__client_new(
        node.mount, &(struct kj__session_origin){
                        .headers = &headers,
                        .query = "",
                        .remote_address = "1",
                        .write_encoding = reads_msgpack ? KJ_ENCODING_MSGPACK : KJ_ENCODING_JSON});
    FUZZ_REQUIRE(client);
    client->session.connection.state = KJ__CONNECTION_OPEN;
    FUZZ_REQUIRE(kj_client_admit(client) == KJ_OK);
    FUZZ_REQUIRE(kj_client_join(client, "r") == KJ_OK);
    return client;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (!node.mount) {
        make_node();
    }
    if (len == 0) {
        return 0;
    }
    struct kj_client *client = make_client(bytes[0] & 2);
    struct kj__connection *connection = &client->session.connection;
    uint8_t *message = malloc(len);
    FUZZ_REQUIRE(message);
    memcpy(message, bytes + 1, len - 1);
    node.mount->protocol.on_message(client, bytes[0] & 1 ? KJ_FRAME_BINARY : KJ_FRAME_TEXT, message,
                                    len - 1, node.mount->protocol.ctx);
    FUZZ_REQUIRE(connection->out.count == 1);
    free(message);
    /* As its shard ends it. */
    kj__list_unlink(&connection->round_link);
    connection->is_dirty = false;
    kj__out_queue_clear(&connection->out);
    kj__shard_count_waiting(connection->shard, connection);
    connection->state = KJ__CONNECTION_CLOSED;
    kj__client_protocol.on_closed(connection, true);
    kj__side_reap(kj__side_of(client));
    kj_client_unref(client);
    pthread_mutex_lock(&node.gateway->lock);
    kj__topics_sweep(node.gateway, 0, true);
    pthread_mutex_unlock(&node.gateway->lock);
    return 0;
}
