/* wheel.h - deadlines of many connections in a ring of slots.
 *
 * Arming and disarming cost a list operation each; a deadline further away than one turn
 * stays in its slot for the turns it needs. Deadlines are met within a tick.
 *
 * Threads: the shard that owns it.
 */
#ifndef KJ_DELIVERY_WHEEL_H
#define KJ_DELIVERY_WHEEL_H

#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

enum { KJ__WHEEL_TICK_MS = 50, KJ__WHEEL_SLOTS = 512 };

struct kj__wheel_entry {
    struct kj__list link;
    uint64_t deadline_ms; /* UINT64_MAX while not armed */
};

struct kj__wheel {
    struct kj__list slots[KJ__WHEEL_SLOTS];
    uint64_t occupied[KJ__WHEEL_SLOTS / 64]; /* a bit a slot: it may have entries */
    uint64_t tick;                           /* the next to look at */
    size_t armed;
};

void kj__wheel_init(struct kj__wheel *wheel, uint64_t now_ms);
void kj__wheel_entry_init(struct kj__wheel_entry *entry);

/* Sets or moves the deadline. */
void kj__wheel_arm(struct kj__wheel *wheel, struct kj__wheel_entry *entry, uint64_t deadline_ms);
void kj__wheel_disarm(struct kj__wheel *wheel, struct kj__wheel_entry *entry);

/* Takes out one entry whose deadline has passed, disarmed, or NULL when there is none left. */
struct kj__wheel_entry *kj__wheel_expire(struct kj__wheel *wheel, uint64_t now_ms);

/* Milliseconds until the wheel wants to be looked at, which is when the next slot with entries has
 * its turn; -1 while nothing is armed. */
int kj__wheel_wait_ms(struct kj__wheel *wheel, uint64_t now_ms);

#endif
