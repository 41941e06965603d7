/* routes.h - what a method and a path ask for.
 *
 * The paths are those of bahamut: /category, /category/id and /parents/id/category, each also
 * behind /v/N. A path is split as it was sent, so an escaped slash separates nothing.
 */
#ifndef KJ_REST_ROUTES_H
#define KJ_REST_ROUTES_H

#include <kujata/model.h>
#include <stdbool.h>

enum kj__route_kind {
    KJ__ROUTE_NONE = 0,     /* no such path: 404 */
    KJ__ROUTE_OTHER_METHOD, /* a path served for other methods only: a bare 405 */
    KJ__ROUTE_ROOT,         /* GET / */
    KJ__ROUTE_OPERATION,
};

/* What is wrong with an operation's path. Told to the client when its turn has come. */
enum kj__route_problem {
    KJ__ROUTE_FINE = 0,
    KJ__ROUTE_BAD_VERSION, /* what follows /v/ is no number */
    KJ__ROUTE_NO_CATEGORY, /* /v or /v/N and nothing behind */
    KJ__ROUTE_BAD_ESCAPE,  /* a bad escape, an escaped NUL, or no UTF-8 */
};

struct kj__route {
    enum kj__route_kind kind;
    enum kj__route_problem problem;
    enum kj_operation operation;
    bool is_head; /* HEAD of one object: a retrieve whose answer has no body */
    bool has_parent;
    int version; /* 0: none in the path */

    /* Unescaped, "" where the path has none; they live as long as the route. */
    const char *category, *object_id;
    const char *parent_category, *parent_id;
    char *text;
};

/* False when there is no memory; then there is nothing to release. `is_behind_prefix`: the root
 * lies elsewhere. */
bool kj__route_parse(struct kj__route *route, const char *method, const char *path,
                     bool is_behind_prefix);

/* The same for a path that is not behind the prefix which all operations have. */
void kj__route_parse_outside(struct kj__route *route, const char *method, const char *path);
void kj__route_fini(struct kj__route *route);

#endif
