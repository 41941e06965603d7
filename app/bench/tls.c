/* tls.c - see tls.h. */
#include "bench/tls.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Both are OpenSSL's own objects under a name of ours. */
static SSL *ssl_of(struct bench_tls *tls)
{
    return (SSL *)tls;
}

static SSL_CTX *ssl_context_of(struct bench_tls_context *context)
{
    return (SSL_CTX *)context;
}

struct bench_tls_context *bench_tls_context_new(const char *ca, bool insecure)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) {
        return NULL;
    }
    int loaded = ca ? SSL_CTX_load_verify_locations(context, ca, NULL)
                    : SSL_CTX_set_default_verify_paths(context);
    if (loaded != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_verify(context, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    /* Thousands of sessions: buffers only while they are in use. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return (struct bench_tls_context *)context;
}

void bench_tls_context_free(struct bench_tls_context *context)
{
    SSL_CTX_free(ssl_context_of(context));
}

/* The host without its port, and without the brackets of an IPv6 address. */
static bool expect_host(SSL *ssl, const char *authority)
{
    char host[256];
    const char *start = authority + (*authority == '[');
    size_t len = strcspn(start, *authority == '[' ? "]" : ":");
    if (len >= sizeof host) {
        return false;
    }
    memcpy(host, start, len);
    host[len] = '\0';
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1 ||
           (SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1);
}

struct bench_tls *bench_tls_new(struct bench_tls_context *context, int fd, const char *host)
{
    SSL *ssl = SSL_new(ssl_context_of(context));
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || !expect_host(ssl, host)) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return (struct bench_tls *)ssl;
}

void bench_tls_free(struct bench_tls *tls)
{
    SSL_free(ssl_of(tls));
}

int bench_tls_handshake(struct bench_tls *tls)
{
    int done = SSL_do_handshake(ssl_of(tls));
    if (done == 1) {
        return 0;
    }
    switch (SSL_get_error(ssl_of(tls), done)) {
    case SSL_ERROR_WANT_READ:
        return EPOLLIN;
    case SSL_ERROR_WANT_WRITE:
        return EPOLLOUT;
    default:
        return -1;
    }
}

ssize_t bench_tls_send(struct bench_tls *tls, int fd, const uint8_t *bytes, size_t len)
{
    if (!tls) {
        return send(fd, bytes, len, MSG_NOSIGNAL);
    }
    size_t sent = 0;
    errno = 0;
    return SSL_write_ex(ssl_of(tls), bytes, len, &sent) == 1 ? (ssize_t)sent : -1;
}

ssize_t bench_tls_receive(struct bench_tls *tls, int fd, uint8_t *bytes, size_t size)
{
    if (!tls) {
        return recv(fd, bytes, size, 0);
    }
    size_t received = 0;
    errno = 0;
    if (SSL_read_ex(ssl_of(tls), bytes, size, &received) == 1) {
        return (ssize_t)received;
    }
    switch (SSL_get_error(ssl_of(tls), 0)) {
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = errno == EINTR ? EINTR : EAGAIN;
        return -1;
    default:
        errno = EPROTO;
        return -1;
    }
}
