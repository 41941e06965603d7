/* subject.h - names of topics, and the words of the backend's topics they become.   [any thread]
 *
 * Bytes other than letters, digits, '_' and '-' are written =XX, so any name is one word, and
 * different names are different words: PREFIX.all, PREFIX.room.WORD, PREFIX.user.WORD,
 * PREFIX.device.WORD, and for sessions that of their node, PREFIX.node.NUMBER.
 */
#ifndef KJ_GATEWAY_SUBJECT_H
#define KJ_GATEWAY_SUBJECT_H

#include "base/buffer.h"

#include <kujata/gateway.h>
#include <stdbool.h>

enum { KJ__NODE_BITS = 24, KJ__CLIENT_BITS = 40 };

/* Whether a topic of that kind may have this name; NULL for none. */
bool kj__topic_name_is_valid(enum kj_topic_kind kind, const char *name);

/* What follows the prefix, with a terminator; the name is valid. */
void kj__topic_words(enum kj_topic_kind kind, const char *name, struct kj__buffer *out);

/* The topic that pushes to sessions of a node travel on. */
void kj__node_words(uint32_t node, struct kj__buffer *out);

static inline uint32_t kj__node_of_client(uint64_t id)
{
    return (uint32_t)(id >> KJ__CLIENT_BITS);
}

#endif
