/* gopush.h - the protocol of go-push: bullet chat and notices, from a server to rooms and to all.
 *
 * Clients speak text frames {"type", "data"}: PING, JOIN and LEAVE, and hear PONG and PUSH; what
 * go-push does not answer is not answered. Servers push by HTTP forms on the API listener. See
 * docs/go-push.md for both, and for what differs. The claim "sub" of a client, where the server
 * has authenticators, is its user.
 */
#ifndef KUJATA_GOPUSH_H
#define KUJATA_GOPUSH_H

#include <kujata/counter.h>
#include <kujata/gateway.h>
#include <kujata/status.h>
#include <stdbool.h>

struct kj_gopush;

/* The close code for a message that cannot be read, or names no room. */
enum { KJ_GOPUSH_CLOSE_BAD_REQUEST = 4400 };

/* Zero means the default given. */
struct kj_gopush_options {
    bool is_open;       /* lets in who shows no token, as nobody in particular */
    bool tells_session; /* a client first hears {"type":"WELCOME","data":{"session":ID}}, which
                         * go-push's own clients pass over: the ID is what /push/conn takes */
    enum kj_slow_policy slow_rooms, slow_users;
    struct kj_batching batching;      /* window_ms 0: 1,000; pushes to all are batched always */
    struct kj_protocol_limits limits; /* rooms 0: 5 */
};

/* `options` may be NULL. KJ_ENOMEM. */
enum kj_status kj_gopush_new(const struct kj_gopush_options *options, struct kj_gopush **gopush);

/* For kj_server_mount; go-push's path is "/connect". */
struct kj_protocol kj_gopush_protocol(struct kj_gopush *gopush);

/* Adds POST /push/all, /push/room and /push/conn, and GET /stats, to the API listener, once the
 * protocol is mounted and before kj_server_start. As kj_server_add_route; KJ_EINVAL for a server
 * on which nothing is mounted. */
enum kj_status kj_gopush_add_routes(struct kj_gopush *gopush, struct kj_server *server,
                                    struct kj_error *error);

/* What its routes count; a kj_counter_source's function, its ctx the protocol. [any thread] */
void kj_gopush_counters(void *gopush, kj_counter_visit visit, void *ctx);

/* After the server. NULL is fine. */
void kj_gopush_free(struct kj_gopush *gopush);

#endif
