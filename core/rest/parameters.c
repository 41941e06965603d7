/* parameters.c - see parameters.h, and kujata/context.h for what processors see. */
#include "rest/parameters.h"

#include "rest/context.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 8 };

void kj__given_fini(struct kj__given_parameters *given)
{
    free(given->at);
}

static struct kj__given *add(struct kj__given_parameters *given)
{
    if (given->count == given->capacity) {
        size_t capacity = given->capacity ? given->capacity * 2 : FIRST_CAPACITY;
        struct kj__given *at = realloc(given->at, capacity * sizeof *at);
        if (!at) {
            return NULL;
        }
        given->at = at;
        given->capacity = capacity;
    }
    return &given->at[given->count++];
}

static enum kj_status add_value(struct kj__given_parameters *given,
                                const struct kj__parameter *parameter, const char *value,
                                bool is_sent, struct kj__buffer *text)
{
    struct kj__given *added = add(given);
    if (!added) {
        return KJ_ENOMEM;
    }
    *added = (struct kj__given){.parameter = parameter, .is_sent = is_sent};
    if (kj__parameter_read(parameter, value, &added->value)) {
        return KJ_OK;
    }
    kj__buffer_printf(text, "Parameter '%s' must be ", parameter->name);
    kj__parameter_write_type(parameter, text);
    kj__buffer_printf(text, ", got '%s'", value);
    return KJ_EINVAL;
}

static enum kj_status read_values(struct kj__given_parameters *given,
                                  const struct kj__parameter *parameter,
                                  const struct kj__fields *query, struct kj__buffer *text)
{
    size_t cursor = 0;
    size_t before = given->count;
    const char *name;
    const char *value;
    enum kj_status status = KJ_OK;
    while (!status && kj__fields_next(query, &cursor, &name, &value)) {
        if (strcmp(name, parameter->name) != 0) {
            continue;
        }
        if (given->count > before && !parameter->multiple) {
            kj__buffer_printf(text, "Parameter '%s' must be sent only once", parameter->name);
            return KJ_EINVAL;
        }
        status = add_value(given, parameter, value, true, text);
    }
    if (!status && given->count == before && parameter->initial) {
        status = add_value(given, parameter, parameter->initial, false, text);
    }
    return status;
}

enum kj_status kj__given_read(struct kj__given_parameters *given,
                              const struct kj__parameters *declared, enum kj_operation operation,
                              const struct kj__fields *query, struct kj__buffer *text)
{
    enum kj_status status = KJ_OK;
    for (size_t i = 0; !status && i < declared->count; i++) {
        if (declared->at[i].operations & (unsigned)operation) {
            status = read_values(given, &declared->at[i], query, text);
        }
    }
    return status;
}

static bool is_sent(const char *name, size_t len, const void *ctx)
{
    const struct kj__given_parameters *given = ctx;
    for (size_t i = 0; i < given->count; i++) {
        const char *other = given->at[i].parameter->name;
        if (given->at[i].is_sent && strlen(other) == len && memcmp(other, name, len) == 0) {
            return true;
        }
    }
    return false;
}

bool kj__given_suffice(const struct kj__given_parameters *given,
                       const struct kj__parameters *declared, enum kj_operation operation)
{
    return kj__parameters_suffice(declared, operation, is_sent, given);
}

const struct kj__given *kj__given_value(const struct kj__given_parameters *given, const char *name,
                                        size_t index)
{
    for (size_t i = 0; i < given->count; i++) {
        if (strcmp(given->at[i].parameter->name, name) == 0 && index-- == 0) {
            return &given->at[i];
        }
    }
    return NULL;
}

/* ---- for processors ---- */

size_t kj_context_parameter_count(const struct kj_context *context, const char *name)
{
    const struct kj__given_parameters *given = &context->query.given;
    size_t count = 0;
    for (size_t i = 0; i < given->count; i++) {
        count += strcmp(given->at[i].parameter->name, name) == 0;
    }
    return count;
}

/* The value, if it is of that type; else NULL. */
static const union kj__parameter_value *value_of(const struct kj_context *context, const char *name,
                                                 size_t index, enum kj_parameter_type type)
{
    const struct kj__given *given = kj__given_value(&context->query.given, name, index);
    return given && given->parameter->type == type ? &given->value : NULL;
}

const char *kj_context_parameter_text(const struct kj_context *context, const char *name,
                                      size_t index)
{
    const union kj__parameter_value *value = value_of(context, name, index, KJ_PARAMETER_STRING);
    if (!value) {
        value = value_of(context, name, index, KJ_PARAMETER_ENUM);
    }
    return value ? value->text : "";
}

int64_t kj_context_parameter_integer(const struct kj_context *context, const char *name,
                                     size_t index)
{
    const union kj__parameter_value *value = value_of(context, name, index, KJ_PARAMETER_INTEGER);
    return value ? value->integer : 0;
}

double kj_context_parameter_float(const struct kj_context *context, const char *name, size_t index)
{
    const union kj__parameter_value *value = value_of(context, name, index, KJ_PARAMETER_FLOAT);
    return value ? value->real : 0;
}

bool kj_context_parameter_boolean(const struct kj_context *context, const char *name, size_t index)
{
    const union kj__parameter_value *value = value_of(context, name, index, KJ_PARAMETER_BOOLEAN);
    return value && value->boolean;
}

int64_t kj_context_parameter_duration_ns(const struct kj_context *context, const char *name,
                                         size_t index)
{
    const union kj__parameter_value *value = value_of(context, name, index, KJ_PARAMETER_DURATION);
    return value ? value->duration_ns : 0;
}

struct kj_time kj_context_parameter_time(const struct kj_context *context, const char *name,
                                         size_t index)
{
    const union kj__parameter_value *value = value_of(context, name, index, KJ_PARAMETER_TIME);
    return value ? value->time : (struct kj_time){0};
}
