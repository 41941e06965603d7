/* route_list.h - the routes a node serves, as bahamut lists them under /_meta/routes and
 * announces them to its gateway.
 *
 * There is one list for each version a path may name, and one, version 0, for the paths that
 * name none. As in bahamut only identities with a processor are listed, PATCH and HEAD are not,
 * URLs come without the API prefix, and creating stands at /category also where only a parent
 * may create.
 */
#ifndef KJ_REST_ROUTE_LIST_H
#define KJ_REST_ROUTE_LIST_H

#include "rest/api.h"

enum { KJ__LISTED_VERBS_MAX = 3 };

struct kj__listed_route {
    const char *category; /* the model's */
    char *url;
    const char *verbs[KJ__LISTED_VERBS_MAX + 1]; /* sorted, NULL at the end */
};

struct kj__route_list {
    int version;
    struct kj__listed_route *routes; /* sorted by URL */
    size_t count;
};

struct kj__route_lists {
    struct kj__route_list *lists; /* sorted by version */
    size_t count;
};

/* Lists what is registered by now; KJ_ENOMEM leaves nothing to release. */
enum kj_status kj__route_lists_make(const struct kj__api *api, struct kj__route_lists *lists);
void kj__route_lists_fini(struct kj__route_lists *lists);

/* Appends the JSON of /_meta/routes. */
void kj__route_lists_print(const struct kj__route_lists *lists, struct kj__buffer *out);

#endif
