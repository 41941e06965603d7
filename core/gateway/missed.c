/* missed.c - pushes of other nodes that did not arrive: the numbers of those that do show it. Our
 * own need not arrive, since they may have been delivered while the broker was away (home.h).
 *
 * The handler of a topic runs on one thread at a time, and it alone looks here.
 */
#include "gateway/topic.h"

#include <stdlib.h>

enum { PUBLISHERS_FIRST = 2, PUBLISHERS_MAX = 64 /* of one topic that are remembered */ };

/* A node that has published to the topic. */
struct kj__publisher {
    uint32_t node;
    uint64_t last; /* number */
};

/* NULL when there is no memory. */
static struct kj__publisher *add(struct kj__topic *topic)
{
    struct kj__publishers *publishers = &topic->publishers;
    if (publishers->count == PUBLISHERS_MAX) {
        return &publishers->items[publishers->next++ % PUBLISHERS_MAX];
    }
    if (publishers->count == publishers->capacity) {
        uint32_t capacity = publishers->capacity ? publishers->capacity * 2 : PUBLISHERS_FIRST;
        struct kj__publisher *items = realloc(publishers->items, capacity * sizeof *items);
        if (!items) {
            return NULL;
        }
        publishers->items = items;
        publishers->capacity = capacity;
    }
    return &publishers->items[publishers->count++];
}

void kj__topic_note_number(struct kj__topic *topic, uint32_t node, uint64_t number)
{
    struct kj__publishers *publishers = &topic->publishers;
    struct kj__publisher *publisher = NULL;
    if (number == 0 || node == topic->gateway->node) {
        return;
    }
    for (uint32_t i = 0; i < publishers->count && !publisher; i++) {
        publisher = publishers->items[i].node == node ? &publishers->items[i] : NULL;
    }
    if (publisher && number > publisher->last + 1) {
        KJ__COUNT_BY(topic->gateway->options.counters, gateway_missed,
                     number - publisher->last - 1);
    }
    publisher = publisher ? publisher : add(topic);
    if (publisher) {
        *publisher = (struct kj__publisher){.node = node, .last = number};
    }
}
