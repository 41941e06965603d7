/* topic.h - who is in a topic: node-wide, and on each shard.
 *
 * Threads: what says "lock" is guarded by the gateway's; rows are their shard's.
 */
#ifndef KJ_GATEWAY_TOPIC_H
#define KJ_GATEWAY_TOPIC_H

#include "delivery/audience.h"
#include "gateway/gateway.h"
#include "gateway/parcel.h"

/* The clients of one shard that need the same form. */
struct kj__lot {
    struct kj__audience audience;
    struct kj__topic_row *row;
    size_t form;
    /* Of a batch: pushes that wait for the end of the window. */
    struct kj__chore chore;
    bool is_in_window;
    struct kj__parcel **waiting; /* references */
    size_t waiting_count, waiting_capacity, waiting_bytes;
    struct kj__list waiting_link; /* in the side's list while any wait */
};

/* A topic's clients of one shard. */
struct kj__topic_row {
    struct kj__topic *topic; /* a reference */
    size_t index;            /* of the shard */
    struct kj__list empty_link;
    struct kj__lot *lots[]; /* by form; NULL: never needed yet */
};

struct kj__topic_side {
    _Atomic uint32_t members; /* of this shard */
    struct kj__topic_row *row;
};

/* Where a topic stands among those of its kind that have clients, or where a walk has got to. */
struct kj__topic_stop {
    struct kj__list link;    /* lock */
    struct kj__topic *topic; /* NULL: a walk */
};

/* The nodes that have published to a topic, and how far they got. */
struct kj__publishers {
    struct kj__publisher *items;
    uint32_t count, capacity, next;
};

struct kj__topic {
    _Atomic uint32_t refs; /* the table's, rows', memberships' and parcels' */
    struct kj_gateway *gateway;
    enum kj_topic_kind kind;
    const char *name, *words;
    struct kj_subscription *subscription; /* lock */
    struct kj__list members;              /* lock: of kj__membership.link */
    size_t member_count;                  /* lock */
    struct kj__publishers publishers;     /* the handler's */
    struct kj__topic_stop stop;           /* lock: linked while it has clients */
    struct kj__list linger_link;          /* lock */
    uint64_t linger_until_ms;             /* lock */
    _Atomic uint32_t *form_members;       /* clients of the node, by form */
    struct kj__topic_side sides[];        /* one for each shard; the rest follows */
};

/* One client in one topic. */
struct kj__membership {
    struct kj__seat seat;
    struct kj__topic *topic; /* a reference */
    struct kj_client *client;
    struct kj__list link; /* lock, in the topic's; later, the shard's own, among the ended */
};

void kj__topic_unref(struct kj__topic *topic);

/* For the handler of the topic: counts pushes of another node that are missing in front of one. */
void kj__topic_note_number(struct kj__topic *topic, uint32_t node, uint64_t number);

/* The topic with those words, or NULL; lock held. */
struct kj__topic *kj__topic_find(struct kj_gateway *gateway, const char *words);

/* Ends the subscriptions of topics that were without clients for long enough, or of all that are,
 * and returns when to look again; lock held, but while one is ended.     [not on a shard] */
uint64_t kj__topics_sweep(struct kj_gateway *gateway, uint64_t now_ms, bool is_end);

/* ---- on the shard ---- */

/* Seats an open client; the topic is subscribed to when it is the node's first. KJ_ELIMIT,
 * KJ_ENOMEM, KJ_ECLOSED. */
enum kj_status kj__membership_new(struct kj_client *client, enum kj_topic_kind kind,
                                  const char *name, struct kj__membership **membership);

/* The client is no longer open: the topic counts it no more, and has nothing for it. */
void kj__membership_uncount(struct kj__membership *membership);

/* What an open client is to get already still goes to it. */
void kj__membership_end(struct kj__membership *membership);

/* The two of lot.c that do it; the first is false when there is no memory. */
bool kj__lot_seat(struct kj__membership *membership);
void kj__lot_leave(struct kj__membership *membership);

/* Whether pushes of the topic wait for each other in that form. */
bool kj__lot_is_batched(const struct kj__topic *topic, size_t form);

/* Gives a push to the topic's clients of this shard, or ends them as a kick says; the first leaves
 * one that has its time to broadcast.h. */
void kj__topic_deliver(struct kj__topic *topic, size_t index, struct kj__parcel *parcel);
void kj__topic_deliver_now(struct kj__topic *topic, size_t index, struct kj__parcel *parcel);

/* Sends the topic's clients of this shard what waits for its batch. */
void kj__topic_send_waiting(struct kj__topic *topic, size_t index);

/* The same of all topics of a shard. */
void kj__side_send_waiting(struct kj__gateway_side *side);

/* Frees what nobody looks at any more. Where no seat is being settled: from jobs and messages. */
void kj__side_reap(struct kj__gateway_side *side);

#endif
