/* renewal.h - authenticators that run again, when a push config brings another token.
 *
 * They may wait for somebody, so they run on a few threads of their own, on a copy of the session
 * that nobody else touches; what comes of it goes back to the session's shard. A session has at
 * most one renewal under way: of the tokens that come meanwhile the last is looked at after it.
 * Until then the session goes on by the claims it has: those were accepted, and nothing that
 * they forbid goes out.
 */
#ifndef KJ_DISPATCH_RENEWAL_H
#define KJ_DISPATCH_RENEWAL_H

#include "base/queue.h"

#include <kujata/error.h>
#include <kujata/session.h>
#include <kujata/status.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct kj__events;

enum { KJ__RENEWALS_MAX = 16384 }; /* that wait for a thread */

struct kj__renewals {
    struct kj__events *events;
    struct kj__queue waiting;
    pthread_t *threads;
    size_t thread_count; /* that run */
};

void kj__renewals_init(struct kj__renewals *renewals, struct kj__events *events);

/* KJ_ENOMEM: some of the threads may run. */
enum kj_status kj__renewals_start(struct kj__renewals *renewals, size_t thread_count);

/* Forgets what waits and waits for the authenticators that run. Idempotent. Once the events are
 * closed, and while the shards still run. */
void kj__renewals_stop(struct kj__renewals *renewals);

void kj__renewals_fini(struct kj__renewals *renewals);

/* Looks at the session's token, which has changed. May close the session.   [its shard] */
void kj__renewal_begin(struct kj_session *session);

#endif
