/* login.h - tokens that clients bring in messages, looked at on threads that may wait.
 *
 * As with the tokens of push configs (dispatch/renewal.h) the authenticators see a copy of the
 * session, and what they set on it becomes the client's on its shard.
 */
#ifndef KJ_GATEWAY_LOGIN_H
#define KJ_GATEWAY_LOGIN_H

#include "base/queue.h"

#include <kujata/gateway.h>
#include <pthread.h>
#include <stddef.h>

enum { KJ__LOGINS_MAX = 65536 /* waiting for a thread */ };

struct kj__logins {
    struct kj_gateway *gateway;
    struct kj__queue waiting; /* of struct kj__login */
    pthread_t *threads;
    size_t thread_count;
};

void kj__logins_init(struct kj__logins *logins, struct kj_gateway *gateway);
enum kj_status kj__logins_start(struct kj__logins *logins, size_t thread_count);

/* Waits for the authenticators that run; those that wait are dropped. Idempotent. */
void kj__logins_stop(struct kj__logins *logins);
void kj__logins_fini(struct kj__logins *logins);

#endif
