/* parameter_value.c - what clients send for declared query parameters, held against them. */
#include "model/parameter.h"

#include "model/filter_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool read_integer(const char *text, int64_t *value)
{
    size_t digits = strspn(text + (*text == '-' || *text == '+'), "0123456789");
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (digits == 0 || *end || errno) {
        return false;
    }
    *value = number;
    return true;
}

static bool read_boolean(const char *text, bool *value)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {{"true", true}, {"yes", true}, {"1", true}, {"false", false},
                 {"no", false},  {"0", false},  {"", false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(words[i].text, text) == 0) {
            *value = words[i].value;
            return true;
        }
    }
    return false;
}

/* Seconds since 1970 in ten digits, or milliseconds in thirteen. */
static bool read_unix_time(const char *text, size_t len, struct kj_time *time)
{
    enum { SECONDS_LEN = 10, MS_LEN = 13, MS = 1000, NS_PER_MS = 1000000 };
    if (strspn(text, "0123456789") != len || (len != SECONDS_LEN && len != MS_LEN)) {
        return false;
    }
    int64_t number = strtoll(text, NULL, 10);
    int64_t scale = len == MS_LEN ? MS : 1;
    time->seconds = number / scale;
    time->nanoseconds = (uint32_t)(number % scale) * NS_PER_MS;
    return true;
}

/* "2021-03-04 05:06:07" besides what filters read. */
static bool read_time(const char *text, struct kj_time *time)
{
    enum { DATE_LEN = sizeof "2021-03-04" - 1, SECOND_LEN = sizeof "2021-03-04 05:06:07" - 1 };
    size_t len = strlen(text);
    struct kj__timestamp timestamp;
    if (len == SECOND_LEN && text[DATE_LEN] == ' ') {
        char full[SECOND_LEN + sizeof "Z"];
        memcpy(full, text, len);
        full[DATE_LEN] = 'T';
        full[SECOND_LEN] = 'Z';
        return kj_time_parse(full, SECOND_LEN + 1, time);
    }
    if (!kj__filter_time_read(text, len, &timestamp)) {
        return read_unix_time(text, len, time);
    }
    *time = (struct kj_time){timestamp.seconds, timestamp.nanoseconds};
    return true;
}

static bool read_enum(const struct kj__parameter *parameter, const char *text, const char **value)
{
    for (char **allowed = parameter->allowed; *allowed; allowed++) {
        if (strcmp(*allowed, text) == 0) {
            *value = text;
            return true;
        }
    }
    return false;
}

static bool read_float(const char *text, double *value)
{
    struct kj__filter_number number;
    if (!kj__filter_number_read(text, strlen(text), &number)) {
        return false;
    }
    *value = number.real;
    return true;
}

bool kj__parameter_read(const struct kj__parameter *parameter, const char *text,
                        union kj__parameter_value *value)
{
    switch (parameter->type) {
    case KJ_PARAMETER_STRING:
        value->text = text;
        return true;
    case KJ_PARAMETER_INTEGER:
        return read_integer(text, &value->integer);
    case KJ_PARAMETER_FLOAT:
        return read_float(text, &value->real);
    case KJ_PARAMETER_BOOLEAN:
        return read_boolean(text, &value->boolean);
    case KJ_PARAMETER_ENUM:
        return read_enum(parameter, text, &value->text);
    case KJ_PARAMETER_DURATION:
        return kj__filter_duration_read(text, strlen(text), &value->duration_ns);
    case KJ_PARAMETER_TIME:
        return read_time(text, &value->time);
    }
    return false;
}

void kj__parameter_write_type(const struct kj__parameter *parameter, struct kj__buffer *out)
{
    static const char *const phrases[] = {
        [KJ_PARAMETER_STRING] = "a string",   [KJ_PARAMETER_INTEGER] = "an integer",
        [KJ_PARAMETER_FLOAT] = "a float",     [KJ_PARAMETER_BOOLEAN] = "a boolean",
        [KJ_PARAMETER_ENUM] = "one of '",     [KJ_PARAMETER_DURATION] = "a valid duration",
        [KJ_PARAMETER_TIME] = "a valid date",
    };
    kj__buffer_append_text(out, phrases[parameter->type]);
    if (parameter->type == KJ_PARAMETER_ENUM) {
        for (char **allowed = parameter->allowed; *allowed; allowed++) {
            kj__buffer_printf(out, "%s%s", allowed == parameter->allowed ? "" : ", ", *allowed);
        }
        kj__buffer_append_byte(out, '\'');
    }
}

/* ---- requirements ---- */

/* Moves *set behind its first name; false when there is none left. */
static bool next_name(const char **set, const char **name, size_t *len)
{
    *name = *set;
    *len = strcspn(*set, " ");
    *set += *len + ((*set)[*len] == ' ');
    return *len > 0;
}

bool kj__parameters_suffice(const struct kj__parameters *parameters, enum kj_operation operation,
                            bool (*is_sent)(const char *name, size_t len, const void *ctx),
                            const void *ctx)
{
    bool suffices = true;
    for (size_t i = 0; i < parameters->requirement_count && suffices; i++) {
        const struct kj__requirement *requirement = &parameters->requirements[i];
        suffices = !(requirement->operations & (unsigned)operation);
        for (char **any = requirement->any_of; *any && !suffices; any++) {
            const char *set = *any;
            const char *name;
            size_t len;
            suffices = true;
            while (suffices && next_name(&set, &name, &len)) {
                suffices = is_sent(name, len, ctx);
            }
        }
    }
    return suffices;
}

/* Elemental's form: parentheses around a set, or a group of sets, where it has a neighbour. */
static void write_group(const struct kj__requirement *requirement, struct kj__buffer *out)
{
    bool is_alone = !requirement->any_of[1];
    for (char **any = requirement->any_of; *any; any++) {
        const char *set = *any;
        const char *name;
        size_t len;
        bool is_first = true;
        kj__buffer_append_text(out, any == requirement->any_of ? "" : " or ");
        kj__buffer_append_text(out, is_alone ? "" : "(");
        while (next_name(&set, &name, &len)) {
            kj__buffer_printf(out, "%s%.*s", is_first ? "" : " and ", (int)len, name);
            is_first = false;
        }
        kj__buffer_append_text(out, is_alone ? "" : ")");
    }
}

void kj__parameters_write_required(const struct kj__parameters *parameters,
                                   enum kj_operation operation, struct kj__buffer *out)
{
    size_t count = 0;
    for (size_t i = 0; i < parameters->requirement_count; i++) {
        count += (parameters->requirements[i].operations & (unsigned)operation) != 0;
    }
    bool is_alone = count == 1;
    for (size_t i = 0; i < parameters->requirement_count; i++) {
        if (parameters->requirements[i].operations & (unsigned)operation) {
            kj__buffer_append_text(out, is_alone ? "" : "(");
            write_group(&parameters->requirements[i], out);
            kj__buffer_append_text(out, is_alone ? "" : ")");
            kj__buffer_append_text(out, --count ? " and " : "");
        }
    }
}
