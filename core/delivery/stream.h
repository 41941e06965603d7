/* stream.h - the packets of a connection whose protocol is a stream: bytes on TCP, cut by the
 * lengths they carry.
 *
 * A packet that arrives whole is handed on where it lies; only what is left over at the end of a
 * read is kept, at most message_bytes of it. Threads: the shard's.
 */
#ifndef KJ_DELIVERY_STREAM_H
#define KJ_DELIVERY_STREAM_H

#include "delivery/connection.h"

static inline bool kj__connection_is_stream(const struct kj__connection *connection)
{
    return connection->endpoint->protocol->packet_len != NULL;
}

/* Hands every whole packet to the protocol and keeps the rest. May close the connection. */
void kj__stream_feed(struct kj__connection *connection, uint8_t *bytes, size_t len);

/* Forgets the packet that is not whole yet. */
void kj__stream_forget(struct kj__connection *connection);

#endif
