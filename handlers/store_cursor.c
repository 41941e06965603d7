/* store_cursor.c - see store_cursor.h.
 *
 * Behind the mark, in hexadecimal digits: the ID as JSON, then each key as it was asked for and
 * its value as JSON, with a line feed behind each of these. JSON has no line feeds of its own,
 * and only its scalars are read: a cursor comes from anyone. Where that is too long, the ID alone.
 */
#include "handlers/store_cursor.h"

#include <kujata/context.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 4096 };

/* A cursor as it is put together or taken apart. */
struct text {
    char bytes[TEXT_MAX / 2];
    size_t len;
    bool failed; /* too long, or no memory */
};

void kj__cursor_fini(struct kj__cursor *cursor)
{
    free(cursor->id);
    json_decref(cursor->keys);
}

bool kj__cursor_is_marked(const char *text)
{
    return text[0] == KJ_CURSOR_MARK;
}

enum kj_status kj__cursor_of(struct kj__cursor *cursor, const char *const *order,
                             const json_t *object)
{
    const char *id = json_string_value(json_object_get(object, "ID"));
    *cursor = (struct kj__cursor){.id = strdup(id ? id : ""), .keys = json_array()};
    bool ok = cursor->id && cursor->keys;
    for (; ok && *order; order++) {
        json_t *value = json_object_get(object, *order + (**order == '-'));
        ok = json_array_append_new(cursor->keys, value ? json_incref(value) : json_null()) == 0;
    }
    return ok ? KJ_OK : KJ_ENOMEM;
}

/* ---- writing ---- */

static void append(struct text *text, const char *bytes, size_t len)
{
    if (text->failed || len > sizeof text->bytes - text->len) {
        text->failed = true;
        return;
    }
    memcpy(text->bytes + text->len, bytes, len);
    text->len += len;
}

/* Lists and objects are all equal in an order: an empty list stands for each. */
static void append_value(struct text *text, const json_t *value)
{
    size_t room = sizeof text->bytes - text->len;
    if (json_is_array(value) || json_is_object(value)) {
        append(text, "[]", 2);
    } else {
        size_t len = json_dumpb(value, text->bytes + text->len, room,
                                JSON_COMPACT | JSON_ENCODE_ANY);
        text->failed |= len == 0 || len > room;
        text->len += text->failed ? 0 : len;
    }
    append(text, "\n", 1);
}

static char *write_digits(const struct text *text)
{
    static const char digits[] = "0123456789abcdef";
    char *cursor = malloc(2 * text->len + 2);
    if (!cursor) {
        return NULL;
    }
    char *out = cursor;
    *out++ = KJ_CURSOR_MARK;
    for (size_t i = 0; i < text->len; i++) {
        *out++ = digits[(uint8_t)text->bytes[i] >> 4];
        *out++ = digits[text->bytes[i] & 0xf];
    }
    *out = '\0';
    return cursor;
}

char *kj__cursor_write(const struct kj__cursor *cursor, const char *const *order)
{
    struct text text = {.len = 0};
    json_t *id = json_string(cursor->id);
    if (!id) {
        return NULL;
    }
    append_value(&text, id);
    json_decref(id);
    if (text.failed) {
        return strdup(cursor->id);
    }
    size_t id_len = text.len;
    for (size_t i = 0; order[i]; i++) {
        append(&text, order[i], strlen(order[i]));
        append(&text, "\n", 1);
        append_value(&text, json_array_get(cursor->keys, i));
    }
    text.len = text.failed ? id_len : text.len;
    return write_digits(&text);
}

/* ---- reading ---- */

static int digit_of(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit ? strchr(digits, digit) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool read_digits(struct text *text, const char *digits)
{
    size_t len = strlen(digits);
    if (len % 2 || len / 2 > sizeof text->bytes) {
        return false;
    }
    for (; *digits; digits += 2) {
        int high = digit_of(digits[0]);
        int low = digit_of(digits[1]);
        if (high < 0 || low < 0) {
            return false;
        }
        text->bytes[text->len++] = (char)(high << 4 | low);
    }
    return true;
}

/* The length of the line at *at, which is moved behind its end; false when there is none. */
static bool next_line(const struct text *text, size_t *at, const char **line, size_t *len)
{
    *line = text->bytes + *at;
    const char *end = memchr(*line, '\n', text->len - *at);
    if (!end) {
        return false;
    }
    *len = (size_t)(end - *line);
    *at += *len + 1;
    return true;
}

/* A new reference in *value. KJ_EPARSE for what is no scalar, KJ_ENOMEM. */
static enum kj_status next_value(const struct text *text, size_t *at, json_t **value)
{
    const char *line;
    size_t len;
    json_error_t error = {.text = ""};
    *value = NULL;
    if (!next_line(text, at, &line, &len) || len == 0) {
        return KJ_EPARSE;
    }
    if (len == 2 && memcmp(line, "[]", 2) == 0) {
        *value = json_array();
        return *value ? KJ_OK : KJ_ENOMEM;
    }
    if (!memchr("\"-0123456789tfn", *line, sizeof "\"-0123456789tfn" - 1)) {
        return KJ_EPARSE; /* nesting could be as deep as the text is long */
    }
    *value = json_loadb(line, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (*value) {
        return KJ_OK;
    }
    return error.text[0] ? KJ_EPARSE : KJ_ENOMEM; /* jansson has no words for want of memory */
}

static bool skip_key(const struct text *text, size_t *at, const char *key)
{
    size_t len = strlen(key);
    bool is_there = text->len - *at > len && memcmp(text->bytes + *at, key, len) == 0 &&
                    text->bytes[*at + len] == '\n';
    *at += is_there ? len + 1 : 0;
    return is_there;
}

static enum kj_status read_id(struct kj__cursor *cursor, const struct text *text, size_t *at)
{
    json_t *id;
    enum kj_status status = next_value(text, at, &id);
    if (!status && !json_is_string(id)) {
        status = KJ_EPARSE;
    }
    if (!status) {
        cursor->id = strdup(json_string_value(id));
        status = cursor->id ? KJ_OK : KJ_ENOMEM;
    }
    json_decref(id);
    return status;
}

static enum kj_status read_text(struct kj__cursor *cursor, const char *const *order,
                                const struct text *text)
{
    size_t at = 0;
    enum kj_status status = read_id(cursor, text, &at);
    if (!status && at == text->len) {
        return KJ_OK; /* the ID alone */
    }
    for (; !status && *order; order++) {
        json_t *value = NULL;
        status = skip_key(text, &at, *order) ? next_value(text, &at, &value) : KJ_EPARSE;
        if (!status && json_array_append_new(cursor->keys, value)) {
            status = KJ_ENOMEM;
        }
    }
    return !status && at != text->len ? KJ_EPARSE : status;
}

enum kj_status kj__cursor_read(struct kj__cursor *cursor, const char *const *order,
                               const char *text)
{
    struct text read = {.len = 0};
    *cursor = (struct kj__cursor){.keys = json_array()};
    if (!cursor->keys) {
        return KJ_ENOMEM;
    }
    return *order && read_digits(&read, text + 1) ? read_text(cursor, order, &read) : KJ_EPARSE;
}
