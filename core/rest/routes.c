/* routes.c - see routes.h. */
#include "rest/routes.h"

#include "base/url.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { SEGMENTS_MAX = 5 };

struct segment {
    const char *text;
    size_t len;
};

struct segments {
    struct segment at[SEGMENTS_MAX];
    size_t count; /* 0: no path, or one with more segments than any route has */
};

struct method_row {
    const char *name;
    enum kj_operation operation;
};

static const struct method_row collection_methods[] = {
    {"GET", KJ_OP_RETRIEVE_MANY},
    {"POST", KJ_OP_CREATE},
    {"HEAD", KJ_OP_INFO},
    {NULL, 0},
};

static const struct method_row object_methods[] = {
    {"GET", KJ_OP_RETRIEVE}, {"HEAD", KJ_OP_RETRIEVE}, {"PUT", KJ_OP_UPDATE},
    {"PATCH", KJ_OP_PATCH},  {"DELETE", KJ_OP_DELETE}, {NULL, 0},
};

static struct segments split(const char *path)
{
    struct segments segments = {.count = 0};
    while (*path == '/') {
        if (segments.count == SEGMENTS_MAX) {
            segments.count = 0;
            return segments;
        }
        path++;
        size_t len = strcspn(path, "/");
        segments.at[segments.count++] = (struct segment){path, len};
        path += len;
    }
    return segments;
}

static bool is_version_mark(struct segment segment)
{
    return segment.len == 1 && segment.text[0] == 'v';
}

/* Digits only; false also for what does not fit an int. */
static bool parse_version(struct segment segment, int *version)
{
    if (segment.len == 0 || segment.len > 9) {
        return false;
    }
    int value = 0;
    for (size_t i = 0; i < segment.len; i++) {
        if (segment.text[i] < '0' || segment.text[i] > '9') {
            return false;
        }
        value = value * 10 + (segment.text[i] - '0');
    }
    *version = value;
    return true;
}

/* Unescapes one segment to *out and moves *out behind it. */
static const char *unescape(struct kj__route *route, struct segment segment, char **out)
{
    char *text = *out;
    long len = kj__url_decode(segment.text, segment.len, false, text);
    if (len < 0 || !kj__utf8_is_valid((const uint8_t *)text, (size_t)len)) {
        route->problem = KJ__ROUTE_BAD_ESCAPE;
        return "";
    }
    *out += len + 1;
    return text;
}

static bool has_slash(const char *text)
{
    return strchr(text, '/') != NULL;
}

static void name_parts(struct kj__route *route, const struct segment *at, size_t count)
{
    char *out = route->text;
    if (count == 3) {
        route->has_parent = true;
        route->parent_category = unescape(route, at[0], &out);
        route->parent_id = unescape(route, at[1], &out);
        route->category = unescape(route, at[2], &out);
    } else {
        route->category = unescape(route, at[0], &out);
        route->object_id = count == 2 ? unescape(route, at[1], &out) : "";
    }
    /* bahamut splits the unescaped path again and finds no identity. No ID holds a slash, so
     * the same answer falls out of forgetting the category. */
    if (has_slash(route->object_id) || has_slash(route->parent_id)) {
        route->category = "";
    }
}

static void read_version(struct kj__route *route, struct segments *segments)
{
    if (segments->count == 1 || !parse_version(segments->at[1], &route->version)) {
        route->problem = segments->count == 1 ? KJ__ROUTE_NO_CATEGORY : KJ__ROUTE_BAD_VERSION;
        return;
    }
    segments->count -= 2;
    memmove(segments->at, segments->at + 2, segments->count * sizeof segments->at[0]);
    if (segments->count == 0) {
        route->problem = KJ__ROUTE_NO_CATEGORY;
    }
}

static bool find_operation(struct kj__route *route, const char *method, bool is_object)
{
    const struct method_row *row = is_object ? object_methods : collection_methods;
    for (; row->name; row++) {
        if (strcmp(row->name, method) == 0) {
            route->operation = row->operation;
            route->is_head = is_object && strcmp(method, "HEAD") == 0;
            return true;
        }
    }
    return false;
}

static const struct kj__route no_route = {
    .category = "", .object_id = "", .parent_category = "", .parent_id = ""};

/* Where GET is served, bahamut serves HEAD too. */
void kj__route_parse_outside(struct kj__route *route, const char *method, const char *path)
{
    *route = no_route;
    if (strcmp(path, "/") == 0) {
        bool is_read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
        route->kind = is_read ? KJ__ROUTE_ROOT : KJ__ROUTE_OTHER_METHOD;
    }
}

bool kj__route_parse(struct kj__route *route, const char *method, const char *path,
                     bool is_behind_prefix)
{
    *route = no_route;
    struct segments segments = split(path);
    bool versioned = segments.count > 0 && is_version_mark(segments.at[0]);
    if (segments.count == 0 || (segments.count > 3 && !versioned)) {
        return true;
    }
    if (!is_behind_prefix && strcmp(path, "/") == 0 && strcmp(method, "GET") == 0) {
        route->kind = KJ__ROUTE_ROOT;
        return true;
    }
    if (!find_operation(route, method, segments.count % 2 == 0)) {
        route->kind = KJ__ROUTE_OTHER_METHOD;
        return true;
    }
    route->kind = KJ__ROUTE_OPERATION;
    if (versioned) {
        read_version(route, &segments);
    }
    if (route->problem) {
        return true;
    }
    route->text = malloc(strlen(path) + 1 + SEGMENTS_MAX);
    if (!route->text) {
        return false;
    }
    name_parts(route, segments.at, segments.count);
    return true;
}

void kj__route_fini(struct kj__route *route)
{
    free(route->text);
    route->text = NULL;
}
