/* attribute.c - one attribute: checked, copied, released. */
#include "model/build.h"

#include "base/timestamp.h"
#include "model/locate.h"
#include "model/pattern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 128, PATTERN_MAX_LENGTH = 1024 };

enum kj_status kj__check_name(const char *name, const char *member, struct kj__walk *walk)
{
    static const char accepted[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789_-";
    if (!name || !*name) {
        return kj__walk_fail(walk, member, "%s is missing or empty", member);
    }
    if (name[strspn(name, accepted)]) {
        return kj__walk_fail(walk, member, "%s \"%s\" has other characters than A-Z a-z 0-9 _ -",
                             member, name);
    }
    if (strlen(name) > NAME_MAX_LENGTH) {
        return kj__walk_fail(walk, member, "%s is longer than %d characters", member,
                             NAME_MAX_LENGTH);
    }
    return KJ_OK;
}

const char *kj__type_phrase(enum kj_attribute_type type)
{
    static const char *const phrases[] = {
        [KJ_TYPE_STRING] = "a string",       [KJ_TYPE_INTEGER] = "an integer",
        [KJ_TYPE_FLOAT] = "a number",        [KJ_TYPE_BOOLEAN] = "a boolean",
        [KJ_TYPE_TIME] = "an RFC 3339 time", [KJ_TYPE_LIST] = "a list",
        [KJ_TYPE_OBJECT] = "an object",      [KJ_TYPE_BYTES] = "base64 text",
    };
    return phrases[type];
}

json_t *kj__type_zero(enum kj_attribute_type type)
{
    switch (type) {
    case KJ_TYPE_STRING:
    case KJ_TYPE_BYTES:
        return json_string("");
    case KJ_TYPE_INTEGER:
        return json_integer(0);
    case KJ_TYPE_FLOAT:
        return json_real(0.0);
    case KJ_TYPE_BOOLEAN:
        return json_false();
    case KJ_TYPE_TIME:
        return json_null();
    case KJ_TYPE_LIST:
        return json_array();
    case KJ_TYPE_OBJECT:
        return json_object();
    }
    return NULL;
}

bool kj__value_is_zero(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return json_string_length(value) == 0;
    case JSON_INTEGER:
        return json_integer_value(value) == 0;
    case JSON_REAL:
        return fpclassify(json_real_value(value)) == FP_ZERO;
    case JSON_ARRAY:
        return json_array_size(value) == 0;
    case JSON_OBJECT:
        return json_object_size(value) == 0;
    case JSON_TRUE:
        return false;
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return true;
}

static bool is_number(enum kj_attribute_type type)
{
    return type == KJ_TYPE_INTEGER || type == KJ_TYPE_FLOAT;
}

/* Whether an enumerator came from outside the enumeration. */
static bool is_type(enum kj_attribute_type type)
{
    return (unsigned)type <= KJ_TYPE_BYTES;
}

static enum kj_status check_types(const struct kj_attribute_spec *spec, struct kj__walk *walk)
{
    static const char *const builtin[] = {"ID", "parentID", "parentType"};
    if (!is_type(spec->type)) {
        return kj__walk_fail(walk, "type", "unknown type %u", (unsigned)spec->type);
    }
    if (!is_type(spec->items)) {
        return kj__walk_fail(walk, "items", "unknown type %u", (unsigned)spec->items);
    }
    if (spec->items == KJ_TYPE_LIST) {
        return kj__walk_fail(walk, "items", "the items of a list cannot be lists");
    }
    if (spec->items && spec->type != KJ_TYPE_LIST) {
        return kj__walk_fail(walk, "items", "items is for lists only");
    }
    for (size_t i = 0; i < sizeof builtin / sizeof *builtin; i++) {
        if (spec->type != KJ_TYPE_STRING && strcmp(spec->name, builtin[i]) == 0) {
            return kj__walk_fail(walk, "type", "%s is always a string", spec->name);
        }
    }
    return KJ_OK;
}

static enum kj_status check_range(const struct kj_attribute_spec *spec, struct kj__walk *walk)
{
    if (!is_number(spec->type) && (spec->has_minimum || spec->has_maximum)) {
        const char *member = spec->has_minimum ? "minimum" : "maximum";
        return kj__walk_fail(walk, member, "%s is for integers and floats only", member);
    }
    if (spec->has_minimum && !isfinite(spec->minimum)) {
        return kj__walk_fail(walk, "minimum", "minimum is not a number");
    }
    if (spec->has_maximum && !isfinite(spec->maximum)) {
        return kj__walk_fail(walk, "maximum", "maximum is not a number");
    }
    if (spec->has_minimum && spec->has_maximum && spec->minimum > spec->maximum) {
        return kj__walk_fail(walk, "minimum", "minimum is above maximum");
    }
    return KJ_OK;
}

static enum kj_status check_lengths(const struct kj_attribute_spec *spec, struct kj__walk *walk)
{
    bool has_length = spec->type == KJ_TYPE_STRING || spec->type == KJ_TYPE_LIST ||
                      spec->type == KJ_TYPE_BYTES;
    if (!has_length && (spec->min_length || spec->max_length)) {
        const char *member = spec->min_length ? "min_length" : "max_length";
        return kj__walk_fail(walk, member, "%s is for strings, lists and bytes only", member);
    }
    if (spec->max_length && spec->min_length > spec->max_length) {
        return kj__walk_fail(walk, "min_length", "min_length is above max_length");
    }
    return KJ_OK;
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static enum kj_status copy_allowed(struct kj__attribute *attribute,
                                   const struct kj_attribute_spec *spec, struct kj__walk *walk)
{
    if (!spec->allowed) {
        return KJ_OK;
    }
    if (spec->type != KJ_TYPE_STRING) {
        return kj__walk_fail(walk, "allowed", "allowed is for strings only");
    }
    size_t count = 0;
    while (spec->allowed[count]) {
        count++;
    }
    if (count == 0) {
        return kj__walk_fail(walk, "allowed", "allowed is empty");
    }
    attribute->allowed = calloc(count + 1, sizeof *attribute->allowed);
    if (!attribute->allowed) {
        return KJ_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        attribute->allowed[i] = strdup(spec->allowed[i]);
        if (!attribute->allowed[i]) {
            return KJ_ENOMEM;
        }
    }
    qsort(attribute->allowed, count, sizeof *attribute->allowed, compare_texts);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(attribute->allowed[i - 1], attribute->allowed[i]) == 0) {
            return kj__walk_fail(walk, "allowed", "\"%s\" is allowed twice", attribute->allowed[i]);
        }
    }
    return KJ_OK;
}

/* Escapes are skipped in pairs. Inside brackets a backslash is an ordinary character, but
 * the closing bracket brings the pairs back in step, so no back-reference is missed. */
static bool has_back_reference(const char *pattern)
{
    for (const char *at = pattern; *at; at++) {
        if (*at == '\\') {
            at++;
            if (*at >= '1' && *at <= '9') {
                return true;
            }
            if (!*at) {
                break;
            }
        }
    }
    return false;
}

static enum kj_status copy_pattern(struct kj__attribute *attribute,
                                   const struct kj_attribute_spec *spec, struct kj__walk *walk)
{
    if (!spec->pattern) {
        return KJ_OK;
    }
    if (spec->type != KJ_TYPE_STRING) {
        return kj__walk_fail(walk, "pattern", "pattern is for strings only");
    }
    if (strlen(spec->pattern) > PATTERN_MAX_LENGTH) {
        return kj__walk_fail(walk, "pattern", "pattern is longer than %d bytes",
                             PATTERN_MAX_LENGTH);
    }
    if (has_back_reference(spec->pattern)) {
        return kj__walk_fail(walk, "pattern",
                             "pattern has a back-reference, which takes more than linear time");
    }
    if (!kj__pattern_is_small(spec->pattern)) {
        return kj__walk_fail(walk, "pattern",
                             "pattern repeats too much: more than %d pieces, or %d groups deep",
                             KJ__PATTERN_SIZE_MAX, KJ__PATTERN_DEPTH_MAX);
    }
    int fault = regcomp(&attribute->regex, spec->pattern, REG_EXTENDED | REG_NOSUB);
    if (fault) {
        char why[100];
        regerror(fault, &attribute->regex, why, sizeof why);
        return fault == REG_ESPACE ? KJ_ENOMEM : kj__walk_fail(walk, "pattern", "pattern: %s", why);
    }
    attribute->pattern = strdup(spec->pattern);
    if (!attribute->pattern) {
        regfree(&attribute->regex);
        return KJ_ENOMEM;
    }
    return KJ_OK;
}

/* A default must be right as it stands, except that a whole number will do for a float. */
static bool has_type(const json_t *value, enum kj_attribute_type type, enum kj_attribute_type items)
{
    struct kj__timestamp unused;
    switch (type) {
    case KJ_TYPE_STRING:
    case KJ_TYPE_BYTES: /* what it says is for kj__attribute_coerce */
        return json_is_string(value);
    case KJ_TYPE_INTEGER:
        return json_is_integer(value);
    case KJ_TYPE_FLOAT:
        return json_is_number(value);
    case KJ_TYPE_BOOLEAN:
        return json_is_boolean(value);
    case KJ_TYPE_TIME:
        return json_is_string(value) &&
               kj__timestamp_parse(json_string_value(value), json_string_length(value), &unused);
    case KJ_TYPE_OBJECT:
        return json_is_object(value);
    case KJ_TYPE_LIST:
        break;
    }
    bool all_fit = json_is_array(value);
    for (size_t i = 0; all_fit && i < json_array_size(value); i++) {
        all_fit = has_type(json_array_get(value, i), items, KJ_TYPE_STRING);
    }
    return all_fit;
}

static enum kj_status check_default(const struct kj__attribute *attribute, struct kj__walk *walk)
{
    struct kj__buffer fault;
    size_t next = 0;
    enum kj_status status = KJ_OK;
    kj__buffer_init(&fault);
    if (kj__attribute_next_fault(attribute, attribute->initial, &next, &fault)) {
        kj__buffer_append_byte(&fault, '\0');
        status = fault.failed ? KJ_ENOMEM
                              : kj__walk_fail(walk, "default", "the default does not fit: %s",
                                              (const char *)fault.data);
    }
    kj__buffer_fini(&fault);
    return status;
}

static enum kj_status copy_default(struct kj__attribute *attribute,
                                   const struct kj_attribute_spec *spec, struct kj__walk *walk)
{
    if (!spec->default_json) {
        attribute->initial = kj__type_zero(spec->type);
        return attribute->initial ? KJ_OK : KJ_ENOMEM;
    }
    const char *text = spec->default_json;
    struct kj_error error;
    json_error_t fault;
    json_t *value = kj__declaration_read(text, strlen(text), &fault);
    if (!value) {
        return kj__walk_fail(walk, "default", "the default is not JSON: %s", fault.text);
    }
    if (!has_type(value, spec->type, spec->items)) {
        json_decref(value);
        return kj__walk_fail(walk, "default", "the default must be %s%s%s",
                             kj__type_phrase(spec->type),
                             spec->type == KJ_TYPE_LIST ? " whose items are each " : "",
                             spec->type == KJ_TYPE_LIST ? kj__type_phrase(spec->items) : "");
    }
    attribute->has_default = true;
    enum kj_status status = kj__attribute_coerce(attribute, value, &attribute->initial, &error);
    json_decref(value);
    if (status == KJ_EINVAL) {
        return kj__walk_fail(walk, "default", "%s", error.text);
    }
    return status ? status : check_default(attribute, walk);
}

static enum kj_status check_uses(const struct kj_attribute_spec *spec, struct kj__walk *walk)
{
    enum kj_status status = check_types(spec, walk);
    if (!status) {
        status = check_range(spec, walk);
    }
    if (!status) {
        status = check_lengths(spec, walk);
    }
    if (!status && spec->required && spec->read_only && !spec->default_json) {
        status = kj__walk_fail(walk, "required",
                               "required, read_only and without a default: no write can succeed");
    }
    return status;
}

enum kj_status kj__attribute_init(struct kj__attribute *attribute,
                                  const struct kj_attribute_spec *spec, struct kj__walk *walk)
{
    enum kj_status status = check_uses(spec, walk);
    if (status) {
        return status;
    }
    *attribute = (struct kj__attribute){
        .name = strdup(spec->name),
        .description = spec->description ? strdup(spec->description) : NULL,
        .type = spec->type,
        .items = spec->items,
        .required = spec->required,
        .read_only = spec->read_only,
        .creation_only = spec->creation_only,
        .secret = spec->secret,
        .unindexed = spec->unindexed,
        .min_length = spec->min_length,
        .max_length = spec->max_length,
        .has_minimum = spec->has_minimum,
        .has_maximum = spec->has_maximum,
        .minimum = spec->minimum,
        .maximum = spec->maximum,
    };
    if (!attribute->name || (spec->description && !attribute->description)) {
        return KJ_ENOMEM;
    }
    status = copy_allowed(attribute, spec, walk);
    if (!status) {
        status = copy_pattern(attribute, spec, walk);
    }
    return status ? status : copy_default(attribute, spec, walk);
}

void kj__attribute_fini(struct kj__attribute *attribute)
{
    for (char **text = attribute->allowed; text && *text; text++) {
        free(*text);
    }
    free(attribute->allowed);
    if (attribute->pattern) {
        regfree(&attribute->regex);
    }
    free(attribute->pattern);
    json_decref(attribute->initial);
    free(attribute->description);
    free(attribute->name);
    *attribute = (struct kj__attribute){0};
}
