/* order.c - see order.h. */
#include "bench/order.h"

#include <stdbool.h>
#include <string.h>

static uint64_t *word_of(struct order *order, uint32_t number)
{
    return &order->seen[number % ORDER_WINDOW / 64];
}

static uint64_t bit_of(uint32_t number)
{
    return 1ULL << number % 64;
}

/* Whether the bit was set. */
static bool set_bit(struct order *order, uint32_t number)
{
    bool was_set = (*word_of(order, number) & bit_of(number)) != 0;
    *word_of(order, number) |= bit_of(number);
    return was_set;
}

/* Moves the window up by one: the number that leaves it has the bit of the one that comes in. */
static void step(struct order *order)
{
    order->last++;
    order->missing += !set_bit(order, order->last);
    *word_of(order, order->last) &= ~bit_of(order->last);
}

static void go_on_to(struct order *order, uint32_t number)
{
    uint32_t steps = number - order->last;
    for (uint32_t i = 0; i < steps && i < ORDER_WINDOW; i++) {
        step(order);
    }
    if (steps > ORDER_WINDOW) {
        order->missing += steps - ORDER_WINDOW; /* in the window at no time */
        order->last = number;
    }
    set_bit(order, number);
}

enum arrival_kind order_note(struct order *order, uint32_t number)
{
    if (order->last == 0) {
        order->last = number;
        memset(order->seen, 0xff, sizeof order->seen);
        return ARRIVAL_NEXT;
    }
    if (number > order->last) {
        go_on_to(order, number);
        return ARRIVAL_NEXT;
    }
    if (order->last - number < ORDER_WINDOW) {
        return set_bit(order, number) ? ARRIVAL_AGAIN : ARRIVAL_LATE;
    }
    if (order->missing == 0) {
        return ARRIVAL_AGAIN;
    }
    order->missing--;
    return ARRIVAL_LATE;
}
