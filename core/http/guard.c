/* guard.c - see guard.h. */
#include "http/guard.h"

#include "base/clock.h"

#include <sys/socket.h>
#include <time.h>

/* A worker that had to wake the guard for every exchange would pay more for that than for all
 * else here: it goes on looking for a while after the last. */
enum { LOOK_INTERVAL_MS = 250, LOOKS_BEFORE_SLEEP = 20 };

/* Lock held: that is what keeps a worker from closing the socket meanwhile. shutdown does not
 * wait for anyone. */
static void end_overdue(struct kj__guard *guard, uint64_t now_ms)
{
    for (struct kj__list *link = guard->entries.next; link != &guard->entries; link = link->next) {
        struct kj__guard_entry *entry = KJ__CONTAINER_OF(link, struct kj__guard_entry, link);
        if (!entry->is_over && now_ms >= entry->deadline_ms) {
            entry->is_over = true;
            shutdown(entry->fd, entry->how);
        }
    }
}

/* Lock held. */
static void wait_for_next_look(struct kj__guard *guard)
{
    guard->idle_looks = kj__list_is_empty(&guard->entries) ? guard->idle_looks + 1 : 0;
    if (guard->idle_looks > LOOKS_BEFORE_SLEEP) {
        guard->is_asleep = true;
        pthread_cond_wait(&guard->changed, &guard->lock);
        guard->is_asleep = false;
        guard->idle_looks = 0;
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_INTERVAL_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&guard->changed, &guard->lock, &until);
}

static void *run_guard(void *argument)
{
    struct kj__guard *guard = argument;
    pthread_mutex_lock(&guard->lock);
    while (!guard->is_stopping) {
        wait_for_next_look(guard);
        end_overdue(guard, kj__clock_monotonic_ms());
    }
    pthread_mutex_unlock(&guard->lock);
    return NULL;
}

bool kj__guard_start(struct kj__guard *guard)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&guard->lock, NULL);
    pthread_cond_init(&guard->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    kj__list_init(&guard->entries);
    guard->is_stopping = false;
    if (pthread_create(&guard->thread, NULL, run_guard, guard) != 0) {
        pthread_cond_destroy(&guard->changed);
        pthread_mutex_destroy(&guard->lock);
        return false;
    }
    return true;
}

void kj__guard_stop(struct kj__guard *guard)
{
    pthread_mutex_lock(&guard->lock);
    guard->is_stopping = true;
    pthread_cond_signal(&guard->changed);
    pthread_mutex_unlock(&guard->lock);
    pthread_join(guard->thread, NULL);
    pthread_cond_destroy(&guard->changed);
    pthread_mutex_destroy(&guard->lock);
}

void kj__guard_enter(struct kj__guard *guard, struct kj__guard_entry *entry, int fd, int how,
                     uint32_t timeout_ms)
{
    *entry = (struct kj__guard_entry){.fd = fd, .how = how};
    if (fd < 0) {
        return;
    }
    entry->deadline_ms = kj__clock_monotonic_ms() + timeout_ms;
    pthread_mutex_lock(&guard->lock);
    kj__list_append(&guard->entries, &entry->link);
    if (guard->is_asleep) {
        pthread_cond_signal(&guard->changed);
    }
    pthread_mutex_unlock(&guard->lock);
}

void kj__guard_leave(struct kj__guard *guard, struct kj__guard_entry *entry)
{
    if (entry->fd >= 0) {
        pthread_mutex_lock(&guard->lock);
        kj__list_unlink(&entry->link);
        pthread_mutex_unlock(&guard->lock);
    }
}
