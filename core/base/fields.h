/* fields.h - an ordered list of names and values: headers, query parameters, cookies.
 *
 * One allocation holds all the text. Pointers into it are valid until the next change. Not
 * safe for concurrent use.
 */
#ifndef KJ_BASE_FIELDS_H
#define KJ_BASE_FIELDS_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj__fields {
    struct kj__buffer text; /* name NUL value NUL, again and again */
    bool ignore_case;       /* whether names are compared as HTTP headers are */
};

void kj__fields_init(struct kj__fields *fields, bool ignore_case);
void kj__fields_fini(struct kj__fields *fields);

/* Adds a pair at the end. False when there is no memory. */
bool kj__fields_add(struct kj__fields *fields, const char *name, const char *value);
bool kj__fields_add_len(struct kj__fields *fields, const char *name, size_t name_len,
                        const char *value, size_t value_len);

/* Forgets every pair of that name. */
void kj__fields_remove(struct kj__fields *fields, const char *name);

/* The first value of a name, or NULL. */
const char *kj__fields_get(const struct kj__fields *fields, const char *name);

/* Walks the pairs: start with *cursor 0, stop at false. */
bool kj__fields_next(const struct kj__fields *fields, size_t *cursor, const char **name,
                     const char **value);

/* Makes `to` an exact copy; false when there is no memory. */
bool kj__fields_copy(struct kj__fields *to, const struct kj__fields *from);

/* The same list where it is kept long and changes seldom: NULL when empty, else one allocation
 * of just the size. Freed with free(). */
struct kj__packed_fields {
    uint32_t len;
    bool ignore_case;
    char text[];
};

/* False when there is no memory; *packed, which must be NULL or packed before, is as it was. */
bool kj__fields_pack(const struct kj__fields *fields, struct kj__packed_fields **packed);

/* Points `fields` at the text of a packed list, to be read only and not finished. */
void kj__packed_fields_view(const struct kj__packed_fields *packed, struct kj__fields *fields);

/* The first value of a name, or NULL. */
const char *kj__packed_fields_get(const struct kj__packed_fields *packed, const char *name);

#endif
