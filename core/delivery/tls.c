/* tls.c - see tls.h. */
#include "delivery/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct kj__tls {
    SSL *ssl;
    int fd;
    const char *fault;          /* see kj__tls_fault */
    bool is_over;               /* the peer has ended, or the stream is broken */
    bool read_waits_for_output; /* and not, as usual, for input */
    bool write_waits_for_input; /* and not, as usual, for output */
    bool is_ready;              /* the handshake was over when a call began */
    bool has_sent;              /* the socket took bytes during the call under way */
    /* A copy of what OpenSSL has made a record of, as it wants to be shown that again until
     * the record has left. NULL while nothing is blocked. */
    uint8_t *unsent;
    size_t unsent_len, unsent_done;
};

/* ---- the socket, as OpenSSL sees it: its own kind of BIO would raise SIGPIPE ---- */

static int bio_write(BIO *bio, const char *bytes, int len)
{
    struct kj__tls *tls = BIO_get_data(bio);
    ssize_t sent = send(tls->fd, bytes, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    BIO_clear_retry_flags(bio);
    if (sent > 0) {
        tls->has_sent = true;
    } else if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_write(bio);
    }
    return (int)sent;
}

static int bio_read(BIO *bio, char *bytes, int size)
{
    struct kj__tls *tls = BIO_get_data(bio);
    ssize_t got = recv(tls->fd, bytes, (size_t)size, MSG_DONTWAIT);
    BIO_clear_retry_flags(bio);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_read(bio);
    } else if (got == 0) {
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    }
    return (int)got;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default:
        return 0;
    }
}

static BIO_METHOD *bio_method; /* made once, kept until the process ends */
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void make_bio_method(void)
{
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "kujata");
    if (made) {
        BIO_meth_set_write(made, bio_write);
        BIO_meth_set_read(made, bio_read);
        BIO_meth_set_ctrl(made, bio_control);
    }
    bio_method = made;
}

static BIO *new_bio(struct kj__tls *tls)
{
    pthread_once(&bio_once, make_bio_method);
    BIO *bio = bio_method ? BIO_new(bio_method) : NULL;
    if (bio) {
        BIO_set_data(bio, tls);
        BIO_set_init(bio, 1);
    }
    return bio;
}

/* ---- life ---- */

/* The client's certificate was read and the handshake is over, but OpenSSL keeps it decoded, with
 * what the client sent along, for as long as the connection: some 9 KiB of 26. The chain can be
 * emptied, and the certificate's key, which is most of it, be exchanged for one that exists. */
static void shrink_peer_certificate(SSL *ssl)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    while (sk_X509_num(chain) > 0) {
        X509_free(sk_X509_pop(chain));
    }
    X509 *peer = SSL_get0_peer_certificate(ssl);
    if (peer) {
        X509_set_pubkey(peer, SSL_get_privatekey(ssl));
    }
}

struct kj__tls *kj__tls_new_take(struct ssl_st *ssl, int fd)
{
    struct kj__tls *tls = calloc(1, sizeof *tls);
    BIO *bio = tls ? new_bio(tls) : NULL;
    if (!bio) {
        free(tls);
        SSL_free(ssl);
        return NULL;
    }
    tls->ssl = ssl;
    tls->fd = fd;
    SSL_set_bio(ssl, bio, bio);
    SSL_set_shutdown(ssl, 0);
    SSL_set_quiet_shutdown(ssl, 0);
    if (SSL_is_server(ssl)) {
        shrink_peer_certificate(ssl);
    }
    /* Buffers are given back while nothing is in them: most sessions are idle. */
    SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return tls;
}

void kj__tls_free(struct kj__tls *tls)
{
    if (tls) {
        SSL_free(tls->ssl);
        free(tls->unsent);
        free(tls);
    }
}

void kj__tls_end(struct kj__tls *tls)
{
    if (tls && !tls->unsent) {
        SSL_shutdown(tls->ssl);
        ERR_clear_error();
    }
}

/* ---- reading ---- */

/* What OpenSSL says of a call that failed; errno is set where the stream is broken. */
static int explain(struct kj__tls *tls)
{
    int fault = errno;
    int error = SSL_get_error(tls->ssl, 0);
    if (error == SSL_ERROR_SSL) {
        tls->fault = ERR_reason_error_string(ERR_peek_error());
    }
    ERR_clear_error();
    errno = error != SSL_ERROR_SSL && fault ? fault : EPROTO;
    return error;
}

/* A read brought nothing: 0 at the orderly end, else -1 and errno. */
static ssize_t end_read(struct kj__tls *tls)
{
    int error = explain(tls);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        tls->read_waits_for_output = error == SSL_ERROR_WANT_WRITE;
        errno = EAGAIN;
        return -1;
    }
    tls->is_over = true;
    return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

ssize_t kj__tls_read(struct kj__tls *tls, uint8_t *bytes, size_t size)
{
    size_t used = 0;
    size_t got;
    tls->read_waits_for_output = false;
    tls->is_ready = kj__tls_is_ready(tls);
    do {
        errno = 0;
        ERR_clear_error();
        if (!SSL_read_ex(tls->ssl, bytes + used, size - used, &got)) {
            ssize_t end = end_read(tls);
            return used > 0 ? (ssize_t)used : end;
        }
        used += got;
    } while (size - used >= KJ__TLS_RECORD_MAX);
    return (ssize_t)used;
}

const char *kj__tls_fault(const struct kj__tls *tls)
{
    return tls->fault;
}

bool kj__tls_has_more(const struct kj__tls *tls)
{
    return tls && (tls->is_over || SSL_pending(tls->ssl) > 0);
}

/* ---- writing ---- */

enum progress { FAILED, BLOCKED, WRITTEN };

static enum progress write_record(struct kj__tls *tls, const uint8_t *bytes, size_t len,
                                  size_t *written)
{
    errno = 0;
    ERR_clear_error();
    tls->write_waits_for_input = false;
    if (SSL_write_ex(tls->ssl, bytes, len, written)) {
        return WRITTEN;
    }
    int error = explain(tls);
    tls->write_waits_for_input = error == SSL_ERROR_WANT_READ;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? BLOCKED : FAILED;
}

static enum progress write_unsent(struct kj__tls *tls)
{
    while (tls->unsent_done < tls->unsent_len) {
        size_t written = 0;
        enum progress progress = write_record(tls, tls->unsent + tls->unsent_done,
                                              tls->unsent_len - tls->unsent_done, &written);
        if (progress != WRITTEN) {
            return progress;
        }
        tls->unsent_done += written;
    }
    free(tls->unsent);
    tls->unsent = NULL;
    return WRITTEN;
}

static bool keep_unsent(struct kj__tls *tls, const uint8_t *bytes, size_t len)
{
    tls->unsent = malloc(len);
    if (!tls->unsent) {
        errno = ENOMEM;
        return false;
    }
    memcpy(tls->unsent, bytes, len);
    tls->unsent_len = len;
    tls->unsent_done = 0;
    return true;
}

/* The bytes of the next record: those of the first part where they fill it or are all there
 * are, else as many parts as fit, joined. */
static const uint8_t *next_record(const struct iovec *vector, int count, uint8_t *scratch,
                                  size_t *len)
{
    *len = 0;
    if (count > 0 && (count == 1 || vector[0].iov_len >= KJ__TLS_RECORD_MAX)) {
        *len = vector[0].iov_len < KJ__TLS_RECORD_MAX ? vector[0].iov_len : KJ__TLS_RECORD_MAX;
        return vector[0].iov_base;
    }
    for (int i = 0; i < count && *len < KJ__TLS_RECORD_MAX; i++) {
        size_t room = KJ__TLS_RECORD_MAX - *len;
        size_t part = vector[i].iov_len < room ? vector[i].iov_len : room;
        memcpy(scratch + *len, vector[i].iov_base, part);
        *len += part;
    }
    return scratch;
}

ssize_t kj__tls_write(struct kj__tls *tls, const struct iovec *vector, int count, uint8_t *scratch)
{
    tls->has_sent = false;
    tls->is_ready = kj__tls_is_ready(tls);
    if (tls->unsent) {
        enum progress progress = write_unsent(tls);
        if (progress == BLOCKED && !tls->has_sent) {
            errno = EAGAIN;
        }
        if (progress != WRITTEN) {
            return progress == BLOCKED && tls->has_sent ? 0 : -1;
        }
    }
    size_t len;
    size_t written = 0;
    const uint8_t *bytes = next_record(vector, count, scratch, &len);
    if (len == 0) {
        return 0;
    }
    switch (write_record(tls, bytes, len, &written)) {
    case WRITTEN:
        return (ssize_t)written;
    case BLOCKED:
        return keep_unsent(tls, bytes, len) ? (ssize_t)len : -1;
    default:
        return -1;
    }
}

bool kj__tls_is_ready(const struct kj__tls *tls)
{
    return !tls || tls->is_ready || SSL_is_init_finished(tls->ssl);
}

bool kj__tls_has_unsent(const struct kj__tls *tls)
{
    return tls && tls->unsent;
}

bool kj__tls_waits_for_output(const struct kj__tls *tls)
{
    return tls && (tls->read_waits_for_output || (tls->unsent && !tls->write_waits_for_input));
}

/* ---- sockets that may be plain ---- */

ssize_t kj__socket_read(int fd, struct kj__tls *tls, uint8_t *bytes, size_t size)
{
    return tls ? kj__tls_read(tls, bytes, size) : recv(fd, bytes, size, MSG_DONTWAIT);
}

ssize_t kj__socket_write(int fd, struct kj__tls *tls, struct iovec *vector, int count,
                         uint8_t *scratch)
{
    if (tls) {
        return kj__tls_write(tls, vector, count, scratch);
    }
    const struct msghdr message = {.msg_iov = vector, .msg_iovlen = (size_t)count};
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}
