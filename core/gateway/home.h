/* home.h - pushes to this node's own clients while the broker is away.
 *
 * What is published then waits in the backend for the broker, and so would never come back to the
 * clients here in time. It is kept here besides, and the keeper gives it to them. The publication
 * says so, so that it is passed over when it arrives with the broker: each client gets it once.
 * What was published before the loss of the broker was known takes the usual way, late; what is
 * published once it is back waits for those that are still here, and so comes behind them.
 */
#ifndef KJ_GATEWAY_HOME_H
#define KJ_GATEWAY_HOME_H

#include "base/list.h"
#include "gateway/push.h"

#include <pthread.h>
#include <stdatomic.h>

struct kj_gateway;

struct kj__home {
    pthread_mutex_t turn;    /* of whoever gives them to the clients; before the gateway's lock */
    struct kj__list waiting; /* guarded by the gateway's lock, as are these */
    size_t count, bytes;
    _Atomic size_t ahead; /* that the shards do not have yet */
};

void kj__home_init(struct kj__home *home);
void kj__home_fini(struct kj__home *home);

/* Keeps an encoded push to a topic for the keeper. KJ_EFULL when too much waits already; KJ_ENOMEM.
 *                                                                       [any thread] */
enum kj_status kj__home_put(struct kj_gateway *gateway, const char *words,
                            const struct kj__buffer *encoded);

/* Gives them to the clients; all that were put before this are with the shards when it returns.
 *                                                                       [any thread but a shard] */
void kj__home_deliver(struct kj_gateway *gateway);

#endif
