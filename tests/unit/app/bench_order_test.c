/* bench_order_test.c - what the bench counts as late, as twice and as missing. */
#include "bench/order.h"
#include "check.h"

enum { EVENTS = 5000 };

static void events_in_their_order_are_next(void **state)
{
    (void)state;
    struct order order = {0};
    for (uint32_t number = 7; number < EVENTS; number++) {
        assert_int_equal(order_note(&order, number), ARRIVAL_NEXT);
    }
    assert_int_equal(order.missing, 0);
}

static void two_that_changed_places_are_one_late(void **state)
{
    (void)state;
    struct order order = {0};
    assert_int_equal(order_note(&order, 1), ARRIVAL_NEXT);
    assert_int_equal(order_note(&order, 3), ARRIVAL_NEXT);
    assert_int_equal(order_note(&order, 2), ARRIVAL_LATE);
    assert_int_equal(order_note(&order, 2), ARRIVAL_AGAIN);
    assert_int_equal(order_note(&order, 4), ARRIVAL_NEXT);
}

static void first_event_may_have_any_number(void **state)
{
    (void)state;
    struct order order = {0};
    assert_int_equal(order_note(&order, 1000), ARRIVAL_NEXT);
    assert_int_equal(order_note(&order, 5000), ARRIVAL_NEXT);
    /* What is missing lies between them. */
    assert_int_equal(order.missing, 3999 - (ORDER_WINDOW - 1));
    assert_int_equal(order_note(&order, 1001), ARRIVAL_LATE);
    assert_int_equal(order.missing, 3999 - ORDER_WINDOW);
}

static void note_all(struct order *order, uint32_t from, uint32_t to, uint32_t but)
{
    for (uint32_t number = from; number <= to; number++) {
        if (number != but) {
            assert_int_equal(order_note(order, number), ARRIVAL_NEXT);
        }
    }
}

static void one_that_comes_again_is_not_one_that_is_missing(void **state)
{
    (void)state;
    struct order order = {0};
    note_all(&order, 1, 1000, 600);
    assert_int_equal(order.missing, 0); /* 600 is within the window */
    assert_int_equal(order_note(&order, 500), ARRIVAL_AGAIN);
    assert_int_equal(order_note(&order, 20), ARRIVAL_AGAIN); /* none older is missing */
    note_all(&order, 1001, 2000, 0);
    assert_int_equal(order.missing, 1);
    assert_int_equal(order_note(&order, 600), ARRIVAL_LATE);
    assert_int_equal(order_note(&order, 600), ARRIVAL_AGAIN);
    assert_int_equal(order.missing, 0);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(*seed >> 33);
}

/* Against a list of all that came: some are lost, some come up to 1,000 events late, none twice. */
static void those_missing_are_counted_whatever_the_steps(void **state)
{
    (void)state;
    static uint32_t numbers[EVENTS];
    struct order order = {0};
    uint64_t seed = 3;
    uint32_t count = 0;
    for (uint32_t number = 1; number <= EVENTS; number++) {
        if (number == 1 || next_random(&seed) % 10) {
            numbers[count++] = number;
        }
    }
    for (uint32_t i = 1; i + 1000 < count; i++) {
        uint32_t other = i + (next_random(&seed) % 20 ? 0 : next_random(&seed) % 1000);
        uint32_t kept = numbers[i];
        numbers[i] = numbers[other];
        numbers[other] = kept;
    }
    uint32_t highest = 0;
    for (uint32_t i = 0; i < count; i++) {
        enum arrival_kind kind = order_note(&order, numbers[i]);
        assert_int_equal(kind, numbers[i] > highest ? ARRIVAL_NEXT : ARRIVAL_LATE);
        highest = numbers[i] > highest ? numbers[i] : highest;
    }
    uint32_t missing = order.missing + ORDER_WINDOW;
    for (size_t i = 0; i < ORDER_WINDOW / 64; i++) {
        missing -= (uint32_t)__builtin_popcountll(order.seen[i]);
    }
    assert_int_equal(missing, highest - count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_in_their_order_are_next),
        cmocka_unit_test(two_that_changed_places_are_one_late),
        cmocka_unit_test(first_event_may_have_any_number),
        cmocka_unit_test(one_that_comes_again_is_not_one_that_is_missing),
        cmocka_unit_test(those_missing_are_counted_whatever_the_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
