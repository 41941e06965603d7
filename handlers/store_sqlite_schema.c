/* store_sqlite_schema.c - see store_sqlite_schema.h. */
#include "handlers/store_sqlite_schema.h"

#include <kujata/log.h>
#include <stdlib.h>
#include <string.h>

/* What makes version n + 1 of version n. A step that was released is never changed. */
static const char *const steps[KJ__SQLITE_VERSION] = {
    "CREATE TABLE state(revision INTEGER NOT NULL);"
    "INSERT INTO state VALUES(0);"
    "CREATE TABLE identities(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE attributes(number INTEGER PRIMARY KEY, identity INTEGER NOT NULL,"
    " name TEXT NOT NULL, isTime INTEGER NOT NULL, UNIQUE(identity, name));"
    "CREATE TABLE parents(number INTEGER PRIMARY KEY, identity INTEGER NOT NULL,"
    " type TEXT NOT NULL, ID TEXT NOT NULL, UNIQUE(identity, type, ID));"
    "CREATE TABLE objects(number INTEGER PRIMARY KEY, identity INTEGER NOT NULL, ID TEXT NOT NULL,"
    " parentType TEXT NOT NULL, parentID TEXT NOT NULL, revision INTEGER NOT NULL,"
    " object TEXT NOT NULL);",
    /* A list's total is no longer counted row by row. */
    "ALTER TABLE identities ADD COLUMN count INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE parents ADD COLUMN count INTEGER NOT NULL DEFAULT 0;"
    "UPDATE identities SET count = counted.n FROM"
    " (SELECT identity, count(*) AS n FROM objects GROUP BY identity) AS counted"
    " WHERE counted.identity = identities.number;"
    "UPDATE parents SET count = counted.n FROM"
    " (SELECT identity, parentType, parentID, count(*) AS n FROM objects GROUP BY 1, 2, 3)"
    " AS counted WHERE counted.identity = parents.identity"
    " AND counted.parentType = parents.type AND counted.parentID = parents.ID;",
};

static const struct kj__sqlite_versions versions = {
    .application = KJ__SQLITE_APPLICATION, .current = KJ__SQLITE_VERSION, .steps = steps};

enum { LARGE = 10000 }; /* rows whose indexing takes long enough to tell somebody */

struct upgrade {
    struct kj__sqlite_connection *connection;
    const struct kj_model *model;
    struct kj__sqlite_schema *schema;
    bool has_built; /* an index of many objects */
};

/* Runs a text of sqlite3_mprintf and frees it. */
static enum kj_status run_text(struct kj__sqlite_connection *connection, char *sql)
{
    int result = sql ? sqlite3_exec(connection->db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(sql);
    return kj__sqlite_status(connection, result);
}

/* ---- attributes ---- */

/* Whether every identity of that name, one a version, has the attribute indexed and takes it for
 * a time, or none does. */
static bool is_wanted(const struct kj_model *model, const char *identity, const char *name,
                      bool *is_time)
{
    const struct kj_identity *other;
    bool is_first = true;
    for (size_t i = 0; (other = kj_model_identity_at(model, i)); i++) {
        enum kj_attribute_type type;
        if (strcmp(kj_identity_name(other), identity) != 0) {
            continue;
        }
        const char *found = kj_identity_next_indexed(other, NULL);
        while (found && strcmp(found, name) != 0) {
            found = kj_identity_next_indexed(other, found);
        }
        if (!found || !kj_identity_attribute_type(other, name, &type) ||
            (!is_first && *is_time != (type == KJ_TYPE_TIME))) {
            return false;
        }
        *is_time = type == KJ_TYPE_TIME;
        is_first = false;
    }
    return !is_first;
}

static enum kj_status drop_attribute(struct upgrade *upgrade, int64_t identity, int64_t number)
{
    return run_text(upgrade->connection,
                    sqlite3_mprintf("DROP INDEX key_%lld;"
                                    "ALTER TABLE keys_%lld DROP COLUMN k%lld;"
                                    "DELETE FROM attributes WHERE number = %lld;",
                                    number, identity, number, number));
}

/* Those the model no longer wants, or wants as something else. */
static enum kj_status drop_attributes(struct upgrade *upgrade,
                                      const struct kj__sqlite_collection *collection)
{
    struct kj__sqlite_values values = {0};
    struct kj__sqlite_values dropped = {0};
    sqlite3_stmt *statement;
    bool has_row = true;
    (void)kj__sqlite_add_integer(&values, collection->number);
    enum kj_status status = kj__sqlite_start(
        upgrade->connection, "SELECT number, name, isTime FROM attributes WHERE identity = ?1",
        &values, &statement);
    while (!status && has_row) {
        status = kj__sqlite_step(upgrade->connection, statement, &has_row);
        const char *name = has_row ? (const char *)sqlite3_column_text(statement, 1) : NULL;
        bool is_time = false;
        if (name && !(is_wanted(upgrade->model, collection->name, name, &is_time) &&
                      is_time == sqlite3_column_int(statement, 2))) {
            (void)kj__sqlite_add_integer(&dropped, sqlite3_column_int64(statement, 0));
        }
    }
    kj__sqlite_release(upgrade->connection, statement);
    status = !status && dropped.failed ? KJ_ENOMEM : status;
    for (size_t i = 0; i < dropped.count && !status; i++) {
        status = drop_attribute(upgrade, collection->number, dropped.at[i].integer);
    }
    kj__sqlite_values_fini(&dropped);
    kj__sqlite_values_fini(&values);
    return status;
}

/* Adds the column, fills it from the objects there are, and indexes it. */
static enum kj_status build_attribute(struct upgrade *upgrade,
                                      const struct kj__sqlite_collection *collection,
                                      const struct kj__sqlite_attribute *attribute)
{
    int64_t count = 0;
    struct kj__sqlite_values values = {0};
    (void)kj__sqlite_add_integer(&values, collection->number);
    enum kj_status status = kj__sqlite_ask(upgrade->connection,
                                           "SELECT count FROM identities WHERE number = ?1",
                                           &values, &count, NULL);
    kj__sqlite_values_fini(&values);
    if (count >= LARGE) {
        upgrade->has_built = true;
        kj_log(KJ_LOG_INFO, "store", "%s: indexing \"%s\" of %lld objects \"%s\"",
               upgrade->connection->path, attribute->name, (long long)count, collection->name);
    }
    if (!status) {
        status = run_text(
            upgrade->connection,
            sqlite3_mprintf("ALTER TABLE keys_%lld ADD COLUMN k%lld BLOB NOT NULL DEFAULT x'00';"
                            "UPDATE keys_%lld SET k%lld = kj_key((SELECT object FROM objects WHERE"
                            " number = keys_%lld.object), %Q, %d);"
                            "CREATE INDEX key_%lld ON keys_%lld(k%lld, ID, parent);",
                            collection->number, attribute->number, collection->number,
                            attribute->number, collection->number, attribute->name,
                            attribute->is_time, attribute->number, collection->number,
                            attribute->number));
    }
    return status;
}

static enum kj_status find_attribute(struct upgrade *upgrade,
                                     const struct kj__sqlite_collection *collection,
                                     struct kj__sqlite_attribute *attribute)
{
    bool found = false;
    struct kj__sqlite_values values = {0};
    (void)kj__sqlite_add_integer(&values, collection->number);
    (void)kj__sqlite_add_text(&values, attribute->name, strlen(attribute->name));
    (void)kj__sqlite_add_integer(&values, attribute->is_time);
    enum kj_status status = kj__sqlite_ask(
        upgrade->connection, "SELECT number FROM attributes WHERE identity = ?1 AND name = ?2",
        &values, &attribute->number, &found);
    if (!status && !found) {
        status = kj__sqlite_ask(upgrade->connection,
                                "INSERT INTO attributes(identity, name, isTime)"
                                " VALUES(?1, ?2, ?3) RETURNING number",
                                &values, &attribute->number, NULL);
        if (!status) {
            status = build_attribute(upgrade, collection, attribute);
        }
    }
    kj__sqlite_values_fini(&values);
    return status;
}

/* Of the first identity of the name; is_wanted asks the others. */
static enum kj_status add_attributes(struct upgrade *upgrade, const struct kj_identity *identity,
                                     struct kj__sqlite_collection *collection)
{
    size_t count = 0;
    const char *name = NULL;
    while ((name = kj_identity_next_indexed(identity, name))) {
        count++;
    }
    collection->attributes = calloc(count ? count : 1, sizeof *collection->attributes);
    enum kj_status status = collection->attributes ? KJ_OK : KJ_ENOMEM;
    while (!status && (name = kj_identity_next_indexed(identity, name))) {
        struct kj__sqlite_attribute *attribute =
            &collection->attributes[collection->attribute_count];
        attribute->name = name;
        if (is_wanted(upgrade->model, collection->name, name, &attribute->is_time)) {
            collection->attribute_count++;
            status = find_attribute(upgrade, collection, attribute);
        }
    }
    return status;
}

/* ---- collections ---- */

static enum kj_status write_statements(struct kj__sqlite_collection *collection)
{
    sqlite3_str *insert = sqlite3_str_new(NULL);
    sqlite3_str *update = sqlite3_str_new(NULL);
    sqlite3_str *values = sqlite3_str_new(NULL);
    int count = (int)collection->attribute_count;
    sqlite3_str_appendf(insert, "INSERT INTO keys_%lld(", collection->number);
    sqlite3_str_appendf(update, "UPDATE keys_%lld SET", collection->number);
    for (int i = 0; i < count; i++) {
        sqlite3_str_appendf(insert, "k%lld, ", collection->attributes[i].number);
        sqlite3_str_appendf(values, "?%d, ", i + 1);
        sqlite3_str_appendf(update, "%s k%lld = ?%d", i ? "," : "",
                            collection->attributes[i].number, i + 1);
    }
    char *places = sqlite3_str_finish(values);
    sqlite3_str_appendf(insert, "object, ID, parent) VALUES(%s?%d, ?%d, ?%d)", places ? places : "",
                        count + 1, count + 2, count + 3);
    sqlite3_str_appendf(update, " WHERE object = ?%d", count + 1);
    sqlite3_free(places);
    collection->insert_keys = sqlite3_str_finish(insert);
    char *text = sqlite3_str_finish(update);
    if (count == 0) {
        sqlite3_free(text);
        return collection->insert_keys ? KJ_OK : KJ_ENOMEM;
    }
    collection->update_keys = text;
    return collection->insert_keys && text ? KJ_OK : KJ_ENOMEM;
}

static enum kj_status find_collection(struct upgrade *upgrade,
                                      struct kj__sqlite_collection *collection)
{
    bool found = false;
    struct kj__sqlite_values values = {0};
    (void)kj__sqlite_add_text(&values, collection->name, strlen(collection->name));
    enum kj_status status = kj__sqlite_ask(upgrade->connection,
                                           "SELECT number FROM identities WHERE name = ?1", &values,
                                           &collection->number, &found);
    if (!status && !found) {
        status = kj__sqlite_ask(upgrade->connection,
                                "INSERT INTO identities(name) VALUES(?1) RETURNING number", &values,
                                &collection->number, NULL);
        if (!status) {
            int64_t number = collection->number;
            status = run_text(upgrade->connection,
                              sqlite3_mprintf("CREATE TABLE keys_%lld(object INTEGER PRIMARY KEY,"
                                              " ID TEXT NOT NULL, parent INTEGER NOT NULL);"
                                              "CREATE UNIQUE INDEX id_%lld ON keys_%lld(ID);"
                                              "CREATE INDEX parent_%lld ON keys_%lld(parent, ID);",
                                              number, number, number, number, number));
        }
    }
    kj__sqlite_values_fini(&values);
    return status;
}

static enum kj_status add_collection(struct upgrade *upgrade, const struct kj_identity *identity)
{
    struct kj__sqlite_schema *schema = upgrade->schema;
    struct kj__sqlite_collection *collection = &schema->collections[schema->count++];
    collection->name = kj_identity_name(identity);
    enum kj_status status = find_collection(upgrade, collection);
    if (!status) {
        status = drop_attributes(upgrade, collection);
    }
    if (!status) {
        status = add_attributes(upgrade, identity, collection);
    }
    return status ? status : write_statements(collection);
}

static enum kj_status add_collections(struct upgrade *upgrade)
{
    size_t count = kj_model_identity_count(upgrade->model);
    upgrade->schema->count = 0;
    upgrade->schema->collections = calloc(count ? count : 1, sizeof *upgrade->schema->collections);
    enum kj_status status = upgrade->schema->collections ? KJ_OK : KJ_ENOMEM;
    for (size_t i = 0; i < count && !status; i++) {
        const struct kj_identity *identity = kj_model_identity_at(upgrade->model, i);
        if (!kj__sqlite_collection_of(upgrade->schema, identity)) {
            status = add_collection(upgrade, identity);
        }
    }
    return status;
}

enum kj_status kj__sqlite_schema_init(struct kj__sqlite_schema *schema,
                                      struct kj__sqlite_connection *connection,
                                      const struct kj_model *model, struct kj_error *error)
{
    *schema = (struct kj__sqlite_schema){0};
    struct upgrade upgrade = {connection, model, schema, false};
    struct kj_error why = {0};
    enum kj_status status = kj__sqlite_run(connection, "BEGIN IMMEDIATE", NULL);
    if (!status) {
        status = kj__sqlite_migrate(connection, &versions, &why);
    }
    if (!status) {
        status = add_collections(&upgrade);
    }
    if (!status) {
        status = kj__sqlite_run(connection, "COMMIT", NULL);
    }
    if (!status && upgrade.has_built) {
        status = kj__sqlite_run(connection, "ANALYZE", NULL);
    }
    if (status) {
        const char *text = status == KJ_ENOMEM ? kj_status_text(status)
                                               : sqlite3_errmsg(connection->db);
        kj_error_set(error, 0, "%s%s%s", *why.text ? "" : connection->path, *why.text ? "" : ": ",
                     *why.text ? why.text : text);
        (void)sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return status;
}

void kj__sqlite_schema_fini(struct kj__sqlite_schema *schema)
{
    for (size_t i = 0; i < schema->count; i++) {
        sqlite3_free(schema->collections[i].update_keys);
        sqlite3_free(schema->collections[i].insert_keys);
        free(schema->collections[i].attributes);
    }
    free(schema->collections);
    *schema = (struct kj__sqlite_schema){0};
}

const struct kj__sqlite_collection *kj__sqlite_collection_of(const struct kj__sqlite_schema *schema,
                                                             const struct kj_identity *identity)
{
    const char *name = kj_identity_name(identity);
    for (size_t i = 0; i < schema->count; i++) {
        if (strcmp(schema->collections[i].name, name) == 0) {
            return &schema->collections[i];
        }
    }
    return NULL;
}

const struct kj__sqlite_attribute *
kj__sqlite_attribute_of(const struct kj__sqlite_collection *collection, const char *name)
{
    for (size_t i = 0; i < collection->attribute_count; i++) {
        if (strcmp(collection->attributes[i].name, name) == 0) {
            return &collection->attributes[i];
        }
    }
    return NULL;
}
