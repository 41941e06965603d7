/* store.h - a ready processor for any identity, over an exchangeable storage.
 *
 * kj_store_processor turns a storage into a processor: it makes IDs, links children to
 * their parent, pages, orders, answers 404, applies patches. A storage only keeps objects.
 */
#ifndef KUJATA_STORE_H
#define KUJATA_STORE_H

#include <jansson.h>
#include <kujata/filter.h>
#include <kujata/model.h>
#include <kujata/processor.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj_store;

/* Which objects of an identity are meant, and in what order. Zero: all, by ID.
 *
 * Values are ordered by their kind first (absent and null, false, true, numbers, times, strings,
 * the rest), then numbers as numbers, times as points in time and strings bytewise; objects that
 * are equal so far by ID. A time is a text that is one in an attribute of type time. */
struct kj_store_query {
    const char *parent_type;        /* NULL: any */
    const char *parent_id;          /* with parent_type */
    const struct kj_filter *filter; /* only objects that match; NULL: all */
    const char *const
        *order;        /* attribute names, "-name" descending, NULL at the end; may be NULL */
    const char *after; /* only objects behind this ID; NULL or "": from the start */
    /* With `order` and `after`: an array of the values that the object `after` has, or had, one
     * for each key, null for one it lacks. Only objects behind this place are meant, whether that
     * object is still there or not. */
    const json_t *after_keys;
    size_t offset;          /* objects to skip */
    size_t limit;           /* 0: no limit */
    uint32_t time_limit_ms; /* 0: none; a filter may cost milliseconds for one object */
    /* The page ends before the object with which its objects would be more than so many bytes of
     * compact JSON text, but not before the first one; 0: no limit. A storage measures before it
     * copies. *is_cut, which is there and false, says whether the page ended so. */
    size_t page_bytes;
    bool *is_cut;
};

/* Rewrites `object` in place; anything but KJ_OK leaves the store as it was and is returned
 * by update. Called without a lock, with the object's form of that moment; once more when
 * another write came between. It must keep ID, parentID and parentType. */
typedef enum kj_status (*kj_store_edit)(json_t *object, void *ctx);

/* What a storage does. Operations may be called from any number of threads. Objects carry
 * their "ID". A storage copies what it keeps; results are new references the caller owns and
 * may change. KJ_ENOTFOUND where no such object exists. Where the medium fails: KJ_ETIMEOUT when
 * it is held by others, KJ_EFULL when it has no room, else KJ_EIO. KJ_ELIMIT for an object that it
 * cannot hold. */
struct kj_store_ops {
    const char *name; /* "memory" */
    /* KJ_EEXIST for an ID that is taken, KJ_EINVAL for an object without one, and for a zero byte
     * in its ID, parentType or parentID. */
    enum kj_status (*insert)(struct kj_store *self, const struct kj_identity *identity,
                             const json_t *object);
    enum kj_status (*get)(struct kj_store *self, const struct kj_identity *identity, const char *id,
                          json_t **object);
    /* Reads, edits and writes as one step: no other write of the object comes between.
     * *object is what was stored. KJ_EINVAL when `edit` changed ID or parent. */
    enum kj_status (*update)(struct kj_store *self, const struct kj_identity *identity,
                             const char *id, kj_store_edit edit, void *ctx, json_t **object);
    enum kj_status (*remove)(struct kj_store *self, const struct kj_identity *identity,
                             const char *id, json_t **object);
    /* *objects is an array of the page; *total counts every match, whatever `after`, `offset`
     * and `limit` say. Either may be NULL. Objects that others write meanwhile may be listed in
     * either form, or not; all others are, once. KJ_ELIMIT beyond the query's time limit. */
    enum kj_status (*list)(struct kj_store *self, const struct kj_identity *identity,
                           const struct kj_store_query *query, json_t **objects, size_t *total);
    void (*free)(struct kj_store *self);
};

/* First member of every storage. */
struct kj_store {
    const struct kj_store_ops *ops;
};

/* Keeps objects in memory; they are gone with the process.             [any thread] */
enum kj_status kj_store_memory_new(struct kj_store **store);

void kj_store_free(struct kj_store *store); /* NULL is fine */

/* A processor over `store`, which must outlive every server that uses it. Copy the struct
 * freely. A parent must be in the same storage, else 404; deleting an object leaves its
 * children. Without a parent in the path, every object of the identity is listed.
 * `page` without `pagesize` means pages of 100; `pagesize` alone means the first page. A list
 * without any of these ends at kj_request.largest_page, with X-Next and a message. Beyond
 * kj_request.page_bytes every list ends so, and a page asked for by number is a 400. */
struct kj_processor kj_store_processor(struct kj_store *store);

#endif
