/* push_api.h - pushing to clients from an application's own servers, over HTTP: docs/push-api.md.
 *
 * Routes of the API listener (route.h): POST /v1/push and /v1/push/batch, POST /v1/kick, GET and
 * POST /v1/online, GET /v1/stats and, with messages, GET /v1/history. They speak of the clients of
 * whatever is mounted.
 *
 * Threads: one thread makes it, adds the routes and frees it; requests come on HTTP workers.
 */
#ifndef KUJATA_PUSH_API_H
#define KUJATA_PUSH_API_H

#include <kujata/error.h>
#include <kujata/gateway.h>
#include <kujata/messages.h>
#include <kujata/server.h>
#include <kujata/status.h>
#include <stdint.h>

struct kj_push_api;

/* Zero means the default given. */
struct kj_push_api_options {
    uint32_t targets;  /* rooms, users or sessions of one push, kick or question; 1,000 */
    uint32_t items;    /* messages of one push; 100 */
    uint32_t requests; /* pushes of one batch; 1,000 */
    uint32_t pushes;   /* targets by items, of one push or of a whole batch; 10,000 */

    /* How a message is published. NULL: with kj_gateway_publish, and a push that asks for ttl_s is
     * refused. Something else keeps the message for ttl_s seconds (0: not asked for) as well, for
     * those who are away; its status is the answer's, and so is the receipt. [HTTP workers] */
    enum kj_status (*publish)(struct kj_gateway *gateway, const struct kj_push_options *push,
                              uint32_t ttl_s, struct kj_push_receipt *receipt, void *ctx);
    void *ctx;

    /* For GET /v1/history; outlives the server. NULL: there is none. */
    struct kj_messages *messages;
};

/* `options` may be NULL. KJ_ENOMEM. */
enum kj_status kj_push_api_new(const struct kj_push_api_options *options, struct kj_push_api **api);

/* Adds the routes, once and before the server starts; the API must outlive it. As
 * kj_server_add_route. */
enum kj_status kj_push_api_add_routes(struct kj_push_api *api, struct kj_server *server,
                                      struct kj_error *error);

void kj_push_api_free(struct kj_push_api *api); /* once the server is gone; NULL is fine */

#endif
