/* store_sqlite_schema.h - the tables of a file, and which of them serve an identity.
 *
 * docs/storage.md describes the tables. A collection is made when a store is opened and only read
 * afterwards, by any thread.
 */
#ifndef KJ_HANDLERS_STORE_SQLITE_SCHEMA_H
#define KJ_HANDLERS_STORE_SQLITE_SCHEMA_H

#include "handlers/store_sqlite_connection.h"
#include "handlers/store_sqlite_version.h"

/* The value of PRAGMA user_version, and what application_id tells our files by. */
enum { KJ__SQLITE_VERSION = 2, KJ__SQLITE_APPLICATION = 0x4b6a7461 };

/* An attribute with an index: column k<number> of the identity's keys, index key_<number>. */
struct kj__sqlite_attribute {
    const char *name; /* borrowed from the model */
    int64_t number;
    bool is_time;
};

/* The objects of one identity: rows of the table objects, each with one of keys_<number>. */
struct kj__sqlite_collection {
    const char *name; /* borrowed from the model */
    int64_t number;
    struct kj__sqlite_attribute *attributes;
    size_t attribute_count;
    char *insert_keys; /* parameters: the keys, object, ID, parent */
    char *update_keys; /* parameters: the keys, object; NULL when there are none */
};

struct kj__sqlite_schema {
    struct kj__sqlite_collection *collections;
    size_t count;
};

/* Brings the file up to date with this program and the model, in one transaction. As
 * kj_store_sqlite_new; `schema` is to be released in any case. */
enum kj_status kj__sqlite_schema_init(struct kj__sqlite_schema *schema,
                                      struct kj__sqlite_connection *connection,
                                      const struct kj_model *model, struct kj_error *error);
void kj__sqlite_schema_fini(struct kj__sqlite_schema *schema);

/* NULL for an identity the model lacks. */
const struct kj__sqlite_collection *kj__sqlite_collection_of(const struct kj__sqlite_schema *schema,
                                                             const struct kj_identity *identity);

/* NULL for an attribute without an index. */
const struct kj__sqlite_attribute *
kj__sqlite_attribute_of(const struct kj__sqlite_collection *collection, const char *name);

#endif
