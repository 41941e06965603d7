/* store_common.h - what every storage of objects does alike. */
#ifndef KJ_HANDLERS_STORE_COMMON_H
#define KJ_HANDLERS_STORE_COMMON_H

#include <kujata/store.h>
#include <string.h>

/* The object's member of that name, "" when it is no text; NULL for one with a zero byte, of which
 * only a part would be its key. */
static inline const char *kj__key_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    return strlen(text) == json_string_length(value) ? text : NULL;
}

/* Whether the page takes one object more, of `size` bytes, which are added to those it has. When it
 * does not, the page has ended, and *query->is_cut says so. */
static inline bool kj__page_takes(const struct kj_store_query *query, const json_t *page,
                                  size_t size, size_t *bytes)
{
    *bytes += size;
    if (!query->page_bytes || *bytes <= query->page_bytes || json_array_size(page) == 0) {
        return true;
    }
    *query->is_cut = true;
    return false;
}

#endif
