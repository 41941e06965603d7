/* stream.c - see stream.h. */
#include "delivery/stream.h"

#include "base/buffer.h"
#include "delivery/delivery.h"

#include <stdlib.h>

void kj__stream_forget(struct kj__connection *connection)
{
    if (connection->partial.packet) {
        kj__buffer_fini(connection->partial.packet);
        free(connection->partial.packet);
        connection->partial.packet = NULL;
    }
}

static void refuse(struct kj__connection *connection, uint16_t code, enum kj__close_cause cause)
{
    kj__connection_close(connection, code, NULL, cause, false);
}

/* Hands on the whole packets at the front; returns their length. */
static size_t cut(struct kj__connection *connection, uint8_t *bytes, size_t len)
{
    const struct kj__endpoint *endpoint = connection->endpoint;
    struct kj__shard *shard = connection->shard;
    size_t used = 0;
    while (used < len && connection->state == KJ__CONNECTION_OPEN) {
        size_t left = len - used;
        int64_t packet = endpoint->protocol->packet_len(connection, bytes + used, left);
        if (packet < 0) {
            refuse(connection, KJ__CLOSE_PROTOCOL_ERROR, KJ__CAUSE_PROTOCOL_ERROR);
        } else if (packet > endpoint->message_bytes ||
                   (packet == KJ__PACKET_MORE && left >= endpoint->message_bytes)) {
            refuse(connection, KJ__CLOSE_TOO_LARGE, KJ__CAUSE_OVER_LIMIT);
        } else if (packet == KJ__PACKET_MORE || (uint64_t)packet > left) {
            break;
        } else {
            shard->tally.frames_in++;
            connection->last_pong_ms = shard->now_ms;
            endpoint->protocol->on_message(connection, KJ__FRAME_BINARY, bytes + used,
                                           (size_t)packet);
            used += (size_t)packet;
        }
    }
    return used;
}

/* What is there already with what came, in one piece; NULL when there is no memory. */
static struct kj__buffer *join(struct kj__connection *connection, const uint8_t *bytes, size_t len)
{
    struct kj__buffer *packet = connection->partial.packet;
    if (!packet) {
        packet = malloc(sizeof *packet);
        if (!packet) {
            return NULL;
        }
        kj__buffer_init(packet);
        connection->partial.packet = packet;
    }
    kj__buffer_append(packet, bytes, len);
    return packet->failed ? NULL : packet;
}

/* A packet that came in pieces, and whatever follows it. */
static void feed_joined(struct kj__connection *connection, const uint8_t *bytes, size_t len)
{
    struct kj__buffer *packet = join(connection, bytes, len);
    if (!packet) {
        refuse(connection, KJ__CLOSE_INTERNAL, KJ__CAUSE_SERVER);
        return;
    }
    kj__buffer_consume(packet, cut(connection, packet->data, packet->len));
    if (packet->len == 0) {
        kj__stream_forget(connection);
    }
}

void kj__stream_feed(struct kj__connection *connection, uint8_t *bytes, size_t len)
{
    size_t used = 0;
    if (!connection->partial.packet) {
        used = cut(connection, bytes, len);
    }
    if (used < len && connection->state == KJ__CONNECTION_OPEN) {
        if (connection->partial.packet) {
            feed_joined(connection, bytes, len);
        } else if (!join(connection, bytes + used, len - used)) {
            refuse(connection, KJ__CLOSE_INTERNAL, KJ__CAUSE_SERVER);
        }
    }
    if (connection->state != KJ__CONNECTION_OPEN) {
        kj__stream_forget(connection);
    }
}
