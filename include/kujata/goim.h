/* goim.h - the protocol of goim's comet for clients of a gateway: binary packets over websockets
 * and TCP, one room each, operations to ask for.
 *
 * docs/goim.md describes the wire. One kj_goim serves any number of mounts: kj_server_mount with
 * kj_goim_protocol, kj_server_listen with kj_goim_stream_protocol. Pushes of a gateway that carry
 * an `op` go to the clients that have asked for it, or for none in particular.
 */
#ifndef KUJATA_GOIM_H
#define KUJATA_GOIM_H

#include <kujata/error.h>
#include <kujata/gateway.h>
#include <kujata/presence.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj_goim;

enum { KJ_GOIM_HEADER_SIZE = 16, KJ_GOIM_ACCEPTS_MAX = 256 /* operations of one client */ };

/* Zero means the default given. */
struct kj_goim_options {
    bool is_open;    /* lets in who shows no token, as nobody in particular */
    bool trusts_mid; /* with is_open: as the user its mid says. For closed networks */
    enum kj_slow_policy slow_rooms, slow_users; /* DROP_OLDEST */
    struct kj_batching batching;
    struct kj_presence_board *presence; /* for figures of all nodes; borrowed; NULL: of this one */
    /* message_bytes: with the header, 4,112; idle_ms: 480,000; a client is in one room. */
    struct kj_protocol_limits limits;

    /* Whether a client may be in a room, on its shard; must not block. NULL: every one that was let
     * in. */
    bool (*may_join)(struct kj_client *client, const char *room, void *ctx);
    /* A packet of an operation that is none of goim's own, on the client's shard; `body` is
     * borrowed. NULL: nothing comes of it. The client is answered in either case. */
    void (*on_data)(struct kj_client *client, int32_t op, const uint8_t *body, size_t len,
                    void *ctx);
    void *ctx;

    /* What /goim/nodes/weighted tells clients. Borrowed for the start alone. */
    const char *domain;                   /* a host's name; NULL: "127.0.0.1" */
    uint16_t tcp_port, ws_port, wss_port; /* 0: none */
};

/* The options are copied. KJ_ENOMEM. */
enum kj_status kj_goim_new(const struct kj_goim_options *options, struct kj_goim **goim);

/* What is mounted; it borrows `goim`, which must outlive the server. */
struct kj_protocol kj_goim_protocol(struct kj_goim *goim);
struct kj_protocol kj_goim_stream_protocol(struct kj_goim *goim);

/* Adds the routes of goim's logic to a server on which it is mounted: for clients to the public
 * listener, for the application's servers to the API listener where there is one. As
 * kj_server_add_route. */
enum kj_status kj_goim_add_routes(struct kj_goim *goim, struct kj_server *server, bool has_api,
                                  struct kj_error *error);

void kj_goim_free(struct kj_goim *goim); /* NULL is fine */

#endif
