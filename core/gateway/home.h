/* home.h - pushes to this node's own clients while the broker is away.
 *
 * What is published then waits in the backend for the broker, and so would never come back to the
 * clients here in time. It is kept here besides, and the keeper gives it to them. The publication
 * says so, so that it is passed over when it arrives with the broker: each client gets it once.
 * What was published before the loss of the broker was known takes the usual way, late.
 */
#ifndef KJ_GATEWAY_HOME_H
#define KJ_GATEWAY_HOME_H

#include "base/list.h"
#include "gateway/push.h"

struct kj_gateway;

/* Guarded by the gateway's lock. */
struct kj__home {
    struct kj__list waiting;
    size_t count, bytes;
};

void kj__home_init(struct kj__home *home);
void kj__home_fini(struct kj__home *home);

/* Keeps an encoded push to a topic for the keeper. KJ_EFULL when too much waits already; KJ_ENOMEM.
 *                                                                       [any thread] */
enum kj_status kj__home_put(struct kj_gateway *gateway, const char *words,
                            const struct kj__buffer *encoded);

/* For the keeper: gives them to the clients; lock held, but while one is posted. */
void kj__home_deliver(struct kj_gateway *gateway);

#endif
