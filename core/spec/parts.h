/* parts.h - what both documents are made with and of. Private to core/spec.
 *
 * Threads: everything belongs to one call. A failure for want of memory is noted and the making
 * goes on, with NULL for what could not be made; only the end looks at it.
 */
#ifndef KJ_SPEC_PARTS_H
#define KJ_SPEC_PARTS_H

#include "model/types.h"

#include <jansson.h>
#include <kujata/spec.h>
#include <stdbool.h>

struct kj__spec {
    const struct kj_model *model;
    struct kj_spec_options options; /* with defaults in place */
    unsigned used;                  /* bits of the operations described so far */
    bool failed;                    /* there was no memory */
};

/* ---- values; whatever is given to them is taken over ---- */

json_t *kj__spec_object(struct kj__spec *spec);
json_t *kj__spec_array(struct kj__spec *spec);
void kj__spec_set(struct kj__spec *spec, json_t *object, const char *key, json_t *value);
void kj__spec_set_text(struct kj__spec *spec, json_t *object, const char *key, const char *text);

/* Sets what people read: the model's own words, then ours; either may be NULL. */
void kj__spec_describe(struct kj__spec *spec, json_t *object, const char *own, const char *ours);
void kj__spec_append(struct kj__spec *spec, json_t *array, json_t *value);
json_t *kj__spec_ref(struct kj__spec *spec, const char *kind, const char *name);

/* ---- the frame of a document ---- */

/* Checks the options, fills in their defaults. KJ_EINVAL with `error` naming the option. */
enum kj_status kj__spec_init(struct kj__spec *spec, const struct kj_model *model,
                             const struct kj_spec_options *options, struct kj_error *error);

/* Hands out a document that is whole, releases another. */
enum kj_status kj__spec_finish_take(struct kj__spec *spec, json_t *made, json_t **document,
                                    struct kj_error *error);

/* Title, version and what readers of either document have to know. */
json_t *kj__spec_info(struct kj__spec *spec, const char *description);

/* ---- schemas ---- */

enum kj__spec_form {
    KJ__SPEC_SHOWN = 0, /* of answers and events */
    KJ__SPEC_CREATE,    /* what a client sends */
    KJ__SPEC_UPDATE,
    KJ__SPEC_PATCH,
};

/* "task.v1", "task.v1.create"; no name of the model has a dot. */
enum { KJ__SPEC_NAME_MAX = 160 };
void kj__spec_schema_name(const struct kj_identity *identity, enum kj__spec_form form,
                          char name[KJ__SPEC_NAME_MAX]);

json_t *kj__spec_schema(struct kj__spec *spec, const struct kj_identity *identity,
                        enum kj__spec_form form);

/* One element of an error array. */
json_t *kj__spec_error_schema(struct kj__spec *spec);

/* Whether a POSIX extended expression means the same to JSON Schema, which has those of
 * JavaScript. In doubt it does not. */
bool kj__spec_pattern_is_common(const char *pattern);

/* ---- OpenAPI ---- */

/* What a client may send with an operation of `child` under `parent` (NULL: root). */
json_t *kj__spec_parameters(struct kj__spec *spec, const struct kj_identity *parent,
                            const struct kj_identity *child, enum kj_operation operation,
                            bool is_head);

/* The built-in ones that were used, as components. */
json_t *kj__spec_parameter_components(struct kj__spec *spec);

/* Every path of every version; notes in spec->used what operations there are. */
json_t *kj__spec_paths(struct kj__spec *spec);

/* The answers of an operation; those refused are components, but where HEAD has no body. */
json_t *kj__spec_responses(struct kj__spec *spec, const struct kj_identity *child,
                           enum kj_operation operation, bool is_head);
json_t *kj__spec_response_components(struct kj__spec *spec);
json_t *kj__spec_header_components(struct kj__spec *spec);

/* {"application/json": ..., "application/msgpack": ...} of a schema, which is taken over. */
json_t *kj__spec_content(struct kj__spec *spec, json_t *schema);

#endif
