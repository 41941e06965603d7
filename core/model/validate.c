/* validate.c - whether a value of the right type is one the model accepts, and what to say
 * when it is not. The texts of "is required" and "is not in list" are elemental's. */
#include "model/identity.h"
#include "model/types.h"

#include "base/utf8.h"
#include "codec/base64.h"
#include "codec/error_array.h"
#include "codec/json.h"

#include <string.h>

enum { QUOTE_MAX = 256 /* bytes of a client's value repeated in a text */ };

/* A number without the ".0" of a float. */
static void put_number(struct kj__buffer *out, double number)
{
    kj__json_encode_float(number, out);
    if (!out->failed && out->len > 2 && memcmp(out->data + out->len - 2, ".0", 2) == 0) {
        out->len -= 2;
    }
}

/* Cut between characters; a NUL is left out, since texts end there. */
static void put_string(struct kj__buffer *out, const json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = strlen(text);
    size_t shown = len;
    if (len > QUOTE_MAX) {
        shown = QUOTE_MAX;
        while (shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80) {
            shown--;
        }
    }
    kj__buffer_append(out, text, shown);
    kj__buffer_append_text(out, shown < len ? "..." : "");
}

/* "Data '12' of attribute 'age'"; lists and objects are not repeated, nor are secrets. */
static void put_subject(struct kj__buffer *out, const struct kj__attribute *attribute,
                        const json_t *value)
{
    kj__buffer_append_text(out, "Data");
    if (!json_is_array(value) && !json_is_object(value)) {
        kj__buffer_append_text(out, " '");
        if (attribute->secret) {
            kj__buffer_append_text(out, "***");
        } else if (json_is_string(value)) {
            put_string(out, value);
        } else if (json_is_integer(value)) {
            kj__buffer_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        } else if (json_is_real(value)) {
            put_number(out, json_real_value(value));
        }
        kj__buffer_append_text(out, "'");
    }
    kj__buffer_printf(out, " of attribute '%s' ", attribute->name);
}

static bool check_required(const struct kj__attribute *attribute, const json_t *value,
                           struct kj__buffer *text)
{
    if (!attribute->required || !kj__value_is_zero(value)) {
        return true;
    }
    kj__buffer_printf(text, "Attribute '%s' is required", attribute->name);
    return false;
}

static bool is_allowed(char *const *allowed, const json_t *value)
{
    size_t len = json_string_length(value);
    for (; *allowed; allowed++) {
        if (strlen(*allowed) == len && memcmp(*allowed, json_string_value(value), len) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_allowed(const struct kj__attribute *attribute, const json_t *value,
                          struct kj__buffer *text)
{
    if (!attribute->allowed || is_allowed(attribute->allowed, value)) {
        return true;
    }
    put_subject(text, attribute, value);
    kj__buffer_append_text(text, "is not in list '[");
    for (char *const *item = attribute->allowed; *item; item++) {
        kj__buffer_printf(text, "%s%s", item == attribute->allowed ? "" : " ", *item);
    }
    kj__buffer_append_text(text, "]'");
    return false;
}

static bool check_minimum(const struct kj__attribute *attribute, const json_t *value,
                          struct kj__buffer *text)
{
    if (!attribute->has_minimum || json_number_value(value) >= attribute->minimum) {
        return true;
    }
    put_subject(text, attribute, value);
    kj__buffer_append_text(text, "must be greater than or equal to ");
    put_number(text, attribute->minimum);
    return false;
}

static bool check_maximum(const struct kj__attribute *attribute, const json_t *value,
                          struct kj__buffer *text)
{
    if (!attribute->has_maximum || json_number_value(value) <= attribute->maximum) {
        return true;
    }
    put_subject(text, attribute, value);
    kj__buffer_append_text(text, "must be less than or equal to ");
    put_number(text, attribute->maximum);
    return false;
}

static size_t length_of(const struct kj__attribute *attribute, const json_t *value)
{
    if (attribute->type == KJ_TYPE_BYTES) {
        return kj__base64_decoded_len(json_string_value(value), json_string_length(value));
    }
    return json_is_string(value)
               ? kj__utf8_count(json_string_value(value), json_string_length(value))
               : json_array_size(value);
}

static bool check_min_length(const struct kj__attribute *attribute, const json_t *value,
                             struct kj__buffer *text)
{
    if (attribute->min_length == 0 || length_of(attribute, value) >= attribute->min_length) {
        return true;
    }
    put_subject(text, attribute, value);
    kj__buffer_printf(text, "must have a length of at least %zu", attribute->min_length);
    return false;
}

static bool check_max_length(const struct kj__attribute *attribute, const json_t *value,
                             struct kj__buffer *text)
{
    if (attribute->max_length == 0 || length_of(attribute, value) <= attribute->max_length) {
        return true;
    }
    put_subject(text, attribute, value);
    kj__buffer_printf(text, "must have a length of at most %zu", attribute->max_length);
    return false;
}

/* regexec ends at a NUL: a string with one matches nothing, lest its rest go unseen. */
static bool check_pattern(const struct kj__attribute *attribute, const json_t *value,
                          struct kj__buffer *text)
{
    if (!attribute->pattern || !json_is_string(value)) {
        return true;
    }
    const char *string = json_string_value(value);
    if (strlen(string) == json_string_length(value) &&
        regexec(&attribute->regex, string, 0, NULL, 0) == 0) {
        return true;
    }
    put_subject(text, attribute, value);
    kj__buffer_printf(text, "must match '%s'", attribute->pattern);
    return false;
}

/* In the order of the texts; a required value that is missing is not checked further. */
static bool (*const checks[])(const struct kj__attribute *, const json_t *, struct kj__buffer *) = {
    check_required,   check_allowed,    check_minimum, check_maximum,
    check_min_length, check_max_length, check_pattern,
};
enum { CHECK_COUNT = sizeof checks / sizeof *checks };

/* What an absent member becomes is always accepted, also when the client writes it out. */
static bool is_unset(const struct kj__attribute *attribute, const json_t *value)
{
    return !attribute->required && !attribute->has_default && kj__value_is_zero(value);
}

bool kj__attribute_next_fault(const struct kj__attribute *attribute, const json_t *value,
                              size_t *next, struct kj__buffer *text)
{
    if (is_unset(attribute, value)) {
        return false;
    }
    while (*next < CHECK_COUNT) {
        size_t current = (*next)++;
        if (!checks[current](attribute, value, text)) {
            *next = checks[current] == check_required ? CHECK_COUNT : *next;
            return true;
        }
    }
    return false;
}

static void add_fault(const struct kj__attribute *attribute, struct kj__buffer *text,
                      json_t *errors, const char *trace)
{
    kj__buffer_append_byte(text, '\0');
    json_t *data = json_pack("{s:s}", "attribute", attribute->name);
    struct kj_api_error error = {
        .code = 422,
        .title = "Validation Error",
        .description = text->failed ? "" : (const char *)text->data,
        .subject = "elemental",
        .data = data,
    };
    /* Without memory the element is missing, but the object counts as wrong all the same. */
    (void)kj__error_array_add(errors, &error, trace);
    json_decref(data);
}

static bool validate_attribute(const struct kj__attribute *attribute, const json_t *value,
                               json_t *errors, const char *trace)
{
    size_t next = 0;
    bool is_valid = true;
    struct kj__buffer text;
    kj__buffer_init(&text);
    while (kj__attribute_next_fault(attribute, value, &next, &text)) {
        add_fault(attribute, &text, errors, trace);
        is_valid = false;
        text.len = 0;
    }
    kj__buffer_fini(&text);
    return is_valid;
}

bool kj__identity_validate(const struct kj_identity *identity, const json_t *object, bool sparse,
                           json_t *errors, const char *trace)
{
    bool is_valid = true;
    for (size_t i = 0; i < identity->attribute_count; i++) {
        const struct kj__attribute *attribute = &identity->attributes[i];
        const json_t *value = json_object_get(object, attribute->name);
        if (!value && !sparse) {
            value = attribute->initial;
        }
        if (value && !validate_attribute(attribute, value, errors, trace)) {
            is_valid = false;
        }
    }
    return is_valid;
}
