/* topic.h - what a topic and a pattern are, and when they match.            [any thread]
 *
 * These are NATS's rules (promise 2 of pubsub.h), so that every backend has the same ones.
 */
#ifndef KJ_PUBSUB_TOPIC_H
#define KJ_PUBSUB_TOPIC_H

#include <kujata/pubsub.h>
#include <stdbool.h>

/* Bytes in a topic, a pattern or a group's name. A NATS server ends the connection of a
 * client whose control line, which holds the topic, exceeds 4,096 bytes. */
enum { KJ__TOPIC_MAX = 1024 };

/* Whether `text` may be subscribed to: a topic, or one with `*` words and a final `>`. */
bool kj__topic_pattern_is_valid(const char *text);

/* Whether a valid pattern has a wildcard; without one it matches its equal alone. */
bool kj__topic_has_wildcard(const char *pattern);

/* Whether a valid pattern stands for a valid topic. */
bool kj__topic_matches(const char *pattern, const char *topic);

#endif
