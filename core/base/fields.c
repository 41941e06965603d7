/* fields.c - see fields.h. */
#include "base/fields.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void kj__fields_init(struct kj__fields *fields, bool ignore_case)
{
    kj__buffer_init(&fields->text);
    fields->ignore_case = ignore_case;
}

void kj__fields_fini(struct kj__fields *fields)
{
    kj__buffer_fini(&fields->text);
}

bool kj__fields_add(struct kj__fields *fields, const char *name, const char *value)
{
    return kj__fields_add_len(fields, name, strlen(name), value, strlen(value));
}

bool kj__fields_add_len(struct kj__fields *fields, const char *name, size_t name_len,
                        const char *value, size_t value_len)
{
    if (!kj__buffer_reserve(&fields->text, name_len + value_len + 2)) {
        fields->text.failed = false; /* what is there stays usable */
        return false;
    }
    kj__buffer_append(&fields->text, name, name_len);
    kj__buffer_append_byte(&fields->text, 0);
    kj__buffer_append(&fields->text, value, value_len);
    kj__buffer_append_byte(&fields->text, 0);
    return true;
}

/* Most names differ in their first letter, and it costs less to look at than to call. */
static bool same_name(const struct kj__fields *fields, const char *a, const char *b)
{
    enum { CASE = 'a' ^ 'A' };
    if ((a[0] | CASE) != (b[0] | CASE)) {
        return false;
    }
    return (fields->ignore_case ? strcasecmp(a, b) : strcmp(a, b)) == 0;
}

void kj__fields_remove(struct kj__fields *fields, const char *name)
{
    size_t start = 0;
    size_t cursor = 0;
    const char *found;
    const char *value;
    while (kj__fields_next(fields, &cursor, &found, &value)) {
        if (same_name(fields, found, name)) {
            memmove(fields->text.data + start, fields->text.data + cursor,
                    fields->text.len - cursor);
            fields->text.len -= cursor - start;
            cursor = start;
        }
        start = cursor;
    }
}

const char *kj__fields_get(const struct kj__fields *fields, const char *name)
{
    size_t cursor = 0;
    const char *found;
    const char *value;
    while (kj__fields_next(fields, &cursor, &found, &value)) {
        if (same_name(fields, found, name)) {
            return value;
        }
    }
    return NULL;
}

bool kj__fields_next(const struct kj__fields *fields, size_t *cursor, const char **name,
                     const char **value)
{
    if (*cursor >= fields->text.len) {
        return false;
    }
    *name = (const char *)fields->text.data + *cursor;
    *value = *name + strlen(*name) + 1;
    *cursor = (size_t)(*value - (const char *)fields->text.data) + strlen(*value) + 1;
    return true;
}

bool kj__fields_copy(struct kj__fields *to, const struct kj__fields *from)
{
    to->ignore_case = from->ignore_case;
    to->text.len = 0;
    if (from->text.len && !kj__buffer_reserve(&to->text, from->text.len)) {
        to->text.failed = false;
        return false;
    }
    kj__buffer_append(&to->text, from->text.data, from->text.len);
    return true;
}

bool kj__fields_pack(const struct kj__fields *fields, struct kj__packed_fields **packed)
{
    struct kj__packed_fields *made = NULL;
    if (fields->text.len > 0) {
        made = malloc(sizeof *made + fields->text.len);
        if (!made) {
            return false;
        }
        made->len = (uint32_t)fields->text.len;
        made->ignore_case = fields->ignore_case;
        memcpy(made->text, fields->text.data, fields->text.len);
    }
    free(*packed);
    *packed = made;
    return true;
}

void kj__packed_fields_view(const struct kj__packed_fields *packed, struct kj__fields *fields)
{
    *fields = (struct kj__fields){0};
    if (packed) {
        fields->ignore_case = packed->ignore_case;
        fields->text = (struct kj__buffer){
            .data = (uint8_t *)packed->text, .len = packed->len, .capacity = packed->len};
    }
}

const char *kj__packed_fields_get(const struct kj__packed_fields *packed, const char *name)
{
    struct kj__fields fields;
    kj__packed_fields_view(packed, &fields);
    return kj__fields_get(&fields, name);
}
