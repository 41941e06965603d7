/* route_table.c - see route_table.h. */
#include "rest/route_table.h"

#include <stdlib.h>
#include <string.h>

void kj__route_table_init(struct kj__route_table *table)
{
    kj__list_init(&table->places);
}

static void free_entry(struct kj__route_entry *entry)
{
    if (entry) {
        free(entry->method);
        free(entry);
    }
}

static void free_place(struct kj__route_place *place)
{
    if (!place) {
        return;
    }
    while (!kj__list_is_empty(&place->routes)) {
        struct kj__list *first = place->routes.next;
        kj__list_unlink(first);
        free_entry(KJ__CONTAINER_OF(first, struct kj__route_entry, link));
    }
    free(place->path);
    free(place);
}

void kj__route_table_fini(struct kj__route_table *table)
{
    while (!kj__list_is_empty(&table->places)) {
        struct kj__list *first = table->places.next;
        kj__list_unlink(first);
        free_place(KJ__CONTAINER_OF(first, struct kj__route_place, link));
    }
}

/* ---- adding ---- */

static bool is_path(const char *path)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-._~/";
    size_t len = path ? strspn(path, allowed) : 0;
    bool is_whole = len > 0 &&
                    (!path[len] || (strcmp(path + len, "*") == 0 && path[len - 1] == '/'));
    return is_whole && path[0] == '/' && !strstr(path, "//");
}

static enum kj_status check(const struct kj_route *route, struct kj_error *error)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (!is_path(route->path)) {
        kj_error_set(error, 0,
                     "route \"%.200s\": not a slash and a path of letters, digits and -._~/, with "
                     "at most a * behind its last slash",
                     route->path ? route->path : "");
        return KJ_EINVAL;
    }
    const char *method = route->method ? route->method : "";
    if (!method[0] || method[strspn(method, letters)] || !route->handle) {
        kj_error_set(error, 0, "route \"%.200s\": a method of capitals and a handler are needed",
                     route->path);
        return KJ_EINVAL;
    }
    return KJ_OK;
}

static struct kj__route_place *find_place(const struct kj__route_table *table, const char *path)
{
    for (struct kj__list *at = table->places.next; at != &table->places; at = at->next) {
        struct kj__route_place *place = KJ__CONTAINER_OF(at, struct kj__route_place, link);
        if (strcmp(place->path, path) == 0) {
            return place;
        }
    }
    return NULL;
}

static struct kj__route_place *new_place(const char *path)
{
    struct kj__route_place *place = calloc(1, sizeof *place);
    if (!place) {
        return NULL;
    }
    size_t len = strlen(path);
    place->is_prefix = path[len - 1] == '*';
    place->len = len - place->is_prefix;
    place->path = strdup(path);
    kj__list_init(&place->routes);
    if (!place->path) {
        free_place(place);
        return NULL;
    }
    return place;
}

static struct kj__route_entry *new_entry(const struct kj_route *route)
{
    struct kj__route_entry *entry = calloc(1, sizeof *entry);
    if (entry) {
        *entry = (struct kj__route_entry){
            .method = strdup(route->method), .handle = route->handle, .ctx = route->ctx};
    }
    if (entry && !entry->method) {
        free_entry(entry);
        return NULL;
    }
    return entry;
}

static const struct kj__route_entry *find_method(const struct kj__route_place *place,
                                                 const char *method)
{
    for (const struct kj__list *at = place->routes.next; at != &place->routes; at = at->next) {
        const struct kj__route_entry *entry = KJ__CONTAINER_OF(at, struct kj__route_entry, link);
        if (strcmp(entry->method, method) == 0) {
            return entry;
        }
    }
    return NULL;
}

enum kj_status kj__route_table_add(struct kj__route_table *table, const struct kj_route *route,
                                   struct kj_error *error)
{
    enum kj_status status = check(route, error);
    if (status) {
        return status;
    }
    struct kj__route_place *place = find_place(table, route->path);
    if (place && find_method(place, route->method)) {
        kj_error_set(error, 0, "route \"%s %.200s\": something is there", route->method,
                     route->path);
        return KJ_EEXIST;
    }
    struct kj__route_place *made = place ? NULL : new_place(route->path);
    struct kj__route_entry *entry = new_entry(route);
    if ((!place && !made) || !entry) {
        free_place(made);
        free_entry(entry);
        kj_error_set(error, 0, "no memory for a route");
        return KJ_ENOMEM;
    }
    if (made) {
        kj__list_append(&table->places, &made->link);
        place = made;
    }
    kj__list_append(&place->routes, &entry->link);
    return KJ_OK;
}

/* ---- finding ---- */

static bool matches(const struct kj__route_place *place, const char *path)
{
    return strncmp(path, place->path, place->len) == 0 && (place->is_prefix || !path[place->len]);
}

/* A path of its own is longer than what its prefixes are, or as long: then it wins all the same. */
static bool is_closer(const struct kj__route_place *place, const struct kj__route_place *other)
{
    return !other || place->len > other->len || (place->len == other->len && !place->is_prefix);
}

const struct kj__route_place *kj__route_table_find(const struct kj__route_table *table,
                                                   const char *path)
{
    const struct kj__route_place *found = NULL;
    for (const struct kj__list *at = table->places.next; at != &table->places; at = at->next) {
        const struct kj__route_place *place = KJ__CONTAINER_OF(at, struct kj__route_place, link);
        if (matches(place, path) && is_closer(place, found)) {
            found = place;
        }
    }
    return found;
}

const struct kj__route_entry *kj__route_place_method(const struct kj__route_place *place,
                                                     const char *method)
{
    const struct kj__route_entry *entry = find_method(place, method);
    return entry || strcmp(method, "HEAD") != 0 ? entry : find_method(place, "GET");
}
