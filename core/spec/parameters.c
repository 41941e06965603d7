/* parameters.c - what may be sent beside a body: built-in parameters and headers, and what
 * relations declare. */
#include "spec/parts.h"

#include "base/buffer.h"
#include "model/identity.h"

#include <string.h>

enum { KEY_MAX = 255, FILTER_MAX = 4096, ORDER_KEYS_MAX = 16 };

enum {
    WITH_LISTS = KJ_OP_RETRIEVE_MANY,
    WITH_FILTERS = KJ_OP_RETRIEVE_MANY | KJ_OP_INFO,
    WITH_KEYS = KJ_OP_CREATE | KJ_OP_UPDATE | KJ_OP_PATCH,
    WITH_OBJECTS = KJ_OP_ALL & ~KJ_OP_INFO,
};

/* ---- built in ---- */

static json_t *integer_from_1(const struct kj__spec *spec)
{
    (void)spec;
    return json_pack("{s:s, s:i}", "type", "integer", "minimum", 1);
}

static json_t *page_size(const struct kj__spec *spec)
{
    return json_pack("{s:s, s:i, s:I}", "type", "integer", "minimum", 1, "maximum",
                     (json_int_t)spec->options.page_objects);
}

static json_t *text(const struct kj__spec *spec)
{
    (void)spec;
    return json_pack("{s:s}", "type", "string");
}

static json_t *filter(const struct kj__spec *spec)
{
    (void)spec;
    return json_pack("{s:s, s:i}", "type", "string", "maxLength", FILTER_MAX);
}

static json_t *key(const struct kj__spec *spec)
{
    (void)spec;
    return json_pack("{s:s, s:i, s:i}", "type", "string", "minLength", 1, "maxLength", KEY_MAX);
}

static json_t *order(const struct kj__spec *spec)
{
    (void)spec;
    return json_pack("{s:s, s:{s:s, s:i}, s:i}", "type", "array", "items", "type", "string",
                     "minLength", 1, "maxItems", ORDER_KEYS_MAX);
}

/* Any value is true unless they are strict, so that only one is offered. */
static json_t *flag(const struct kj__spec *spec)
{
    return spec->options.strict_flags ? json_pack("{s:s}", "type", "boolean")
                                      : json_pack("{s:s, s:[s]}", "type", "string", "enum", "true");
}

static const struct builtin {
    const char *name, *in;
    unsigned operations;
    json_t *(*schema)(const struct kj__spec *spec);
    const char *description;
} builtins[] = {
    {"page", "query", WITH_LISTS, integer_from_1, "A page, counted from 1. Not with `after`."},
    {"pagesize", "query", WITH_LISTS, page_size,
     "Objects of a page; 100 with `page` alone. Not with `limit`."},
    {"limit", "query", WITH_LISTS, integer_from_1, "At most so many objects. Not with `pagesize`."},
    {"after", "query", WITH_LISTS, text,
     "The place the list goes on behind: `X-Next` of the answer before, or an ID. Not with "
     "`page`."},
    {"order", "query", WITH_LISTS, order,
     "Attributes to order by, the first one first; `-` in front: descending. No secret one."},
    {"q", "query", WITH_FILTERS, filter,
     "Only objects that match this filter, such as `name == \"x\" and priority >= 3`."},
    {"recursive", "query", KJ_OP_ALL, flag, "The objects of child namespaces too."},
    {"propagated", "query", KJ_OP_ALL, flag, "Those that come down from namespaces above too."},
    {"override", "query", KJ_OP_ALL, flag, "Disregard what protects an object."},
    {"X-Namespace", "header", KJ_OP_ALL, text, "The namespace the call is about."},
    {"X-Fields", "header", WITH_OBJECTS, text,
     "An attribute. The header may be repeated, and objects of the answer hold just these."},
    {"Idempotency-Key", "header", WITH_KEYS, key,
     "A write that comes again with its key gets the first answer, and nothing happens twice."},
};
enum { BUILTIN_COUNT = sizeof builtins / sizeof *builtins };

static bool takes(const struct kj__spec *spec, const struct builtin *builtin, unsigned operations)
{
    bool is_off = builtin->operations == WITH_KEYS && spec->options.ignore_idempotency_keys;
    return !is_off && (builtin->operations & operations);
}

json_t *kj__spec_parameter_components(struct kj__spec *spec)
{
    json_t *components = kj__spec_object(spec);
    for (size_t i = 0; i < BUILTIN_COUNT; i++) {
        const struct builtin *builtin = &builtins[i];
        if (takes(spec, builtin, spec->used)) {
            kj__spec_set(spec, components, builtin->name,
                         json_pack("{s:s, s:s, s:s, s:o}", "name", builtin->name, "in", builtin->in,
                                   "description", builtin->description, "schema",
                                   builtin->schema(spec)));
        }
    }
    return components;
}

/* ---- declared ---- */

static json_t *typed_schema(struct kj__spec *spec, const struct kj__parameter *parameter)
{
    static const struct {
        const char *type, *format, *description;
    } types[] = {
        [KJ_PARAMETER_STRING] = {"string", NULL, NULL},
        [KJ_PARAMETER_INTEGER] = {"integer", "int64", NULL},
        [KJ_PARAMETER_FLOAT] = {"number", "double", NULL},
        [KJ_PARAMETER_BOOLEAN] = {"boolean", NULL, "Also yes and 1, no and 0, in any case."},
        [KJ_PARAMETER_ENUM] = {"string", NULL, NULL},
        [KJ_PARAMETER_DURATION] = {"string", NULL, "A duration: 1h30m, 250ms, -0.5s."},
        [KJ_PARAMETER_TIME] = {"string", NULL,
                               "A time: 2021-03-04T05:06:07Z, 2021-03-04 05:06:07, 2021-03-04 "
                               "05:06, 2021-03-04, or seconds or milliseconds since 1970."},
    };
    const char *format = types[parameter->type].format;
    const char *description = types[parameter->type].description;
    json_t *schema = kj__spec_object(spec);
    kj__spec_set_text(spec, schema, "type", types[parameter->type].type);
    if (format) {
        kj__spec_set_text(spec, schema, "format", format);
    }
    if (description) {
        kj__spec_set_text(spec, schema, "description", description);
    }
    if (parameter->type == KJ_PARAMETER_ENUM) {
        json_t *allowed = kj__spec_array(spec);
        for (char *const *value = parameter->allowed; *value; value++) {
            kj__spec_append(spec, allowed, json_string(*value));
        }
        kj__spec_set(spec, schema, "enum", allowed);
    }
    return schema;
}

static json_t *default_of(const struct kj__parameter *parameter)
{
    union kj__parameter_value value;
    if (kj__parameter_read(parameter, parameter->initial, &value)) {
        switch (parameter->type) {
        case KJ_PARAMETER_INTEGER:
            return json_integer(value.integer);
        case KJ_PARAMETER_FLOAT:
            return json_real(value.real);
        case KJ_PARAMETER_BOOLEAN:
            return json_boolean(value.boolean);
        default:
            break;
        }
    }
    return json_string(parameter->initial);
}

static json_t *value_schema(struct kj__spec *spec, const struct kj__parameter *parameter)
{
    json_t *schema = typed_schema(spec, parameter);
    json_t *initial = parameter->initial ? default_of(parameter) : NULL;
    if (parameter->multiple) {
        schema = json_pack("{s:s, s:o}", "type", "array", "items", schema);
        if (parameter->initial) {
            kj__spec_set(spec, schema, "default", json_pack("[o]", initial));
        }
    } else if (parameter->initial) {
        kj__spec_set(spec, schema, "default", initial);
    }
    return schema;
}

static bool has_word(const char *words, const char *word)
{
    size_t len = strlen(word);
    while (*words) {
        size_t here = strcspn(words, " ");
        if (here == len && memcmp(words, word, len) == 0) {
            return true;
        }
        words += here;
        words += *words == ' ';
    }
    return false;
}

/* Whether no set that would do goes without it. */
static bool is_required(const struct kj__parameters *declared, const char *name,
                        enum kj_operation operation)
{
    for (size_t i = 0; i < declared->requirement_count; i++) {
        const struct kj__requirement *requirement = &declared->requirements[i];
        bool in_all = requirement->operations & (unsigned)operation;
        for (char *const *set = requirement->any_of; in_all && *set; set++) {
            in_all = has_word(*set, name);
        }
        if (in_all) {
            return true;
        }
    }
    return false;
}

static json_t *declared_parameter(struct kj__spec *spec, const struct kj__parameters *declared,
                                  const struct kj__parameter *parameter,
                                  enum kj_operation operation)
{
    json_t *made = json_pack("{s:s, s:s}", "name", parameter->name, "in", "query");
    if (is_required(declared, parameter->name, operation)) {
        kj__spec_set(spec, made, "required", json_true());
    }
    kj__spec_describe(spec, made, parameter->description, NULL);
    kj__spec_set(spec, made, "schema", value_schema(spec, parameter));
    return made;
}

json_t *kj__spec_parameters(struct kj__spec *spec, const struct kj_identity *parent,
                            const struct kj_identity *child, enum kj_operation operation,
                            bool is_head)
{
    const struct kj__parameters *declared = kj__model_parameters(spec->model, parent, child);
    json_t *parameters = kj__spec_array(spec);
    for (size_t i = 0; i < BUILTIN_COUNT; i++) {
        bool is_bodiless = is_head && builtins[i].operations == WITH_OBJECTS;
        if (!is_bodiless && takes(spec, &builtins[i], (unsigned)operation)) {
            kj__spec_append(spec, parameters, kj__spec_ref(spec, "parameters", builtins[i].name));
        }
    }
    for (size_t i = 0; declared && i < declared->count; i++) {
        if (declared->at[i].operations & (unsigned)operation) {
            kj__spec_append(spec, parameters,
                            declared_parameter(spec, declared, &declared->at[i], operation));
        }
    }
    return parameters;
}
