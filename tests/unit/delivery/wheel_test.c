/* wheel_test.c - deadlines, against a plain array of them on random input. */
#include "delivery/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ENTRIES = 2000, ROUNDS = 4000 };

static void deadlines_are_met_within_a_tick(void **state)
{
    (void)state;
    static struct kj__wheel wheel;
    static struct kj__wheel_entry entries[ENTRIES];
    static uint64_t deadlines[ENTRIES]; /* the naive twin; UINT64_MAX: not armed */
    uint64_t now = 1000000;
    srand(7);
    kj__wheel_init(&wheel, now);
    for (int i = 0; i < ENTRIES; i++) {
        kj__wheel_entry_init(&entries[i]);
        deadlines[i] = UINT64_MAX;
    }
    for (int round = 0; round < ROUNDS; round++) {
        int pick = rand() % ENTRIES;
        if (rand() % 10 == 0) {
            kj__wheel_disarm(&wheel, &entries[pick]);
            deadlines[pick] = UINT64_MAX;
        } else {
            /* Up to three turns of the wheel ahead. */
            deadlines[pick] = now + (uint64_t)(rand() % (3 * KJ__WHEEL_SLOTS * KJ__WHEEL_TICK_MS));
            kj__wheel_arm(&wheel, &entries[pick], deadlines[pick]);
        }
        now += (uint64_t)(rand() % 100) * (rand() % 50 == 0 ? 500 : 1);
        struct kj__wheel_entry *entry;
        while ((entry = kj__wheel_expire(&wheel, now))) {
            size_t index = (size_t)(entry - entries);
            assert_true(deadlines[index] <= now);
            deadlines[index] = UINT64_MAX;
        }
        uint64_t earliest = UINT64_MAX;
        for (int i = 0; i < ENTRIES; i++) {
            assert_true(deadlines[i] + 2 * KJ__WHEEL_TICK_MS > now || deadlines[i] == UINT64_MAX);
            earliest = deadlines[i] < earliest ? deadlines[i] : earliest;
        }
        int wait = kj__wheel_wait_ms(&wheel, now);
        assert_true(earliest == UINT64_MAX
                        ? wait == -1
                        : wait >= 0 && now + (uint64_t)wait <= earliest + KJ__WHEEL_TICK_MS);
    }
}

static void an_empty_wheel_wants_no_waking(void **state)
{
    (void)state;
    static struct kj__wheel wheel;
    struct kj__wheel_entry entry;
    kj__wheel_init(&wheel, 5000);
    kj__wheel_entry_init(&entry);
    assert_int_equal(kj__wheel_wait_ms(&wheel, 5000), -1);
    kj__wheel_arm(&wheel, &entry, 9000);
    assert_null(kj__wheel_expire(&wheel, 5000));
    assert_true(kj__wheel_wait_ms(&wheel, 5000) > 0);
    kj__wheel_disarm(&wheel, &entry);
    assert_int_equal(kj__wheel_wait_ms(&wheel, 5000), -1);
}

static void slots_without_entries_wake_nobody(void **state)
{
    (void)state;
    static struct kj__wheel wheel;
    struct kj__wheel_entry entries[2];
    uint64_t now = 5000;
    kj__wheel_init(&wheel, now);
    kj__wheel_entry_init(&entries[0]);
    kj__wheel_entry_init(&entries[1]);
    for (int turn = 0; turn < 3 * KJ__WHEEL_SLOTS; turn++) { /* from every slot */
        kj__wheel_arm(&wheel, &entries[0], now + 4000);
        kj__wheel_arm(&wheel, &entries[1], now + 9000);
        kj__wheel_disarm(&wheel, &entries[1]);
        assert_null(kj__wheel_expire(&wheel, now));
        int wait = kj__wheel_wait_ms(&wheel, now);
        assert_in_range(wait, 4000, 4000 + KJ__WHEEL_TICK_MS);
        now += (uint64_t)wait;
        assert_ptr_equal(kj__wheel_expire(&wheel, now), &entries[0]);
        assert_null(kj__wheel_expire(&wheel, now));
        assert_int_equal(kj__wheel_wait_ms(&wheel, now), -1);
        now += 17;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_are_met_within_a_tick),
        cmocka_unit_test(an_empty_wheel_wants_no_waking),
        cmocka_unit_test(slots_without_entries_wake_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
