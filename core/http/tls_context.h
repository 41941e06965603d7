/* tls_context.h - the certificates a listener shows and asks for, and what its workers know of
 * the handshake they just made.
 *
 * civetweb begins every connection in the context it was started with; once the client has said
 * hello, the connection moves to the one in force. Connections of streams begin there. So a reload
 * needs no restart, and open connections keep what they began with.
 *
 * Threads: any, except where a call says that it speaks of its thread.
 */
#ifndef KJ_HTTP_TLS_CONTEXT_H
#define KJ_HTTP_TLS_CONTEXT_H

#include "codec/certificate.h"

#include <kujata/error.h>
#include <kujata/server.h>
#include <kujata/status.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>

/* Names of PEM files; borrowed, and read again at every load. */
struct kj__tls_files {
    const char *certificate; /* the chain, the server's own first */
    const char *key;
    const char *client_ca; /* NULL: clients are asked for none */
    enum kj_client_certificate client_certificate;
};

struct kj__tls_context {
    struct kj__tls_files files;
    SSL_CTX *first; /* civetweb's */
    pthread_mutex_t lock;
    SSL_CTX *current; /* guarded by lock */
};

/* Reads the files. KJ_EINVAL with `error` naming option and file; nothing is left then. */
enum kj_status kj__tls_context_init(struct kj__tls_context *context,
                                    const struct kj__tls_files *files, struct kj_error *error);
void kj__tls_context_fini(struct kj__tls_context *context);

/* A server's connection in the context in force, which it keeps; NULL when there is no memory. */
SSL *kj__tls_context_new_ssl(struct kj__tls_context *context);

/* Reads the files again, for connections to come. On failure all stays as it was. */
enum kj_status kj__tls_context_reload(struct kj__tls_context *context, struct kj_error *error);

/* The connection whose handshake this thread completed last, and is serving; NULL: none. It
 * lives until civetweb closes the connection, whatever becomes of the socket. */
SSL *kj__tls_of_worker(void);

/* The certificate its client has shown, borrowed until the connection is closed; NULL in
 * *certificate: none. KJ_ENOMEM: there may be one, so the request must not be served. */
enum kj_status kj__tls_certificate_of_worker(struct kj__certificate **certificate);

/* This thread's connection is closed. */
void kj__tls_forget_worker(void);

/* ---- peer_certificate.c ---- */

/* What the client has shown and proved, as a new reference; NULL: nothing. */
enum kj_status kj__tls_peer_certificate(SSL *ssl, struct kj__certificate **certificate);

#endif
