/* error.h - what went wrong, for the person or the client who has to mend it.
 *
 * Two shapes: `struct kj_error` explains a refused option, file or filter to the
 * person who wrote it; `struct kj_api_error` is one element of the error array
 * that a REST or websocket client receives (bahamut's elemental.Error).
 */
#ifndef KUJATA_ERROR_H
#define KUJATA_ERROR_H

#include <jansson.h>
#include <stddef.h>

enum { KJ_ERROR_TEXT_MAX = 512 };

/* Filled by calls that take an optional `struct kj_error *`; untouched on success. */
struct kj_error {
    char text[KJ_ERROR_TEXT_MAX]; /* one line, names the file, line or option */
    size_t position;              /* byte offset into the input, where there is one */
};

/* Writes a printf-style text and the position. `error` may be NULL.    [any thread] */
__attribute__((format(printf, 3, 4))) void kj_error_set(struct kj_error *error, size_t position,
                                                        const char *format, ...);

/* One element of an error array. Strings are borrowed for the call that takes the
 * struct; NULL strings mean "". `data` is borrowed and may be NULL. */
struct kj_api_error {
    int code; /* an HTTP status; the first element's code becomes the answer's status */
    const char *title;
    const char *description;
    const char *subject; /* who says so; NULL means "kujata" */
    const json_t *data;  /* extra facts, such as {"attribute": "name"} */
};

#endif
