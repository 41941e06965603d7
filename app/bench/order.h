/* order.h - which events a session had, and in which order they came.
 *
 * Of the newest 512 numbers it is known which came; of those before, how many did not. So an event
 * that comes again hides one that is missing only where both are older than that. All zero is a
 * session that had none.
 */
#ifndef KUJATA_APP_BENCH_ORDER_H
#define KUJATA_APP_BENCH_ORDER_H

#include <stdint.h>

enum { ORDER_WINDOW = 512 };

struct order {
    uint32_t last;    /* the highest number that came; numbers begin at 1 */
    uint32_t missing; /* of those below the window */
    /* A ring of bits: number n came, or is older than the first that did. */
    uint64_t seen[ORDER_WINDOW / 64];
};

enum arrival_kind { ARRIVAL_NEXT, ARRIVAL_LATE, ARRIVAL_AGAIN };

/* Notes that the event came. What is before the first of all counts as had: a session may join
 * while events are on their way. */
enum arrival_kind order_note(struct order *order, uint32_t number);

#endif
