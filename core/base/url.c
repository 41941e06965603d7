/* url.c - see url.h. */
#include "base/url.h"

#include "base/utf8.h"

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

static enum kj__url_outcome add_pair(const char *pair, size_t len, char *scratch,
                                     struct kj__fields *fields)
{
    const char *equals = memchr(pair, '=', len);
    size_t name_len = equals ? (size_t)(equals - pair) : len;
    size_t value_len = equals ? len - name_len - 1 : 0;
    char *name = scratch;
    char *value = scratch + name_len + 1;
    long name_used = kj__url_decode(pair, name_len, true, name);
    long value_used = kj__url_decode(equals ? equals + 1 : "", value_len, true, value);
    if (name_used < 0 || value_used < 0) {
        return KJ__URL_BAD;
    }
    return kj__fields_add_len(fields, name, (size_t)name_used, value, (size_t)value_used)
               ? KJ__URL_FINE
               : KJ__URL_NO_MEMORY;
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
            ok = add_pair(query, len, scratch, fields) != KJ__URL_NO_MEMORY;
        }
        query += len + (query[len] == '&');
    }
    free(scratch);
    return ok;
}

/* Whether all that was added from a place on is UTF-8; the NULs between are. */
static bool is_text(const struct kj__fields *fields, size_t from)
{
    return fields->text.len == from ||
           kj__utf8_is_valid(fields->text.data + from, fields->text.len - from);
}

enum kj__url_outcome kj__url_parse_pairs(const char *text, size_t len, size_t max,
                                         struct kj__fields *fields)
{
    enum kj__url_outcome outcome = KJ__URL_FINE;
    size_t from = fields->text.len;
    const char *end = text + len;
    if (len == 0) {
        return KJ__URL_FINE;
    }
    if (memchr(text, '\0', len)) {
        return KJ__URL_BAD;
    }
    char *scratch = malloc(len + 2);
    if (!scratch) {
        return KJ__URL_NO_MEMORY;
    }
    for (size_t count = 0; outcome == KJ__URL_FINE && text < end;) {
        const char *and = memchr(text, '&', (size_t)(end - text));
        size_t pair = (size_t)((and? and : end) - text);
        if (pair > 0) {
            outcome = count++ < max ? add_pair(text, pair, scratch, fields) : KJ__URL_TOO_MANY;
        }
        text += pair + (and != NULL);
    }
    free(scratch);
    return outcome == KJ__URL_FINE && !is_text(fields, from) ? KJ__URL_BAD : outcome;
}
