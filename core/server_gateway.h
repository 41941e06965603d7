/* server_gateway.h - what a server mounts besides /events.
 *
 * The handshakes of clients are checked as those of sessions are, by the same code; what differs
 * is who may stay: see `auth_in_frames` in kujata/gateway.h.
 */
#ifndef KJ_CORE_SERVER_GATEWAY_H
#define KJ_CORE_SERVER_GATEWAY_H

#include "core/server_endpoints.h"
#include "dispatch/events.h"
#include "gateway/gateway.h"

#include <kujata/gateway.h>

struct kj__server_mounts {
    struct kj__events *events;
    struct kj_gateway *gateway; /* NULL: nothing is mounted */
    char *paths[KJ__MOUNTS_MAX];
    size_t count;
};

struct kj__mount_request {
    const char *path;
    const struct kj_protocol *protocol;
};

/* Makes the gateway, where there is none yet. KJ_ENOMEM. */
enum kj_status kj__server_mounts_need(struct kj__server_mounts *mounts,
                                      const struct kj_server_options *options);

/* Mounts a protocol, as kj_server_mount. */
enum kj_status kj__server_mounts_add(struct kj__server_mounts *mounts,
                                     struct kj__server_endpoints *endpoints,
                                     const struct kj_server_options *options,
                                     const struct kj__mount_request *request,
                                     struct kj_error *error);

/* As kj__events_prepare, for a client of a mount. */
struct kj_client *kj__server_mounts_prepare(struct kj__events *events, struct kj__mount *mount,
                                            const struct kj__handshake *handshake,
                                            struct kj__refusal *refusal);

/* Once the delivery is stopped. */
void kj__server_mounts_fini(struct kj__server_mounts *mounts);

#endif
