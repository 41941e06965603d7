/* wheel.c - see wheel.h. */
#include "delivery/wheel.h"

#include <string.h>

enum { WORD_BITS = 64, WORDS = KJ__WHEEL_SLOTS / WORD_BITS };

void kj__wheel_init(struct kj__wheel *wheel, uint64_t now_ms)
{
    for (size_t i = 0; i < KJ__WHEEL_SLOTS; i++) {
        kj__list_init(&wheel->slots[i]);
    }
    memset(wheel->occupied, 0, sizeof wheel->occupied);
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
    size_t slot = tick % KJ__WHEEL_SLOTS;
    entry->deadline_ms = deadline_ms;
    kj__list_append(&wheel->slots[slot], &entry->link);
    wheel->occupied[slot / WORD_BITS] |= 1ULL << slot % WORD_BITS;
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
        size_t slot = wheel->tick % KJ__WHEEL_SLOTS;
        struct kj__wheel_entry *entry = find_due(&wheel->slots[slot], now_ms);
        if (entry) {
            kj__wheel_disarm(wheel, entry);
            return entry;
        }
    }
    return NULL;
}

/* The first slot from one on, all around, that may have entries. There is one, since some entry is
 * armed. */
static size_t find_occupied(const struct kj__wheel *wheel, size_t from)
{
    size_t word = from / WORD_BITS;
    uint64_t bits = wheel->occupied[word] & ~0ULL << from % WORD_BITS;
    for (size_t i = 1; !bits && i <= WORDS; i++) { /* back at the first for what lies before it */
        word = (word + 1) % WORDS;
        bits = wheel->occupied[word];
    }
    return word * WORD_BITS + (size_t)(bits ? __builtin_ctzll(bits) : 0);
}

/* The first from one on that has entries. What was disarmed since has left a bit behind. */
static size_t find_entries(struct kj__wheel *wheel, size_t from)
{
    size_t slot = find_occupied(wheel, from);
    for (size_t i = 0; i < KJ__WHEEL_SLOTS && kj__list_is_empty(&wheel->slots[slot]); i++) {
        wheel->occupied[slot / WORD_BITS] &= ~(1ULL << slot % WORD_BITS);
        slot = find_occupied(wheel, slot);
    }
    return slot;
}

int kj__wheel_wait_ms(struct kj__wheel *wheel, uint64_t now_ms)
{
    if (wheel->armed == 0) {
        return -1;
    }
    size_t first = wheel->tick % KJ__WHEEL_SLOTS;
    uint64_t ahead = (find_entries(wheel, first) - first) % KJ__WHEEL_SLOTS;
    uint64_t next_ms = (wheel->tick + ahead) * KJ__WHEEL_TICK_MS;
    return next_ms <= now_ms ? 0 : (int)(next_ms - now_ms);
}
