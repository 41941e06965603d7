/* json_encode.c - values to JSON text, byte for byte as Go's codec writes them. */
#include "base/utf8.h"
#include "codec/json.h"
#include "codec/keys.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIT_OF(byte) (UINT32_C(1) << ((byte)&31))

/* Whether a byte is written as it is: all of ASCII but control characters and what Go escapes. */
static bool is_plain(uint8_t byte)
{
    static const uint32_t plain[8] = {0, ~(BIT_OF('"') | BIT_OF('&') | BIT_OF('<') | BIT_OF('>')),
                                      ~BIT_OF('\\'), UINT32_MAX};
    return plain[byte >> 5] & BIT_OF(byte);
}

static void encode_ascii(uint8_t byte, struct kj__buffer *out)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *form = short_forms; *form; form += 2) {
        if (*form == (char)byte) {
            const char escape[2] = {'\\', form[1]};
            kj__buffer_append(out, escape, sizeof escape);
            return;
        }
    }
    static const char digits[] = "0123456789abcdef";
    const char escape[6] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
    kj__buffer_append(out, escape, sizeof escape);
}

/* Writes the character at `text` that is not ASCII and returns how many bytes it took. */
static size_t encode_wide(const uint8_t *text, size_t len, struct kj__buffer *out)
{
    size_t character = kj__utf8_character(text, len);
    if (character == 0) {
        kj__buffer_append_text(out, "\\uFFFD");
        return 1;
    }
    /* U+2028 and U+2029 end a line in JavaScript but not in JSON. */
    if (character == 3 && text[0] == 0xe2 && text[1] == 0x80 && (text[2] & 0xfe) == 0xa8) {
        kj__buffer_append_text(out, text[2] == 0xa8 ? "\\u2028" : "\\u2029");
    } else {
        kj__buffer_append(out, text, character);
    }
    return character;
}

void kj__json_encode_string(const char *text, size_t len, struct kj__buffer *out)
{
    const uint8_t *bytes = (const uint8_t *)text;
    kj__buffer_append_byte(out, '"');
    for (size_t at = 0; at < len;) {
        size_t run = at;
        while (run < len && is_plain(bytes[run])) {
            run++;
        }
        kj__buffer_append(out, bytes + at, run - at);
        at = run;
        if (at < len && bytes[at] < 0x80) {
            encode_ascii(bytes[at++], out);
        } else if (at < len) {
            at += encode_wide(bytes + at, len - at, out);
        }
    }
    kj__buffer_append_byte(out, '"');
}

enum { DIGITS_MAX = 17 };

/* The fewest digits that read back as the same double, without trailing zeros. Returns how
 * many; *exponent is that of the first. Anything between the digits is the locale's point. */
static int shortest_digits(double magnitude, char digits[DIGITS_MAX], int *exponent)
{
    char text[64];
    /* Fifteen digits are kept by every double but the subnormal ones, which have fewer. */
    int precision = magnitude < DBL_MIN ? 0 : DIGITS_MAX - 3;
    for (; precision < DIGITS_MAX; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, magnitude);
        if (strtod(text, NULL) == magnitude) {
            break;
        }
    }
    int count = 0;
    const char *cursor = text;
    for (; *cursor != 'e'; cursor++) {
        if (*cursor >= '0' && *cursor <= '9' && count < DIGITS_MAX) {
            digits[count++] = *cursor;
        }
    }
    *exponent = (int)strtol(cursor + 1, NULL, 10);
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    return count;
}

static void put_zeros(int count, struct kj__buffer *out)
{
    while (count-- > 0) {
        kj__buffer_append_byte(out, '0');
    }
}

static void encode_scientific(const char *digits, int count, int exponent, struct kj__buffer *out)
{
    kj__buffer_append(out, digits, 1);
    if (count > 1) {
        kj__buffer_append_byte(out, '.');
        kj__buffer_append(out, digits + 1, (size_t)count - 1);
    }
    kj__buffer_printf(out, "e%+03d", exponent);
}

static void encode_plain(const char *digits, int count, int exponent, bool mark_integral,
                         struct kj__buffer *out)
{
    if (exponent < 0) {
        kj__buffer_append_text(out, "0.");
        put_zeros(-exponent - 1, out);
        kj__buffer_append(out, digits, (size_t)count);
        return;
    }
    int whole = count < exponent + 1 ? count : exponent + 1;
    kj__buffer_append(out, digits, (size_t)whole);
    put_zeros(exponent + 1 - whole, out);
    if (count > whole) {
        kj__buffer_append_byte(out, '.');
        kj__buffer_append(out, digits + whole, (size_t)(count - whole));
    } else if (mark_integral) {
        kj__buffer_append_text(out, ".0");
    }
}

void kj__json_encode_float(double value, struct kj__buffer *out)
{
    if (!isfinite(value)) {
        kj__buffer_append_text(out, "null");
        return;
    }
    if (signbit(value)) {
        kj__buffer_append_byte(out, '-');
    }
    double magnitude = fabs(value);
    char digits[DIGITS_MAX];
    int exponent;
    int count = shortest_digits(magnitude, digits, &exponent);
    if (magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21)) {
        encode_scientific(digits, count, exponent, out);
    } else {
        /* Go's codec looks for a fraction in the mantissa only, so from 2^52 on, where there
         * is no room for one, an integral float is written as an integer. */
        encode_plain(digits, count, exponent, magnitude < 0x1p52, out);
    }
}

struct writer {
    struct kj__buffer *out;
    struct kj__keys keys;
};

static enum kj_status encode_value(struct writer *writer, const json_t *value, int depth);

static enum kj_status encode_array(struct writer *writer, const json_t *array, int depth)
{
    enum kj_status status = KJ_OK;
    size_t count = json_array_size(array);
    kj__buffer_append_byte(writer->out, '[');
    for (size_t i = 0; i < count && !status; i++) {
        if (i > 0) {
            kj__buffer_append_byte(writer->out, ',');
        }
        status = encode_value(writer, json_array_get(array, i), depth);
    }
    kj__buffer_append_byte(writer->out, ']');
    return status;
}

static enum kj_status encode_members(struct writer *writer, size_t base, size_t end, int depth)
{
    for (size_t i = base; i < end; i++) {
        /* The stack of keys may move while a member is written. */
        struct kj__key key = writer->keys.items[i];
        if (i > base) {
            kj__buffer_append_byte(writer->out, ',');
        }
        kj__json_encode_string((const char *)key.bytes, key.len, writer->out);
        kj__buffer_append_byte(writer->out, ':');
        enum kj_status status = encode_value(writer, key.value, depth);
        if (status) {
            return status;
        }
    }
    return KJ_OK;
}

static enum kj_status encode_object(struct writer *writer, const json_t *object, int depth)
{
    size_t base = writer->keys.count;
    if (!kj__keys_push_members(&writer->keys, object)) {
        return KJ_ENOMEM;
    }
    kj__keys_sort(&writer->keys, base);
    kj__buffer_append_byte(writer->out, '{');
    enum kj_status status = encode_members(writer, base, writer->keys.count, depth);
    kj__buffer_append_byte(writer->out, '}');
    writer->keys.count = base;
    return status;
}

static enum kj_status encode_value(struct writer *writer, const json_t *value, int depth)
{
    if (depth == KJ__NESTING_MAX && (json_is_array(value) || json_is_object(value))) {
        return KJ_ELIMIT;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return encode_object(writer, value, depth + 1);
    case JSON_ARRAY:
        return encode_array(writer, value, depth + 1);
    case JSON_STRING:
        kj__json_encode_string(json_string_value(value), json_string_length(value), writer->out);
        break;
    case JSON_INTEGER:
        kj__json_encode_int(json_integer_value(value), writer->out);
        break;
    case JSON_REAL:
        kj__json_encode_float(json_real_value(value), writer->out);
        break;
    case JSON_TRUE:
        kj__buffer_append_text(writer->out, "true");
        break;
    case JSON_FALSE:
        kj__buffer_append_text(writer->out, "false");
        break;
    case JSON_NULL:
        kj__buffer_append_text(writer->out, "null");
        break;
    }
    return KJ_OK;
}

void kj__json_encode_int(int64_t value, struct kj__buffer *out)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)value);
    kj__buffer_append(out, text, (size_t)len);
}

enum kj_status kj__json_encode(const json_t *value, struct kj__buffer *out)
{
    size_t before = out->len;
    struct writer writer = {.out = out};
    kj__keys_init(&writer.keys);
    enum kj_status status = encode_value(&writer, value, 0);
    kj__keys_fini(&writer.keys);
    if (status) {
        out->len = before;
    }
    return status;
}
