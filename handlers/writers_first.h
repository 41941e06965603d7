/* writers_first.h - a lock that a writer gets while readers keep coming.
 *
 * With the default one, who reads a file again or opens it anew would wait until a moment in which
 * nobody reads.                                                                  [any thread]
 */
#ifndef KJ_HANDLERS_WRITERS_FIRST_H
#define KJ_HANDLERS_WRITERS_FIRST_H

#include <pthread.h>

/* Not to be read-locked twice by one thread. */
static inline void kj__writers_first_init(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

#endif
