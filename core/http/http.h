/* http.h - the listener: civetweb behind our own words.
 *
 * civetweb accepts, parses heads, times out and answers the websocket handshake; requests go
 * to a handler, and upgraded sockets leave civetweb by the hand-over (handover.h).
 *
 * Threads: handlers run on civetweb's workers, several at once.
 */
#ifndef KJ_HTTP_HTTP_H
#define KJ_HTTP_HTTP_H

#include "base/counters.h"
#include "rest/message.h"

#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stdint.h>

struct kj__http;
struct kj__proxies;
struct kj__tls_files;
struct ssl_st; /* OpenSSL's SSL */

/* What happens at a websocket endpoint. `session` is whatever prepare returned. */
struct kj__http_upgrade {
    const char *path;
    /* Before the 101. NULL refuses, with the answer in `response`; else the headers in it go into
     * the 101, unless civetweb is the system's. */
    void *(*prepare)(void *ctx, const struct kj__http_request *request,
                     struct kj__http_response *response);
    /* After the 101: the socket and its TLS (NULL: plain) are the session's to close and to
     * free, also on failure. */
    void (*attach)(void *ctx, void *session, int fd, struct ssl_st *ssl);
    /* Instead of attach: the 101 or the hand-over failed. */
    void (*abandon)(void *ctx, void *session);
    /* After attach: the client sent frames before it had the 101, which RFC 6455 4.1 forbids; they
     * are lost. Only whole frames are noticed: a piece of one is lost in silence, and what follows
     * it on the socket will not parse. */
    void (*on_early_frame)(void *ctx, void *session);
    /* civetweb is done with the session; last call for it. */
    void (*release)(void *ctx, void *session);
    void *ctx;
};

/* All borrowed for as long as the listener lives, but for `listen`. */
struct kj__http_options {
    const char *option;      /* the name of the next one, in errors; NULL: "listen (--listen)" */
    const char *listen;      /* "ADDR:PORT" or "[ADDR]:PORT"; port 0 picks one */
    const char *listen_unix; /* the path of a socket to listen at as well; NULL: none */
    const struct kj__tls_files *tls; /* NULL: plain HTTP; borrowed for the start alone, the
                                      * names in it for longer */
    uint32_t threads;
    uint32_t body_bytes;
    uint32_t head_timeout_ms;
    uint32_t keep_alive_ms;
    bool no_keep_alive;
    uint32_t exchange_timeout_ms; /* for a body to arrive, and again for an answer to leave */
    uint32_t handshakes;          /* connections that wait for their head; 0: by descriptors */
    uint32_t handshakes_per_address;
    const struct kj__proxies *proxies; /* whose X-Forwarded-For is believed; NULL: none */
    void (*handle)(void *ctx, const struct kj__http_request *request,
                   struct kj__http_response *response);
    void *ctx;
    const struct kj__http_upgrade *upgrades; /* the websocket endpoints */
    size_t upgrade_count;
    struct kj__counters *counters;
};

/* Listens. KJ_EIO with `error` naming address and reason, KJ_EINVAL for a bad address. */
enum kj_status kj__http_start(const struct kj__http_options *options, struct kj__http **http,
                              struct kj_error *error);

uint16_t kj__http_port(const struct kj__http *http);

/* Reads the TLS files again; KJ_EUNSUPPORTED for a plain listener. [any thread] */
enum kj_status kj__http_reload_tls(struct kj__http *http, struct kj_error *error);

/* The server's side of a TLS connection that has not begun, with the certificate in force; NULL for
 * a plain listener, or without memory. It may outlive the listener. [any thread] */
struct ssl_st *kj__http_new_tls(struct kj__http *http);

/* Moves a socket of others out of the numbers that are civetweb's: see handover.h. -1 when there is
 * no descriptor; `fd` is closed in any case. [any thread] */
int kj__http_move_take(struct kj__http *http, int fd);

/* How many sessions there are descriptors for. */
uint32_t kj__http_room(const struct kj__http *http);

/* Stops listening, waits at most `timeout_ms` for the requests under way, then frees. NULL is
 * fine. */
void kj__http_stop(struct kj__http *http, uint32_t timeout_ms);

#endif
