/* server_endpoints.h - the websocket endpoints of a server: from a handshake to its shard.
 *
 * Threads: made before the start, and only read from then on.
 */
#ifndef KJ_CORE_SERVER_ENDPOINTS_H
#define KJ_CORE_SERVER_ENDPOINTS_H

#include "core/server_http.h"
#include "dispatch/events.h"
#include "gateway/gateway.h"
#include "http/http.h"

enum { KJ__ENDPOINTS_MAX = 1 + KJ__MOUNTS_MAX };

struct kj__server_endpoint {
    const struct kj__server_endpoints *all;
    struct kj__mount *mount; /* NULL: /events */
};

/* The struct points into itself and must not be moved. */
struct kj__server_endpoints {
    struct kj__events *events;
    struct kj__server_http *policy;
    struct kj__server_endpoint items[KJ__ENDPOINTS_MAX];
    struct kj__http_upgrade upgrades[KJ__ENDPOINTS_MAX];
    size_t count;
};

/* At most KJ__ENDPOINTS_MAX; the path is borrowed. */
void kj__server_endpoints_add(struct kj__server_endpoints *endpoints, const char *path,
                              struct kj__mount *mount);

/* Whether one of them is at that path. */
bool kj__server_endpoints_have(const struct kj__server_endpoints *endpoints, const char *path);

#endif
