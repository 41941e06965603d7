/* schema.c - identities as schemas that JSON Schema of 2020-12 and of draft 7 read alike. */
#include "spec/parts.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {
    [KJ_TYPE_STRING] = "string",   [KJ_TYPE_INTEGER] = "integer", [KJ_TYPE_FLOAT] = "number",
    [KJ_TYPE_BOOLEAN] = "boolean", [KJ_TYPE_TIME] = "string",     [KJ_TYPE_LIST] = "array",
    [KJ_TYPE_OBJECT] = "object",   [KJ_TYPE_BYTES] = "string",
};

/* ---- types ---- */

static void set_type(struct kj__spec *spec, json_t *schema, enum kj_attribute_type type,
                     bool may_be_null)
{
    bool has_null = type == KJ_TYPE_TIME || type == KJ_TYPE_LIST || type == KJ_TYPE_OBJECT;
    if (may_be_null && has_null) {
        kj__spec_set(spec, schema, "type", json_pack("[s, s]", type_names[type], "null"));
    } else {
        kj__spec_set_text(spec, schema, "type", type_names[type]);
    }
    if (type == KJ_TYPE_INTEGER) {
        kj__spec_set_text(spec, schema, "format", "int64");
    } else if (type == KJ_TYPE_FLOAT) {
        kj__spec_set_text(spec, schema, "format", "double");
    } else if (type == KJ_TYPE_TIME) {
        kj__spec_set_text(spec, schema, "format", "date-time");
    } else if (type == KJ_TYPE_BYTES) {
        kj__spec_set_text(spec, schema, "contentEncoding", "base64");
    }
}

static void set_items(struct kj__spec *spec, json_t *schema, const struct kj__attribute *attribute)
{
    if (attribute->type == KJ_TYPE_LIST) {
        json_t *items = kj__spec_object(spec);
        set_type(spec, items, attribute->items, true);
        kj__spec_set(spec, schema, "items", items);
    }
}

/* ---- rules ---- */

/* So many characters for each so many bytes, whole groups of them. */
enum { BASE64_CHARACTERS = 4, BASE64_BYTES = 3 };

static json_int_t base64_length(size_t bytes)
{
    const json_int_t most = INT64_MAX / BASE64_CHARACTERS;
    size_t groups = bytes / BASE64_BYTES + (bytes % BASE64_BYTES != 0);
    return (groups < (size_t)most ? (json_int_t)groups : most) * BASE64_CHARACTERS;
}

static void set_lengths(struct kj__spec *spec, json_t *rules, const struct kj__attribute *attribute)
{
    size_t least = attribute->min_length;
    size_t most = attribute->max_length;
    if (attribute->required && least == 0) {
        least = 1;
    }
    switch (attribute->type) {
    case KJ_TYPE_STRING:
    case KJ_TYPE_BYTES: {
        bool is_text = attribute->type == KJ_TYPE_STRING;
        if (least) {
            kj__spec_set(spec, rules, "minLength",
                         json_integer(is_text ? (json_int_t)least : base64_length(least)));
        }
        if (most) {
            kj__spec_set(spec, rules, "maxLength",
                         json_integer(is_text ? (json_int_t)most : base64_length(most)));
        }
        break;
    }
    case KJ_TYPE_LIST:
        if (least) {
            kj__spec_set(spec, rules, "minItems", json_integer((json_int_t)least));
        }
        if (most) {
            kj__spec_set(spec, rules, "maxItems", json_integer((json_int_t)most));
        }
        break;
    case KJ_TYPE_OBJECT:
        if (attribute->required) {
            kj__spec_set(spec, rules, "minProperties", json_integer(1));
        }
        break;
    default:
        break;
    }
}

/* Beyond these a double is no integer that could be written as one. */
static json_t *number(double value)
{
    const double whole_max = 9007199254740992.0;
    bool is_whole = fabs(value) <= whole_max && floor(value) == value;
    return is_whole ? json_integer((json_int_t)value) : json_real(value);
}

static void set_range(struct kj__spec *spec, json_t *rules, const struct kj__attribute *attribute)
{
    bool is_number = attribute->type == KJ_TYPE_INTEGER || attribute->type == KJ_TYPE_FLOAT;
    if (attribute->has_minimum) {
        kj__spec_set(spec, rules, "minimum", number(attribute->minimum));
    }
    if (attribute->has_maximum) {
        kj__spec_set(spec, rules, "maximum", number(attribute->maximum));
    }
    if (attribute->required && is_number) {
        kj__spec_set(spec, rules, "not", json_pack("{s:i}", "const", 0));
    }
    if (attribute->required && attribute->type == KJ_TYPE_BOOLEAN) {
        kj__spec_set(spec, rules, "const", json_true());
    }
}

static void set_pattern(struct kj__spec *spec, json_t *rules, const struct kj__attribute *attribute)
{
    if (attribute->pattern) {
        bool is_common = kj__spec_pattern_is_common(attribute->pattern);
        kj__spec_set_text(spec, rules, is_common ? "pattern" : "x-posix-pattern",
                          attribute->pattern);
    }
}

/* The zero of an attribute that need not be there satisfies any rule. */
static bool may_be_zero(const struct kj__attribute *attribute)
{
    return !attribute->required && !attribute->has_default;
}

static void set_allowed(struct kj__spec *spec, json_t *schema,
                        const struct kj__attribute *attribute)
{
    if (!attribute->allowed) {
        return;
    }
    json_t *values = kj__spec_array(spec);
    bool has_zero = false;
    for (char *const *text = attribute->allowed; *text; text++) {
        kj__spec_append(spec, values, json_string(*text));
        has_zero |= !**text;
    }
    if (may_be_zero(attribute) && !has_zero) {
        kj__spec_append(spec, values, json_string(""));
    }
    kj__spec_set(spec, schema, "enum", values);
}

static json_t *zero_schema(const struct kj__attribute *attribute)
{
    switch (attribute->type) {
    case KJ_TYPE_LIST:
        return json_pack("{s:i}", "maxItems", 0); /* null is no list and passes, too */
    case KJ_TYPE_STRING:
    case KJ_TYPE_BYTES:
        return json_pack("{s:i}", "maxLength", 0);
    default:
        return json_pack("{s:i}", "const", 0); /* of a number: nothing else has rules */
    }
}

static void set_rules(struct kj__spec *spec, json_t *schema, const struct kj__attribute *attribute)
{
    json_t *rules = kj__spec_object(spec);
    set_lengths(spec, rules, attribute);
    set_range(spec, rules, attribute);
    set_pattern(spec, rules, attribute);
    set_allowed(spec, schema, attribute);
    if (!may_be_zero(attribute)) {
        spec->failed |= json_object_update(schema, rules) != 0;
        json_decref(rules);
    } else if (json_object_size(rules) > 0) {
        kj__spec_set(spec, schema, "anyOf", json_pack("[o, o]", zero_schema(attribute), rules));
    } else {
        json_decref(rules);
    }
}

/* ---- attributes and identities ---- */

static void set_access(struct kj__spec *spec, json_t *schema, const struct kj__attribute *attribute,
                       enum kj__spec_form form)
{
    if (attribute->read_only) {
        kj__spec_set(spec, schema, "readOnly", json_true());
    }
    if (attribute->secret) {
        kj__spec_set(spec, schema, "writeOnly", json_true());
    }
    static const char *const notes[2][2] = {
        {NULL, "Set when the object is created; later writes keep it."},
        {"Blank in answers and events.",
         "Blank in answers and events. Set when the object is created; later writes keep it."},
    };
    kj__spec_describe(spec, schema, attribute->description,
                      notes[attribute->secret][attribute->creation_only]);
    bool is_whole = form == KJ__SPEC_CREATE || form == KJ__SPEC_UPDATE;
    if (attribute->has_default && is_whole) {
        kj__spec_set(spec, schema, "default", json_deep_copy(attribute->initial));
    }
}

static json_t *attribute_schema(struct kj__spec *spec, const struct kj__attribute *attribute,
                                enum kj__spec_form form)
{
    json_t *schema = kj__spec_object(spec);
    bool is_blank = attribute->secret && form == KJ__SPEC_SHOWN;
    set_type(spec, schema, attribute->type, is_blank || !attribute->required);
    set_items(spec, schema, attribute);
    set_access(spec, schema, attribute, form);
    if (!is_blank) {
        set_rules(spec, schema, attribute);
    }
    return schema;
}

static bool is_sent(const struct kj__attribute *attribute, enum kj__spec_form form)
{
    bool is_fixed = attribute->creation_only && form != KJ__SPEC_CREATE;
    return form == KJ__SPEC_SHOWN || (!attribute->read_only && !is_fixed);
}

/* X-Fields may leave out anything, and a patch holds just what changes. */
static bool is_needed(const struct kj__attribute *attribute, enum kj__spec_form form)
{
    bool is_whole = form == KJ__SPEC_CREATE || form == KJ__SPEC_UPDATE;
    return is_whole && attribute->required && !attribute->has_default && is_sent(attribute, form);
}

static const char *const form_suffixes[] = {
    [KJ__SPEC_SHOWN] = "",
    [KJ__SPEC_CREATE] = ".create",
    [KJ__SPEC_UPDATE] = ".update",
    [KJ__SPEC_PATCH] = ".patch",
};

static const char *const form_descriptions[] = {
    [KJ__SPEC_SHOWN] = "Of answers and events.",
    [KJ__SPEC_CREATE] = "A new object. Members that are unknown or read-only are ignored.",
    [KJ__SPEC_UPDATE] = "The whole object as it shall be: what is absent gets its default. Members "
                        "that are unknown, read-only or set at creation are ignored.",
    [KJ__SPEC_PATCH] = "Just the members that change. Those that are unknown, read-only or set at "
                       "creation are ignored.",
};

void kj__spec_schema_name(const struct kj_identity *identity, enum kj__spec_form form,
                          char name[KJ__SPEC_NAME_MAX])
{
    (void)snprintf(name, KJ__SPEC_NAME_MAX, "%s.v%d%s", identity->name, identity->version,
                   form_suffixes[form]);
}

json_t *kj__spec_schema(struct kj__spec *spec, const struct kj_identity *identity,
                        enum kj__spec_form form)
{
    json_t *schema = kj__spec_object(spec);
    json_t *properties = kj__spec_object(spec);
    json_t *required = kj__spec_array(spec);
    for (size_t i = 0; i < identity->attribute_count; i++) {
        const struct kj__attribute *attribute = &identity->attributes[i];
        if (is_sent(attribute, form)) {
            kj__spec_set(spec, properties, attribute->name,
                         attribute_schema(spec, attribute, form));
        }
        if (is_needed(attribute, form)) {
            kj__spec_append(spec, required, json_string(attribute->name));
        }
    }
    kj__spec_set_text(spec, schema, "type", "object");
    kj__spec_describe(spec, schema, identity->description, form_descriptions[form]);
    kj__spec_set(spec, schema, "properties", properties);
    if (json_array_size(required) > 0) {
        kj__spec_set(spec, schema, "required", required);
    } else {
        json_decref(required);
    }
    return schema;
}

static json_t *text_schema(const char *description)
{
    return json_pack("{s:s, s:s}", "type", "string", "description", description);
}

json_t *kj__spec_error_schema(struct kj__spec *spec)
{
    json_t *schema = kj__spec_object(spec);
    json_t *properties = kj__spec_object(spec);
    kj__spec_set(spec, properties, "code",
                 json_pack("{s:s, s:s}", "type", "integer", "description",
                           "As an HTTP status. In JSON absent where there is none."));
    kj__spec_set(spec, properties, "data",
                 json_pack("{s:s}", "description",
                           "What it is about, such as {\"attribute\": \"name\"}. In JSON absent "
                           "where there is nothing to say."));
    kj__spec_set(spec, properties, "description", text_schema("For people."));
    kj__spec_set(spec, properties, "subject", text_schema("The part that found the error."));
    kj__spec_set(spec, properties, "title", text_schema("The kind of error."));
    kj__spec_set(spec, properties, "trace",
                 text_schema("The ID of the request. In JSON absent where there is none."));
    kj__spec_set_text(spec, schema, "type", "object");
    kj__spec_set(spec, schema, "properties", properties);
    kj__spec_set(spec, schema, "required",
                 json_pack("[s, s, s]", "description", "subject", "title"));
    return schema;
}
