/* gochat.c - what clients of gochat send: after a byte that says who they are, packets as they come
 * over TCP, or one text of a websocket. Whatever it is, the client is served or closed. */
#include "handlers/gochat.h"
#include "fuzz.h"
#include "gateway/client.h"

#include <kujata/pubsub_local.h>
#include <string.h>

enum { IS_LOGGED_IN = 1, IS_WEBSOCKET = 2 };

/* Made once; its shards do not run, so what is published is dropped. */
static struct {
    struct kj__counters counters;
    struct kj_limits limits;
    struct kj__delivery *delivery;
    struct kj_pubsub *pubsub;
    struct kj_accounts *accounts;
    struct kj_gochat *gochat;
    struct kj_gateway *gateway;
    struct kj__mount *stream, *websocket;
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
    FUZZ_REQUIRE(kj_accounts_new(&(struct kj_accounts_options){.hash_memory_kib = 8192},
                                 &node.accounts, &error) == KJ_OK);
    FUZZ_REQUIRE(kj_gochat_new(&(struct kj_gochat_options){.accounts = node.accounts},
                               &node.gochat) == KJ_OK);
    FUZZ_REQUIRE(kj__gateway_new(&(struct kj__gateway_options){.delivery = node.delivery,
                                                               .pubsub = node.pubsub,
                                                               .counters = &node.counters,
                                                               .prefix = "fuzz",
                                                               .topics = 64,
                                                               .threads = 1,
                                                               .limits = &node.limits,
                                                               .give_place = give_place},
                                 &node.gateway) == KJ_OK);
    const struct kj_protocol stream = kj_gochat_stream(node.gochat);
    const struct kj_protocol websocket = kj_gochat_protocol(node.gochat);
    FUZZ_REQUIRE(kj__gateway_mount(node.gateway, &stream, &(struct kj_stream_options){0},
                                   &node.stream, &error) == KJ_OK);
    FUZZ_REQUIRE(kj__gateway_mount(node.gateway, &websocket, NULL, &node.websocket, &error) ==
                 KJ_OK);
}

/* Open without a socket. */
static struct kj_client *make_client(struct kj__mount *mount, bool is_logged_in)
{
    static const char *const claims[] = {"sub=ann", "account=1"};
    struct kj__fields headers;
    kj__fields_init(&headers, true);
    struct kj_client *client = kj__client_new(
        mount,
        &(struct kj__session_origin){.headers = &headers, .query = "", .remote_address = "1"});
    FUZZ_REQUIRE(client);
    client->session.connection.state = KJ__CONNECTION_OPEN;
    mount->protocol.on_open(client, mount->protocol.ctx);
    if (is_logged_in) {
        struct gochat_client *data = kj_client_data(client);
        FUZZ_REQUIRE(kj_session_set_claims(&client->session, claims, 2) == KJ_OK);
        data->wanted_room = 1;
        data->wanted_token = data->is_stream ? strdup("t") : NULL;
        mount->protocol.on_authenticated(client, NULL, mount->protocol.ctx);
        FUZZ_REQUIRE(kj_client_is_in(client, "1"));
    }
    return client;
}

static void say(struct kj_client *client, const uint8_t *bytes, size_t len)
{
    const struct kj_protocol *protocol = &client->mount->protocol;
    uint8_t *message = malloc(len ? len : 1);
    FUZZ_REQUIRE(message);
    if (len > 0) {
        memcpy(message, bytes, len);
    }
    bool is_text = protocol->packet_len == NULL;
    protocol->on_message(client, is_text ? KJ_FRAME_TEXT : KJ_FRAME_BINARY, message, len,
                         protocol->ctx);
    free(message);
}

static void say_packets(struct kj_client *client, const uint8_t *bytes, size_t len)
{
    while (kj_client_is_open(client)) {
        size_t packet = gochat_packet_len(bytes, len, node.gochat);
        if (packet == 0 || packet > len) {
            FUZZ_REQUIRE(packet || len < GOCHAT_HEAD_SIZE);
            return;
        }
        FUZZ_REQUIRE(packet >= GOCHAT_HEAD_SIZE && packet <= KJ_GOCHAT_PACKET_MAX);
        say(client, bytes, packet);
        bytes += packet;
        len -= packet;
    }
}

/* As its shard ends it. */
static void end_client(struct kj_client *client)
{
    struct kj__connection *connection = &client->session.connection;
    kj__list_unlink(&connection->round_link);
    connection->is_dirty = false;
    kj__out_queue_clear(&connection->out);
    kj__shard_count_waiting(connection->shard, connection);
    connection->state = KJ__CONNECTION_CLOSED;
    client->mount->endpoint.protocol->on_closed(connection, true);
    kj__side_reap(kj__side_of(client));
    kj_client_unref(client);
    pthread_mutex_lock(&node.gateway->lock);
    kj__topics_sweep(node.gateway, 0, true);
    pthread_mutex_unlock(&node.gateway->lock);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (!node.stream) {
        make_node();
    }
    if (len == 0) {
        return 0;
    }
    bool is_websocket = bytes[0] & IS_WEBSOCKET;
    struct kj_client *client = make_client(is_websocket ? node.websocket : node.stream,
                                           bytes[0] & IS_LOGGED_IN);
    if (is_websocket) {
        say(client, bytes + 1, len - 1);
    } else {
        say_packets(client, bytes + 1, len - 1);
    }
    end_client(client);
    return 0;
}
