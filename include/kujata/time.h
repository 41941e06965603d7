/* time.h - points in time, as attributes and query parameters hold them.
 *
 * Seconds and nanoseconds apart, since objects hold years that do not fit 64 bits of nanoseconds.
 */
#ifndef KUJATA_TIME_H
#define KUJATA_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj_time {
    int64_t seconds;      /* since 1970-01-01T00:00:00Z; below 0 for years before */
    uint32_t nanoseconds; /* below 1e9 */
};

/* Reads RFC 3339 ("2021-03-04T05:06:07.5+02:00"), as attributes of type time hold it. False for
 * anything else.                                                       [any thread] */
bool kj_time_parse(const char *text, size_t len, struct kj_time *time);

/* Below, at or above 0: which comes first.                             [any thread] */
int kj_time_compare(struct kj_time left, struct kj_time right);

#endif
