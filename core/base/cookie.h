/* cookie.h - the Cookie header.                                             [any thread] */
#ifndef KJ_BASE_COOKIE_H
#define KJ_BASE_COOKIE_H

#include <stdbool.h>
#include <stddef.h>

/* Points *value at the first cookie of that name inside `header`; false when it has none. */
bool kj__cookie_find(const char *header, const char *name, const char **value, size_t *len);

/* Leaves out what is no part of a value, as Go does: spaces at its end, and quotes around it. */
void kj__cookie_trim(const char **value, size_t *len);

#endif
