/* server_options.h - a server's own copy of its options: checked, every default filled in. */
#ifndef KJ_CORE_SERVER_OPTIONS_H
#define KJ_CORE_SERVER_OPTIONS_H

#include <kujata/error.h>
#include <kujata/server.h>
#include <kujata/status.h>

struct kj__server_options {
    struct kj_server_options values; /* strings and arrays lead to the copies below */
    char *listen, *listen_unix, *health_listen, *api_listen, *topic, *push_endpoint,
        *gateway_prefix;
    char *tls_certificate, *tls_key, *tls_client_ca; /* NULL: not given */
    char *token_cookie;                              /* NULL: not given */
    char **allowed_origins;                          /* NULL at the end */
    void *session_authenticators, *request_authenticators, *authorizers;
};

/* KJ_EINVAL with `error` naming the option, or KJ_ENOMEM; nothing is left to release then. */
enum kj_status kj__server_options_copy(struct kj__server_options *copy,
                                       const struct kj_server_options *options,
                                       struct kj_error *error);

/* Whether a websocket endpoint may have a path: it takes precedence over a route, so it must not
 * hide one. KJ_EINVAL with `error` naming `what`. */
enum kj_status kj__server_options_check_path(const struct kj_server_options *options,
                                             const char *what, const char *path,
                                             struct kj_error *error);

void kj__server_options_fini(struct kj__server_options *copy);

#endif
