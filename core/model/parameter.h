/* parameter.h - the query parameters that relations declare, and their values.
 *
 * Threads: built by one thread with the model, only read afterwards.
 */
#ifndef KJ_MODEL_PARAMETER_H
#define KJ_MODEL_PARAMETER_H

#include "base/buffer.h"
#include "model/walk.h"

#include <kujata/model.h>
#include <kujata/time.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj__parameter {
    char *name;
    char *description; /* NULL: none */
    enum kj_parameter_type type;
    bool multiple;
    char *initial;  /* the text of its default; NULL: none */
    char **allowed; /* of an enum, in the order declared, NULL at the end; NULL: no enum */
    unsigned operations;
};

/* At least one of these sets has to be sent. */
struct kj__requirement {
    char **any_of; /* names, one blank between two; NULL at the end */
    unsigned operations;
};

/* What one relation declares. */
struct kj__parameters {
    struct kj__parameter *at; /* in the order declared */
    size_t count;
    struct kj__requirement *requirements;
    size_t requirement_count;
};

/* Checks and copies what a relation declares, whose operations are given. `parameters` is zero at
 * first; on failure too it is to be given to kj__parameters_fini. KJ_EINVAL with `walk` at the
 * fault, or KJ_ENOMEM. */
enum kj_status kj__parameters_init(struct kj__parameters *parameters,
                                   const struct kj_relation_spec *spec, struct kj__walk *walk);
void kj__parameters_fini(struct kj__parameters *parameters);

/* What is declared for a child under a parent (NULL: root); NULL where there is no relation. */
const struct kj__parameters *kj__model_parameters(const struct kj_model *model,
                                                  const struct kj_identity *parent,
                                                  const struct kj_identity *child);

/* One value, by the parameter's type. */
union kj__parameter_value {
    const char *text; /* of a string or enum; borrowed from what was read */
    int64_t integer;
    double real;
    bool boolean;
    int64_t duration_ns;
    struct kj_time time;
};

/* Reads what a client sent. False when it is no value of the type. */
bool kj__parameter_read(const struct kj__parameter *parameter, const char *text,
                        union kj__parameter_value *value);

/* Appends what a value has to be: "an integer", "one of 'A, B'". */
void kj__parameter_write_type(const struct kj__parameter *parameter, struct kj__buffer *out);

/* Whether the parameters sent, as `is_sent` tells, satisfy every requirement of an operation. */
bool kj__parameters_suffice(const struct kj__parameters *parameters, enum kj_operation operation,
                            bool (*is_sent)(const char *name, size_t len, const void *ctx),
                            const void *ctx);

/* Appends the requirements of an operation: "(a and b) or c". */
void kj__parameters_write_required(const struct kj__parameters *parameters,
                                   enum kj_operation operation, struct kj__buffer *out);

#endif
