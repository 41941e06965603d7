/* store_sqlite_object.c - see store_sqlite_object.h. */
#include "handlers/store_sqlite_object.h"

#include "handlers/store_common.h"
#include "handlers/store_sqlite_key.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 128 };

/* ---- objects as text ---- */

/* What could not be read again is not written: nesting is bounded, and no name of a member has a
 * zero byte, which no JSON reader of ours takes. */
static bool is_storable(const json_t *value, int depth)
{
    const char *name;
    size_t len;
    size_t index;
    json_t *member;
    bool ok = depth < DEPTH_MAX;
    if (json_is_array(value)) {
        json_array_foreach(value, index, member)
        {
            ok = ok && is_storable(member, depth + 1);
        }
    }
    if (json_is_object(value)) {
        json_object_keylen_foreach((json_t *)value, name, len, member)
        {
            ok = ok && memchr(name, '\0', len) == NULL && is_storable(member, depth + 1);
        }
    }
    return ok;
}

void kj__sqlite_form_fini(struct kj__sqlite_form *form)
{
    kj__sqlite_values_fini(&form->keys);
    free(form->text);
}

static void add_keys(struct kj__sqlite_form *form, const json_t *object)
{
    for (size_t i = 0; i < form->collection->attribute_count; i++) {
        const struct kj__sqlite_attribute *attribute = &form->collection->attributes[i];
        struct kj__order_value value;
        size_t len = 0;
        kj__order_value_read(&value, json_object_get(object, attribute->name), attribute->is_time);
        unsigned char *key = kj__sqlite_key_new(&value, &len);
        (void)kj__sqlite_add_key_take(&form->keys, key, len);
    }
}

enum kj_status kj__sqlite_form_init(struct kj__sqlite_form *form,
                                    const struct kj__sqlite_collection *collection,
                                    const json_t *object)
{
    *form = (struct kj__sqlite_form){
        .collection = collection,
        .id = kj__key_text(object, "ID"),
        .parent_type = kj__key_text(object, "parentType"),
        .parent_id = kj__key_text(object, "parentID"),
    };
    bool has_keys = form->id && *form->id && form->parent_type && form->parent_id;
    if (!collection || !has_keys) {
        return KJ_EINVAL;
    }
    if (!is_storable(object, 0)) {
        return KJ_ELIMIT;
    }
    form->text = json_dumps(object, JSON_COMPACT);
    add_keys(form, object);
    return form->text && !form->keys.failed ? KJ_OK : KJ_ENOMEM;
}

/* ---- what the writer's thread does ---- */

static void add_text(struct kj__sqlite_values *values, const char *text)
{
    (void)kj__sqlite_add_text(values, text, strlen(text));
}

/* Runs a statement over the keys, then a number, and perhaps the ID and the parent. */
static enum kj_status write_keys(struct kj__sqlite_connection *connection,
                                 struct kj__sqlite_form *form, const char *sql, int64_t number,
                                 const int64_t *parent)
{
    size_t count = form->keys.count;
    (void)kj__sqlite_add_integer(&form->keys, number);
    if (parent) {
        add_text(&form->keys, form->id);
        (void)kj__sqlite_add_integer(&form->keys, *parent);
    }
    enum kj_status status = kj__sqlite_run(connection, sql, &form->keys);
    form->keys.count = count; /* what was added owns nothing */
    return status;
}

enum kj_status kj__sqlite_run_insert(struct kj__sqlite_connection *connection, int64_t revision,
                                     void *ctx)
{
    struct kj__sqlite_form *form = ctx;
    int64_t parent = 0;
    enum kj_status status = kj__sqlite_count_in(connection->transaction, form->collection->number,
                                                form->parent_type, form->parent_id, &parent);
    struct kj__sqlite_values values = {0};
    (void)kj__sqlite_add_integer(&values, form->collection->number);
    add_text(&values, form->id);
    add_text(&values, form->parent_type);
    add_text(&values, form->parent_id);
    (void)kj__sqlite_add_integer(&values, revision);
    add_text(&values, form->text);
    if (!status) {
        status = kj__sqlite_run(connection,
                                "INSERT INTO objects(identity, ID, parentType, parentID, revision,"
                                " object) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                                &values);
    }
    kj__sqlite_values_fini(&values);
    return status ? status
                  : write_keys(connection, form, form->collection->insert_keys,
                               sqlite3_last_insert_rowid(connection->db), &parent);
}

enum kj_status kj__sqlite_read_place(struct kj__sqlite_connection *connection,
                                     const struct kj__sqlite_form *form, bool with_text,
                                     struct kj__sqlite_place *place)
{
    bool has_row = false;
    sqlite3_stmt *statement;
    struct kj__sqlite_values values = {0};
    char *sql = sqlite3_mprintf(
        "SELECT k.object, k.parent, o.revision, o.parentType = ?2 AND o.parentID = ?3, o.object"
        " FROM keys_%lld AS k CROSS JOIN objects AS o ON o.number = k.object WHERE k.ID = ?1",
        form->collection->number);
    add_text(&values, form->id);
    add_text(&values, form->parent_type ? form->parent_type : "");
    add_text(&values, form->parent_id ? form->parent_id : "");
    enum kj_status status = kj__sqlite_start(connection, sql, &values, &statement);
    if (!status) {
        status = kj__sqlite_step(connection, statement, &has_row);
    }
    if (!status && !has_row) {
        status = KJ_ENOTFOUND;
    }
    if (!status) {
        place->number = sqlite3_column_int64(statement, 0);
        place->parent = sqlite3_column_int64(statement, 1);
        place->revision = sqlite3_column_int64(statement, 2);
        place->is_same_parent = sqlite3_column_int(statement, 3);
    }
    if (!status && with_text) {
        const char *text = (const char *)sqlite3_column_text(statement, 4);
        place->len = (size_t)sqlite3_column_bytes(statement, 4);
        place->text = text ? strndup(text, place->len) : NULL;
        status = place->text ? KJ_OK : KJ_ENOMEM;
    }
    kj__sqlite_release(connection, statement);
    kj__sqlite_values_fini(&values);
    sqlite3_free(sql);
    return status;
}

enum kj_status kj__sqlite_run_update(struct kj__sqlite_connection *connection, int64_t revision,
                                     void *ctx)
{
    struct kj__sqlite_form *form = ctx;
    struct kj__sqlite_place place = {0};
    enum kj_status status = kj__sqlite_read_place(connection, form, false, &place);
    if (!status && !place.is_same_parent) {
        status = KJ_EINVAL;
    }
    form->is_stale = !status && place.revision != form->revision;
    if (form->is_stale) {
        return KJ_OK;
    }
    struct kj__sqlite_values values = {0};
    (void)kj__sqlite_add_integer(&values, place.number);
    (void)kj__sqlite_add_integer(&values, revision);
    add_text(&values, form->text);
    if (!status) {
        status = kj__sqlite_run(
            connection, "UPDATE objects SET revision = ?2, object = ?3 WHERE number = ?1", &values);
    }
    kj__sqlite_values_fini(&values);
    if (!status && form->collection->update_keys) {
        status = write_keys(connection, form, form->collection->update_keys, place.number, NULL);
    }
    return status;
}

enum kj_status kj__sqlite_run_remove(struct kj__sqlite_connection *connection, int64_t revision,
                                     void *ctx)
{
    (void)revision;
    struct kj__sqlite_form *form = ctx;
    struct kj__sqlite_place place = {0};
    struct kj__sqlite_values values = {0};
    enum kj_status status = kj__sqlite_read_place(connection, form, true, &place);
    char *delete_keys = sqlite3_mprintf("DELETE FROM keys_%lld WHERE object = ?1",
                                        form->collection->number);
    free(form->text);
    form->text = place.text;
    if (!status) {
        status = kj__sqlite_write_sums(
            connection->transaction); /* a parent is gone with its last child */
    }
    (void)kj__sqlite_add_integer(&values, place.number);
    (void)kj__sqlite_add_integer(&values, place.parent);
    (void)kj__sqlite_add_integer(&values, form->collection->number);
    const char *const statements[] = {
        delete_keys,
        "DELETE FROM objects WHERE number = ?1",
        "UPDATE parents SET count = count - 1 WHERE number = ?2",
        "DELETE FROM parents WHERE number = ?2 AND count = 0",
        "UPDATE identities SET count = count - 1 WHERE number = ?3",
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements && !status; i++) {
        status = kj__sqlite_run(connection, statements[i], &values);
    }
    sqlite3_free(delete_keys);
    kj__sqlite_values_fini(&values);
    return status;
}
