/* pattern.h - how large a regular expression gets when it is compiled.          [any thread]
 *
 * regcomp copies what is repeated: "a{200}" is 200 letters, and "a+" two of what is before the
 * plus. Repetitions in one another, or behind one another, multiply: twenty pluses in a row are a
 * million copies.
 */
#ifndef KJ_MODEL_PATTERN_H
#define KJ_MODEL_PATTERN_H

#include <stdbool.h>

/* Pieces, and groups in one another. */
enum { KJ__PATTERN_SIZE_MAX = 2000, KJ__PATTERN_DEPTH_MAX = 50 };

/* Whether a POSIX extended regular expression stays within both. True of one that is none: regcomp
 * says why. */
bool kj__pattern_is_small(const char *pattern);

#endif
