/* credential_index.h - sessions by what they were let in by, so that they can be ended together.
 *
 * A session stands here from kj_session_set_credential until its memory is freed. Under the lock
 * nobody waits, and nothing of an application is called.
 */
#ifndef KJ_DELIVERY_CREDENTIAL_INDEX_H
#define KJ_DELIVERY_CREDENTIAL_INDEX_H

#include "base/list.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct kj__delivery;
struct kj_session;

enum { KJ__CREDENTIAL_BUCKETS = 4096 };

struct kj__credential_index {
    pthread_mutex_t lock;
    struct kj__list buckets[KJ__CREDENTIAL_BUCKETS]; /* guarded by lock */
};

void kj__credential_index_init(struct kj__credential_index *index);
void kj__credential_index_fini(struct kj__credential_index *index); /* when no session is left */

/* 0: none any more. */
void kj__credential_set(struct kj_session *session, uint64_t credential);

/* The copy's credential and expiry are the session's now: one that ends meanwhile ends it. */
void kj__credential_take_over(struct kj_session *session, struct kj_session *stand_in);

/* Lets what all sessions of a credential were let in by run out; how many.  [any thread] */
size_t kj__credential_end(struct kj__delivery *delivery, uint64_t credential);

#endif
