/* order.c - see order.h. */
#include "bench/order.h"

enum { NUMBERS_SEEN = 64 };

static void go_on_to(struct order *order, uint32_t number)
{
    uint32_t steps = number - order->last;
    uint64_t leaving = steps < NUMBERS_SEEN ? order->seen >> (NUMBERS_SEEN - steps) : order->seen;
    uint32_t leaving_count = steps < NUMBERS_SEEN ? steps : NUMBERS_SEEN;
    order->missing += leaving_count - (uint32_t)__builtin_popcountll(leaving);
    if (steps >= NUMBERS_SEEN) {
        order->missing += steps - NUMBERS_SEEN; /* those that are in the window at no time */
    }
    order->seen = (steps < NUMBERS_SEEN ? order->seen << steps : 0) | 1;
    order->last = number;
}

enum arrival_kind order_note(struct order *order, uint32_t number)
{
    if (order->last == 0) {
        *order = (struct order){.seen = UINT64_MAX, .last = number};
        return ARRIVAL_NEXT;
    }
    if (number > order->last) {
        go_on_to(order, number);
        return ARRIVAL_NEXT;
    }
    uint32_t behind = order->last - number;
    if (behind >= NUMBERS_SEEN) {
        if (order->missing == 0) {
            return ARRIVAL_AGAIN;
        }
        order->missing--;
        return ARRIVAL_LATE;
    }
    uint64_t bit = 1ULL << behind;
    if (order->seen & bit) {
        return ARRIVAL_AGAIN;
    }
    order->seen |= bit;
    return ARRIVAL_LATE;
}
