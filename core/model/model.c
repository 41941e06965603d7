/* model.c - a model made, asked and released. */
#include "model/build.h"
#include "model/identity.h"

#include <stdlib.h>

enum kj_status kj_model_new(const struct kj_model_spec *spec, struct kj_model **model,
                            struct kj_error *error)
{
    struct kj__walk walk = {.text = ""};
    enum kj_status status = kj__model_build(spec, model, &walk);
    if (status == KJ_EINVAL) {
        kj__walk_explain(&walk, "", 0, error);
    } else if (status) {
        kj_error_set(error, 0, "%s", kj_status_text(status));
    }
    return status;
}

static void free_identity(struct kj_identity *identity)
{
    for (size_t i = 0; i < identity->attribute_count; i++) {
        kj__attribute_fini(&identity->attributes[i]);
    }
    free(identity->attributes);
    free(identity->related);
    free(identity->category);
    free(identity->description);
    free(identity->name);
}

void kj_model_free(struct kj_model *model)
{
    if (!model) {
        return;
    }
    kj__map_fini(&model->by_category, NULL);
    kj__map_fini(&model->by_name, NULL);
    for (size_t i = 0; i < model->relation_count; i++) {
        kj__parameters_fini(&model->relations[i].parameters);
    }
    free(model->relations);
    for (size_t i = 0; i < model->identity_count; i++) {
        free_identity(&model->identities[i]);
    }
    free(model->identities);
    free(model);
}

const char *kj_operation_name(enum kj_operation operation)
{
    switch (operation) {
    case KJ_OP_RETRIEVE_MANY:
        return "retrieve-many";
    case KJ_OP_RETRIEVE:
        return "retrieve";
    case KJ_OP_CREATE:
        return "create";
    case KJ_OP_UPDATE:
        return "update";
    case KJ_OP_PATCH:
        return "patch";
    case KJ_OP_DELETE:
        return "delete";
    case KJ_OP_INFO:
        return "info";
    case KJ_OP_ALL:
        return "all";
    }
    return "unknown";
}

const struct kj_identity *kj_model_identity(const struct kj_model *model, const char *name)
{
    return kj__map_get(&model->by_name, name);
}

const struct kj_identity *kj_model_identity_at(const struct kj_model *model, size_t index)
{
    return index < model->identity_count ? &model->identities[index] : NULL;
}

size_t kj_model_identity_count(const struct kj_model *model)
{
    return model->identity_count;
}

const char *kj_identity_name(const struct kj_identity *identity)
{
    return identity->name;
}

const char *kj_identity_category(const struct kj_identity *identity)
{
    return identity->category;
}

int kj_identity_version(const struct kj_identity *identity)
{
    return identity->version;
}

bool kj__model_has_version(const struct kj_model *model, int version)
{
    bool found = version == 0;
    for (size_t i = 0; !found && i < model->identity_count; i++) {
        found = model->identities[i].version == version;
    }
    return found;
}

const struct kj_identity *kj__model_by_category(const struct kj_model *model, int version,
                                                const char *category)
{
    const struct kj_identity *identity = kj__map_get(&model->by_category, category);
    while (identity && version != 0 && identity->version != version) {
        identity = identity->next_of_category;
    }
    return identity;
}

static const struct kj__relation *find_relation(const struct kj_model *model,
                                                const struct kj_identity *parent,
                                                const struct kj_identity *child)
{
    const struct kj_identity *parent_name = parent ? parent->namesake : NULL;
    for (size_t i = 0; i < model->relation_count; i++) {
        const struct kj__relation *relation = &model->relations[i];
        if (relation->parent == parent_name && relation->child == child->namesake) {
            return relation;
        }
    }
    return NULL;
}

bool kj__model_allows(const struct kj_model *model, const struct kj_identity *parent,
                      const struct kj_identity *child, enum kj_operation operation)
{
    const struct kj__relation *relation = find_relation(model, parent, child);
    return relation && (relation->operations & (unsigned)operation);
}

const struct kj__parameters *kj__model_parameters(const struct kj_model *model,
                                                  const struct kj_identity *parent,
                                                  const struct kj_identity *child)
{
    const struct kj__relation *relation = find_relation(model, parent, child);
    return relation ? &relation->parameters : NULL;
}
