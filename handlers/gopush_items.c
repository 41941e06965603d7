/* gopush_items.c - cuts a list into its items, so that these go on as they were written. */
#include "handlers/gopush.h"

#include <kujata/encoding.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* Where the string that begins at `at` ends; of text that is known to be JSON. */
static size_t skip_string(const uint8_t *text, size_t len, size_t at)
{
    for (at++; at < len && text[at] != '"'; at++) {
        at += text[at] == '\\';
    }
    return at + 1;
}

/* Where the value at `at` ends: at a comma or bracket of the list it is in. */
static size_t skip_value(const uint8_t *text, size_t len, size_t at)
{
    size_t depth = 0;
    while (at < len) {
        uint8_t byte = text[at];
        if (depth == 0 && (byte == ',' || byte == ']')) {
            break;
        }
        if (byte == '"') {
            at = skip_string(text, len, at);
            continue;
        }
        depth += byte == '[' || byte == '{';
        depth -= byte == ']' || byte == '}';
        at++;
    }
    return at;
}

static struct gopush_item trim(const uint8_t *text, size_t from, size_t to)
{
    while (from < to && is_blank(text[from])) {
        from++;
    }
    while (to > from && is_blank(text[to - 1])) {
        to--;
    }
    return (struct gopush_item){text + from, to - from};
}

/* The text is a list of so many values, and perhaps something behind it: false then. */
static bool cut(const uint8_t *text, size_t len, struct gopush_item *items, size_t count)
{
    size_t at = 0;
    while (at < len && text[at] != '[') {
        at++;
    }
    at++;
    for (size_t i = 0; i < count; i++) {
        size_t end = skip_value(text, len, at);
        items[i] = trim(text, at, end);
        at = end + (i + 1 < count); /* behind the comma */
    }
    while (at < len && text[at] != ']') {
        at++;
    }
    return trim(text, at < len ? at + 1 : len, len).len == 0;
}

enum kj_status gopush_items_cut(const uint8_t *text, size_t len, struct gopush_item **items,
                                size_t *count)
{
    json_t *list = NULL;
    *items = NULL;
    *count = 0;
    enum kj_status status = kj_value_decode(KJ_ENCODING_JSON, text, len, &list, NULL);
    if (status) {
        return status;
    }
    size_t size = json_array_size(list);
    bool is_list = json_is_array(list);
    json_decref(list);
    if (!is_list) {
        return KJ_EPARSE;
    }
    struct gopush_item *cuts = calloc(size + 1, sizeof *cuts);
    if (!cuts) {
        return KJ_ENOMEM;
    }
    if (!cut(text, len, cuts, size)) {
        free(cuts);
        return KJ_EPARSE;
    }
    *items = cuts;
    *count = size;
    return KJ_OK;
}
