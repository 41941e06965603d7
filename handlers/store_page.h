/* store_page.h - where a page of kj_store_query ends for its bytes, for storages. */
#ifndef KJ_HANDLERS_STORE_PAGE_H
#define KJ_HANDLERS_STORE_PAGE_H

#include <kujata/store.h>

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
