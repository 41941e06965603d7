/* url.c - see url.h. */
#include "base/url.h"

#include <stdlib.h>
#include <string.h>

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    digit = (char)(digit | 0x20);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The byte behind a '%'; -1 for what is no escape, 0 for a NUL. */
static int escaped_byte(const char *digits)
{
    int high = hex_value(digits[0]);
    int low = high >= 0 ? hex_value(digits[1]) : -1;
    return low < 0 ? -1 : high * 16 + low;
}

bool kj__url_is_well_escaped(const char *text)
{
    for (const char *at = strchr(text, '%'); at; at = strchr(at + 1, '%')) {
        if (escaped_byte(at + 1) <= 0) {
            return false;
        }
    }
    return true;
}

long kj__url_decode(const char *text, size_t len, bool plus_is_blank, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        char byte = text[i];
        if (byte == '%') {
            int escaped = i + 2 < len ? escaped_byte(text + i + 1) : -1;
            if (escaped <= 0) {
                return -1;
            }
            byte = (char)escaped;
            i += 2;
        } else if (byte == '+' && plus_is_blank) {
            byte = ' ';
        }
        out[used++] = byte;
    }
    out[used] = '\0';
    return (long)used;
}

static bool add_pair(const char *pair, size_t len, char *scratch, struct kj__fields *fields)
{
    const char *equals = memchr(pair, '=', len);
    size_t name_len = equals ? (size_t)(equals - pair) : len;
    size_t value_len = equals ? len - name_len - 1 : 0;
    char *name = scratch;
    char *value = scratch + name_len + 1;
    long name_used = kj__url_decode(pair, name_len, true, name);
    long value_used = kj__url_decode(equals ? equals + 1 : "", value_len, true, value);
    if (name_used < 0 || value_used < 0) {
        return true;
    }
    return kj__fields_add_len(fields, name, (size_t)name_used, value, (size_t)value_used);
}

bool kj__url_parse_query(const char *query, struct kj__fields *fields)
{
    char *scratch = malloc(strlen(query) + 2);
    if (!scratch) {
        return false;
    }
    bool ok = true;
    while (ok && *query) {
        size_t len = strcspn(query, "&");
        if (len > 0) {
            ok = add_pair(query, len, scratch, fields);
        }
        query += len + (query[len] == '&');
    }
    free(scratch);
    return ok;
}
