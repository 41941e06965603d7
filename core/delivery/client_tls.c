/* client_tls.c - see client_tls.h. */
#include "delivery/client_tls.h"

#include "codec/pem_fault.h"
#include "delivery/client_handshake.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>

static enum kj_status load_files(const struct kj_subscriber_options *options, SSL_CTX *context,
                                 struct kj_error *error)
{
    const char *certificate = options->certificate;
    const char *key = options->key ? options->key : certificate;
    if (options->ca && SSL_CTX_load_verify_file(context, options->ca) != 1) {
        return kj__pem_refuse("ca", options->ca, error);
    }
    if (!options->ca) {
        SSL_CTX_set_default_verify_paths(context);
    }
    if (certificate && SSL_CTX_use_certificate_chain_file(context, certificate) != 1) {
        return kj__pem_refuse("certificate", certificate, error);
    }
    if (certificate && (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
                        SSL_CTX_check_private_key(context) != 1)) {
        return kj__pem_refuse("key", key, error);
    }
    return KJ_OK;
}

static enum kj_status make_context(const struct kj_subscriber_options *options, SSL_CTX **result,
                                   struct kj_error *error)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
        SSL_CTX_free(context);
        kj_error_set(error, 0, "%s", kj_status_text(KJ_ENOMEM));
        return KJ_ENOMEM;
    }
    /* A server that leaves without a close-notify has ended the session like any other. */
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify(context, options->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    enum kj_status status = load_files(options, context, error);
    if (status) {
        SSL_CTX_free(context);
        return status;
    }
    *result = context;
    return KJ_OK;
}

/* The certificate must be for this host; a name, unlike an address, is also told to the server. */
static bool expect_host(SSL *ssl, const char *host)
{
    struct in6_addr address; /* has room for either */
    if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static enum kj_status explain(const SSL *ssl, struct kj_error *error)
{
    long verified = SSL_get_verify_result(ssl);
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);
    ERR_clear_error();
    if (verified != X509_V_OK) {
        kj_error_set(error, 0, "the server's certificate is refused: %s",
                     X509_verify_cert_error_string(verified));
        return KJ_EREFUSED;
    }
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER) {
        reason = "the server does not speak TLS here, or a version that is not known";
    }
    kj_error_set(error, 0, "the TLS handshake failed: %s", reason ? reason : "the server left");
    return KJ_EIO;
}

/* What is to be waited for. A part of what OpenSSL wrote may be kept, and the server says nothing
 * before it has all of it. */
static short events_wanted(struct kj__tls *tls, int wanted)
{
    if (kj__tls_has_unsent(tls)) {
        (void)kj__tls_write(tls, NULL, 0, NULL); /* a fault shows when it is read from */
    }
    short events = wanted == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    return kj__tls_has_unsent(tls) ? (short)(events | POLLOUT) : events;
}

static enum kj_status shake_hands(SSL *ssl, struct kj__tls *tls, int fd, uint64_t deadline_ms,
                                  struct kj_error *error)
{
    for (;;) {
        ERR_clear_error();
        int result = SSL_connect(ssl);
        if (result == 1) {
            return KJ_OK;
        }
        int wanted = SSL_get_error(ssl, result);
        if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE) {
            return explain(ssl, error);
        }
        if (!kj__client_wait(fd, events_wanted(tls, wanted), deadline_ms)) {
            kj_error_set(error, 0, "the TLS handshake: %s", kj_status_text(KJ_ETIMEOUT));
            return KJ_ETIMEOUT;
        }
    }
}

enum kj_status kj__client_tls_start(const struct kj_subscriber_options *options, const char *host,
                                    int fd, uint64_t deadline_ms, struct kj__tls **tls,
                                    struct kj_error *error)
{
    *tls = NULL;
    SSL_CTX *context;
    enum kj_status status = make_context(options, &context, error);
    if (status) {
        return status;
    }
    SSL *ssl = SSL_new(context); /* with a reference of its own to the context */
    SSL_CTX_free(context);
    if (!ssl || !expect_host(ssl, host)) {
        SSL_free(ssl);
        kj_error_set(error, 0, "%s", kj_status_text(KJ_ENOMEM));
        return KJ_ENOMEM;
    }
    struct kj__tls *made = kj__tls_new_take(ssl, fd);
    if (!made) {
        kj_error_set(error, 0, "%s", kj_status_text(KJ_ENOMEM));
        return KJ_ENOMEM;
    }
    status = shake_hands(ssl, made, fd, deadline_ms, error);
    if (status) {
        kj__tls_free(made);
        return status;
    }
    *tls = made;
    return KJ_OK;
}
