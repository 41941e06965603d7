/* census.c - which topics have the most clients of this node. Any thread. */
#include "gateway/gateway.h"
#include "gateway/topic.h"

#include <string.h>

enum { LARGEST_MAX = 1000 };

/* The place among those found so far, from the largest to the smallest. */
static size_t find_place(const struct kj_topic_count *topics, size_t count, size_t clients)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (topics[middle].clients >= clients) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* How many there are now. */
static size_t add(struct kj_topic_count *topics, size_t count, size_t max,
                  const struct kj__topic *topic)
{
    size_t at = find_place(topics, count, topic->member_count);
    if (at == max) {
        return count;
    }
    size_t kept = count < max ? count : max - 1;
    memmove(&topics[at + 1], &topics[at], (kept - at) * sizeof *topics);
    memcpy(topics[at].name, topic->name, strlen(topic->name) + 1); /* valid: not longer */
    topics[at].clients = topic->member_count;
    return kept + 1;
}

size_t kj_gateway_largest(struct kj_gateway *gateway, enum kj_topic_kind kind, const char *prefix,
                          struct kj_topic_count *topics, size_t max)
{
    size_t count = 0;
    size_t prefix_len = strlen(prefix);
    max = max < LARGEST_MAX ? max : LARGEST_MAX;
    pthread_mutex_lock(&gateway->lock);
    for (const struct kj__map_entry *entry = kj__map_next(&gateway->topics, NULL); entry && max > 0;
         entry = kj__map_next(&gateway->topics, entry)) {
        const struct kj__topic *topic = entry->value;
        if (topic->kind == kind && topic->member_count > 0 &&
            strncmp(topic->name, prefix, prefix_len) == 0) {
            count = add(topics, count, max, topic);
        }
    }
    pthread_mutex_unlock(&gateway->lock);
    return count;
}
