/* json_decode.c - JSON text to values; see json.h. */
#include "base/buffer.h"
#include "base/utf8.h"
#include "codec/json.h"
#include "codec/json_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static enum kj_status explain(const json_error_t *failure, struct kj_error *error)
{
    size_t position = failure->position > 0 ? (size_t)failure->position : 0;
    /* Where jansson fails without a word, it is memory. */
    switch (failure->text[0] ? json_error_code(failure) : json_error_out_of_memory) {
    case json_error_out_of_memory:
        kj_error_set(error, position, "out of memory");
        return KJ_ENOMEM;
    case json_error_premature_end_of_input:
        kj_error_set(error, position, "EOF");
        return KJ_EPARSE;
    default:
        kj_error_set(error, position, "json decode error [pos %zu]: %s", position, failure->text);
        return KJ_EPARSE;
    }
}

static enum kj_status parse(const uint8_t *text, size_t len, json_t **value, struct kj_error *error)
{
    /* The scan has cut off what follows the value, so jansson may insist on the end. */
    enum { FLAGS = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY };
    json_error_t failure;
    *value = json_loadb((const char *)text, len, FLAGS, &failure);
    return *value ? KJ_OK : explain(&failure, error);
}

static bool is_number_byte(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || byte == '-' || byte == '+' || byte == '.' ||
           byte == 'e' || byte == 'E';
}

/* Whether the number is an integer that does not fit 64 bits with a sign. `text` ends in a byte
 * that is not part of it, so that strtoll stops. */
static bool is_too_wide(const char *text, size_t len)
{
    size_t sign = text[0] == '-';
    if (sign + strspn(text + sign, "0123456789") < len) {
        return false;
    }
    errno = 0;
    (void)strtoll(text, NULL, 10);
    return errno == ERANGE;
}

/* Whether the real that a number is read as is written with the same digits. */
static bool is_written_so(const char *text, size_t len)
{
    enum { LONGEST = 22 }; /* a sign and 21 digits; larger ones have an exponent */
    struct kj__buffer written;
    if (len > LONGEST) {
        return false;
    }
    kj__buffer_init(&written);
    kj__json_encode_float(strtod(text, NULL), &written);
    bool is_same = written.failed || (written.len == len && memcmp(written.data, text, len) == 0);
    kj__buffer_fini(&written);
    return is_same;
}

/* Copies the text, giving integers of more than 64 bits a fraction, so that jansson reads them
 * as reals where it would refuse them. Large floats are written without one, by bahamut as by
 * us, so they must be readable. The offset of the first integer that is no such float; `len` when
 * there is none. */
static size_t widen(const char *text, size_t len, struct kj__buffer *out)
{
    bool in_string = false;
    size_t inexact = len;
    for (size_t at = 0; at < len;) {
        size_t run = 1;
        if (in_string && text[at] == '\\') {
            run = 2;
        } else if (text[at] == '"') {
            in_string = !in_string;
        } else if (!in_string && is_number_byte((uint8_t)text[at])) {
            while (is_number_byte((uint8_t)text[at + run])) {
                run++;
            }
        }
        kj__buffer_append(out, text + at, run);
        if (!in_string && run > 1 && is_too_wide(text + at, run)) {
            kj__buffer_append_text(out, ".0");
            inexact = inexact < len || is_written_so(text + at, run) ? inexact : at;
        }
        at += run;
    }
    return inexact;
}

static enum kj_status parse_widened(const uint8_t *text, size_t len, bool is_exact, json_t **value,
                                    struct kj_error *error)
{
    enum kj_status status = KJ_ENOMEM;
    struct kj__buffer wide;
    kj__buffer_init(&wide);
    char *terminated = malloc(len + 1);
    if (terminated) {
        memcpy(terminated, text, len);
        terminated[len] = '\0';
        size_t inexact = widen(terminated, len, &wide);
        if (is_exact && inexact < len) {
            kj_error_set(
                error, inexact,
                "json decode error [pos %zu]: the integer does not fit 64 bits with a sign",
                inexact);
            status = KJ_EPARSE;
        } else {
            status = wide.failed ? KJ_ENOMEM : parse(wide.data, wide.len, value, error);
        }
    }
    free(terminated);
    kj__buffer_fini(&wide);
    return status;
}

static enum kj_status decode(const uint8_t *bytes, size_t len, bool is_exact, json_t **value,
                             struct kj_error *error)
{
    *value = NULL;
    struct kj__json_span span;
    enum kj_status status = kj__json_scan(bytes, len, &span, error);
    if (status == KJ_EPARSE && len > 0) {
        /* The value does not end; jansson may know of a fault before that. The scan has bounded
         * what it will meet. */
        status = parse(bytes, len, value, error);
        json_decref(*value);
        *value = NULL;
        return status ? status : KJ_EPARSE;
    }
    if (status) {
        return status;
    }
    const uint8_t *text = bytes + span.start;
    return span.has_long_number ? parse_widened(text, span.end - span.start, is_exact, value, error)
                                : parse(text, span.end - span.start, value, error);
}

enum kj_status kj__json_decode(const uint8_t *bytes, size_t len, json_t **value,
                               struct kj_error *error)
{
    return decode(bytes, len, false, value, error);
}

enum kj_status kj__json_decode_exactly(const uint8_t *bytes, size_t len, json_t **value,
                                       struct kj_error *error)
{
    return decode(bytes, len, true, value, error);
}

json_t *kj__json_text(const char *text, size_t len)
{
    if (kj__utf8_is_valid((const uint8_t *)text, len)) {
        return json_stringn_nocheck(text, len);
    }
    struct kj__buffer mended;
    kj__buffer_init(&mended);
    for (size_t at = 0; at < len;) {
        size_t character = kj__utf8_character((const uint8_t *)text + at, len - at);
        if (character) {
            kj__buffer_append(&mended, text + at, character);
        } else {
            kj__buffer_append_text(&mended, "\xef\xbf\xbd");
        }
        at += character ? character : 1;
    }
    json_t *value = mended.failed ? NULL
                                  : json_stringn_nocheck((const char *)mended.data, mended.len);
    kj__buffer_fini(&mended);
    return value;
}
