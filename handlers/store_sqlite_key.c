/* store_sqlite_key.c - see store_sqlite_key.h. */
#include "handlers/store_sqlite_key.h"

#include <kujata/filter.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_MAX_FIXED = 16 };

static unsigned char *put(unsigned char *out, uint64_t number, size_t size)
{
    for (size_t i = size; i-- > 0;) {
        *out++ = (unsigned char)(number >> (8 * i));
    }
    return out;
}

enum sign { SIGN_MINUS_INFINITY, SIGN_MINUS, SIGN_ZERO, SIGN_PLUS, SIGN_INFINITY };

/* A number is m * 2^e with m from a half to one, exclusive: 64 bits of m are all that an integer or
 * a double has. */
static unsigned char *put_number(unsigned char *out, long double number)
{
    enum { MANTISSA_BITS = 64, EXPONENT_BIAS = 16384, EXPONENT_SIZE = 2 };
    if (number == 0) {
        return put(out, SIGN_ZERO, 1);
    }
    if (isinf(number)) {
        return put(out, number < 0 ? SIGN_MINUS_INFINITY : SIGN_INFINITY, 1);
    }
    int exponent;
    long double fraction = frexpl(fabsl(number), &exponent);
    uint64_t mantissa = (uint64_t)ldexpl(fraction, MANTISSA_BITS);
    int sum = exponent + EXPONENT_BIAS; /* above 0 */
    uint64_t biased = (uint64_t)sum;
    bool is_negative = number < 0; /* the greater its size, the earlier it comes */
    out = put(out, is_negative ? SIGN_MINUS : SIGN_PLUS, 1);
    out = put(out, is_negative ? ~biased : biased, EXPONENT_SIZE);
    return put(out, is_negative ? ~mantissa : mantissa, sizeof mantissa);
}

unsigned char *kj__sqlite_key_new(const struct kj__order_value *value, size_t *len)
{
    bool is_text = value->kind == KJ__ORDER_STRING;
    unsigned char *key = malloc(is_text ? 1 + value->text.len : SIZE_MAX_FIXED);
    if (!key) {
        return NULL;
    }
    unsigned char *end = put(key, value->kind, 1);
    if (is_text) {
        memcpy(end, value->text.bytes, value->text.len);
        end += value->text.len;
    } else if (value->kind == KJ__ORDER_NUMBER) {
        end = put_number(end, value->number);
    } else if (value->kind == KJ__ORDER_TIME) {
        end = put(end, (uint64_t)value->time.seconds ^ (UINT64_C(1) << 63), sizeof(uint64_t));
        end = put(end, value->time.nanoseconds, sizeof(uint32_t));
    }
    *len = (size_t)(end - key);
    return key;
}

json_t *kj__sqlite_object(const char *text, size_t len)
{
    return text ? json_loadb(text, len, JSON_ALLOW_NUL, NULL) : NULL;
}

static json_t *object_of(sqlite3_value *value)
{
    const char *text = (const char *)sqlite3_value_text(value);
    return kj__sqlite_object(text, (size_t)sqlite3_value_bytes(value));
}

static void key_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    json_t *object = object_of(values[0]);
    const char *name = (const char *)sqlite3_value_text(values[1]);
    if (!object || !name) {
        sqlite3_result_error_code(context, SQLITE_CORRUPT);
        json_decref(object);
        return;
    }
    struct kj__order_value value;
    size_t len = 0;
    kj__order_value_read(&value, json_object_get(object, name), sqlite3_value_int(values[2]));
    unsigned char *key = kj__sqlite_key_new(&value, &len);
    if (key) {
        sqlite3_result_blob64(context, key, len, free);
    } else {
        sqlite3_result_error_nomem(context);
    }
    json_decref(object);
}

static void matches_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    const struct kj_filter *filter = sqlite3_value_pointer(values[0], KJ__SQLITE_POINTER);
    json_t *object = object_of(values[1]);
    if (!filter || !object) {
        sqlite3_result_error_code(context, SQLITE_CORRUPT);
    } else {
        sqlite3_result_int(context, kj_filter_matches(filter, object));
    }
    json_decref(object);
}

int kj__sqlite_add_functions(sqlite3 *db)
{
    int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
    int result = sqlite3_create_function_v2(db, "kj_key", 3, flags | SQLITE_DETERMINISTIC, NULL,
                                            key_function, NULL, NULL, NULL);
    return result ? result
                  : sqlite3_create_function_v2(db, "kj_matches", 2, flags, NULL, matches_function,
                                               NULL, NULL, NULL);
}
