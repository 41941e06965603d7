/* exchange.h - what the files around civetweb share: the listener, and answers.
 *
 * Threads: everything here runs on civetweb's workers.
 */
#ifndef KJ_HTTP_EXCHANGE_H
#define KJ_HTTP_EXCHANGE_H

#include "http/door.h"
#include "http/guard.h"
#include "http/handover.h"
#include "http/http.h"
#include "http/proxies.h"
#include "http/tls_context.h"
#include "http/unix_listener.h"

#include <civetweb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct kj__http {
    struct kj__http_options options;
    struct mg_context *civetweb;
    struct kj__handover handover;
    struct kj__guard guard;
    struct kj__door door;
    struct kj__unix_listener unix_listener;
    bool has_guard, has_tls;
    struct kj__tls_context tls; /* valid with has_tls */
    char address[64];           /* listened on, as text, without brackets */
    bool is_ipv6, is_wildcard;
    _Atomic uint16_t port; /* 0 until known: civetweb answers before it tells */
    _Atomic bool is_ready; /* the handlers are set, and it is not stopping */
    _Atomic int exchanges; /* requests and handshakes being answered */
};

static inline struct kj__http *kj__http_of(const struct mg_connection *connection)
{
    return mg_get_user_data(mg_get_context(connection));
}

/* The connection's descriptor, which stays civetweb's; or as kj__handover_find. */
int kj__exchange_find(const struct mg_connection *connection);

/* The client's address as people write it: one of IPv4 that came in over IPv6 is IPv4. Behind a
 * trusted proxy it is what that says, in `text`. */
const char *kj__exchange_remote_address(const struct mg_connection *connection,
                                        const struct kj__fields *headers,
                                        char text[KJ__PROXIED_ADDRESS_SIZE]);

/* The path asked for, still escaped: that of the target, be it a path or a whole URL. */
const char *kj__exchange_path(const struct mg_request_info *info);

/* Header lines, each with its end. */
void kj__exchange_append_headers(struct kj__buffer *head, const struct kj__fields *headers);

/* Writes the answer; no body goes out on HEAD. `must_close` ends the connection after it. */
void kj__exchange_send(struct mg_connection *connection, struct kj__http_response *response,
                       bool must_close);

/* Fills, or sends and closes, a one-element error array of our own. */
void kj__exchange_fill_error(const struct mg_connection *connection,
                             struct kj__http_response *response, int status,
                             const char *description);
void kj__exchange_send_error(struct mg_connection *connection, int status, const char *description);

/* The same, counted as a request that cannot be one. */
void kj__exchange_refuse(struct mg_connection *connection, int status, const char *description);

/* Copies the header lines; false when there is no memory. */
bool kj__exchange_read_headers(const struct mg_request_info *info, struct kj__fields *headers);

/* A fault of the request head that civetweb lets through, for the client; NULL: none. */
const char *kj__exchange_find_fault(struct mg_connection *connection);

/* ---- upgrade.c ---- */

/* Registers the endpoint's callbacks. */
void kj__upgrade_add_handlers(struct kj__http *http);

/* For mg_callbacks.connection_close, before civetweb lets go of the connection, and for
 * connection_closed, once it has: only then is the socket handed on, as TLS knows no sharing. */
void kj__upgrade_on_close(const struct mg_connection *connection);
void kj__upgrade_on_closed(void);

/* The headers the endpoint wants in the 101, as text; for civetweb, which calls it as it answers
 * (cmake/civetweb.patch). */
const char *kj__upgrade_lines(const struct mg_connection *connection);

/* Whether a request that is no handshake asks for the websocket endpoint; if so it is to be
 * answered by kj__upgrade_refuse. */
bool kj__upgrade_is_meant(const struct mg_connection *connection);
void kj__upgrade_refuse(struct mg_connection *connection);

#endif
