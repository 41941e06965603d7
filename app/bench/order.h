/* order.h - which events a session had, and in which order they came.
 *
 * Of the newest 64 numbers it is known which came; of those before, how many did not. So an event
 * that comes again cannot pass for one that is missing, however late it is. All zero is a session
 * that had none.
 */
#ifndef KUJATA_APP_BENCH_ORDER_H
#define KUJATA_APP_BENCH_ORDER_H

#include <stdint.h>

struct order {
    uint64_t seen;    /* bit i: event last - i came, or is older than the first that did */
    uint32_t last;    /* the highest number that came; numbers begin at 1 */
    uint32_t missing; /* of those more than 63 before it */
};

enum arrival_kind { ARRIVAL_NEXT, ARRIVAL_LATE, ARRIVAL_AGAIN };

/* Notes that the event came. What is before the first of all counts as had: a session may join
 * while events are on their way. */
enum arrival_kind order_note(struct order *order, uint32_t number);

#endif
