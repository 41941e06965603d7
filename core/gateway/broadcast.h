/* broadcast.h - pushes to all that go to so many clients a second.
 *
 * Each shard begins with a list of the clients it has, and walks it on the timer of a chore, with
 * its part of the speed: that of its clients among the node's. What is pushed to all meanwhile
 * waits for the end of the walk, so that every client gets it behind.
 *
 * Threads: the shard's.
 */
#ifndef KJ_GATEWAY_BROADCAST_H
#define KJ_GATEWAY_BROADCAST_H

#include "base/list.h"
#include "delivery/delivery.h"

struct kj__gateway_side;
struct kj__parcel;

struct kj__broadcast {
    struct kj__gateway_side *side;
    struct kj__chore chore;
    struct kj__list waiting; /* parcels; the first is under way */
    size_t count, bytes;
    uint64_t *clients; /* IDs of those it is for; NULL: it has not begun */
    size_t client_count, next;
    uint64_t began_ms;
    double per_ms;
};

void kj__broadcast_init(struct kj__broadcast *broadcast, struct kj__gateway_side *side);
void kj__broadcast_fini(struct kj__broadcast *broadcast);

/* Takes a push to all that has a speed, or finds others in front of it. False: it is to be
 * delivered at once. */
bool kj__broadcast_take(struct kj__broadcast *broadcast, struct kj__parcel *parcel);

/* The node stops: all that are still to have it do now. */
void kj__broadcast_finish(struct kj__broadcast *broadcast);

#endif
