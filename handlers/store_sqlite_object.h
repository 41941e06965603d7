/* store_sqlite_object.h - one object on its way into the file and out of it. */
#ifndef KJ_HANDLERS_STORE_SQLITE_OBJECT_H
#define KJ_HANDLERS_STORE_SQLITE_OBJECT_H

#include "handlers/store_sqlite_schema.h"
#include "handlers/store_sqlite_transaction.h"

/* An object for the writer, all of it made on the caller's thread. */
struct kj__sqlite_form {
    const struct kj__sqlite_collection *collection;
    const char *id, *parent_type, *parent_id; /* borrowed from the object */
    char *text;                               /* malloc'd */
    struct kj__sqlite_values keys;            /* one for each indexed attribute */
    int64_t revision;                         /* of the form that was edited */
    bool is_stale;                            /* another write came between */
};

/* Fini is due in any case. KJ_EINVAL for an object without an ID and for no collection, KJ_ELIMIT
 * for one that could not be read again, KJ_ENOMEM. */
enum kj_status kj__sqlite_form_init(struct kj__sqlite_form *form,
                                    const struct kj__sqlite_collection *collection,
                                    const json_t *object);
void kj__sqlite_form_fini(struct kj__sqlite_form *form);

/* Functions of writes (store_sqlite_writer.h), whose ctx is a form. */
enum kj_status kj__sqlite_run_insert(struct kj__sqlite_connection *connection, int64_t revision,
                                     void *ctx);

/* If the object is still of the form's revision; is_stale says when it is not. */
enum kj_status kj__sqlite_run_update(struct kj__sqlite_connection *connection, int64_t revision,
                                     void *ctx);

/* Of the form's ID; the object's text is in the form then. */
enum kj_status kj__sqlite_run_remove(struct kj__sqlite_connection *connection, int64_t revision,
                                     void *ctx);

/* Where an object is. */
struct kj__sqlite_place {
    int64_t number, parent, revision;
    bool is_same_parent; /* as the form's */
    char *text;          /* the object, malloc'd; only when asked for */
    size_t len;
};

/* The place of the form's ID. */
enum kj_status kj__sqlite_read_place(struct kj__sqlite_connection *connection,
                                     const struct kj__sqlite_form *form, bool with_text,
                                     struct kj__sqlite_place *place);

#endif
