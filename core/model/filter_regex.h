/* filter_regex.h - regular expressions of linear time: RE2 behind four C functions.
 *
 * The one file in C++ is filter_regex.cc; no exception leaves it.           [any thread]
 */
#ifndef KJ_MODEL_FILTER_REGEX_H
#define KJ_MODEL_FILTER_REGEX_H

#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What one expression may hold, compiled and at work: about 1,300 instructions, and as much again
 * for the states they are in. */
enum { KJ__REGEX_SIZE_MAX = 65536, KJ__REGEX_WHY_MAX = 200 };

struct kj__regex;

/* RE2's syntax on UTF-8. KJ_EPARSE or KJ_ELIMIT with the reason in `why`, or KJ_ENOMEM. */
enum kj_status kj__regex_new(const char *pattern, size_t len, struct kj__regex **regex,
                             char why[KJ__REGEX_WHY_MAX]);
void kj__regex_free(struct kj__regex *regex); /* NULL is fine */

/* Whether it matches anywhere in the text. KJ_ENOMEM, and then *matches is false. */
enum kj_status kj__regex_match(const struct kj__regex *regex, const char *text, size_t len,
                               bool *matches);

/* How many instructions it has: a match takes at most so many steps per byte. */
size_t kj__regex_steps(const struct kj__regex *regex);

#ifdef __cplusplus
}
#endif

#endif
