/* locate.c - see locate.h. */
#include "model/locate.h"

#include "codec/json.h"

#include <stdio.h>
#include <string.h>

/* Past a string that starts at `at`, quotes included. */
static const char *skip_string(const char *at, const char *end)
{
    at++;
    while (at < end && *at != '"') {
        at += *at == '\\' && at + 1 < end ? 2 : 1;
    }
    return at < end ? at + 1 : end;
}

/* Where the text nests deeper than KJ__NESTING_MAX, or NULL. The text may be anything. */
static const char *find_too_deep(const char *text, const char *end)
{
    size_t depth = 0;
    for (const char *at = text; at < end;) {
        if (*at == '"') {
            at = skip_string(at, end);
            continue;
        }
        if (*at == '{' || *at == '[') {
            if (++depth > KJ__NESTING_MAX) {
                return at;
            }
        } else if ((*at == '}' || *at == ']') && depth > 0) {
            depth--;
        }
        at++;
    }
    return NULL;
}

/* Counted from 1, in bytes. */
static size_t column_of(const char *text, const char *at)
{
    const char *start = at;
    while (start > text && start[-1] != '\n') {
        start--;
    }
    return (size_t)(at - start) + 1;
}

json_t *kj__declaration_read(const char *text, size_t len, json_error_t *fault)
{
    const char *too_deep = find_too_deep(text, text + len);
    if (too_deep) {
        fault->position = (int)(too_deep - text);
        fault->line = (int)kj__declaration_line(text, (size_t)fault->position);
        fault->column = (int)column_of(text, too_deep);
        snprintf(fault->text, sizeof fault->text, "nested deeper than %d", KJ__NESTING_MAX);
        return NULL;
    }
    return json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, fault);
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && strchr(" \t\r\n", *at)) {
        at++;
    }
    return at;
}

/* Past a number, true, false or null. */
static const char *skip_word(const char *at, const char *end)
{
    while (at < end && !strchr(" \t\r\n,]}", *at)) {
        at++;
    }
    return at;
}

/* Past one value; `at` stands on its first byte. */
static const char *skip_value(const char *at, const char *end)
{
    size_t depth = 0;
    do {
        if (*at == '"') {
            at = skip_string(at, end);
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (depth == 0) {
            at = skip_word(at, end);
        } else {
            depth -= *at == '}' || *at == ']';
            at++;
        }
    } while (depth > 0 && at < end);
    return at;
}

/* Past the separator behind a member or item, or NULL where the object or array ends. */
static const char *next_element(const char *at, const char *end)
{
    at = skip_space(at, end);
    return at < end && *at == ',' ? skip_space(at + 1, end) : NULL;
}

/* The value of a member; *key gets the place of its key. NULL when there is none. */
static const char *find_member(const char *object, const char *end, const char *name,
                               const char **key)
{
    size_t name_len = strlen(name);
    const char *at = *object == '{' ? skip_space(object + 1, end) : NULL;
    while (at && at < end && *at == '"') {
        const char *key_end = skip_string(at, end);
        const char *value = skip_space(skip_space(key_end, end) + 1, end);
        if ((size_t)(key_end - at) == name_len + 2 && memcmp(at + 1, name, name_len) == 0) {
            *key = at;
            return value;
        }
        at = next_element(skip_value(value, end), end);
    }
    return NULL;
}

static const char *find_item(const char *array, const char *end, size_t index)
{
    const char *at = *array == '[' ? skip_space(array + 1, end) : NULL;
    while (at && at < end && index > 0) {
        at = next_element(skip_value(at, end), end);
        index--;
    }
    return at && at < end && *at != ']' ? at : NULL;
}

size_t kj__declaration_locate(const char *text, size_t len, const struct kj__walk *walk)
{
    const char *end = text + len;
    const char *value = skip_space(text, end);
    const char *place = value;
    for (size_t i = 0; i < walk->step_count && value && value < end; i++) {
        const struct kj__walk_step *step = &walk->steps[i];
        if (step->member) {
            value = find_member(value, end, step->member, &place);
        } else {
            value = find_item(value, end, step->index);
            place = value ? value : place;
        }
    }
    return (size_t)(place - text);
}

size_t kj__declaration_line(const char *text, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset; i++) {
        line += text[i] == '\n';
    }
    return line;
}
