/* timestamp.h - points in time, as text and as numbers.                     [any thread]
 *
 * Seconds since 1970 and nanoseconds apart, since entities hold years that do not fit 64
 * bits of nanoseconds.
 */
#ifndef KJ_BASE_TIMESTAMP_H
#define KJ_BASE_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KJ__TIMESTAMP_TEXT_SIZE = 40 };

struct kj__timestamp {
    int64_t seconds;
    uint32_t nanoseconds; /* below 1e9 */
};

/* Reads RFC 3339 ("2021-03-04T05:06:07.5+02:00"): upper-case T and Z, years 0000 to 9999,
 * one to nine digits of fraction (more are cut off). False for anything else. */
bool kj__timestamp_parse(const char *text, size_t len, struct kj__timestamp *timestamp);

/* Writes RFC 3339 in UTC, trailing zeros of the fraction left out, and returns its length.
 * Years outside 0000 to 9999 give 0 and an empty text. */
size_t kj__timestamp_format(struct kj__timestamp timestamp, char text[KJ__TIMESTAMP_TEXT_SIZE]);

#endif
