/* types.h - what a checked model consists of. Private to core/model, and to core/spec,
 * which describes it.
 *
 * All of it is built by one thread in kj__model_build and only read afterwards.
 */
#ifndef KJ_MODEL_TYPES_H
#define KJ_MODEL_TYPES_H

#include "base/buffer.h"
#include "base/map.h"
#include "model/parameter.h"

#include <jansson.h>
#include <kujata/model.h>
#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

struct kj__attribute {
    char *name;
    char *description; /* NULL: none */
    enum kj_attribute_type type;
    enum kj_attribute_type items; /* of a list */
    bool required, read_only, creation_only, secret, unindexed;
    bool has_default;
    json_t *initial; /* what an absent member becomes; copied, never handed out */
    char **allowed;  /* sorted, NULL at the end; NULL: any string */
    char *pattern;   /* NULL: any string */
    regex_t regex;   /* of `pattern`; compiled when there is one */
    size_t min_length, max_length;
    bool has_minimum, has_maximum;
    double minimum, maximum;
};

struct kj_identity {
    char *name, *category;
    char *description; /* NULL: none */
    int version;
    struct kj__attribute *attributes; /* sorted by name */
    size_t attribute_count;
    bool has_secrets;
    const char **related;                 /* names of others, theirs; NULL at the end; NULL: none */
    const struct kj_identity *namesake;   /* the first identity of that name; often itself */
    struct kj_identity *next_version;     /* the next identity of that name, or NULL */
    struct kj_identity *next_of_category; /* of another version, or NULL */
};

struct kj__relation {
    const struct kj_identity *parent; /* a namesake; NULL: root */
    const struct kj_identity *child;  /* a namesake */
    unsigned operations;
    struct kj__parameters parameters;
};

struct kj_model {
    int version;
    struct kj_identity *identities; /* in the order declared */
    size_t identity_count;
    struct kj__relation *relations;
    size_t relation_count;
    struct kj__map by_name;     /* to the first identity of a name */
    struct kj__map by_category; /* to the first identity of a category */
};

/* The attribute of that name, or NULL. */
const struct kj__attribute *kj__identity_attribute(const struct kj_identity *identity,
                                                   const char *name);

/* "a string" and so on, for error texts. */
const char *kj__type_phrase(enum kj_attribute_type type);

/* A new value: the zero of a type. NULL when there is no memory. */
json_t *kj__type_zero(enum kj_attribute_type type);

/* Whether a value is the zero of its type; null and empty lists and objects are. */
bool kj__value_is_zero(const json_t *value);

/* Writes the text of the first fault of `value`, from check *next on, and moves *next past it.
 * False when there are no more. The value has the attribute's type. */
bool kj__attribute_next_fault(const struct kj__attribute *attribute, const json_t *value,
                              size_t *next, struct kj__buffer *text);

/* Makes `value` one of the attribute's type; *coerced is a new reference, perhaps to the same
 * value, which may be changed. KJ_EINVAL with `error` when that cannot be done. */
enum kj_status kj__attribute_coerce(const struct kj__attribute *attribute, json_t *value,
                                    json_t **coerced, struct kj_error *error);

#endif
