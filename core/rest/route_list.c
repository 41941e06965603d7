/* route_list.c - see route_list.h. */
#include "rest/route_list.h"

#include "model/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const enum kj_operation collection_operations[] = {KJ_OP_RETRIEVE_MANY, KJ_OP_CREATE};
static const char *const collection_verbs[] = {"GET", "POST"};
static const enum kj_operation object_operations[] = {KJ_OP_DELETE, KJ_OP_RETRIEVE, KJ_OP_UPDATE};
static const char *const object_verbs[] = {"DELETE", "GET", "PUT"};

/* ---- one route ---- */

/* The verbs of those operations that are in the set. */
static size_t pick_verbs(unsigned set, const enum kj_operation *operations,
                         const char *const *verbs, size_t count, struct kj__listed_route *route)
{
    size_t picked = 0;
    for (size_t i = 0; i < count; i++) {
        if (set & (unsigned)operations[i]) {
            route->verbs[picked++] = verbs[i];
        }
    }
    return picked;
}

static bool set_url(struct kj__listed_route *route, const char *parent, const char *category,
                    const char *end)
{
    size_t size = strlen(category) + sizeof "//:id//:id" + (parent ? strlen(parent) : 0);
    route->url = malloc(size);
    if (!route->url) {
        return false;
    }
    (void)snprintf(route->url, size, "%s%s%s/%s%s", parent ? "/" : "", parent ? parent : "",
                   parent ? "/:id" : "", category, end);
    return true;
}

/* Which of the operations the relations allow. */
static unsigned allowed(const struct kj_model *model, const struct kj_identity *parent,
                        const struct kj_identity *child)
{
    static const enum kj_operation all[] = {KJ_OP_RETRIEVE_MANY, KJ_OP_CREATE, KJ_OP_RETRIEVE,
                                            KJ_OP_UPDATE, KJ_OP_DELETE};
    unsigned set = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (kj__model_allows(model, parent, child, all[i])) {
            set |= (unsigned)all[i];
        }
    }
    return set;
}

static unsigned allowed_anywhere(const struct kj_model *model, const struct kj_identity *child,
                                 enum kj_operation operation)
{
    size_t count = kj_model_identity_count(model);
    for (size_t i = 0; i < count; i++) {
        if (kj__model_allows(model, kj_model_identity_at(model, i), child, operation)) {
            return (unsigned)operation;
        }
    }
    return 0;
}

/* ---- one list ---- */

static bool has_processor(const struct kj__api *api, const struct kj_identity *identity)
{
    return api->has_fallback || kj__map_get(&api->processors, kj_identity_name(identity));
}

/* Adds a route unless nothing is allowed there. */
static bool add_route(struct kj__route_list *list, const struct kj_identity *parent,
                      const struct kj_identity *child, unsigned set, bool is_object)
{
    struct kj__listed_route route = {.category = kj_identity_category(child)};
    size_t verbs = is_object ? pick_verbs(set, object_operations, object_verbs, 3, &route)
                             : pick_verbs(set, collection_operations, collection_verbs, 2, &route);
    if (verbs == 0) {
        return true;
    }
    struct kj__listed_route *routes = realloc(list->routes, (list->count + 1) * sizeof *routes);
    if (!routes) {
        return false;
    }
    list->routes = routes;
    if (!set_url(&route, parent ? kj_identity_category(parent) : NULL, route.category,
                 is_object ? "/:id" : "")) {
        return false;
    }
    routes[list->count++] = route;
    return true;
}

/* Whether a path of that version leads to the identity: without a version, to the first of its
 * category. */
static bool is_served(const struct kj_model *model, int version, const struct kj_identity *identity)
{
    return kj__model_by_category(model, version, kj_identity_category(identity)) == identity;
}

static bool add_identity(const struct kj__api *api, struct kj__route_list *list,
                         const struct kj_identity *identity)
{
    const struct kj_model *model = api->model;
    unsigned set = allowed(model, NULL, identity);
    unsigned with_create = set | allowed_anywhere(model, identity, KJ_OP_CREATE);
    return !is_served(model, list->version, identity) ||
           (add_route(list, NULL, identity, with_create, false) &&
            add_route(list, NULL, identity, set, true));
}

/* A child's URL carries its parent's version, so a child of another version is found too. */
static bool add_children(const struct kj__api *api, struct kj__route_list *list,
                         const struct kj_identity *child)
{
    const struct kj_model *model = api->model;
    const char *category = kj_identity_category(child);
    int version = kj__model_by_category(model, list->version, category) ? list->version : 0;
    if (!is_served(model, version, child)) {
        return true;
    }
    for (size_t i = 0; i < kj_model_identity_count(model); i++) {
        const struct kj_identity *parent = kj_model_identity_at(model, i);
        if (is_served(model, list->version, parent) &&
            !add_route(list, parent, child, allowed(model, parent, child), false)) {
            return false;
        }
    }
    return true;
}

static int compare_urls(const void *a, const void *b)
{
    return strcmp(((const struct kj__listed_route *)a)->url,
                  ((const struct kj__listed_route *)b)->url);
}

static bool fill_list(const struct kj__api *api, struct kj__route_list *list)
{
    for (size_t i = 0; i < kj_model_identity_count(api->model); i++) {
        const struct kj_identity *identity = kj_model_identity_at(api->model, i);
        if (has_processor(api, identity) &&
            (!add_identity(api, list, identity) || !add_children(api, list, identity))) {
            return false;
        }
    }
    if (list->count > 0) {
        qsort(list->routes, list->count, sizeof *list->routes, compare_urls);
    }
    return true;
}

/* ---- all of them ---- */

static int compare_versions(const void *a, const void *b)
{
    int left = ((const struct kj__route_list *)a)->version;
    int right = ((const struct kj__route_list *)b)->version;
    return (left > right) - (left < right);
}

static void add_version(struct kj__route_lists *lists, int version)
{
    for (size_t i = 0; i < lists->count; i++) {
        if (lists->lists[i].version == version) {
            return;
        }
    }
    lists->lists[lists->count++].version = version;
}

enum kj_status kj__route_lists_make(const struct kj__api *api, struct kj__route_lists *lists)
{
    size_t identities = kj_model_identity_count(api->model);
    *lists = (struct kj__route_lists){.lists = calloc(identities + 1, sizeof *lists->lists)};
    if (!lists->lists) {
        return KJ_ENOMEM;
    }
    add_version(lists, 0);
    for (size_t i = 0; i < identities; i++) {
        add_version(lists, kj_identity_version(kj_model_identity_at(api->model, i)));
    }
    qsort(lists->lists, lists->count, sizeof *lists->lists, compare_versions);
    for (size_t i = 0; i < lists->count; i++) {
        if (!fill_list(api, &lists->lists[i])) {
            kj__route_lists_fini(lists);
            return KJ_ENOMEM;
        }
    }
    return KJ_OK;
}

void kj__route_lists_fini(struct kj__route_lists *lists)
{
    for (size_t i = 0; i < lists->count; i++) {
        for (size_t k = 0; k < lists->lists[i].count; k++) {
            free(lists->lists[i].routes[k].url);
        }
        free(lists->lists[i].routes);
    }
    free(lists->lists);
    *lists = (struct kj__route_lists){0};
}

/* Categories are made of letters, digits and the like: nothing in them needs an escape. */
static void print_route(const struct kj__listed_route *route, struct kj__buffer *out)
{
    kj__buffer_printf(out, "{\"identity\":\"%s\",\"url\":\"%s\",\"verbs\":[", route->category,
                      route->url);
    for (size_t i = 0; route->verbs[i]; i++) {
        kj__buffer_printf(out, "%s\"%s\"", i ? "," : "", route->verbs[i]);
    }
    kj__buffer_append_text(out, "]}");
}

void kj__route_lists_print(const struct kj__route_lists *lists, struct kj__buffer *out)
{
    kj__buffer_append_byte(out, '{');
    for (size_t i = 0; i < lists->count; i++) {
        const struct kj__route_list *list = &lists->lists[i];
        kj__buffer_printf(out, "%s\"%d\":[", i ? "," : "", list->version);
        for (size_t k = 0; k < list->count; k++) {
            if (k > 0) {
                kj__buffer_append_byte(out, ',');
            }
            print_route(&list->routes[k], out);
        }
        kj__buffer_append_byte(out, ']');
    }
    kj__buffer_append_byte(out, '}');
}
