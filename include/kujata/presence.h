/* presence.h - who is there, over all nodes of a cluster.
 *
 * Every node tells the others its figures on a topic of the backend, every few seconds: how many
 * clients and users it has, and which rooms with how many clients. So each knows the sums, without
 * asking and without anything that could be left behind: a node's figures go with its goodbye, and
 * without one after three reports that did not come. What is not among the figures, whether a user
 * is online and who is in a room, is asked of the nodes themselves.
 *
 * docs/presence.md describes it, and what is on the wire.
 */
#ifndef KUJATA_PRESENCE_H
#define KUJATA_PRESENCE_H

#include <kujata/counter.h>
#include <kujata/error.h>
#include <kujata/gateway.h>
#include <kujata/pubsub.h>
#include <kujata/status.h>
#include <stddef.h>
#include <stdint.h>

/* What one node knows of all; `enum kj_presence` has the name one would expect. */
struct kj_presence_board;

enum {
    KJ_PRESENCE_USERS_MAX = 1000, /* asked for at once */
    KJ_PRESENCE_PAGE_MAX = 1000,  /* members of a page */
};

/* Zero means the default given. */
struct kj_presence_options {
    struct kj_pubsub *pubsub; /* required: that of the gateway's server; borrowed */
    const char *prefix;       /* of its topics; nodes with the same one are one cluster;
                               * "gateway.presence" */
    uint32_t interval_ms;     /* between two reports; 5,000; 10 to 60,000 */
    uint32_t timeout_ms;      /* for the answers of other nodes; 1,000 */
    uint32_t nodes;           /* others, at most; 256; beyond: counted, not among the figures */
    uint32_t rooms;           /* kept, once for each node that has clients in one, at most; 524,288;
                               * beyond: counted, not among the figures of rooms */
};

/* KJ_EINVAL with `error` (may be NULL) naming the option, KJ_ENOMEM. */
enum kj_status kj_presence_new(const struct kj_presence_options *options,
                               struct kj_presence_board **board, struct kj_error *error);

/* Listens to the others, and reports from now on. Once what is to be mounted is mounted, and before
 * anything is asked. KJ_ENOMEM, or what kj_pubsub_subscribe returned. */
enum kj_status kj_presence_start(struct kj_presence_board *board, struct kj_gateway *gateway);

/* Says goodbye. Before the server stops; what is asked then is answered without other nodes.
 * Idempotent; NULL is fine. */
void kj_presence_stop(struct kj_presence_board *board);

/* Stops it. After the server, whose clients may be asking; before the backend. NULL is fine. */
void kj_presence_free(struct kj_presence_board *board);

/* The interval_ms it has.                                               [any thread] */
uint32_t kj_presence_interval_ms(const struct kj_presence_board *board);

/* ---- figures: of this node as of now, of others as of their last report  [any thread] ---- */

struct kj_presence_totals {
    size_t nodes; /* this one included */
    uint64_t clients;
    uint64_t users; /* one with clients on two nodes counts twice */
    uint64_t rooms; /* each once */
};

void kj_presence_totals(struct kj_presence_board *board, struct kj_presence_totals *totals);

/* How many clients each of the rooms has. */
void kj_presence_room_counts(struct kj_presence_board *board, const char *const *rooms,
                             size_t count, uint64_t *clients);

struct kj_presence_room {
    uint64_t clients;
    char name[KJ_NAME_MAX + 1];
};

/* The rooms with the most clients, the largest first, of those whose name begins with `prefix`
 * (NULL or "": all; "live://" for those of a kind); how many. Looks at every room there is. */
size_t kj_presence_top(struct kj_presence_board *board, const char *prefix,
                       struct kj_presence_room *rooms, size_t max);

/* ---- questions to the other nodes, which wait for answers: not on a shard [any other thread]
 * Each returns KJ_ETIMEOUT when a node gave none in time: what is there is of the others. ---- */

/* How many clients each of the users has; 0: not online. KJ_ELIMIT for too many, KJ_EINVAL when one
 * is no name, KJ_ENOMEM. */
enum kj_status kj_presence_online(struct kj_presence_board *board, const char *const *users,
                                  size_t count, uint64_t *clients);

struct kj_presence_page {
    uint64_t skip; /* members that are not wanted */
    size_t max;
    struct kj_member *members; /* has room for max */
    size_t got;                /* filled in, as is the next */
    uint64_t count;            /* members in all */
};

/* Members of a room, in an order that all nodes agree on. KJ_ELIMIT for a page too large, KJ_EINVAL
 * for a bad name, KJ_ENOMEM. */
enum kj_status kj_presence_members(struct kj_presence_board *board, const char *room,
                                   struct kj_presence_page *page);

/* ---- counters ---- */

/* A kj_counter_source's function, its ctx the board.                   [any thread] */
void kj_presence_counters(void *ctx, kj_counter_visit visit, void *visit_ctx);

#endif
