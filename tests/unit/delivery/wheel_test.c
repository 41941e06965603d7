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
        for (int i = 0; i < ENTRIES; i++) {
            assert_true(deadlines[i] + 2 * KJ__WHEEL_TICK_MS > now || deadlines[i] == UINT64_MAX);
        }
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
    int wait = kj__wheel_wait_ms(&wheel, 5000);
    assert_true(wait > 0 && wait <= KJ__WHEEL_TICK_MS);
    kj__wheel_disarm(&wheel, &entry);
    assert_int_equal(kj__wheel_wait_ms(&wheel, 5000), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_are_met_within_a_tick),
        cmocka_unit_test(an_empty_wheel_wants_no_waking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
