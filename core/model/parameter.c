/* parameter.c - the declaration of query parameters: checked, copied, released. */
#include "model/parameter.h"

#include "model/build.h"

#include <stdlib.h>
#include <string.h>

/* Those every request may have. */
static const char *const builtin[] = {"page", "pagesize",  "limit",      "after",   "order",
                                      "q",    "recursive", "propagated", "override"};

/* ---- lists of texts ---- */

static void free_texts(char **texts)
{
    for (char **text = texts; text && *text; text++) {
        free(*text);
    }
    free(texts);
}

static char **copy_texts(const char *const *texts)
{
    size_t count = 0;
    while (texts[count]) {
        count++;
    }
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(texts[i]);
        if (!copy[i]) {
            free_texts(copy);
            return NULL;
        }
    }
    return copy;
}

/* ---- parameters ---- */

static enum kj_status check_name(const struct kj__parameters *parameters,
                                 const struct kj_parameter_spec *spec, unsigned operations,
                                 struct kj__walk *walk)
{
    enum kj_status status = kj__check_name(spec->name, "name", walk);
    for (size_t i = 0; !status && i < sizeof builtin / sizeof *builtin; i++) {
        if (strcmp(builtin[i], spec->name) == 0) {
            status = kj__walk_fail(walk, "name", "parameter \"%s\" is built in", spec->name);
        }
    }
    for (size_t i = 0; !status && i < parameters->count; i++) {
        const struct kj__parameter *other = &parameters->at[i];
        if (strcmp(other->name, spec->name) == 0 && (other->operations & operations)) {
            status = kj__walk_fail(walk, "name", "parameter \"%s\" is declared twice", spec->name);
        }
    }
    return status;
}

static enum kj_status check_operations(unsigned operations, unsigned of_relation,
                                       struct kj__walk *walk)
{
    return operations & ~of_relation
               ? kj__walk_fail(walk, "operations", "the relation does not allow every operation")
               : KJ_OK;
}

static enum kj_status check_type(const struct kj_parameter_spec *spec, struct kj__walk *walk)
{
    if ((unsigned)spec->type > KJ_PARAMETER_TIME) {
        return kj__walk_fail(walk, "type", "unknown type %u", (unsigned)spec->type);
    }
    bool is_enum = spec->type == KJ_PARAMETER_ENUM;
    if (is_enum && (!spec->allowed || !spec->allowed[0])) {
        return kj__walk_fail(walk, "allowed", "an enum needs the values it may have");
    }
    if (!is_enum && spec->allowed) {
        return kj__walk_fail(walk, "allowed", "allowed is for enums only");
    }
    return KJ_OK;
}

static enum kj_status copy_parameter(struct kj__parameter *parameter,
                                     const struct kj_parameter_spec *spec, struct kj__walk *walk)
{
    bool has_default = spec->default_text && *spec->default_text;
    parameter->type = spec->type;
    parameter->multiple = spec->multiple;
    parameter->name = strdup(spec->name);
    parameter->allowed = spec->allowed ? copy_texts(spec->allowed) : NULL;
    parameter->initial = has_default ? strdup(spec->default_text) : NULL;
    parameter->description = spec->description ? strdup(spec->description) : NULL;
    if (!parameter->name || (spec->description && !parameter->description) ||
        (spec->allowed && !parameter->allowed) || (has_default && !parameter->initial)) {
        return KJ_ENOMEM;
    }
    union kj__parameter_value value;
    if (has_default && !kj__parameter_read(parameter, parameter->initial, &value)) {
        return kj__walk_fail(walk, "default", "the default \"%s\" is not of the type",
                             parameter->initial);
    }
    return KJ_OK;
}

static enum kj_status add_parameter(struct kj__parameters *parameters,
                                    const struct kj_parameter_spec *spec, unsigned of_relation,
                                    struct kj__walk *walk)
{
    unsigned operations = spec->operations ? spec->operations : of_relation;
    enum kj_status status = check_name(parameters, spec, operations, walk);
    if (!status) {
        status = check_operations(operations, of_relation, walk);
    }
    if (!status) {
        status = check_type(spec, walk);
    }
    if (status) {
        return status;
    }
    struct kj__parameter *parameter = &parameters->at[parameters->count++];
    parameter->operations = operations;
    return copy_parameter(parameter, spec, walk);
}

/* ---- requirements ---- */

/* Whether a parameter of this name is declared for all these operations. */
static bool is_declared(const struct kj__parameters *parameters, const char *name, size_t len,
                        unsigned operations)
{
    for (size_t i = 0; i < parameters->count; i++) {
        const struct kj__parameter *parameter = &parameters->at[i];
        if (strlen(parameter->name) == len && memcmp(parameter->name, name, len) == 0) {
            operations &= ~parameter->operations;
        }
    }
    return operations == 0;
}

static enum kj_status check_set(const struct kj__parameters *parameters, const char *set,
                                unsigned operations, struct kj__walk *walk)
{
    for (const char *name = set;; name++) {
        size_t len = strcspn(name, " ");
        if (len == 0) {
            return kj__walk_fail(walk, "any_of", "a set is names with one blank between two");
        }
        if (!is_declared(parameters, name, len, operations)) {
            return kj__walk_fail(walk, "any_of",
                                 "\"%.*s\" is not a parameter of all these operations", (int)len,
                                 name);
        }
        name += len;
        if (!*name) {
            return KJ_OK;
        }
    }
}

static enum kj_status add_requirement(struct kj__parameters *parameters,
                                      const struct kj_requirement_spec *spec, unsigned of_relation,
                                      struct kj__walk *walk)
{
    unsigned operations = spec->operations ? spec->operations : of_relation;
    if (!spec->any_of || !spec->any_of[0]) {
        return kj__walk_fail(walk, "any_of", "any_of is missing or empty");
    }
    enum kj_status status = check_operations(operations, of_relation, walk);
    for (size_t i = 0; !status && spec->any_of[i]; i++) {
        status = check_set(parameters, spec->any_of[i], operations, walk);
    }
    if (status) {
        return status;
    }
    struct kj__requirement *made = &parameters->requirements[parameters->requirement_count++];
    made->operations = operations;
    made->any_of = copy_texts(spec->any_of);
    return made->any_of ? KJ_OK : KJ_ENOMEM;
}

static enum kj_status add_parameters(struct kj__parameters *parameters,
                                     const struct kj_relation_spec *spec, struct kj__walk *walk)
{
    parameters->at = calloc(spec->parameter_count, sizeof *parameters->at);
    if (!parameters->at) {
        return KJ_ENOMEM;
    }
    kj__walk_enter_member(walk, "parameters");
    for (size_t i = 0; i < spec->parameter_count; i++) {
        kj__walk_enter_item(walk, i);
        enum kj_status status = add_parameter(parameters, &spec->parameters[i], spec->operations,
                                              walk);
        if (status) {
            return status;
        }
        kj__walk_leave(walk);
    }
    kj__walk_leave(walk);
    return KJ_OK;
}

static enum kj_status add_requirements(struct kj__parameters *parameters,
                                       const struct kj_relation_spec *spec, struct kj__walk *walk)
{
    parameters->requirements = calloc(spec->requirement_count, sizeof *parameters->requirements);
    if (!parameters->requirements) {
        return KJ_ENOMEM;
    }
    kj__walk_enter_member(walk, "requirements");
    for (size_t i = 0; i < spec->requirement_count; i++) {
        kj__walk_enter_item(walk, i);
        enum kj_status status = add_requirement(parameters, &spec->requirements[i],
                                                spec->operations, walk);
        if (status) {
            return status;
        }
        kj__walk_leave(walk);
    }
    kj__walk_leave(walk);
    return KJ_OK;
}

enum kj_status kj__parameters_init(struct kj__parameters *parameters,
                                   const struct kj_relation_spec *spec, struct kj__walk *walk)
{
    enum kj_status status = spec->parameter_count ? add_parameters(parameters, spec, walk) : KJ_OK;
    if (!status && spec->requirement_count) {
        status = add_requirements(parameters, spec, walk);
    }
    return status;
}

void kj__parameters_fini(struct kj__parameters *parameters)
{
    for (size_t i = 0; i < parameters->count; i++) {
        free_texts(parameters->at[i].allowed);
        free(parameters->at[i].initial);
        free(parameters->at[i].description);
        free(parameters->at[i].name);
    }
    for (size_t i = 0; i < parameters->requirement_count; i++) {
        free_texts(parameters->requirements[i].any_of);
    }
    free(parameters->requirements);
    free(parameters->at);
    *parameters = (struct kj__parameters){0};
}
