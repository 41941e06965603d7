/* thread.h - threads of the library. */
#ifndef KJ_PUBSUB_THREAD_H
#define KJ_PUBSUB_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Starts a thread that receives no signals, so that they reach the application's own
 * threads. `name` has at most 15 bytes. False when there are no resources for it. */
bool kj__thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg);

/* A condition that is waited for by the monotonic clock. */
void kj__condition_init(pthread_cond_t *condition);

/* Waits, lock held, until signalled (true) or until the monotonic clock shows
 * `deadline_ms` (false). May wake early, as all conditions may. */
bool kj__condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock,
                              uint64_t deadline_ms);

#endif
