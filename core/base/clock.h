/* clock.h - the two clocks.                                                 [any thread] */
#ifndef KJ_BASE_CLOCK_H
#define KJ_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds that only go forward; for timeouts. */
uint64_t kj__clock_monotonic_ms(void);

/* The same in nanoseconds; for measuring. */
int64_t kj__clock_monotonic_ns(void);

/* Nanoseconds since 1970 by the wall clock; for timestamps. */
int64_t kj__clock_wall_ns(void);

/* Milliseconds until a deadline, as poll takes them: 0 once it has passed, at most INT_MAX. */
int kj__clock_left_ms(uint64_t now_ms, uint64_t deadline_ms);

#endif
