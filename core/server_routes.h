/* server_routes.h - the application's routes of a server, and the API listener.
 *
 * Threads: made before the start; requests are answered on HTTP workers.
 */
#ifndef KJ_CORE_SERVER_ROUTES_H
#define KJ_CORE_SERVER_ROUTES_H

#include "core/server_options.h"
#include "http/http.h"
#include "rest/api.h"
#include "rest/api_keys.h"
#include "rest/route_table.h"
#include "rest/traffic.h"

struct kj__server_routes {
    struct kj__route_table tables[2]; /* by enum kj_listener */
    struct kj__api_keys keys;
    const struct kj_server_options *options; /* the server's own copy, as are those below */
    const struct kj__policy *policy;
    struct kj__counters *counters;
    struct kj__traffic *traffic;
    struct kj__http *api; /* NULL: there is no API listener, or it does not run */
};

/* What routes need of a server. */
struct kj__server_routes_parts {
    const struct kj_server_options *options;
    const struct kj__policy *policy;
    struct kj__counters *counters;
    struct kj__traffic *traffic;
};

/* Checks the options of the API listener. KJ_EINVAL with `error` naming one, or KJ_ENOMEM; fini is
 * due in any case. */
enum kj_status kj__server_routes_init(struct kj__server_routes *routes,
                                      const struct kj__server_routes_parts *parts,
                                      struct kj_error *error);
void kj__server_routes_fini(struct kj__server_routes *routes);

/* As kj_server_add_route, for a server that has not started. */
enum kj_status kj__server_routes_add(struct kj__server_routes *routes, const struct kj_route *route,
                                     struct kj_error *error);

/* Whether the public listener has a route of exactly that path. */
bool kj__server_routes_have(const struct kj__server_routes *routes, const char *path);

/* Answers a request of the public listener, if a route has its path. [any thread] */
bool kj__server_routes_handle(struct kj__server_routes *routes,
                              const struct kj__http_request *request,
                              struct kj__http_response *response);

/* Listens where the options say so; KJ_EIO with `error` filled. */
enum kj_status kj__server_routes_start(struct kj__server_routes *routes, struct kj_error *error);

/* As kj__http_reload_tls, where there is an API listener. [any thread] */
enum kj_status kj__server_routes_reload_tls(struct kj__server_routes *routes,
                                            struct kj_error *error);

void kj__server_routes_stop(struct kj__server_routes *routes);

#endif
