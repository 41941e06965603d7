/* server_upgrade.h - from a handshake to a session on its shard. */
#ifndef KJ_CORE_SERVER_UPGRADE_H
#define KJ_CORE_SERVER_UPGRADE_H

#include "http/http.h"

/* An endpoint whose `prepare` returns sessions, or what starts with one. The path is borrowed. */
struct kj__http_upgrade kj__server_upgrade(const char *path,
                                           void *(*prepare)(void *ctx,
                                                            const struct kj__http_request *request,
                                                            struct kj__http_response *response),
                                           void *ctx);

#endif
