/* tls.c - see tls.h. */
#include "delivery/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    /* What a peer that does not read can make us keep; a record and more fits. */
    KEPT_MAX = 4 * KJ__TLS_RECORD_MAX,
    /* Calls of recv for one read, two for a record. A peer may send new keys or empty handshakes
     * without end, and OpenSSL does not return before it has data or nothing more to read. */
    RECEIVES_MAX = 512,
};

/* Bytes of records that the socket did not take yet; nothing is allocated while there are none. */
struct kept {
    uint8_t *bytes;
    size_t len, done, capacity;
};

struct kj__tls {
    SSL *ssl;
    int fd;
    const char *fault;          /* see kj__tls_fault */
    bool is_over;               /* the peer has ended, or the stream is broken */
    bool read_waits_for_output; /* and not, as usual, for input */
    bool is_ready;              /* the handshake was over when a call began */
    bool has_sent;              /* the socket took bytes during the call under way */
    bool is_reading;            /* kj__tls_read is under way */
    unsigned receives;          /* calls of recv in it */
    struct kept kept;
    uint8_t *room; /* where records go instead of to the socket; NULL: there is none */
    size_t room_size, room_len;
};

/* ---- what waits for the socket ---- */

static bool keep(struct kj__tls *tls, const uint8_t *bytes, size_t len)
{
    struct kept *kept = &tls->kept;
    if (len > kept->capacity - kept->len) {
        uint8_t *larger = len <= KEPT_MAX - kept->len ? realloc(kept->bytes, kept->len + len)
                                                      : NULL;
        if (!larger) {
            return false;
        }
        kept->bytes = larger;
        kept->capacity = kept->len + len;
    }
    memcpy(kept->bytes + kept->len, bytes, len);
    kept->len += len;
    return true;
}

static ssize_t send_now(struct kj__tls *tls, const uint8_t *bytes, size_t len)
{
    ssize_t sent = send(tls->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    tls->has_sent |= sent > 0;
    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

/* False while some is left, or with errno when the socket is broken. */
static bool send_kept(struct kj__tls *tls)
{
    struct kept *kept = &tls->kept;
    while (kept->done < kept->len) {
        ssize_t sent = send_now(tls, kept->bytes + kept->done, kept->len - kept->done);
        if (sent <= 0) {
            errno = sent < 0 ? errno : EAGAIN;
            return false;
        }
        kept->done += (size_t)sent;
    }
    free(kept->bytes);
    *kept = (struct kept){0};
    return true;
}

/* ---- the socket, as OpenSSL sees it: its own kind of BIO would raise SIGPIPE ---- */

/* Takes all there is: into the room that a caller gave, or to the socket, with what that has no
 * room for kept. So a record that was made has left, as far as OpenSSL is concerned. */
static int bio_write(BIO *bio, const char *text, int size)
{
    struct kj__tls *tls = BIO_get_data(bio);
    const uint8_t *bytes = (const uint8_t *)text;
    size_t len = (size_t)size;
    BIO_clear_retry_flags(bio);
    if (tls->room) {
        if (len > tls->room_size - tls->room_len) {
            return -1;
        }
        memcpy(tls->room + tls->room_len, bytes, len);
        tls->room_len += len;
        return size;
    }
    ssize_t sent = tls->kept.len ? 0 : send_now(tls, bytes, len);
    if (sent < 0) {
        return -1;
    }
    if ((size_t)sent < len && !keep(tls, bytes + sent, len - (size_t)sent)) {
        if (sent == 0) {
            BIO_set_retry_write(bio);
            return -1;
        }
        return (int)sent;
    }
    return size;
}

static int bio_read(BIO *bio, char *bytes, int size)
{
    struct kj__tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->is_reading && tls->receives++ >= RECEIVES_MAX) {
        errno = EAGAIN;
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t got = recv(tls->fd, bytes, (size_t)size, MSG_DONTWAIT);
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
    /* So that a write never has to wait for input. */
    SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
    if (SSL_is_server(ssl)) {
        shrink_peer_certificate(ssl);
    }
    /* Buffers are given back while nothing is in them: most sessions are idle. */
    SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    return tls;
}

void kj__tls_free(struct kj__tls *tls)
{
    if (tls) {
        SSL_free(tls->ssl);
        free(tls->kept.bytes);
        free(tls);
    }
}

void kj__tls_end(struct kj__tls *tls)
{
    if (tls && !tls->kept.len) {
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

static ssize_t read_records(struct kj__tls *tls, uint8_t *bytes, size_t size)
{
    size_t used = 0;
    size_t got;
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

ssize_t kj__tls_read(struct kj__tls *tls, uint8_t *bytes, size_t size)
{
    tls->read_waits_for_output = false;
    tls->is_ready = kj__tls_is_ready(tls);
    tls->is_reading = true;
    tls->receives = 0;
    ssize_t used = read_records(tls, bytes, size);
    tls->is_reading = false;
    return used;
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

/* One record of up to KJ__TLS_RECORD_MAX bytes. */
static bool write_record(struct kj__tls *tls, const uint8_t *bytes, size_t len)
{
    size_t written;
    errno = 0;
    ERR_clear_error();
    if (SSL_write_ex(tls->ssl, bytes, len, &written)) {
        return true;
    }
    /* There was no memory to keep what the socket did not take: it may be in the middle of it. */
    if (explain(tls) == SSL_ERROR_WANT_WRITE) {
        errno = ENOMEM;
    }
    return false;
}

/* Goes on with the handshake; false while it is not over, with errno. */
static bool be_ready(struct kj__tls *tls)
{
    tls->is_ready = kj__tls_is_ready(tls);
    if (tls->is_ready) {
        return true;
    }
    errno = 0;
    ERR_clear_error();
    if (SSL_do_handshake(tls->ssl) == 1) {
        tls->is_ready = true;
        return true;
    }
    int error = explain(tls);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
    }
    return false;
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
    size_t len;
    tls->has_sent = false;
    if (!send_kept(tls)) {
        return errno == EAGAIN && tls->has_sent ? 0 : -1;
    }
    const uint8_t *bytes = next_record(vector, count, scratch, &len);
    if (len == 0) {
        return 0; /* also while the handshake is not over: what was kept has left */
    }
    if (!be_ready(tls)) {
        return -1;
    }
    return write_record(tls, bytes, len) ? (ssize_t)len : -1;
}

bool kj__tls_may_seal(const struct kj__tls *tls)
{
    return kj__tls_is_ready(tls) && !tls->kept.len && !tls->is_over;
}

size_t kj__tls_seal(struct kj__tls *tls, const uint8_t *bytes, size_t len, uint8_t *room)
{
    tls->room = room;
    tls->room_size = KJ__TLS_SEALED_MAX(len);
    tls->room_len = 0;
    bool is_sealed = write_record(tls, bytes, len);
    tls->room = NULL;
    return is_sealed ? tls->room_len : 0;
}

bool kj__tls_keep(struct kj__tls *tls, const uint8_t *bytes, size_t len)
{
    return keep(tls, bytes, len);
}

bool kj__tls_is_ready(const struct kj__tls *tls)
{
    return !tls || tls->is_ready || SSL_is_init_finished(tls->ssl);
}

bool kj__tls_has_unsent(const struct kj__tls *tls)
{
    return tls && tls->kept.len;
}

bool kj__tls_waits_for_output(const struct kj__tls *tls)
{
    return tls && (tls->read_waits_for_output || tls->kept.len);
}

bool kj__tls_read_waits_for_output(const struct kj__tls *tls)
{
    return tls && tls->read_waits_for_output;
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
