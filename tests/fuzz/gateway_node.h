/* gateway_node.h - a gateway whose shards do not run, and clients of it without a socket, for targets
 * that are protocols of the gateway. */
#ifndef KJ_TESTS_FUZZ_GATEWAY_NODE_H
#define KJ_TESTS_FUZZ_GATEWAY_NODE_H

#include "gateway/client.h"

struct gateway_node {
    struct kj__counters counters;
    struct kj_limits limits;
    struct kj__delivery *delivery;
    struct kj_pubsub *pubsub;
    struct kj_gateway *gateway;
    struct kj__mount *mount;
};

/* Made once; what is published is dropped. */
void gateway_node_make(struct gateway_node *node, const struct kj_protocol *protocol);

/* Open, let in, and in the room "r". */
struct kj_client *gateway_node_client(struct gateway_node *node, enum kj_encoding encoding);

/* Gives its protocol a message. */
void gateway_node_say(struct gateway_node *node, struct kj_client *client, enum kj_frame frame,
                      const uint8_t *bytes, size_t len);

/* As its shard ends it. */
void gateway_node_end(struct gateway_node *node, struct kj_client *client);

#endif
