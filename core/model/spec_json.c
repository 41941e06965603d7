/* spec_json.c - see spec_json.h.
 *
 * Each kind of object has a table of its members. Only the shape is checked here; what the
 * values mean is checked once for files and C declarations alike, in build.c.
 */
#include "model/spec_json.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* How one member is read into the field at `offset` of the spec it belongs to. */
struct member {
    const char *name;
    enum kj_status (*read)(const json_t *value, void *field, const char *name,
                           struct kj__walk *walk);
    size_t offset;
};

/* The type's own name in files; its index is the enumerator. */
static const char *const type_names[] = {"string", "integer", "float",  "boolean",
                                         "time",   "list",    "object", "bytes"};
enum { TYPE_COUNT = sizeof type_names / sizeof *type_names };

/* The same of parameters. */
static const char *const parameter_type_names[] = {"string", "integer",  "float", "boolean",
                                                   "enum",   "duration", "time"};
enum { PARAMETER_TYPE_COUNT = sizeof parameter_type_names / sizeof *parameter_type_names };

static const struct member *find_member(const struct member *members, const char *name)
{
    while (members->name && strcmp(members->name, name) != 0) {
        members++;
    }
    return members->name ? members : NULL;
}

/* Reads an object into `spec` by its table; an unknown member is a typo. */
static enum kj_status read_object(const json_t *object, const struct member *members, void *spec,
                                  struct kj__walk *walk)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        const struct member *member = find_member(members, name);
        if (!member) {
            return kj__walk_fail(walk, name, "unknown member \"%s\"", name);
        }
        enum kj_status status = member->read(value, (char *)spec + member->offset, name, walk);
        if (status) {
            return status;
        }
    }
    return KJ_OK;
}

static enum kj_status read_text(const json_t *value, void *field, const char *name,
                                struct kj__walk *walk)
{
    if (!json_is_string(value)) {
        return kj__walk_fail(walk, name, "%s must be a string", name);
    }
    *(const char **)field = json_string_value(value);
    return KJ_OK;
}

/* For people; the model does not keep it. */
static enum kj_status skip_text(const json_t *value, void *field, const char *name,
                                struct kj__walk *walk)
{
    (void)field;
    const char *unused;
    return read_text(value, &unused, name, walk);
}

static enum kj_status read_flag(const json_t *value, void *field, const char *name,
                                struct kj__walk *walk)
{
    if (!json_is_boolean(value)) {
        return kj__walk_fail(walk, name, "%s must be true or false", name);
    }
    *(bool *)field = json_is_true(value);
    return KJ_OK;
}

static enum kj_status read_not(const json_t *value, void *field, const char *name,
                               struct kj__walk *walk)
{
    enum kj_status status = read_flag(value, field, name, walk);
    if (!status) {
        *(bool *)field = !*(bool *)field;
    }
    return status;
}

static enum kj_status read_count(const json_t *value, void *field, const char *name,
                                 struct kj__walk *walk)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return kj__walk_fail(walk, name, "%s must be a whole number of 0 or more", name);
    }
    *(size_t *)field = (size_t)json_integer_value(value);
    return KJ_OK;
}

static enum kj_status read_version(const json_t *value, void *field, const char *name,
                                   struct kj__walk *walk)
{
    json_int_t version = json_integer_value(value);
    if (version < 1 || version > INT_MAX) {
        return kj__walk_fail(walk, name, "%s must be a whole number above 0", name);
    }
    *(int *)field = (int)version;
    return KJ_OK;
}

/* The index of a type's name in a table. */
static enum kj_status find_type(const json_t *value, const char *const *names, size_t count,
                                size_t *index, const char *name, struct kj__walk *walk)
{
    const char *wanted = json_string_value(value);
    if (!wanted) {
        return kj__walk_fail(walk, name, "%s must be a string", name);
    }
    for (*index = 0; *index < count; ++*index) {
        if (strcmp(names[*index], wanted) == 0) {
            return KJ_OK;
        }
    }
    return kj__walk_fail(walk, name, "unknown type \"%s\"", wanted);
}

static enum kj_status read_type(const json_t *value, void *field, const char *name,
                                struct kj__walk *walk)
{
    size_t index = 0;
    enum kj_status status = find_type(value, type_names, TYPE_COUNT, &index, name, walk);
    if (!status) {
        *(enum kj_attribute_type *)field = (enum kj_attribute_type)index;
    }
    return status;
}

static enum kj_status read_parameter_type(const json_t *value, void *field, const char *name,
                                          struct kj__walk *walk)
{
    size_t index = 0;
    enum kj_status status = find_type(value, parameter_type_names, PARAMETER_TYPE_COUNT, &index,
                                      name, walk);
    if (!status) {
        *(enum kj_parameter_type *)field = (enum kj_parameter_type)index;
    }
    return status;
}

static enum kj_status read_minimum(const json_t *value, void *field, const char *name,
                                   struct kj__walk *walk)
{
    struct kj_attribute_spec *spec = field;
    if (!json_is_number(value)) {
        return kj__walk_fail(walk, name, "%s must be a number", name);
    }
    spec->has_minimum = true;
    spec->minimum = json_number_value(value);
    return KJ_OK;
}

static enum kj_status read_maximum(const json_t *value, void *field, const char *name,
                                   struct kj__walk *walk)
{
    struct kj_attribute_spec *spec = field;
    if (!json_is_number(value)) {
        return kj__walk_fail(walk, name, "%s must be a number", name);
    }
    spec->has_maximum = true;
    spec->maximum = json_number_value(value);
    return KJ_OK;
}

static enum kj_status read_default(const json_t *value, void *field, const char *name,
                                   struct kj__walk *walk)
{
    (void)name;
    (void)walk;
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    *(const char **)field = text;
    return text ? KJ_OK : KJ_ENOMEM;
}

/* As a client would write it: 5 for 5 as well as for "5". */
static enum kj_status read_parameter_default(const json_t *value, void *field, const char *name,
                                             struct kj__walk *walk)
{
    bool is_text = json_is_string(value);
    if (!is_text && !json_is_number(value) && !json_is_boolean(value)) {
        return kj__walk_fail(walk, name, "%s must be a string, a number, true or false", name);
    }
    char *text = is_text ? strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
    *(const char **)field = text;
    return text ? KJ_OK : KJ_ENOMEM;
}

static enum kj_status read_allowed(const json_t *value, void *field, const char *name,
                                   struct kj__walk *walk)
{
    if (!json_is_array(value)) {
        return kj__walk_fail(walk, name, "%s must be a list of strings", name);
    }
    size_t count = json_array_size(value);
    const char **texts = calloc(count + 1, sizeof *texts);
    if (!texts) {
        return KJ_ENOMEM;
    }
    *(const char *const **)field = texts;
    kj__walk_enter_member(walk, name);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(value, i);
        kj__walk_enter_item(walk, i);
        if (!json_is_string(item)) {
            return kj__walk_fail(walk, NULL, "%s must be a list of strings", name);
        }
        texts[i] = json_string_value(item);
        kj__walk_leave(walk);
    }
    kj__walk_leave(walk);
    return KJ_OK;
}

/* The bits of an operation's name, or 0. */
static unsigned operation_bits(const char *name)
{
    for (unsigned bit = 1; bit < KJ_OP_ALL; bit <<= 1) {
        if (strcmp(kj_operation_name((enum kj_operation)bit), name) == 0) {
            return bit;
        }
    }
    return strcmp(name, "all") == 0 ? KJ_OP_ALL : 0;
}

static enum kj_status read_operations(const json_t *value, void *field, const char *name,
                                      struct kj__walk *walk)
{
    unsigned *operations = field;
    if (!json_is_array(value)) {
        return kj__walk_fail(walk, name, "%s must be a list of names", name);
    }
    kj__walk_enter_member(walk, name);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *operation = json_string_value(json_array_get(value, i));
        unsigned bits = operation ? operation_bits(operation) : 0;
        kj__walk_enter_item(walk, i);
        if (!bits) {
            return kj__walk_fail(walk, NULL, "unknown operation \"%s\"",
                                 operation ? operation : "");
        }
        *operations |= bits;
        kj__walk_leave(walk);
    }
    kj__walk_leave(walk);
    return KJ_OK;
}

static const struct member attribute_members[] = {
    {"name", read_text, offsetof(struct kj_attribute_spec, name)},
    {"description", read_text, offsetof(struct kj_attribute_spec, description)},
    {"type", read_type, offsetof(struct kj_attribute_spec, type)},
    {"items", read_type, offsetof(struct kj_attribute_spec, items)},
    {"required", read_flag, offsetof(struct kj_attribute_spec, required)},
    {"read_only", read_flag, offsetof(struct kj_attribute_spec, read_only)},
    {"creation_only", read_flag, offsetof(struct kj_attribute_spec, creation_only)},
    {"secret", read_flag, offsetof(struct kj_attribute_spec, secret)},
    {"indexed", read_not, offsetof(struct kj_attribute_spec, unindexed)},
    {"default", read_default, offsetof(struct kj_attribute_spec, default_json)},
    {"allowed", read_allowed, offsetof(struct kj_attribute_spec, allowed)},
    {"pattern", read_text, offsetof(struct kj_attribute_spec, pattern)},
    {"min_length", read_count, offsetof(struct kj_attribute_spec, min_length)},
    {"max_length", read_count, offsetof(struct kj_attribute_spec, max_length)},
    {"minimum", read_minimum, 0},
    {"maximum", read_maximum, 0},
    {0},
};

/* Where the array goes that read_list allocates, and what its items are. */
struct list_field {
    const struct member *members;
    size_t item_size;
    size_t array_offset, count_offset; /* in the spec that holds the array */
};

static const struct member parameter_members[] = {
    {"name", read_text, offsetof(struct kj_parameter_spec, name)},
    {"description", read_text, offsetof(struct kj_parameter_spec, description)},
    {"type", read_parameter_type, offsetof(struct kj_parameter_spec, type)},
    {"multiple", read_flag, offsetof(struct kj_parameter_spec, multiple)},
    {"default", read_parameter_default, offsetof(struct kj_parameter_spec, default_text)},
    {"allowed", read_allowed, offsetof(struct kj_parameter_spec, allowed)},
    {"operations", read_operations, offsetof(struct kj_parameter_spec, operations)},
    {0},
};

static const struct member requirement_members[] = {
    {"any_of", read_allowed, offsetof(struct kj_requirement_spec, any_of)},
    {"description", skip_text, 0},
    {"operations", read_operations, offsetof(struct kj_requirement_spec, operations)},
    {0},
};

/* The names quoted in error texts, set before anything else about the item can be wrong. */
static void note_name(const json_t *item, const struct member *members, struct kj__walk *walk)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    if (members == attribute_members) {
        walk->attribute = name;
    } else if (members != parameter_members && find_member(members, "name")) {
        walk->identity = name;
    }
}

static void forget_name(const struct member *members, struct kj__walk *walk)
{
    walk->attribute = NULL;
    if (members != attribute_members) {
        walk->identity = NULL;
    }
}

static enum kj_status read_list(const json_t *value, void *spec, const struct list_field *list,
                                const char *name, struct kj__walk *walk)
{
    if (!json_is_array(value)) {
        return kj__walk_fail(walk, name, "%s must be a list of objects", name);
    }
    size_t count = json_array_size(value);
    char *items = calloc(count ? count : 1, list->item_size);
    if (!items) {
        return KJ_ENOMEM;
    }
    *(void **)((char *)spec + list->array_offset) = items;
    *(size_t *)((char *)spec + list->count_offset) = count;
    kj__walk_enter_member(walk, name);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(value, i);
        kj__walk_enter_item(walk, i);
        if (!json_is_object(item)) {
            return kj__walk_fail(walk, NULL, "%s must be a list of objects", name);
        }
        note_name(item, list->members, walk);
        enum kj_status status = read_object(item, list->members, items + i * list->item_size, walk);
        if (status) {
            return status;
        }
        forget_name(list->members, walk);
        kj__walk_leave(walk);
    }
    kj__walk_leave(walk);
    return KJ_OK;
}

static enum kj_status read_attributes(const json_t *value, void *field, const char *name,
                                      struct kj__walk *walk)
{
    static const struct list_field list = {attribute_members, sizeof(struct kj_attribute_spec),
                                           offsetof(struct kj_identity_spec, attributes),
                                           offsetof(struct kj_identity_spec, attribute_count)};
    return read_list(value, field, &list, name, walk);
}

static const struct member identity_members[] = {
    {"name", read_text, offsetof(struct kj_identity_spec, name)},
    {"category", read_text, offsetof(struct kj_identity_spec, category)},
    {"description", read_text, offsetof(struct kj_identity_spec, description)},
    {"version", read_version, offsetof(struct kj_identity_spec, version)},
    {"attributes", read_attributes, 0},
    {"related", read_allowed, offsetof(struct kj_identity_spec, related)},
    {0},
};

static enum kj_status read_identities(const json_t *value, void *field, const char *name,
                                      struct kj__walk *walk)
{
    static const struct list_field list = {identity_members, sizeof(struct kj_identity_spec),
                                           offsetof(struct kj_model_spec, identities),
                                           offsetof(struct kj_model_spec, identity_count)};
    return read_list(value, field, &list, name, walk);
}

static enum kj_status read_parameters(const json_t *value, void *field, const char *name,
                                      struct kj__walk *walk)
{
    static const struct list_field list = {parameter_members, sizeof(struct kj_parameter_spec),
                                           offsetof(struct kj_relation_spec, parameters),
                                           offsetof(struct kj_relation_spec, parameter_count)};
    return read_list(value, field, &list, name, walk);
}

static enum kj_status read_requirements(const json_t *value, void *field, const char *name,
                                        struct kj__walk *walk)
{
    static const struct list_field list = {requirement_members, sizeof(struct kj_requirement_spec),
                                           offsetof(struct kj_relation_spec, requirements),
                                           offsetof(struct kj_relation_spec, requirement_count)};
    return read_list(value, field, &list, name, walk);
}

static const struct member relation_members[] = {
    {"parent", read_text, offsetof(struct kj_relation_spec, parent)},
    {"child", read_text, offsetof(struct kj_relation_spec, child)},
    {"description", skip_text, 0},
    {"operations", read_operations, offsetof(struct kj_relation_spec, operations)},
    {"parameters", read_parameters, 0},
    {"requirements", read_requirements, 0},
    {0},
};

static enum kj_status read_relations(const json_t *value, void *field, const char *name,
                                     struct kj__walk *walk)
{
    static const struct list_field list = {relation_members, sizeof(struct kj_relation_spec),
                                           offsetof(struct kj_model_spec, relations),
                                           offsetof(struct kj_model_spec, relation_count)};
    return read_list(value, field, &list, name, walk);
}

static const struct member model_members[] = {
    {"version", read_version, offsetof(struct kj_model_spec, version)},
    {"description", skip_text, 0},
    {"identities", read_identities, 0},
    {"relations", read_relations, 0},
    {0},
};

enum kj_status kj__model_spec_read(const json_t *json, struct kj_model_spec *spec,
                                   struct kj__walk *walk)
{
    *spec = (struct kj_model_spec){0};
    if (!json_is_object(json)) {
        return kj__walk_fail(walk, NULL, "a model is an object");
    }
    return read_object(json, model_members, spec, walk);
}

static void free_attribute_spec(const struct kj_attribute_spec *spec)
{
    free((void *)spec->default_json);
    free((void *)spec->allowed);
}

static void free_relation_spec(const struct kj_relation_spec *spec)
{
    for (size_t i = 0; i < spec->parameter_count; i++) {
        free((void *)spec->parameters[i].default_text);
        free((void *)spec->parameters[i].allowed);
    }
    for (size_t i = 0; i < spec->requirement_count; i++) {
        free((void *)spec->requirements[i].any_of);
    }
    free((void *)spec->parameters);
    free((void *)spec->requirements);
}

void kj__model_spec_fini(struct kj_model_spec *spec)
{
    for (size_t i = 0; i < spec->identity_count; i++) {
        const struct kj_identity_spec *identity = &spec->identities[i];
        for (size_t j = 0; j < identity->attribute_count; j++) {
            free_attribute_spec(&identity->attributes[j]);
        }
        free((void *)identity->attributes);
        free((void *)identity->related);
    }
    for (size_t i = 0; i < spec->relation_count; i++) {
        free_relation_spec(&spec->relations[i]);
    }
    free((void *)spec->identities);
    free((void *)spec->relations);
    *spec = (struct kj_model_spec){0};
}
