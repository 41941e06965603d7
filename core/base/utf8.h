/* utf8.h - UTF-8 as RFC 3629 has it: no surrogates, nothing overlong, nothing above 10FFFF. */
#ifndef KJ_BASE_UTF8_H
#define KJ_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A check that goes on across pieces; zero is the start. */
struct kj__utf8 {
    uint8_t state; /* 0: between characters */
};

/* Feeds a piece. False as soon as no continuation can make it valid. */
bool kj__utf8_feed(struct kj__utf8 *utf8, const uint8_t *bytes, size_t len);

/* Whether what was fed ends between characters. */
static inline bool kj__utf8_is_complete(const struct kj__utf8 *utf8)
{
    return utf8->state == 0;
}

bool kj__utf8_is_valid(const uint8_t *bytes, size_t len);

/* The length of the character at `bytes` (1 to 4), or 0 when it is not a valid one. */
size_t kj__utf8_character(const uint8_t *bytes, size_t len);

/* How long a text is without the beginning of a character that was cut off at its end. */
size_t kj__utf8_whole(const char *text, size_t len);

/* How many characters a valid text has. */
size_t kj__utf8_count(const char *text, size_t len);

#endif
