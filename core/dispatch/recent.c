/* recent.c - see recent.h. */
#include "dispatch/recent.h"

#include <stdlib.h>

bool kj__recent_init(struct kj__recent *recent, uint32_t capacity, size_t bytes_max)
{
    *recent = (struct kj__recent){.capacity = capacity, .bytes_max = bytes_max, .first = 1};
    if (capacity > 0) {
        recent->ring = calloc(capacity, sizeof(struct kj__message *));
    }
    return recent->ring || capacity == 0;
}

static void give_up_oldest(struct kj__recent *recent)
{
    struct kj__message *message = kj__recent_at(recent, recent->first++);
    recent->bytes -= message->weight;
    kj__message_unref(message);
}

static void give_up_all(struct kj__recent *recent)
{
    while (recent->ring && recent->first <= recent->last) {
        give_up_oldest(recent);
    }
}

void kj__recent_fini(struct kj__recent *recent)
{
    give_up_all(recent);
    free(recent->ring);
}

void kj__recent_add(struct kj__recent *recent, struct kj__message *message)
{
    size_t weight = message->weight;
    bool is_kept = recent->ring && weight <= recent->bytes_max;
    if (!is_kept || message->number != recent->last + 1) {
        give_up_all(recent);
        recent->first = message->number;
    }
    while (is_kept && recent->first < message->number &&
           (message->number - recent->first >= recent->capacity ||
            recent->bytes + weight > recent->bytes_max)) {
        give_up_oldest(recent);
    }
    recent->last = message->number;
    if (is_kept) {
        recent->ring[message->number % recent->capacity] = kj__message_ref(message);
        recent->bytes += weight;
    } else {
        recent->first = message->number + 1;
    }
}
