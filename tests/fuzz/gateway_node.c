/* gateway_node.c - see gateway_node.h. */
#include "gateway_node.h"

#include "fuzz.h"

#include <kujata/pubsub_local.h>
#include <stdlib.h>
#include <string.h>

static void give_place(const char *remote_address, void *ctx)
{
    (void)remote_address;
    (void)ctx;
}

void gateway_node_make(struct gateway_node *node, const struct kj_protocol *protocol)
{
    struct kj_error error;
    node->limits.message_fragments = 16;
    FUZZ_REQUIRE(kj_pubsub_local_new(NULL, &node->pubsub) == KJ_OK);
    FUZZ_REQUIRE(kj__delivery_new(1, KJ_IO_EPOLL, &node->counters, &node->delivery) == KJ_OK);
    kj__delivery_stop(node->delivery, 0);
    FUZZ_REQUIRE(kj__gateway_new(&(struct kj__gateway_options){.delivery = node->delivery,
                                                               .pubsub = node->pubsub,
                                                               .counters = &node->counters,
                                                               .prefix = "fuzz",
                                                               .topics = 64,
                                                               .limits = &node->limits,
                                                               .give_place = give_place},
                                 &node->gateway) == KJ_OK);
    FUZZ_REQUIRE(kj__gateway_mount(node->gateway, protocol, NULL, &node->mount, &error) == KJ_OK);
}

struct kj_client *gateway_node_client(struct gateway_node *node, enum kj_encoding encoding)
{
    struct kj__fields headers;
    kj__fields_init(&headers, true);
    struct kj_client *client = kj__client_new(
        node->mount,
        &(struct kj__session_origin){
            .headers = &headers, .query = "", .remote_address = "1", .write_encoding = encoding});
    FUZZ_REQUIRE(client);
    client->session.connection.state = KJ__CONNECTION_OPEN;
    FUZZ_REQUIRE(kj_client_admit(client) == KJ_OK);
    FUZZ_REQUIRE(kj_client_join(client, "r") == KJ_OK);
    return client;
}

void gateway_node_say(struct gateway_node *node, struct kj_client *client, enum kj_frame frame,
                      const uint8_t *bytes, size_t len)
{
    const struct kj_protocol *protocol = &node->mount->protocol;
    uint8_t *message = malloc(len + 1); /* may be changed */
    FUZZ_REQUIRE(message);
    if (len > 0) {
        memcpy(message, bytes, len);
    }
    protocol->on_message(client, frame, message, len, protocol->ctx);
    free(message);
}

void gateway_node_end(struct gateway_node *node, struct kj_client *client)
{
    struct kj__connection *connection = &client->session.connection;
    kj__list_unlink(&connection->round_link);
    connection->is_dirty = false;
    kj__out_queue_clear(&connection->out);
    kj__shard_count_waiting(connection->shard, connection);
    connection->state = KJ__CONNECTION_CLOSED;
    kj__client_protocol.on_closed(connection, true);
    kj__side_reap(kj__side_of(client));
    kj_client_unref(client);
    pthread_mutex_lock(&node->gateway->lock);
    kj__topics_sweep(node->gateway, 0, true);
    pthread_mutex_unlock(&node->gateway->lock);
}
