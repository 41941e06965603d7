/* build.c - from a declaration to a checked model: identities, then relations. */
#include "model/build.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Attributes every identity has, unless it declares them. */
static const struct kj_attribute_spec builtin_attributes[] = {
    {.name = "ID", .read_only = true},
    {.name = "parentID", .read_only = true},
    {.name = "parentType", .read_only = true},
};
enum { BUILTIN_COUNT = sizeof builtin_attributes / sizeof *builtin_attributes };

static int compare_attributes(const void *left, const void *right)
{
    const struct kj__attribute *first = left, *second = right;
    return strcmp(first->name, second->name);
}

static bool declares(const struct kj_identity_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->attribute_count; i++) {
        if (strcmp(spec->attributes[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Names alone, so that every later text may quote them. */
static enum kj_status check_attribute_names(const struct kj_identity_spec *spec,
                                            struct kj__walk *walk)
{
    struct kj__map seen;
    enum kj_status status = KJ_OK;
    kj__map_init(&seen);
    kj__walk_enter_member(walk, "attributes");
    for (size_t i = 0; !status && i < spec->attribute_count; i++) {
        const char *name = spec->attributes[i].name;
        void *previous;
        kj__walk_enter_item(walk, i);
        status = kj__check_name(name, "name", walk);
        if (!status && !kj__map_put(&seen, name, (void *)spec, &previous)) {
            status = KJ_ENOMEM;
        } else if (!status && previous) {
            status = kj__walk_fail(walk, "name", "attribute \"%s\" is declared twice", name);
        }
        if (!status) {
            kj__walk_leave(walk);
        }
    }
    if (!status) {
        kj__walk_leave(walk);
    }
    kj__map_fini(&seen, NULL);
    return status;
}

static enum kj_status add_attribute(struct kj_identity *identity,
                                    const struct kj_attribute_spec *spec, struct kj__walk *walk)
{
    walk->attribute = spec->name;
    enum kj_status status = kj__attribute_init(&identity->attributes[identity->attribute_count++],
                                               spec, walk);
    identity->has_secrets |= spec->secret;
    if (!status) {
        walk->attribute = NULL;
    }
    return status;
}

static enum kj_status add_attributes(struct kj_identity *identity,
                                     const struct kj_identity_spec *spec, struct kj__walk *walk)
{
    identity->attributes = calloc(spec->attribute_count + BUILTIN_COUNT,
                                  sizeof *identity->attributes);
    if (!identity->attributes) {
        return KJ_ENOMEM;
    }
    enum kj_status status = KJ_OK;
    kj__walk_enter_member(walk, "attributes");
    for (size_t i = 0; !status && i < spec->attribute_count; i++) {
        kj__walk_enter_item(walk, i);
        status = add_attribute(identity, &spec->attributes[i], walk);
        if (!status) {
            kj__walk_leave(walk);
        }
    }
    if (!status) {
        kj__walk_leave(walk);
    }
    for (size_t i = 0; !status && i < BUILTIN_COUNT; i++) {
        if (!declares(spec, builtin_attributes[i].name)) {
            status = add_attribute(identity, &builtin_attributes[i], walk);
        }
    }
    if (!status) {
        qsort(identity->attributes, identity->attribute_count, sizeof *identity->attributes,
              compare_attributes);
    }
    return status;
}

static enum kj_status check_identity(const struct kj_identity_spec *spec, struct kj__walk *walk)
{
    enum kj_status status = kj__check_name(spec->name, "name", walk);
    if (status) {
        return status;
    }
    if (strcmp(spec->name, "root") == 0) {
        return kj__walk_fail(walk, "name", "the name \"root\" is reserved");
    }
    walk->identity = spec->name;
    status = kj__check_name(spec->category, "category", walk);
    if (!status && spec->version < 0) {
        status = kj__walk_fail(walk, "version", "the version must be above 0");
    }
    return status;
}

static enum kj_status index_name(struct kj_model *model, struct kj_identity *identity,
                                 struct kj__walk *walk)
{
    struct kj_identity *first = kj__map_get(&model->by_name, identity->name);
    if (!first) {
        identity->namesake = identity;
        return kj__map_put(&model->by_name, identity->name, identity, NULL) ? KJ_OK : KJ_ENOMEM;
    }
    identity->namesake = first;
    for (struct kj_identity *other = first;; other = other->next_version) {
        if (other->version == identity->version) {
            return kj__walk_fail(walk, "name", "the name is taken in version %d",
                                 identity->version);
        }
        if (!other->next_version) {
            other->next_version = identity;
            return KJ_OK;
        }
    }
}

static enum kj_status index_category(struct kj_model *model, struct kj_identity *identity,
                                     struct kj__walk *walk)
{
    struct kj_identity *other = kj__map_get(&model->by_category, identity->category);
    if (!other) {
        return kj__map_put(&model->by_category, identity->category, identity, NULL) ? KJ_OK
                                                                                    : KJ_ENOMEM;
    }
    for (;; other = other->next_of_category) {
        if (other->version == identity->version) {
            return kj__walk_fail(walk, "category",
                                 "category \"%s\" is taken by identity \"%s\" in version %d",
                                 identity->category, other->name, identity->version);
        }
        if (!other->next_of_category) {
            other->next_of_category = identity;
            return KJ_OK;
        }
    }
}

static enum kj_status add_identity(struct kj_model *model, const struct kj_identity_spec *spec,
                                   struct kj__walk *walk)
{
    enum kj_status status = check_identity(spec, walk);
    if (!status) {
        status = check_attribute_names(spec, walk);
    }
    if (status) {
        return status;
    }
    struct kj_identity *identity = &model->identities[model->identity_count++];
    identity->name = strdup(spec->name);
    identity->category = strdup(spec->category);
    identity->description = spec->description ? strdup(spec->description) : NULL;
    identity->version = spec->version ? spec->version : model->version;
    if (!identity->name || !identity->category || (spec->description && !identity->description)) {
        return KJ_ENOMEM;
    }
    status = index_name(model, identity, walk);
    if (!status) {
        status = index_category(model, identity, walk);
    }
    return status ? status : add_attributes(identity, spec, walk);
}

static enum kj_status add_identities(struct kj_model *model, const struct kj_model_spec *spec,
                                     struct kj__walk *walk)
{
    if (spec->identity_count == 0) {
        return kj__walk_fail(walk, "identities", "a model needs at least one identity");
    }
    model->identities = calloc(spec->identity_count, sizeof *model->identities);
    if (!model->identities) {
        return KJ_ENOMEM;
    }
    kj__walk_enter_member(walk, "identities");
    for (size_t i = 0; i < spec->identity_count; i++) {
        kj__walk_enter_item(walk, i);
        enum kj_status status = add_identity(model, &spec->identities[i], walk);
        if (status) {
            return status;
        }
        walk->identity = NULL;
        kj__walk_leave(walk);
    }
    kj__walk_leave(walk);
    return KJ_OK;
}

/* Fills what `identity` has room for. */
static enum kj_status resolve_related(const struct kj_model *model,
                                      const struct kj_identity_spec *spec, size_t count,
                                      const char **related, struct kj__walk *walk)
{
    kj__walk_enter_member(walk, "related");
    for (size_t i = 0; i < count; i++) {
        const char *name = spec->related[i];
        const struct kj_identity *other = kj__map_get(&model->by_name, name);
        kj__walk_enter_item(walk, i);
        if (!other) {
            return kj__walk_fail(walk, NULL, "related \"%.128s\" is not an identity", name);
        }
        for (size_t before = 0; before < i; before++) {
            if (related[before] == other->name) {
                return kj__walk_fail(walk, NULL, "related \"%s\" is there twice", name);
            }
        }
        related[i] = other->name;
        kj__walk_leave(walk);
    }
    kj__walk_leave(walk);
    return KJ_OK;
}

/* Once every identity is known. */
static enum kj_status relate_identities(struct kj_model *model, const struct kj_model_spec *spec,
                                        struct kj__walk *walk)
{
    kj__walk_enter_member(walk, "identities");
    for (size_t i = 0; i < spec->identity_count; i++) {
        const struct kj_identity_spec *from = &spec->identities[i];
        struct kj_identity *identity = &model->identities[i];
        size_t count = 0;
        while (from->related && from->related[count]) {
            count++;
        }
        if (count == 0) {
            continue;
        }
        identity->related = calloc(count + 1, sizeof *identity->related);
        if (!identity->related) {
            return KJ_ENOMEM;
        }
        walk->identity = from->name; /* which outlives a model that fails */
        kj__walk_enter_item(walk, i);
        enum kj_status status = resolve_related(model, from, count, identity->related, walk);
        if (status) {
            return status;
        }
        walk->identity = NULL;
        kj__walk_leave(walk);
    }
    kj__walk_leave(walk);
    return KJ_OK;
}

static bool is_root(const char *name)
{
    return !name || strcmp(name, "root") == 0;
}

/* Fills `relation`, whose operations are still unchecked. */
static enum kj_status resolve_ends(const struct kj_model *model,
                                   const struct kj_relation_spec *spec,
                                   struct kj__relation *relation, struct kj__walk *walk)
{
    if (!spec->child) {
        return kj__walk_fail(walk, "child", "child is missing");
    }
    if (is_root(spec->child)) {
        return kj__walk_fail(walk, "child", "root cannot be a child");
    }
    relation->operations = spec->operations;
    relation->child = kj__map_get(&model->by_name, spec->child);
    if (!relation->child) {
        return kj__walk_fail(walk, "child", "child \"%s\" is not an identity", spec->child);
    }
    if (!is_root(spec->parent)) {
        relation->parent = kj__map_get(&model->by_name, spec->parent);
        if (!relation->parent) {
            return kj__walk_fail(walk, "parent", "parent \"%s\" is not an identity", spec->parent);
        }
    }
    return KJ_OK;
}

static enum kj_status add_relation(struct kj_model *model, const struct kj_relation_spec *spec,
                                   struct kj__walk *walk)
{
    struct kj__relation relation = {0};
    enum kj_status status = resolve_ends(model, spec, &relation, walk);
    if (status) {
        return status;
    }
    if (spec->operations == 0) {
        return kj__walk_fail(walk, "operations", "operations is missing or empty");
    }
    if (spec->operations & ~(unsigned)KJ_OP_ALL) {
        return kj__walk_fail(walk, "operations", "unknown operation in 0x%x", spec->operations);
    }
    for (size_t i = 0; i < model->relation_count; i++) {
        if (model->relations[i].parent == relation.parent &&
            model->relations[i].child == relation.child) {
            return kj__walk_fail(walk, NULL, "the relation of \"%s\" to \"%s\" is declared twice",
                                 relation.parent ? spec->parent : "root", spec->child);
        }
    }
    struct kj__relation *added = &model->relations[model->relation_count++];
    *added = relation;
    return kj__parameters_init(&added->parameters, spec, walk);
}

static enum kj_status add_relations(struct kj_model *model, const struct kj_model_spec *spec,
                                    struct kj__walk *walk)
{
    if (spec->relation_count == 0) {
        return KJ_OK;
    }
    model->relations = calloc(spec->relation_count, sizeof *model->relations);
    if (!model->relations) {
        return KJ_ENOMEM;
    }
    kj__walk_enter_member(walk, "relations");
    for (size_t i = 0; i < spec->relation_count; i++) {
        kj__walk_enter_item(walk, i);
        enum kj_status status = add_relation(model, &spec->relations[i], walk);
        if (status) {
            return status;
        }
        kj__walk_leave(walk);
    }
    kj__walk_leave(walk);
    return KJ_OK;
}

static struct kj_model *new_model(int version)
{
    struct kj_model *made = calloc(1, sizeof *made);
    if (made) {
        made->version = version ? version : 1;
        kj__map_init(&made->by_name);
        kj__map_init(&made->by_category);
    }
    return made;
}

enum kj_status kj__model_build(const struct kj_model_spec *spec, struct kj_model **model,
                               struct kj__walk *walk)
{
    *model = NULL;
    if (!spec) {
        *model = new_model(0);
        return *model ? KJ_OK : KJ_ENOMEM;
    }
    assert(spec->identities || spec->identity_count == 0);
    assert(spec->relations || spec->relation_count == 0);
    if (spec->version < 0) {
        return kj__walk_fail(walk, "version", "the version must be above 0");
    }
    struct kj_model *made = new_model(spec->version);
    if (!made) {
        return KJ_ENOMEM;
    }
    enum kj_status status = add_identities(made, spec, walk);
    if (!status) {
        status = relate_identities(made, spec, walk);
    }
    if (!status) {
        status = add_relations(made, spec, walk);
    }
    if (status) {
        kj_model_free(made);
        return status;
    }
    *model = made;
    return KJ_OK;
}
