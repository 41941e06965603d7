/* model.h - the resources a server offers.
 *
 * A model is a set of identities (kinds of object), the attributes each has, and the
 * relations that say which operation is allowed where. It is read from a JSON file or
 * declared in C, checked once, and immutable afterwards: any thread may read it.
 *
 * The file:
 *   {"version": 1,
 *    "identities": [{"name": "task", "category": "tasks",
 *                    "attributes": [{"name": "title", "type": "string", "required": true}]}],
 *    "relations": [{"parent": "root", "child": "task",
 *                   "operations": ["create", "retrieve", "retrieve-many"]}]}
 * docs/model.md lists every member.
 */
#ifndef KUJATA_MODEL_H
#define KUJATA_MODEL_H

#include <jansson.h>
#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>

struct kj_model;
struct kj_identity;

enum kj_attribute_type {
    KJ_TYPE_STRING = 0,
    KJ_TYPE_INTEGER,
    KJ_TYPE_FLOAT,
    KJ_TYPE_BOOLEAN,
    KJ_TYPE_TIME,
    KJ_TYPE_LIST,   /* of strings, unless `items` says otherwise */
    KJ_TYPE_OBJECT, /* any JSON object */
    KJ_TYPE_BYTES,  /* base64 text in JSON values, bin in msgpack */
};

/* Bits of kj_relation_spec.operations. The names in files and error texts are bahamut's:
 * create, retrieve, retrieve-many, update, patch, delete, info. */
enum kj_operation {
    KJ_OP_RETRIEVE_MANY = 1 << 0,
    KJ_OP_RETRIEVE = 1 << 1,
    KJ_OP_CREATE = 1 << 2,
    KJ_OP_UPDATE = 1 << 3,
    KJ_OP_PATCH = 1 << 4,
    KJ_OP_DELETE = 1 << 5,
    KJ_OP_INFO = 1 << 6,
    KJ_OP_ALL = (1 << 7) - 1,
};

/* "retrieve-many" and so on; static. */
const char *kj_operation_name(enum kj_operation operation);

/* One attribute. Zero is the default of every member. */
struct kj_attribute_spec {
    const char *name;
    enum kj_attribute_type type;
    bool required;              /* 422 when missing or zero on a write */
    bool read_only;             /* what a client sends is ignored */
    bool creation_only;         /* kept from the stored object on an update */
    bool secret;                /* blank in answers and events */
    bool unindexed;             /* storages keep no index of it; "indexed": false in files */
    const char *default_json;   /* a JSON text used when absent; NULL: the type's zero */
    const char *const *allowed; /* strings, NULL at the end; NULL: any */
    const char *pattern;        /* POSIX extended regex a string must match; NULL: any */
    size_t min_length;          /* characters of a string, items of a list, bytes */
    size_t max_length;          /* 0: no limit */
    bool has_minimum, has_maximum;
    double minimum, maximum;      /* of an integer or float, inclusive */
    enum kj_attribute_type items; /* of a list: KJ_TYPE_STRING unless set */
    const char *description;      /* for people, in kujata/spec.h's documents; NULL: none */
};

/* Every identity also has the attributes ID, parentID and parentType, all strings and
 * read only, unless it declares them itself. */
struct kj_identity_spec {
    const char *name;     /* singular: "task" */
    const char *category; /* plural, as in URLs: "tasks" */
    int version;          /* served under /v/N; 0: the model's */
    const struct kj_attribute_spec *attributes;
    size_t attribute_count;
    /* Names of identities: who asked for one of these with a push config gets the events of this
     * one, too; NULL at the end; NULL: none. Of several versions the first declared counts. A
     * dispatch handler's related_identities is asked instead, where there is one. */
    const char *const *related;
    const char *description; /* as above */
};

/* What a query parameter holds, and how clients write it. */
enum kj_parameter_type {
    KJ_PARAMETER_STRING = 0,
    KJ_PARAMETER_INTEGER,  /* within 64 bits */
    KJ_PARAMETER_FLOAT,    /* finite */
    KJ_PARAMETER_BOOLEAN,  /* true, yes, 1; false, no, 0 and nothing; in any case */
    KJ_PARAMETER_ENUM,     /* one of `allowed` */
    KJ_PARAMETER_DURATION, /* as Go has it: 1h30m, 250ms, -0.5s */
    KJ_PARAMETER_TIME,     /* 2021-03-04T05:06:07Z, 2021-03-04 05:06:07, 2021-03-04 05:06,
                            * 2021-03-04, or seconds or milliseconds since 1970 */
};

/* A query parameter besides those built in. Zero is the default of every member but the name. */
struct kj_parameter_spec {
    const char *name;
    enum kj_parameter_type type;
    bool multiple;              /* may be sent more than once; else that is a 400 */
    const char *default_text;   /* what it is when absent, as a client would write it; NULL: none */
    const char *const *allowed; /* of an enum, NULL at the end */
    unsigned operations;        /* bits of enum kj_operation; 0: every one of the relation */
    const char *description;    /* as above */
};

/* Parameters that have to be sent, or the answer is a 400; all requirements of an operation hold
 * together. */
struct kj_requirement_spec {
    const char *const *any_of; /* sets of names, a blank between two: "from to"; NULL at the end */
    unsigned operations;       /* as above */
};

/* Where a child is served: under root at /tasks and /tasks/ID, under another parent at
 * /lists/ID/tasks, where it can be created, listed and counted. */
struct kj_relation_spec {
    const char *parent;  /* identity name; NULL or "root" for none */
    const char *child;   /* identity name */
    unsigned operations; /* bits of enum kj_operation */
    const struct kj_parameter_spec *parameters;
    size_t parameter_count;
    const struct kj_requirement_spec *requirements;
    size_t requirement_count;
};

struct kj_model_spec {
    int version; /* 0: 1 */
    const struct kj_identity_spec *identities;
    size_t identity_count;
    const struct kj_relation_spec *relations;
    size_t relation_count;
};

/* Checks and copies a declaration. `spec` NULL: nothing, for a server that has clients or routes
 * alone. KJ_EINVAL with `error` naming identity and attribute. */
enum kj_status kj_model_new(const struct kj_model_spec *spec, struct kj_model **model,
                            struct kj_error *error);

/* Reads a file. KJ_EIO when it cannot be read; KJ_EPARSE or KJ_EINVAL with `error` naming
 * file, line, identity and attribute. */
enum kj_status kj_model_load(const char *path, struct kj_model **model, struct kj_error *error);

/* The same from text; `source` names it in errors. */
enum kj_status kj_model_parse(const char *text, size_t len, const char *source,
                              struct kj_model **model, struct kj_error *error);

void kj_model_free(struct kj_model *model); /* NULL is fine */

/* Lookups; NULL when unknown. Identities live as long as the model. */
const struct kj_identity *kj_model_identity(const struct kj_model *model, const char *name);
const struct kj_identity *kj_model_identity_at(const struct kj_model *model, size_t index);
size_t kj_model_identity_count(const struct kj_model *model);

const char *kj_identity_name(const struct kj_identity *identity);
const char *kj_identity_category(const struct kj_identity *identity);
int kj_identity_version(const struct kj_identity *identity);

/* The type of an attribute; false when the identity has none of that name. */
bool kj_identity_attribute_type(const struct kj_identity *identity, const char *name,
                                enum kj_attribute_type *type);

/* The attributes that storages keep an index of, one after another in the order of their names:
 * the one behind `name`, the first behind NULL; NULL at the end. They hold one string, number,
 * boolean or time, no secret, and are neither marked as unindexed nor ID, parentID, parentType. */
const char *kj_identity_next_indexed(const struct kj_identity *identity, const char *name);

#endif
