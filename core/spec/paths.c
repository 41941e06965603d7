/* paths.c - every path the relations allow, under each version, with its operations. */
#include "spec/parts.h"

#include "base/buffer.h"
#include "model/identity.h"

#include <stdio.h>
#include <string.h>

/* Where operations are. */
struct place {
    int version;
    const struct kj_identity *parent; /* NULL: root */
    const struct kj_identity *child;
};

static const struct method {
    const char *name;
    enum kj_operation operation;
    bool is_head;        /* without a body where there would be one */
    const char *id;      /* the end of the operationId */
    const char *summary; /* of an identity or a category */
    bool is_of_category;
    enum kj__spec_form form; /* of the body; KJ__SPEC_SHOWN: none */
} methods[] = {
    {"get", KJ_OP_RETRIEVE_MANY, false, "retrieve-many", "List %s", true, KJ__SPEC_SHOWN},
    {"post", KJ_OP_CREATE, false, "create", "Create a %s", false, KJ__SPEC_CREATE},
    {"head", KJ_OP_INFO, true, "info", "Count %s", true, KJ__SPEC_SHOWN},
    {"get", KJ_OP_RETRIEVE, false, "retrieve", "Get a %s", false, KJ__SPEC_SHOWN},
    {"head", KJ_OP_RETRIEVE, true, "exists", "See whether a %s is there", false, KJ__SPEC_SHOWN},
    {"put", KJ_OP_UPDATE, false, "update", "Replace a %s", false, KJ__SPEC_UPDATE},
    {"patch", KJ_OP_PATCH, false, "patch", "Change a %s", false, KJ__SPEC_PATCH},
    {"delete", KJ_OP_DELETE, false, "delete", "Delete a %s", false, KJ__SPEC_SHOWN},
};
enum { COLLECTION_METHODS = 3, METHOD_COUNT = sizeof methods / sizeof *methods };

/* ---- one operation ---- */

/* "v1.task.create", or "v1.list.task.create" under a parent: no two are the same, for no name
 * has a dot. */
static json_t *operation_id(const struct place *place, const struct method *method)
{
    return json_sprintf("v%d.%s%s%s.%s", place->version, place->parent ? place->parent->name : "",
                        place->parent ? "." : "", place->child->name, method->id);
}

static json_t *request_body(struct kj__spec *spec, const struct place *place,
                            enum kj__spec_form form)
{
    char name[KJ__SPEC_NAME_MAX];
    kj__spec_schema_name(place->child, form, name);
    return json_pack("{s:b, s:o}", "required", 1, "content",
                     kj__spec_content(spec, kj__spec_ref(spec, "schemas", name)));
}

static void describe_requirements(struct kj__spec *spec, const struct place *place,
                                  enum kj_operation op, json_t *operation)
{
    const struct kj__parameters *declared = kj__model_parameters(spec->model, place->parent,
                                                                 place->child);
    struct kj__buffer text;
    kj__buffer_init(&text);
    if (declared) {
        kj__parameters_write_required(declared, op, &text);
    }
    if (text.len > 0) {
        kj__spec_set(
            spec, operation, "description",
            json_sprintf("Needs the parameters `%.*s`.", (int)text.len, (const char *)text.data));
    }
    spec->failed |= text.failed;
    kj__buffer_fini(&text);
}

/* A call that changes nothing may do without a token. */
static void set_security(struct kj__spec *spec, enum kj_operation op, json_t *operation)
{
    bool is_read = op & (KJ_OP_RETRIEVE | KJ_OP_RETRIEVE_MANY | KJ_OP_INFO);
    if (!spec->options.needs_token || !spec->options.public_reads || !is_read) {
        return;
    }
    json_t *any_of = json_pack("[{}, {s:[]}]", "bearer");
    if (spec->options.token_cookie) {
        kj__spec_append(spec, any_of, json_pack("{s:[]}", "cookie"));
    }
    if (spec->options.token_in_query) {
        kj__spec_append(spec, any_of, json_pack("{s:[]}", "query"));
    }
    kj__spec_set(spec, operation, "security", any_of);
}

static json_t *make_operation(struct kj__spec *spec, const struct place *place,
                              const struct method *method)
{
    json_t *made = kj__spec_object(spec);
    spec->used |= (unsigned)method->operation;
    kj__spec_set(spec, made, "operationId", operation_id(place, method));
    kj__spec_set(spec, made, "tags", json_pack("[s]", place->child->name));
    kj__spec_set(spec, made, "summary",
                 json_sprintf(method->summary, method->is_of_category ? place->child->category
                                                                      : place->child->name));
    describe_requirements(spec, place, method->operation, made);
    set_security(spec, method->operation, made);
    kj__spec_set(
        spec, made, "parameters",
        kj__spec_parameters(spec, place->parent, place->child, method->operation, method->is_head));
    if (method->form) {
        kj__spec_set(spec, made, "requestBody", request_body(spec, place, method->form));
    }
    kj__spec_set(spec, made, "responses",
                 kj__spec_responses(spec, place->child, method->operation, method->is_head));
    return made;
}

/* ---- one path ---- */

static json_t *id_parameter(const char *name, const struct kj_identity *identity)
{
    return json_pack("{s:s, s:s, s:b, s:o, s:{s:s, s:i}}", "name", name, "in", "path", "required",
                     1, "description", json_sprintf("The ID of a %s.", identity->name), "schema",
                     "type", "string", "minLength", 1);
}

static void add_path(struct kj__spec *spec, json_t *paths, const struct place *place,
                     bool is_object)
{
    json_t *item = kj__spec_object(spec);
    const struct kj_identity *owner = is_object ? place->child : place->parent;
    if (owner) {
        kj__spec_set(spec, item, "parameters",
                     json_pack("[o]", id_parameter(is_object ? "ID" : "parentID", owner)));
    }
    size_t end = is_object ? METHOD_COUNT : COLLECTION_METHODS;
    bool is_empty = true;
    for (size_t i = is_object ? COLLECTION_METHODS : 0; i < end; i++) {
        if (kj__model_allows(spec->model, place->parent, place->child, methods[i].operation)) {
            kj__spec_set(spec, item, methods[i].name, make_operation(spec, place, &methods[i]));
            is_empty = false;
        }
    }
    if (is_empty) {
        json_decref(item);
        return;
    }
    char path[3 * KJ__SPEC_NAME_MAX];
    (void)snprintf(path, sizeof path, "/v/%d%s%s%s/%s%s", place->version, place->parent ? "/" : "",
                   place->parent ? place->parent->category : "", place->parent ? "/{parentID}" : "",
                   place->child->category, is_object ? "/{ID}" : "");
    kj__spec_set(spec, paths, path, item);
}

/* ---- all of them ---- */

/* Whether a path of `version` leads to the identity. */
static bool is_served(const struct kj_model *model, int version, const struct kj_identity *identity)
{
    return kj__model_by_category(model, version, identity->category) == identity;
}

/* A child's URL carries its parent's version; one of another version is found, too. */
static void add_children(struct kj__spec *spec, json_t *paths, int version,
                         const struct kj_identity *parent)
{
    const struct kj_model *model = spec->model;
    for (size_t i = 0; i < model->relation_count; i++) {
        const struct kj__relation *relation = &model->relations[i];
        const struct kj_identity *child = relation->child;
        for (; child && relation->parent == parent->namesake; child = child->next_version) {
            int own = kj__model_by_category(model, version, child->category) ? version : 0;
            if (is_served(model, own, child)) {
                add_path(spec, paths, &(struct place){version, parent, child}, false);
            }
        }
    }
}

static void add_version(struct kj__spec *spec, json_t *paths, int version)
{
    for (size_t i = 0; i < spec->model->identity_count; i++) {
        const struct kj_identity *identity = &spec->model->identities[i];
        if (is_served(spec->model, version, identity)) {
            const struct place root = {version, NULL, identity};
            add_path(spec, paths, &root, false);
            add_path(spec, paths, &root, true);
            add_children(spec, paths, version, identity);
        }
    }
}

json_t *kj__spec_paths(struct kj__spec *spec)
{
    const struct kj_model *model = spec->model;
    json_t *paths = kj__spec_object(spec);
    for (size_t i = 0; i < model->identity_count; i++) {
        bool is_known = false;
        for (size_t k = 0; k < i; k++) {
            is_known |= model->identities[k].version == model->identities[i].version;
        }
        if (!is_known) {
            add_version(spec, paths, model->identities[i].version);
        }
    }
    return paths;
}
