/* query.c - see query.h. The texts of the errors are bahamut's. */
#include "rest/query.h"

#include "base/url.h"
#include "codec/error_array.h"

#include <kujata/context.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 512 };

/* One parse: what is still unread, and where errors go. */
struct reader {
    struct kj__query *query;
    const struct kj__query_rules *rules;
    struct kj__fields unread;
    json_t *errors;
    const char *trace;
};

static enum kj_status refuse_as(const struct reader *reader, const char *title, const char *subject,
                                const char *text)
{
    struct kj_api_error error = {
        .code = 400, .title = title, .description = text, .subject = subject};
    enum kj_status status = kj__error_array_add(reader->errors, &error, reader->trace);
    return status ? status : KJ_EREFUSED;
}

__attribute__((format(printf, 3, 4))) static enum kj_status
refuse(const struct reader *reader, const char *subject, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return refuse_as(reader, "Bad Request", subject, text);
}

/* The first value of a parameter, marked as read; NULL when it is absent or empty. An empty
 * one stays unread and is refused as unknown in the end. */
static const char *take(struct reader *reader, const char *name)
{
    const char *value = kj__fields_get(&reader->query->all, name);
    if (!value || !*value) {
        return NULL;
    }
    kj__fields_remove(&reader->unread, name);
    return value;
}

static bool parse_int(const char *text, int *number)
{
    char *end;
    bool starts_well = (*text >= '0' && *text <= '9') || *text == '-' || *text == '+';
    long value = strtol(text, &end, 10);
    if (!starts_well || end == text || *end || value < 0 || value > INT_MAX) {
        return false;
    }
    *number = (int)value;
    return true;
}

static enum kj_status take_int(struct reader *reader, const char *name, int *number)
{
    const char *text = take(reader, name);
    if (text && !parse_int(text, number)) {
        return refuse(reader, "elemental", "Parameter `%s` must be an integer", name);
    }
    return KJ_OK;
}

static enum kj_status take_order(struct reader *reader)
{
    struct kj__query *query = reader->query;
    size_t cursor = 0;
    size_t count = 0;
    const char *name;
    const char *value;
    while (kj__fields_next(&query->all, &cursor, &name, &value)) {
        if (strcmp(name, "order") != 0) {
            continue;
        }
        if (!*value) {
            return refuse(reader, "elemental", "Parameter `order` must be set when provided");
        }
        if (count == KJ__ORDER_KEYS_MAX) {
            return refuse(reader, "kujata", "Parameter `order` is given more than %d times",
                          KJ__ORDER_KEYS_MAX);
        }
        query->order[count++] = value;
    }
    kj__fields_remove(&reader->unread, "order");
    return KJ_OK;
}

static enum kj_status refuse_size(const struct reader *reader, const char *name)
{
    return refuse(reader, "kujata", "Parameter `%s` is above the largest page of %d objects", name,
                  reader->rules->largest_page);
}

/* A limit is the most a client wants and may be lowered; the size of numbered pages may not. */
static enum kj_status take_limit(struct reader *reader)
{
    struct kj__query *query = reader->query;
    int largest = reader->rules->largest_page;
    if (take(reader, "limit") && query->page_size) {
        return refuse(reader, "elemental",
                      "You cannot set 'limit' and 'pagesize' at the same time");
    }
    enum kj_status status = take_int(reader, "limit", &query->limit);
    if (!status && largest && query->limit > largest) {
        if (query->page) {
            return refuse_size(reader, "limit");
        }
        query->limit = largest;
    }
    return status;
}

static enum kj_status take_after(struct reader *reader)
{
    struct kj__query *query = reader->query;
    const char *after = take(reader, "after");
    if (!after) {
        return KJ_OK;
    }
    if (query->order[0] && query->order[1] && after[0] != KJ_CURSOR_MARK) {
        return refuse(reader, "elemental",
                      "You can only order on a single field when using 'after'");
    }
    if (query->page) {
        return refuse(reader, "elemental", "You cannot set 'after' and 'page' at the same time");
    }
    query->after = after;
    return KJ_OK;
}

static bool was_refused(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static size_t count_of(const struct kj__fields *fields, const char *wanted)
{
    size_t count = 0;
    size_t cursor = 0;
    const char *name;
    const char *value;
    while (kj__fields_next(fields, &cursor, &name, &value)) {
        count += strcmp(name, wanted) == 0;
    }
    return count;
}

/* As if every model declared it for lists and counts. An empty one is none. */
static enum kj_status take_filter(struct reader *reader)
{
    struct kj__query *query = reader->query;
    if (!(reader->rules->operation & (KJ_OP_RETRIEVE_MANY | KJ_OP_INFO))) {
        return KJ_OK;
    }
    if (count_of(&query->all, "q") > 1) {
        return refuse_as(reader, "Invalid Parameter", "elemental",
                         "Parameter 'q' must be sent only once");
    }
    query->filter_text = take(reader, "q");
    kj__fields_remove(&reader->unread, "q");
    return KJ_OK;
}

static enum kj_status take_declared(struct reader *reader)
{
    struct kj__query *query = reader->query;
    const struct kj__query_rules *rules = reader->rules;
    struct kj__buffer text;
    if (!rules->declared) {
        return KJ_OK;
    }
    kj__buffer_init(&text);
    enum kj_status status = kj__given_read(&query->given, rules->declared, rules->operation,
                                           &query->all, &text);
    if (status == KJ_EINVAL) {
        kj__buffer_append_byte(&text, '\0');
        status = text.failed
                     ? KJ_ENOMEM
                     : refuse_as(reader, "Invalid Parameter", "elemental", (const char *)text.data);
    }
    kj__buffer_fini(&text);
    for (size_t i = 0; i < query->given.count; i++) {
        kj__fields_remove(&reader->unread, query->given.at[i].parameter->name);
    }
    return status;
}

static enum kj_status check_required(struct reader *reader)
{
    const struct kj__query_rules *rules = reader->rules;
    struct kj__buffer text;
    if (!rules->declared ||
        kj__given_suffice(&reader->query->given, rules->declared, rules->operation)) {
        return KJ_OK;
    }
    kj__buffer_init(&text);
    kj__buffer_append_text(&text, "Missing Required parameters: `");
    kj__parameters_write_required(rules->declared, rules->operation, &text);
    kj__buffer_append(&text, "`", sizeof "`");
    enum kj_status status = text.failed ? KJ_ENOMEM
                                        : refuse_as(reader, "Bad Request", "elemental",
                                                    (const char *)text.data);
    kj__buffer_fini(&text);
    return status;
}

/* What nobody read is unknown. One error for each name. */
static enum kj_status refuse_unread(struct reader *reader)
{
    const char *refused[KJ__UNKNOWN_PARAMETERS_MAX];
    int count = 0;
    size_t cursor = 0;
    const char *name;
    const char *value;
    enum kj_status status = KJ_OK;
    while (count < KJ__UNKNOWN_PARAMETERS_MAX && status != KJ_ENOMEM &&
           kj__fields_next(&reader->unread, &cursor, &name, &value)) {
        if (!was_refused(refused, count, name)) {
            status = refuse(reader, "elemental", "Unknown parameter: `%s`", name);
            refused[count++] = name;
        }
    }
    return status;
}

/* Any value means true, as in bahamut, and none as well; unless flags are strict. */
static enum kj_status take_flag(struct reader *reader, const char *name, bool *flag)
{
    static const struct kj__parameter boolean = {.type = KJ_PARAMETER_BOOLEAN};
    union kj__parameter_value value = {.boolean = true};
    const char *text = kj__fields_get(&reader->query->all, name);
    if (!text) {
        return KJ_OK;
    }
    if (reader->rules->strict_flags && *text && !kj__parameter_read(&boolean, text, &value)) {
        return refuse(reader, "kujata", "Parameter `%s` must be a boolean", name);
    }
    *flag = value.boolean;
    kj__fields_remove(&reader->unread, name);
    return KJ_OK;
}

static enum kj_status take_flags(struct reader *reader)
{
    struct kj__query *query = reader->query;
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"recursive", &query->recursive},
                 {"propagated", &query->propagated},
                 {"override", &query->override_protection}};
    enum kj_status status = KJ_OK;
    for (size_t i = 0; !status && i < sizeof flags / sizeof *flags; i++) {
        status = take_flag(reader, flags[i].name, flags[i].flag);
    }
    return status;
}

static enum kj_status take_page(struct reader *reader)
{
    return take_int(reader, "page", &reader->query->page);
}

static enum kj_status take_page_size(struct reader *reader)
{
    int largest = reader->rules->largest_page;
    enum kj_status status = take_int(reader, "pagesize", &reader->query->page_size);
    return !status && largest && reader->query->page_size > largest
               ? refuse_size(reader, "pagesize")
               : status;
}

static enum kj_status read_all(struct reader *reader)
{
    static enum kj_status (*const steps[])(struct reader *) = {
        take_page,  take_page_size, take_flags,    take_order,    take_limit,
        take_after, take_filter,    take_declared, refuse_unread, check_required,
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        enum kj_status status = steps[i](reader);
        if (status) {
            return status;
        }
    }
    return KJ_OK;
}

void kj__query_init(struct kj__query *query)
{
    *query = (struct kj__query){.after = ""};
    kj__fields_init(&query->all, false);
}

void kj__query_fini(struct kj__query *query)
{
    kj__given_fini(&query->given);
    kj__fields_fini(&query->all);
}

enum kj_status kj__query_parse(struct kj__query *query, const char *text,
                               const struct kj__query_rules *rules, json_t *errors,
                               const char *trace)
{
    struct reader reader = {.query = query, .rules = rules, .errors = errors, .trace = trace};
    if (!kj__url_is_well_escaped(text)) {
        /* The parser leaves such a pair out, which would answer another question. */
        return refuse(&reader, "kujata", "Parameters hold a bad escape or a NUL");
    }
    kj__fields_init(&reader.unread, false);
    enum kj_status status = KJ_ENOMEM;
    if (kj__url_parse_query(text, &query->all) && kj__fields_copy(&reader.unread, &query->all)) {
        if (rules->accepts_token) {
            kj__fields_remove(&reader.unread, "token");
        }
        status = read_all(&reader);
    }
    kj__fields_fini(&reader.unread);
    return status;
}
