/* store_cursor.h - what X-Next holds and `after` brings back.
 *
 * In the order of IDs a cursor is the ID of the last object. In any other it carries the ID and
 * the values that object was ordered by, so that the next page starts at the right place even
 * when the object is gone or changed meanwhile. It holds nothing that the client may not see.
 */
#ifndef KJ_HANDLERS_STORE_CURSOR_H
#define KJ_HANDLERS_STORE_CURSOR_H

#include <jansson.h>
#include <kujata/status.h>
#include <stdbool.h>

/* A place in a list: kj_store_query.after and after_keys. */
struct kj__cursor {
    char *id;
    json_t *keys; /* empty: the values are those of the object with the ID */
};

void kj__cursor_fini(struct kj__cursor *cursor);

/* Whether a text is meant to be a cursor of kj__cursor_write rather than an ID. */
bool kj__cursor_is_marked(const char *text);

/* The place behind `object` in an order of kj_store_query, whose values it borrows. KJ_ENOMEM is
 * the only failure; in that case too fini is due. */
enum kj_status kj__cursor_of(struct kj__cursor *cursor, const char *const *order,
                             const json_t *object);

/* malloc'd; NULL when there is no memory. Where the values are too long for a URL it holds the ID
 * alone: the next page then needs the object to be there. An ID that is too long itself is left
 * as it is. */
char *kj__cursor_write(const struct kj__cursor *cursor, const char *const *order);

/* The reverse, of a marked text. KJ_EPARSE for one that was not written for this order, KJ_ENOMEM;
 * fini is due in any case. */
enum kj_status kj__cursor_read(struct kj__cursor *cursor, const char *const *order,
                               const char *text);

#endif
