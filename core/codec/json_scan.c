/* json_scan.c - see json_scan.h. */
#include "codec/json_scan.h"

#include "codec/json.h"

#include <string.h>

/* INT64_MAX has nineteen digits. */
enum { LONG_NUMBER_DIGITS = 19 };

/* What the scan stops at: a value and the comma behind it, or a key, a colon, a value, a comma;
 * an end for each container. */
enum { SCAN_STEPS_MAX = 4 * KJ__VALUES_MAX };

static size_t skip_blanks(const uint8_t *bytes, size_t len, size_t at)
{
    while (at < len &&
           (bytes[at] == ' ' || bytes[at] == '\t' || bytes[at] == '\n' || bytes[at] == '\r')) {
        at++;
    }
    return at;
}

/* The offset past the string that opens at `at`, or 0 when it does not end. */
static size_t skip_string(const uint8_t *bytes, size_t len, size_t at)
{
    for (at++; at < len; at++) {
        if (bytes[at] == '\\') {
            at++;
        } else if (bytes[at] == '"') {
            return at + 1;
        }
    }
    return 0;
}

static bool ends_scalar(uint8_t byte)
{
    return byte <= ' ' || strchr(",:[]{}\"", byte) != NULL;
}

/* The offset past a number or literal; at least one byte, so that the parser sees it. */
static size_t skip_scalar(const uint8_t *bytes, size_t len, size_t at, bool *has_long_number)
{
    size_t digits = 0;
    size_t start = at;
    while (at < len && (at == start || !ends_scalar(bytes[at]))) {
        digits += bytes[at] >= '0' && bytes[at] <= '9';
        at++;
    }
    *has_long_number |= digits >= LONG_NUMBER_DIGITS;
    return at;
}

static enum kj_status fail_truncated(size_t len, struct kj_error *error)
{
    kj_error_set(error, len, "EOF");
    return KJ_EPARSE;
}

enum kj_status kj__json_scan(const uint8_t *bytes, size_t len, struct kj__json_span *span,
                             struct kj_error *error)
{
    size_t at = skip_blanks(bytes, len, 0);
    *span = (struct kj__json_span){.start = at};
    size_t depth = 0;
    size_t values = 0; /* keys, separators and ends count with them: three to a member */
    do {
        if (at >= len) {
            return fail_truncated(len, error);
        }
        if (++values > SCAN_STEPS_MAX) {
            kj_error_set(error, at, "json decode error [pos %zu]: more than %d values", at,
                         KJ__VALUES_MAX);
            return KJ_ELIMIT;
        }
        uint8_t byte = bytes[at];
        if (byte == '"') {
            at = skip_string(bytes, len, at);
            if (at == 0) {
                return fail_truncated(len, error);
            }
        } else if (byte == '[' || byte == '{') {
            at++;
            if (++depth > KJ__NESTING_MAX) {
                kj_error_set(error, at, "json decode error [pos %zu]: nested deeper than %d", at,
                             KJ__NESTING_MAX);
                return KJ_ELIMIT;
            }
        } else if (byte == ']' || byte == '}') {
            at++;
            depth -= depth > 0;
        } else {
            at = skip_scalar(bytes, len, at, &span->has_long_number);
        }
    } while (depth > 0);
    span->end = at;
    return KJ_OK;
}

/* Takes the next value of valid JSON and says whether `separator` follows it; *at is then
 * behind that. */
static bool take_value(const uint8_t *bytes, size_t len, size_t *at, char separator,
                       struct kj__json_span *value)
{
    if (kj__json_scan(bytes + *at, len - *at, value, NULL)) {
        return false;
    }
    value->start += *at;
    value->end += *at;
    *at = skip_blanks(bytes, len, value->end);
    return *at < len && bytes[(*at)++] == (uint8_t)separator;
}

bool kj__json_find_member(const uint8_t *bytes, size_t len, const char *name,
                          struct kj__json_span *value)
{
    size_t name_len = strlen(name);
    size_t at = skip_blanks(bytes, len, 0) + 1;
    bool has_more = at < len;
    struct kj__json_span key;
    while (has_more && take_value(bytes, len, &at, ':', &key)) {
        has_more = take_value(bytes, len, &at, ',', value);
        if (key.end - key.start == name_len + 2 &&
            memcmp(bytes + key.start + 1, name, name_len) == 0) {
            return true;
        }
    }
    return false;
}
