/* nats_wire.h - the connections to the broker; only its two users see libnats.
 *
 * There are two. libnats reads nothing from one while it writes to it, and a broker cuts off
 * who does not read; so what is published in bulk leaves on one, and what the broker sends
 * arrives on the other. The courier dials until a first connection stands. After that libnats
 * reconnects by itself and renews subscriptions; it gives up when a broker refuses the
 * credentials twice, and the courier dials anew. All calls are the courier's.
 */
#ifndef KJ_PUBSUB_NATS_WIRE_H
#define KJ_PUBSUB_NATS_WIRE_H

#include "pubsub/nats_courier.h"

#include <nats/nats.h>

/* In the order in which they are dialled. */
enum { KJ__NATS_SUBSCRIBING, KJ__NATS_PUBLISHING, KJ__NATS_LINE_COUNT };

/* One connection; the courier's own but for the flags. */
struct kj__nats_line {
    struct kj__nats *owner;
    natsOptions *options;
    natsConnection *connection; /* NULL: none yet, or given up */
    bool up;                    /* guarded by the backend's lock */
    bool ended;                 /* likewise; libnats is done with it and calls back no more */
};

struct kj__nats_wire {
    struct kj__nats_line lines[KJ__NATS_LINE_COUNT];
    natsSubscription *inbox; /* for answers, on the publishing line, whose broker's word that nobody
                                listens comes there alone; NULL: none yet */
    bool confirmed;          /* the broker knows who has joined and who has left */
    struct kj_publication *in_hand; /* to be sent next, or NULL */
    uint64_t handled;               /* publications taken from the queue and done with */
    uint64_t retry_at_ms;           /* when to look again unasked; 0: never */
};

/* False when there is no connection to be had now; the reason has been told. */
bool kj__nats_dial(struct kj__nats_line *line);

/* Subscribes to the answers to our requests where that is not done yet. */
natsStatus kj__nats_open_inbox(struct kj__nats *self);

/* When the publishing line ends. */
void kj__nats_close_inbox(struct kj__nats *self);

/* Ends the connection, if any, and waits until libnats calls back no more for it. */
void kj__nats_hang_up(struct kj__nats_line *line);

#endif
