/* coerce.c - a client's value made one of the attribute's type, as lenient as Go's codec. */
#include "model/types.h"

#include "base/timestamp.h"
#include "codec/base64.h"
#include "codec/json.h"

#include <kujata/error.h>
#include <math.h>
#include <string.h>

enum {
    NUMBER_TEXT_MAX = 40,
    DATE_TIME_LENGTH = 19, /* of "2021-03-04T05:06:07" */
    ZONE_LENGTH = 6,       /* of "+02:00" */
};

/* 2 to the 63rd: the first number too large for an integer. */
static const double integer_end = 9223372036854775808.0;

/* Go's zero time, 0001-01-01T00:00:00Z, which is written as null. */
static const int64_t zero_time_seconds = INT64_C(-62135596800);

static const char *describe(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

static enum kj_status refuse(const char *name, enum kj_attribute_type type, const json_t *value,
                             struct kj_error *error)
{
    kj_error_set(error, 0, "attribute '%s' must be %s, not %s", name, kj__type_phrase(type),
                 describe(value));
    return KJ_EINVAL;
}

static enum kj_status give(json_t *made, json_t **coerced)
{
    *coerced = made;
    return made ? KJ_OK : KJ_ENOMEM;
}

/* The text of a number or boolean. A number's own spelling is lost by now: 1.50 gives "1.5". */
static enum kj_status to_string(const json_t *value, json_t **coerced)
{
    if (json_is_boolean(value)) {
        return give(json_string(json_is_true(value) ? "true" : "false"), coerced);
    }
    if (json_is_integer(value)) {
        return give(json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value)), coerced);
    }
    struct kj__buffer text;
    kj__buffer_init(&text);
    kj__json_encode_float(json_real_value(value), &text);
    enum kj_status status = text.failed
                                ? KJ_ENOMEM
                                : give(json_stringn((const char *)text.data, text.len), coerced);
    kj__buffer_fini(&text);
    return status;
}

/* A number in quotes, or NULL. */
static json_t *quoted_number(const json_t *value)
{
    size_t len = json_string_length(value);
    if (!json_is_string(value) || len == 0 || len > NUMBER_TEXT_MAX) {
        return NULL;
    }
    json_t *number = json_loadb(json_string_value(value), len, JSON_DECODE_ANY, NULL);
    if (!json_is_number(number)) {
        json_decref(number);
        return NULL;
    }
    return number;
}

/* A new reference to the integer that a number equals, or NULL. */
static json_t *whole_number(json_t *number)
{
    double real = json_real_value(number);
    if (json_is_integer(number)) {
        return json_incref(number);
    }
    /* What is just below the least integer is read as that one, so it is out as well. */
    bool is_whole = real > -integer_end && real < integer_end && !(floor(real) < real);
    return is_whole ? json_integer((json_int_t)real) : NULL;
}

static enum kj_status to_number(const char *name, enum kj_attribute_type type, json_t *value,
                                json_t **coerced, struct kj_error *error)
{
    json_t *number = json_is_number(value) ? json_incref(value) : quoted_number(value);
    if (!number) {
        return refuse(name, type, value, error);
    }
    if (type == KJ_TYPE_FLOAT) {
        *coerced = json_is_real(number) ? json_incref(number)
                                        : json_real((double)json_integer_value(number));
    } else {
        *coerced = whole_number(number);
    }
    json_decref(number);
    return *coerced ? KJ_OK : refuse(name, type, value, error);
}

/* Go keeps the offset a client wrote, drops the zeros that end a fraction, and writes an
 * offset of nothing as Z. */
static json_t *time_text(const char *text, size_t len, struct kj__timestamp time)
{
    char out[KJ__TIMESTAMP_TEXT_SIZE + ZONE_LENGTH];
    const char *zone = text + len - ZONE_LENGTH;
    size_t out_len = kj__timestamp_format(time, out);
    bool is_utc = text[len - 1] == 'Z' || strcmp(zone + 1, "00:00") == 0;
    if (!is_utc) {
        memcpy(out, text, DATE_TIME_LENGTH);
        memcpy(out + out_len - 1, zone, ZONE_LENGTH);
        out_len += ZONE_LENGTH - 1;
    }
    return json_stringn(out, out_len);
}

static enum kj_status to_time(const char *name, const json_t *value, json_t **coerced,
                              struct kj_error *error)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    struct kj__timestamp time;
    char in_utc[KJ__TIMESTAMP_TEXT_SIZE];
    if (!text) {
        return refuse(name, KJ_TYPE_TIME, value, error);
    }
    if (!kj__timestamp_parse(text, len, &time)) {
        kj_error_set(error, 0, "attribute '%s' must be %s such as 2021-03-04T05:06:07Z", name,
                     kj__type_phrase(KJ_TYPE_TIME));
        return KJ_EINVAL;
    }
    if (kj__timestamp_format(time, in_utc) == 0) {
        kj_error_set(error, 0, "attribute '%s' is outside the years 0000 to 9999 in UTC", name);
        return KJ_EINVAL;
    }
    if (time.seconds == zero_time_seconds && time.nanoseconds == 0) {
        return give(json_null(), coerced);
    }
    return give(time_text(text, len, time), coerced);
}

/* The text is written again, so that equal bytes have equal texts. */
static enum kj_status to_bytes(const char *name, const json_t *value, json_t **coerced,
                               struct kj_error *error)
{
    const char *text = json_string_value(value);
    if (!text) {
        return refuse(name, KJ_TYPE_BYTES, value, error);
    }
    struct kj__buffer bytes, again;
    kj__buffer_init(&bytes);
    kj__buffer_init(&again);
    enum kj_status status = KJ_OK;
    if (!kj__base64_decode(text, json_string_length(value), &bytes)) {
        kj_error_set(error, 0, "attribute '%s' must be %s such as AQID", name,
                     kj__type_phrase(KJ_TYPE_BYTES));
        status = KJ_EINVAL;
    } else {
        kj__base64_encode(bytes.data, bytes.len, &again);
        bool is_whole = !bytes.failed && !again.failed;
        const char *written = again.len ? (const char *)again.data : "";
        status = give(is_whole ? json_stringn(written, again.len) : NULL, coerced);
    }
    kj__buffer_fini(&again);
    kj__buffer_fini(&bytes);
    return status;
}

static enum kj_status to_scalar(const char *name, enum kj_attribute_type type, json_t *value,
                                json_t **coerced, struct kj_error *error)
{
    if (type == KJ_TYPE_STRING && (json_is_number(value) || json_is_boolean(value))) {
        return to_string(value, coerced);
    }
    if (type == KJ_TYPE_INTEGER || type == KJ_TYPE_FLOAT) {
        return to_number(name, type, value, coerced, error);
    }
    if (type == KJ_TYPE_TIME) {
        return to_time(name, value, coerced, error);
    }
    if (type == KJ_TYPE_BYTES) {
        return to_bytes(name, value, coerced, error);
    }
    bool fits = (type == KJ_TYPE_STRING && json_is_string(value)) ||
                (type == KJ_TYPE_BOOLEAN && json_is_boolean(value)) ||
                (type == KJ_TYPE_OBJECT && json_is_object(value));
    return fits ? give(json_incref(value), coerced) : refuse(name, type, value, error);
}

/* A null item becomes the zero of its type, as a null attribute does. */
static enum kj_status coerce_items(const struct kj__attribute *attribute, json_t *list,
                                   struct kj_error *error)
{
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item)
    {
        json_t *coerced = NULL;
        enum kj_status status = json_is_null(item) ? give(kj__type_zero(attribute->items), &coerced)
                                                   : to_scalar(attribute->name, attribute->items,
                                                               item, &coerced, error);
        if (status || (coerced != item && json_array_set(list, index, coerced) != 0)) {
            json_decref(coerced);
            return status ? status : KJ_ENOMEM;
        }
        json_decref(coerced);
    }
    return KJ_OK;
}

enum kj_status kj__attribute_coerce(const struct kj__attribute *attribute, json_t *value,
                                    json_t **coerced, struct kj_error *error)
{
    enum kj_attribute_type type = attribute->type;
    bool is_nullable = type == KJ_TYPE_LIST || type == KJ_TYPE_OBJECT;
    if (json_is_null(value)) {
        return give(is_nullable ? json_null() : kj__type_zero(type), coerced);
    }
    if (type != KJ_TYPE_LIST) {
        return to_scalar(attribute->name, type, value, coerced, error);
    }
    if (!json_is_array(value)) {
        return refuse(attribute->name, type, value, error);
    }
    enum kj_status status = coerce_items(attribute, value, error);
    return status ? status : give(json_incref(value), coerced);
}
