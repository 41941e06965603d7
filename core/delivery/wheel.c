/* wheel.c - see wheel.h. */
#include "delivery/wheel.h"

void kj__wheel_init(struct kj__wheel *wheel, uint64_t now_ms)
{
    for (size_t i = 0; i < KJ__WHEEL_SLOTS; i++) {
        kj__list_init(&wheel->slots[i]);
    }
    wheel->tick = now_ms / KJ__WHEEL_TICK_MS;
    wheel->armed = 0;
}

void kj__wheel_entry_init(struct kj__wheel_entry *entry)
{
    kj__list_init(&entry->link);
    entry->deadline_ms = UINT64_MAX;
}

void kj__wheel_disarm(struct kj__wheel *wheel, struct kj__wheel_entry *entry)
{
    if (entry->deadline_ms != UINT64_MAX) {
        kj__list_unlink(&entry->link);
        entry->deadline_ms = UINT64_MAX;
        wheel->armed--;
    }
}

void kj__wheel_arm(struct kj__wheel *wheel, struct kj__wheel_entry *entry, uint64_t deadline_ms)
{
    kj__wheel_disarm(wheel, entry);
    /* Rounded up, so that a slot is looked at only once its deadlines have passed. */
    uint64_t tick = deadline_ms / KJ__WHEEL_TICK_MS + 1;
    if (tick < wheel->tick) {
        tick = wheel->tick;
    }
    entry->deadline_ms = deadline_ms;
    kj__list_append(&wheel->slots[tick % KJ__WHEEL_SLOTS], &entry->link);
    wheel->armed++;
}

/* The first entry of a slot that is due by `now_ms`. */
static struct kj__wheel_entry *find_due(struct kj__list *slot, uint64_t now_ms)
{
    for (struct kj__list *link = slot->next; link != slot; link = link->next) {
        struct kj__wheel_entry *entry = KJ__CONTAINER_OF(link, struct kj__wheel_entry, link);
        if (entry->deadline_ms <= now_ms) {
            return entry;
        }
    }
    return NULL;
}

struct kj__wheel_entry *kj__wheel_expire(struct kj__wheel *wheel, uint64_t now_ms)
{
    uint64_t now_tick = now_ms / KJ__WHEEL_TICK_MS;
    if (now_tick > wheel->tick + KJ__WHEEL_SLOTS) {
        wheel->tick = now_tick - KJ__WHEEL_SLOTS; /* a whole turn sees every slot */
    }
    for (; wheel->tick <= now_tick; wheel->tick++) {
        struct kj__wheel_entry *entry = wheel->armed
                                            ? find_due(&wheel->slots[wheel->tick % KJ__WHEEL_SLOTS],
                                                       now_ms)
                                            : NULL;
        if (entry) {
            kj__wheel_disarm(wheel, entry);
            return entry;
        }
    }
    return NULL;
}

int kj__wheel_wait_ms(const struct kj__wheel *wheel, uint64_t now_ms)
{
    if (wheel->armed == 0) {
        return -1;
    }
    uint64_t next_ms = wheel->tick * KJ__WHEEL_TICK_MS;
    return next_ms <= now_ms ? 0 : (int)(next_ms - now_ms);
}
