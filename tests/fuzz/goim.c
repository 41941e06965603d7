/* goim.c - what a client of goim's protocol sends: over a stream, cut wherever its packets end, or,
 * with an odd first byte, as one websocket message; with the second bit, once it is in. No byte
 * beyond what was sent is looked at. */
#include "fuzz.h"
#include "gateway/client.h"

#include <kujata/goim.h>
#include <kujata/pubsub_local.h>
#include <string.h>

/* Made once; its shards do not run, so what is published is dropped. */
static struct {
    struct kj__counters counters;
    struct kj_limits limits;
    struct kj__delivery *delivery;
    struct kj_pubsub *pubsub;
    struct kj_goim *goim;
    struct kj_gateway *gateway;
    struct kj__mount *mounts[2]; /* for websockets, for streams */
} node;

static void give_place(const char *remote_address, void *ctx)
{
    (void)remote_address;
    (void)ctx;
}

static void make_node(void)
{
    struct kj_error error;
    const struct kj_stream_options stream = {.listen = "127.0.0.1:0"};
    node.limits.message_fragments = 16;
    FUZZ_REQUIRE(kj_pubsub_local_new(NULL, &node.pubsub) == KJ_OK);
    FUZZ_REQUIRE(kj__delivery_new(1, KJ_IO_EPOLL, &node.counters, &node.delivery) == KJ_OK);
    kj__delivery_stop(node.delivery, 0);
    FUZZ_REQUIRE(kj_goim_new(&(struct kj_goim_options){.is_open = true, .trusts_mid = true},
                             &node.goim) == KJ_OK);
    FUZZ_REQUIRE(kj__gateway_new(&(struct kj__gateway_options){.delivery = node.delivery,
                                                               .pubsub = node.pubsub,
                                                               .counters = &node.counters,
                                                               .prefix = "fuzz",
                                                               .topics = 64,
                                                               .limits = &node.limits,
                                                               .give_place = give_place},
                                 &node.gateway) == KJ_OK);
    const struct kj_protocol websocket = kj_goim_protocol(node.goim);
    const struct kj_protocol packets = kj_goim_stream_protocol(node.goim);
    FUZZ_REQUIRE(kj__gateway_mount(node.gateway, &websocket, NULL, &node.mounts[0], &error) ==
                 KJ_OK);
    FUZZ_REQUIRE(kj__gateway_mount(node.gateway, &packets, &stream, &node.mounts[1], &error) ==
                 KJ_OK);
}

/* Open without a socket. */
static struct kj_client *make_client(struct kj__mount *mount)
{
    struct kj__fields headers;
    kj__fields_init(&headers, true);
    struct kj_client *client = kj__client_new(
        mount,
        &(struct kj__session_origin){.headers = &headers, .query = "", .remote_address = "1"});
    FUZZ_REQUIRE(client);
    client->session.connection.state = KJ__CONNECTION_OPEN;
    return client;
}

/* A copy of just the bytes, so that a look beyond them is seen. */
static void hand_on(struct kj_client *client, const uint8_t *bytes, size_t len)
{
    const struct kj_protocol *protocol = &client->mount->protocol;
    uint8_t *message = malloc(len + 1);
    FUZZ_REQUIRE(message);
    message = realloc(message, len ? len : 1);
    FUZZ_REQUIRE(message);
    if (len > 0) {
        memcpy(message, bytes, len);
    }
    if (client->session.connection.state == KJ__CONNECTION_OPEN) {
        protocol->on_message(client, KJ_FRAME_BINARY, message, len, protocol->ctx);
    }
    free(message);
}

/* As core/delivery/stream.c cuts them. */
static void cut(struct kj_client *client, const uint8_t *bytes, size_t len)
{
    const struct kj_protocol *protocol = &client->mount->protocol;
    while (len > 0) {
        size_t packet = protocol->packet_len(bytes, len, protocol->ctx);
        if (packet == 0 || packet > len) {
            FUZZ_REQUIRE(packet == 0 || packet >= KJ_GOIM_HEADER_SIZE);
            return;
        }
        hand_on(client, bytes, packet);
        bytes += packet;
        len -= packet;
    }
}

/* As its shard ends it. */
static void end(struct kj_client *client)
{
    struct kj__connection *connection = &client->session.connection;
    kj__wheel_disarm(&connection->shard->wheel, &connection->timer);
    kj__list_unlink(&connection->round_link);
    connection->is_dirty = false;
    kj__out_queue_clear(&connection->out);
    kj__shard_count_waiting(connection->shard, connection);
    connection->state = KJ__CONNECTION_CLOSED;
    connection->endpoint->protocol->on_closed(connection, true);
    node.counters.gateway_clients = 0;
    kj__side_reap(kj__side_of(client));
    kj_client_unref(client);
    pthread_mutex_lock(&node.gateway->lock);
    kj__users_end_replaced(node.gateway);
    kj__topics_sweep(node.gateway, 0, true);
    pthread_mutex_unlock(&node.gateway->lock);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const uint8_t auth[] = "\0\0\0\x21\0\x10\0\1\0\0\0\7\0\0\0\1{\"accepts\":[1,5]}";
    if (!node.gateway) {
        make_node();
    }
    if (len == 0) {
        return 0;
    }
    struct kj_client *client = make_client(node.mounts[bytes[0] & 1 ? 0 : 1]);
    if (bytes[0] & 2) {
        hand_on(client, auth, sizeof auth - 1);
        FUZZ_REQUIRE(kj_client_is_admitted(client));
    }
    if (bytes[0] & 1) {
        hand_on(client, bytes + 1, len - 1);
    } else {
        cut(client, bytes + 1, len - 1);
    }
    end(client);
    return 0;
}
