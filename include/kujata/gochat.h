/* gochat.h - what clients of gochat speak: a websocket, packets on TCP, and routes for pages.
 *
 * docs/gochat.md describes the wire. Users are accounts, rooms are numbers, and who sends is who
 * the token says, on TCP too. A user has one socket: the newer replaces the older. Rooms are those
 * of gateway.h, under their number in digits; what others push to them comes as a message of
 * theirs.
 */
#ifndef KUJATA_GOCHAT_H
#define KUJATA_GOCHAT_H

#include <kujata/accounts.h>
#include <kujata/counter.h>
#include <kujata/error.h>
#include <kujata/gateway.h>
#include <kujata/presence.h>
#include <kujata/status.h>
#include <stdint.h>

struct kj_gochat;

/* What kj_push_op says of its pushes; their body is the message, as it goes to the clients. */
enum kj_gochat_op {
    KJ_GOCHAT_OP_USER = 2,  /* a message to a user */
    KJ_GOCHAT_OP_ROOM = 3,  /* to a room */
    KJ_GOCHAT_OP_COUNT = 4, /* how many are in a room */
    KJ_GOCHAT_OP_INFO = 5,  /* who is */
    KJ_GOCHAT_OP_LOGIN = 6, /* of a client on TCP */
};

enum { KJ_GOCHAT_PACKET_MAX = 32767 }; /* bytes, with its head of 4: the length has 15 bits */

/* Zero means the default given. */
struct kj_gochat_options {
    struct kj_accounts *accounts; /* required, and an authenticator of the server's; borrowed */
    struct kj_presence_board *presence; /* counts and users are those of all nodes; borrowed;
                                         * NULL: of this one */
    /* A room of at most so many hears how many are in it, and who; in a larger one, who asked alone
     * does; 100, at most 1,000. */
    uint32_t told_members;
    uint32_t ping_ms;                 /* between two pings on TCP; 54,000 */
    struct kj_protocol_limits limits; /* idle_ms is of websockets */
    uint32_t stream_idle_ms;          /* of clients on TCP, who need not answer pings; 86,400,000 */
};

/* KJ_EINVAL for no accounts, KJ_ENOMEM. */
enum kj_status kj_gochat_new(const struct kj_gochat_options *options, struct kj_gochat **gochat);

/* For kj_server_mount, and for kj_server_listen. */
struct kj_protocol kj_gochat_protocol(struct kj_gochat *gochat);
struct kj_protocol kj_gochat_stream(struct kj_gochat *gochat);

/* Adds /user/... and /push/... to the public listener, once one of the two is mounted. KJ_EINVAL
 * before that; as kj_server_add_route. */
enum kj_status kj_gochat_add_routes(struct kj_gochat *gochat, struct kj_server *server,
                                    struct kj_error *error);

/* A kj_counter_source's function, its ctx the gochat.                  [any thread] */
void kj_gochat_counters(void *ctx, kj_counter_visit visit, void *visit_ctx);

/* After the server. NULL is fine. */
void kj_gochat_free(struct kj_gochat *gochat);

#endif
