/* trace.c - see trace.h. */
#include "rest/trace.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum {
    TRACEPARENT_LEN = 55, /* 00-, 32 digits, -, 16 digits, -, 2 digits */
    TRACE_ID_AT = 3,
    TRACE_ID_LEN = 32,
    PARENT_ID_AT = 36,
    PARENT_ID_LEN = 16,
    FLAGS_AT = 53,
    FLAGS_LEN = 2,
    TRACESTATE_MAX = 512,
    TRACESTATE_MEMBERS_MAX = 32,
    TRACESTATE_PART_MAX = 256, /* of a key or a value */
    EXTERNAL_MAX = 256,
};

static bool is_hex(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdef") >= len;
}

static bool is_id(const char *text, size_t len)
{
    return is_hex(text, len) && strspn(text, "0") < len;
}

static bool is_traceparent(const char *text)
{
    return strlen(text) == TRACEPARENT_LEN && strncmp(text, "00-", TRACE_ID_AT) == 0 &&
           is_id(text + TRACE_ID_AT, TRACE_ID_LEN) && text[PARENT_ID_AT - 1] == '-' &&
           is_id(text + PARENT_ID_AT, PARENT_ID_LEN) && text[FLAGS_AT - 1] == '-' &&
           is_hex(text + FLAGS_AT, FLAGS_LEN);
}

static bool is_printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return false;
        }
    }
    return true;
}

/* "key=value", without the blanks around it. */
static bool is_member(const char *text, size_t len)
{
    static const char key_bytes[] = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@";
    size_t key_len = strspn(text, key_bytes);
    if (key_len == 0 || key_len > TRACESTATE_PART_MAX || key_len >= len || text[key_len] != '=' ||
        strchr("_-*/@", text[0])) {
        return false;
    }
    const char *value = text + key_len + 1;
    size_t value_len = len - key_len - 1;
    return value_len > 0 && value_len <= TRACESTATE_PART_MAX && is_printable(value, value_len) &&
           !memchr(value, '=', value_len);
}

static bool is_tracestate(const char *text)
{
    size_t members = 0;
    for (;;) {
        text += strspn(text, " \t");
        size_t len = strcspn(text, ",");
        const char *next = text + len;
        while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t')) {
            len--;
        }
        if (len > 0 && (++members > TRACESTATE_MEMBERS_MAX || !is_member(text, len))) {
            return false;
        }
        if (!*next) {
            return members > 0;
        }
        text = next + 1;
    }
}

static bool is_external(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= EXTERNAL_MAX && is_printable(text, len);
}

/* Joins the lines of a header with commas. False when that is too long. */
static bool join(const struct kj__fields *headers, const char *wanted, char *out, size_t size)
{
    size_t cursor = 0, len = 0;
    const char *name, *value;
    out[0] = '\0';
    while (kj__fields_next(headers, &cursor, &name, &value)) {
        if (strcasecmp(name, wanted) != 0) {
            continue;
        }
        size_t more = strlen(value) + (len > 0);
        if (len + more >= size) {
            return false;
        }
        if (len > 0) {
            out[len++] = ',';
        }
        memcpy(out + len, value, strlen(value) + 1);
        len += strlen(value);
    }
    return true;
}

/* One header, how long it may be, and whether its value is to be believed. */
struct carrier {
    const char *name; /* in lower case */
    size_t size_max;
    bool (*is_valid)(const char *text);
    bool needs_parent; /* means nothing without a traceparent */
};

static const struct carrier carriers[] = {
    {"traceparent", TRACEPARENT_LEN, is_traceparent, false},
    {"tracestate", TRACESTATE_MAX, is_tracestate, true},
    {"x-external-tracking-id", EXTERNAL_MAX, is_external, false},
    {"x-external-tracking-type", EXTERNAL_MAX, is_external, false},
};

static enum kj_status keep(json_t **tracking, const char *name, const char *text)
{
    if (!*tracking) {
        *tracking = json_object();
    }
    return *tracking && !json_object_set_new(*tracking, name, json_string(text)) ? KJ_OK
                                                                                 : KJ_ENOMEM;
}

enum kj_status kj__trace_read(const struct kj__fields *headers, struct kj__counters *counters,
                              json_t **tracking)
{
    char text[TRACESTATE_MAX + 1];
    enum kj_status status = KJ_OK;
    *tracking = NULL;
    for (size_t i = 0; i < sizeof carriers / sizeof *carriers && !status; i++) {
        const struct carrier *carrier = &carriers[i];
        if (!kj__fields_get(headers, carrier->name)) {
            continue;
        }
        bool has_parent = *tracking && json_object_get(*tracking, "traceparent");
        if (join(headers, carrier->name, text, carrier->size_max + 1) && carrier->is_valid(text) &&
            (has_parent || !carrier->needs_parent)) {
            status = keep(tracking, carrier->name, text);
        } else {
            KJ__COUNT(counters, tracking_ignored);
        }
    }
    if (status) {
        json_decref(*tracking);
        *tracking = NULL;
    }
    return status;
}
