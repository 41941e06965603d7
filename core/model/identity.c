/* identity.c - what an identity says about an object: which members it has, which a client
 * may set, which nobody may see. */
#include "model/identity.h"
#include "model/types.h"

#include <stdlib.h>
#include <string.h>

static int compare_name(const void *name, const void *attribute)
{
    return strcmp(name, ((const struct kj__attribute *)attribute)->name);
}

const struct kj__attribute *kj__identity_attribute(const struct kj_identity *identity,
                                                   const char *name)
{
    return bsearch(name, identity->attributes, identity->attribute_count,
                   sizeof *identity->attributes, compare_name);
}

bool kj__identity_has_attribute(const struct kj_identity *identity, const char *name)
{
    return kj__identity_attribute(identity, name) != NULL;
}

bool kj__identity_is_secret(const struct kj_identity *identity, const char *name)
{
    const struct kj__attribute *attribute = kj__identity_attribute(identity, name);
    if (attribute) {
        return attribute->secret;
    }
    bool is_secret = false;
    for (const struct kj_identity *version = identity->namesake; version && !is_secret;
         version = version->next_version) {
        attribute = kj__identity_attribute(version, name);
        is_secret = attribute && attribute->secret;
    }
    return is_secret;
}

bool kj__identity_has_secrets(const struct kj_identity *identity)
{
    const struct kj_identity *version = identity->namesake;
    while (version && !version->has_secrets) {
        version = version->next_version;
    }
    return version != NULL;
}

bool kj_identity_attribute_type(const struct kj_identity *identity, const char *name,
                                enum kj_attribute_type *type)
{
    const struct kj__attribute *attribute = kj__identity_attribute(identity, name);
    if (attribute) {
        *type = attribute->type;
    }
    return attribute != NULL;
}

/* ID and parent are found by other means. */
static bool is_indexed(const struct kj__attribute *attribute)
{
    return attribute->type != KJ_TYPE_LIST && attribute->type != KJ_TYPE_OBJECT &&
           !attribute->secret && !attribute->unindexed && strcmp(attribute->name, "ID") != 0 &&
           strcmp(attribute->name, "parentID") != 0 && strcmp(attribute->name, "parentType") != 0;
}

const char *kj_identity_next_indexed(const struct kj_identity *identity, const char *name)
{
    size_t index = name
                       ? (size_t)(kj__identity_attribute(identity, name) - identity->attributes) + 1
                       : 0;
    while (index < identity->attribute_count && !is_indexed(&identity->attributes[index])) {
        index++;
    }
    return index < identity->attribute_count ? identity->attributes[index].name : NULL;
}

/* As the identity declares it, or, where it does not, as the first version that does. */
static const struct kj__attribute *attribute_of_any(const struct kj_identity *identity,
                                                    const char *name)
{
    const struct kj__attribute *attribute = kj__identity_attribute(identity, name);
    for (const struct kj_identity *version = identity->namesake; !attribute && version;
         version = version->next_version) {
        attribute = kj__identity_attribute(version, name);
    }
    return attribute;
}

static enum kj__member_kind kind_of(const void *ctx, const char *member)
{
    const struct kj__attribute *attribute = attribute_of_any(ctx, member);
    if (!attribute) {
        return KJ__MEMBER_PLAIN;
    }
    bool is_list = attribute->type == KJ_TYPE_LIST;
    switch (is_list ? attribute->items : attribute->type) {
    case KJ_TYPE_STRING:
        return is_list ? KJ__MEMBER_LIST_OF_TEXTS : KJ__MEMBER_TEXT;
    case KJ_TYPE_TIME:
        return is_list ? KJ__MEMBER_LIST_OF_TIMES : KJ__MEMBER_TIME;
    case KJ_TYPE_BYTES:
        return is_list ? KJ__MEMBER_LIST_OF_BYTES : KJ__MEMBER_BYTES;
    default:
        return KJ__MEMBER_PLAIN;
    }
}

const char *const *kj__identity_related(const struct kj_identity *identity)
{
    return identity->related;
}

struct kj__member_kinds kj__identity_kinds(const struct kj_identity *identity)
{
    return (struct kj__member_kinds){.kind_of = kind_of, .ctx = identity};
}

/* Steals nothing: `value` is copied, so that no two objects share what one may change. The names of
 * attributes are ASCII (kj__check_name). */
static enum kj_status set_copy(json_t *object, const char *name, const json_t *value)
{
    return json_object_set_new_nocheck(object, name, json_deep_copy(value)) == 0 ? KJ_OK
                                                                                 : KJ_ENOMEM;
}

static void drop_unknown(const struct kj_identity *identity, json_t *object)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, name, value)
    {
        if (!kj__identity_attribute(identity, name)) {
            json_object_del(object, name);
        }
    }
}

static enum kj_status conform_member(const struct kj__attribute *attribute, json_t *object,
                                     bool fill, struct kj_error *error)
{
    json_t *value = json_object_get(object, attribute->name);
    if (!value) {
        return fill ? set_copy(object, attribute->name, attribute->initial) : KJ_OK;
    }
    json_t *coerced = NULL;
    enum kj_status status = kj__attribute_coerce(attribute, value, &coerced, error);
    if (!status && coerced != value && json_object_set(object, attribute->name, coerced) != 0) {
        status = KJ_ENOMEM;
    }
    json_decref(coerced);
    return status;
}

enum kj_status kj__identity_conform(const struct kj_identity *identity, json_t *object, bool fill,
                                    struct kj_error *error)
{
    if (!json_is_object(object)) {
        kj_error_set(error, 0, "%s must be an object", identity->name);
        return KJ_EINVAL;
    }
    drop_unknown(identity, object);
    enum kj_status status = KJ_OK;
    for (size_t i = 0; !status && i < identity->attribute_count; i++) {
        status = conform_member(&identity->attributes[i], object, fill, error);
    }
    return status;
}

/* Who writes by one version knows nothing of what only others declare. */
static enum kj_status keep_others(const struct kj_identity *identity, json_t *object,
                                  const json_t *stored)
{
    const char *name;
    json_t *value;
    enum kj_status status = KJ_OK;
    json_object_foreach((json_t *)stored, name, value)
    {
        if (!status && !kj__identity_attribute(identity, name) &&
            attribute_of_any(identity, name) && !json_object_get(object, name)) {
            status = set_copy(object, name, value);
        }
    }
    return status;
}

enum kj_status kj__identity_protect(const struct kj_identity *identity, json_t *object,
                                    const json_t *stored)
{
    bool is_alone = !identity->namesake->next_version;
    enum kj_status status = stored && !is_alone ? keep_others(identity, object, stored) : KJ_OK;
    for (size_t i = 0; !status && i < identity->attribute_count; i++) {
        const struct kj__attribute *attribute = &identity->attributes[i];
        if (attribute->read_only || (stored && attribute->creation_only)) {
            const json_t *kept = json_object_get(stored, attribute->name);
            kept = kept ? kept : attribute->initial;
            if (!json_equal(json_object_get(object, attribute->name), kept)) {
                status = set_copy(object, attribute->name, kept);
            }
        }
    }
    return status;
}

void kj__identity_drop_protected(const struct kj_identity *identity, json_t *patch)
{
    for (size_t i = 0; i < identity->attribute_count; i++) {
        const struct kj__attribute *attribute = &identity->attributes[i];
        if (attribute->read_only || attribute->creation_only) {
            json_object_del(patch, attribute->name);
        }
    }
}

/* The member of `object` that is the version's attribute, if that is a secret and not blank yet. */
static bool shows_secret(const struct kj_identity *identity, const struct kj__attribute *attribute,
                         const json_t *object)
{
    const json_t *value = attribute->secret ? json_object_get(object, attribute->name) : NULL;
    if (!value || !kj__identity_is_secret(identity, attribute->name)) {
        return false;
    }
    json_t *blank = kj__type_zero(attribute->type);
    bool is_blank = json_equal(value, blank);
    json_decref(blank);
    return !is_blank;
}

/* The next attribute that shows a secret, from *index of *version on; NULL: there is none. */
static const struct kj__attribute *next_shown(const struct kj_identity *identity,
                                              const json_t *object,
                                              const struct kj_identity **version, size_t *index)
{
    for (; *version; *version = (*version)->next_version, *index = 0) {
        while ((*version)->has_secrets && *index < (*version)->attribute_count) {
            const struct kj__attribute *attribute = &(*version)->attributes[(*index)++];
            if (shows_secret(identity, attribute, object)) {
                return attribute;
            }
        }
    }
    return NULL;
}

bool kj__identity_shows_secrets(const struct kj_identity *identity, const json_t *object)
{
    const struct kj_identity *version = identity->namesake;
    size_t index = 0;
    return next_shown(identity, object, &version, &index) != NULL;
}

enum kj_status kj__identity_blank_secrets(const struct kj_identity *identity, json_t *object)
{
    const struct kj_identity *version = identity->namesake;
    const struct kj__attribute *attribute;
    size_t index = 0;
    while ((attribute = next_shown(identity, object, &version, &index))) {
        if (json_object_set_new_nocheck(object, attribute->name, kj__type_zero(attribute->type))) {
            return KJ_ENOMEM;
        }
    }
    return KJ_OK;
}
