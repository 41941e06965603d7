/* guard.h - an end to exchanges that a client draws out.
 *
 * civetweb's timeout starts anew with every byte, so a client that sends or takes a byte now and
 * then could hold a worker for days. A worker puts a guard on its socket while it waits for a
 * body or for its answer to leave; one thread shuts the sockets whose time is over, and the
 * worker's call returns.
 *
 * Threads: entries belong to the workers' stacks; the calls are for any thread.
 */
#ifndef KJ_HTTP_GUARD_H
#define KJ_HTTP_GUARD_H

#include "base/list.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct kj__guard {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kj__list entries; /* guarded by lock, as is is_stopping */
    bool is_stopping;
    bool is_asleep;      /* until woken; guarded by lock too */
    unsigned idle_looks; /* in a row that found nothing; the thread's */
};

struct kj__guard_entry {
    struct kj__list link;
    int fd;  /* -1: nothing is guarded */
    int how; /* as shutdown takes it: SHUT_RD while reading, SHUT_RDWR while writing */
    uint64_t deadline_ms;
    bool is_over; /* the time was over; valid after kj__guard_leave */
};

/* False when the thread cannot be started. */
bool kj__guard_start(struct kj__guard *guard);

/* No entry may be left. */
void kj__guard_stop(struct kj__guard *guard);

/* From now until leave, `fd` must stay open. A negative `fd` is fine and guards nothing. */
void kj__guard_enter(struct kj__guard *guard, struct kj__guard_entry *entry, int fd, int how,
                     uint32_t timeout_ms);
void kj__guard_leave(struct kj__guard *guard, struct kj__guard_entry *entry);

#endif
