/* namespaces.c - see kujata/namespaces.h. */
#include <kujata/namespaces.h>
#include <stdlib.h>
#include <string.h>

struct kj_namespaces {
    char *namespace_attribute, *propagate_attribute, *hidden_attribute;
    char *identity, *name_attribute;
    struct kj_namespaces_options options; /* its functions; not its strings */
};

/* What of an event decides. */
struct summary {
    bool is_deletion; /* of a namespace */
    bool propagates;
    char *deleted; /* that namespace, or "" */
    char where[];  /* the object's namespace */
};

/* ---- names ---- */

bool kj_namespace_is_valid(const char *name)
{
    if (name[0] != '/') {
        return false;
    }
    return !name[1] || (name[strlen(name) - 1] != '/' && !strstr(name, "//"));
}

static bool is_above(const char *upper, const char *lower)
{
    size_t len = strlen(upper);
    if (len == 1) {
        return lower[1] != '\0'; /* of the root */
    }
    return strncmp(lower, upper, len) == 0 && lower[len] == '/';
}

enum kj_namespace_relation kj_namespace_relation(const char *first, const char *second)
{
    if (!kj_namespace_is_valid(first) || !kj_namespace_is_valid(second)) {
        return KJ_NAMESPACE_UNRELATED;
    }
    if (strcmp(first, second) == 0) {
        return KJ_NAMESPACE_SAME;
    }
    if (is_above(first, second)) {
        return KJ_NAMESPACE_ABOVE;
    }
    return is_above(second, first) ? KJ_NAMESPACE_BELOW : KJ_NAMESPACE_UNRELATED;
}

/* ---- the handler ---- */

static bool on_session_init(struct kj_session *session, struct kj_error *error, void *ctx)
{
    const struct kj_namespaces *namespaces = ctx;
    const struct kj_namespaces_options *options = &namespaces->options;
    const char *name = kj_session_query_parameter(session, "namespace");
    if (!name || !kj_namespace_is_valid(name)) {
        kj_error_set(error, 0, "The parameter namespace must be a namespace, such as / or /a/b");
        return false;
    }
    return !options->admits || options->admits(session, name, error, options->ctx);
}

static const char *text_of(const json_t *entity, const char *attribute)
{
    const char *text = json_string_value(json_object_get(entity, attribute));
    return text ? text : "";
}

static enum kj_status summarize_event(const struct kj_event *event, void **summary, void *ctx)
{
    const struct kj_namespaces *namespaces = ctx;
    const json_t *entity = kj_event_entity(event);
    const char *where = text_of(entity, namespaces->namespace_attribute);
    const char *deleted = "";
    if (!kj_namespace_is_valid(where)) {
        return KJ_EINVAL;
    }
    bool is_deletion = strcmp(kj_event_identity(event), namespaces->identity) == 0 &&
                       strcmp(kj_event_type(event), KJ_EVENT_DELETE) == 0;
    if (is_deletion) {
        deleted = text_of(entity, namespaces->name_attribute);
    }
    size_t where_size = strlen(where) + 1;
    struct summary *made = malloc(sizeof *made + where_size + strlen(deleted) + 1);
    if (!made) {
        return KJ_ENOMEM;
    }
    made->is_deletion = is_deletion;
    made->propagates = json_is_true(json_object_get(entity, namespaces->propagate_attribute)) &&
                       !json_is_true(json_object_get(entity, namespaces->hidden_attribute));
    made->deleted = made->where + where_size;
    memcpy(made->where, where, where_size);
    memcpy(made->deleted, deleted, strlen(deleted) + 1);
    *summary = made;
    return KJ_OK;
}

static void free_summary(void *summary, void *ctx)
{
    (void)ctx;
    free(summary);
}

static bool is_recursive(const struct kj_session *session)
{
    const char *mode = kj_session_query_parameter(session, "mode");
    return mode && strcmp(mode, "all") == 0;
}

static bool should_dispatch(struct kj_session *session, const struct kj_event *event,
                            const void *summary, void *ctx)
{
    const struct kj_namespaces *namespaces = ctx;
    const struct kj_namespaces_options *options = &namespaces->options;
    const struct summary *about = summary;
    const char *own = kj_session_query_parameter(session, "namespace");
    enum kj_namespace_relation relation = kj_namespace_relation(about->where, own);
    if (about->is_deletion &&
        (strcmp(about->deleted, own) == 0 || relation == KJ_NAMESPACE_ABOVE)) {
        return true;
    }
    bool may_see = relation == KJ_NAMESPACE_SAME ||
                   (relation == KJ_NAMESPACE_BELOW && is_recursive(session)) ||
                   (relation == KJ_NAMESPACE_ABOVE && about->propagates);
    return may_see && (!options->allows || options->allows(session, event, options->ctx));
}

struct kj_dispatch_handler kj_namespaces_handler(struct kj_namespaces *namespaces)
{
    return (struct kj_dispatch_handler){
        .on_session_init = on_session_init,
        .summarize_event = summarize_event,
        .free_summary = free_summary,
        .should_dispatch = should_dispatch,
        .ctx = namespaces,
    };
}

/* ---- life ---- */

static bool copy_name(char **to, const char *name, const char *fallback)
{
    *to = strdup(name ? name : fallback);
    return *to != NULL;
}

enum kj_status kj_namespaces_new(const struct kj_namespaces_options *options,
                                 struct kj_namespaces **namespaces)
{
    *namespaces = NULL;
    struct kj_namespaces *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    const struct kj_namespaces_options given = options ? *options
                                                       : (struct kj_namespaces_options){0};
    made->options = (struct kj_namespaces_options){
        .admits = given.admits, .allows = given.allows, .ctx = given.ctx};
    if (!copy_name(&made->namespace_attribute, given.namespace_attribute, "namespace") ||
        !copy_name(&made->propagate_attribute, given.propagate_attribute, "propagate") ||
        !copy_name(&made->hidden_attribute, given.hidden_attribute, "propagationHidden") ||
        !copy_name(&made->identity, given.identity, "namespace") ||
        !copy_name(&made->name_attribute, given.name_attribute, "name")) {
        kj_namespaces_free(made);
        return KJ_ENOMEM;
    }
    *namespaces = made;
    return KJ_OK;
}

void kj_namespaces_free(struct kj_namespaces *namespaces)
{
    if (!namespaces) {
        return;
    }
    free(namespaces->namespace_attribute);
    free(namespaces->propagate_attribute);
    free(namespaces->hidden_attribute);
    free(namespaces->identity);
    free(namespaces->name_attribute);
    free(namespaces);
}
