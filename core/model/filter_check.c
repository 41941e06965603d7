/* filter_check.c - whether a filter makes sense for an identity. */
#include "model/filter_parts.h"

#include "model/types.h"

#include <string.h>

struct check {
    const struct kj_identity *identity;
    struct kj_error *error;
    enum kj_status status;
};

static bool fail_at(struct check *check, const struct kj__filter_node *comparison, size_t position,
                    const char *reason)
{
    kj_error_set(check->error, position, "attribute \"%s\" of %s %s", comparison->key,
                 kj_identity_name(check->identity), reason);
    check->status = KJ_EINVAL;
    return true;
}

static bool fail(struct check *check, const struct kj__filter_node *comparison, const char *reason)
{
    return fail_at(check, comparison, comparison->position, reason);
}

static bool fits(const struct kj__filter_constant *constant, enum kj_attribute_type type)
{
    bool is_call = constant->type == KJ__FILTER_DATE || constant->type == KJ__FILTER_NOW;
    switch (type) {
    case KJ_TYPE_STRING:
    case KJ_TYPE_BYTES: /* by their base64 text */
        return !is_call;
    case KJ_TYPE_INTEGER:
    case KJ_TYPE_FLOAT:
        return !is_call && constant->is_number;
    case KJ_TYPE_BOOLEAN:
        return !is_call &&
               (strcmp(constant->text, "true") == 0 || strcmp(constant->text, "false") == 0);
    case KJ_TYPE_TIME:
        return is_call || constant->is_time;
    case KJ_TYPE_LIST:
    case KJ_TYPE_OBJECT:
        break;
    }
    return false;
}

static bool check_constants(struct check *check, const struct kj__filter_node *comparison,
                            enum kj_attribute_type type)
{
    for (size_t i = 0; i < comparison->constant_count; i++) {
        const struct kj__filter_constant *constant = &comparison->constants[i];
        if (!fits(constant, type)) {
            struct kj__buffer reason;
            kj__buffer_init(&reason);
            kj__buffer_printf(&reason, "is compared with %s: ", kj__type_phrase(type));
            kj__filter_constant_write(constant, &reason);
            kj__buffer_append_text(&reason, " is none");
            kj__buffer_append_byte(&reason, '\0');
            (void)fail_at(check, comparison, constant->position,
                          reason.failed ? "does not fit" : (const char *)reason.data);
            kj__buffer_fini(&reason);
            return true;
        }
    }
    return false;
}

static bool has_order(enum kj_attribute_type type)
{
    return type != KJ_TYPE_BOOLEAN && type != KJ_TYPE_OBJECT;
}

/* Whether a key leads below an attribute that may hold anything. */
static bool is_path_into_object(const struct kj_identity *identity, const char *key)
{
    char name[KJ__FILTER_TEXT_MAX + 1];
    size_t len = strcspn(key, ".");
    memcpy(name, key, len);
    name[len] = '\0';
    const struct kj__attribute *attribute = key[len] ? kj__identity_attribute(identity, name)
                                                     : NULL;
    return attribute && attribute->type == KJ_TYPE_OBJECT && !attribute->secret;
}

static bool check_comparison(const struct kj__filter_node *comparison, void *ctx)
{
    struct check *check = ctx;
    const struct kj__attribute *attribute = kj__identity_attribute(check->identity,
                                                                   comparison->key);
    if (!attribute) {
        return !is_path_into_object(check->identity, comparison->key) &&
               fail(check, comparison, "does not exist");
    }
    if (attribute->secret) {
        return fail(check, comparison, "is secret");
    }
    enum kj_attribute_type type = attribute->type == KJ_TYPE_LIST ? attribute->items
                                                                  : attribute->type;
    switch (comparison->comparator) {
    case KJ__FILTER_EXISTS:
    case KJ__FILTER_NOT_EXISTS:
        return false;
    case KJ__FILTER_MATCHES:
        return type != KJ_TYPE_STRING && fail(check, comparison, "has no text to match");
    case KJ__FILTER_LESS:
    case KJ__FILTER_LESS_OR_EQUAL:
    case KJ__FILTER_GREATER:
    case KJ__FILTER_GREATER_OR_EQUAL:
        return (!has_order(type) && fail(check, comparison, "has no order")) ||
               check_constants(check, comparison, type);
    default:
        return check_constants(check, comparison, type);
    }
}

enum kj_status kj__filter_check(const struct kj_filter *filter, const struct kj_identity *identity,
                                struct kj_error *error)
{
    struct check check = {.identity = identity, .error = error, .status = KJ_OK};
    (void)kj__filter_node_walk(filter->root, check_comparison, &check);
    return check.status;
}
