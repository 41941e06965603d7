/* identity.h - what the library asks of a model; the public part is kujata/model.h. */
#ifndef KJ_MODEL_IDENTITY_H
#define KJ_MODEL_IDENTITY_H

#include "codec/msgpack.h"

#include <jansson.h>
#include <kujata/model.h>
#include <stdbool.h>

/* Whether any identity is served under /v/`version`; 0 always is. */
bool kj__model_has_version(const struct kj_model *model, int version);

/* The identity of a category under a version (0: the first declared), or NULL. */
const struct kj_identity *kj__model_by_category(const struct kj_model *model, int version,
                                                const char *category);

/* Whether the relations allow an operation on `child` under `parent` (NULL: root). */
bool kj__model_allows(const struct kj_model *model, const struct kj_identity *parent,
                      const struct kj_identity *child, enum kj_operation operation);

bool kj__identity_has_attribute(const struct kj_identity *identity, const char *name);

/* Whether an attribute is secret: as the identity declares it, or, where it does not, as any other
 * version does, since versions share their objects. */
bool kj__identity_is_secret(const struct kj_identity *identity, const char *name);

/* Whether there is any such. */
bool kj__identity_has_secrets(const struct kj_identity *identity);

/* Names of the identities it is related to, NULL at the end; NULL: there are none. They live as
 * long as the model. */
const char *const *kj__identity_related(const struct kj_identity *identity);

/* For the msgpack encoder; the result borrows the identity. What it does not declare is as the
 * first version says that does, since versions share their objects. */
struct kj__member_kinds kj__identity_kinds(const struct kj_identity *identity);

/* Makes a client's object fit: unknown members are dropped, values coerced as Go's codec does
 * (a number for a string attribute becomes its text; null becomes the type's zero). With
 * `fill`, absent members get their default or the type's zero, so that every attribute is
 * there. KJ_EINVAL with `error` for a value that cannot be that type; members before it are
 * changed already. */
enum kj_status kj__identity_conform(const struct kj_identity *identity, json_t *object, bool fill,
                                    struct kj_error *error);

/* Checks a conforming object and appends one element (code 422, title "Validation Error",
 * subject "elemental", data {"attribute": name}) to `errors` for each fault, attributes in
 * the order of their names. With `sparse`, absent members are fine. True when there is none. */
bool kj__identity_validate(const struct kj_identity *identity, const json_t *object, bool sparse,
                           json_t *errors, const char *trace);

/* Resets what a client may not set: on a create (`stored` NULL) read-only attributes, to their
 * default; on an update read-only and creation-only ones, to what `stored` holds. An update keeps
 * what only other versions declare, too. */
enum kj_status kj__identity_protect(const struct kj_identity *identity, json_t *object,
                                    const json_t *stored);

/* Removes from a patch what a client may not set: read-only and creation-only attributes. */
void kj__identity_drop_protected(const struct kj_identity *identity, json_t *patch);

/* Whether a secret attribute is present with another value than the zero of its type. */
bool kj__identity_shows_secrets(const struct kj_identity *identity, const json_t *object);

/* Sets every secret attribute that is present to the zero of its type. */
enum kj_status kj__identity_blank_secrets(const struct kj_identity *identity, json_t *object);

#endif
