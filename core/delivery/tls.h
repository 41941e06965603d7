/* tls.h - a TLS stream on a non-blocking socket.
 *
 * Where the handshake is not over yet, reads and writes drive it: they have to wait until it is.
 *
 * Read and write look like recv and writev: bytes, 0 at the end, or -1 with errno, which is
 * EAGAIN while the socket has to be waited for. No call blocks and none raises SIGPIPE.
 *
 * TLS sends records, and one that has been made must leave before the next. What a record took
 * counts as written even where the socket did not take all of it: the rest is kept here until
 * it has left, so that the caller may drop and reorder whatever is not written yet.
 *
 * Threads: one owner, which may change.
 */
#ifndef KJ_DELIVERY_TLS_H
#define KJ_DELIVERY_TLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct kj__tls;
struct ssl_st; /* OpenSSL's SSL */

enum { KJ__TLS_RECORD_MAX = 16384 };

/* Takes `ssl`, also on failure; the socket stays the caller's. NULL when there is no memory. */
struct kj__tls *kj__tls_new_take(struct ssl_st *ssl, int fd);

/* Without a word to the peer; NULL is fine. */
void kj__tls_free(struct kj__tls *tls);

/* Reads until `bytes` has no room for another record, the socket is empty, or a good many records
 * have come, of which a peer may send any number that hold no data: the socket still announces the
 * rest. */
ssize_t kj__tls_read(struct kj__tls *tls, uint8_t *bytes, size_t size);

/* The last read left something for another that the socket will not announce: bytes that are
 * decrypted already, the end, or an error. With room for a record there is at most the end. */
bool kj__tls_has_more(const struct kj__tls *tls);

/* Why a call failed, in OpenSSL's words; NULL: see errno. Static. */
const char *kj__tls_fault(const struct kj__tls *tls);

/* Writes one record of what lies at the front of `vector`. Frames that are smaller are joined
 * in `scratch`, which has KJ__TLS_RECORD_MAX bytes and is free afterwards. Returns 0 when only
 * what an earlier call had left over made progress, or `count` is 0. */
ssize_t kj__tls_write(struct kj__tls *tls, const struct iovec *vector, int count, uint8_t *scratch);

/* What `len` bytes may take: a peer may ask for records of 512 bytes, and a word on keys may come
 * before them. */
#define KJ__TLS_SEALED_MAX(len) ((len) + (len) / 4 + 512)

/* Whether kj__tls_seal may be called: the handshake is over and nothing is kept. Not for NULL. */
bool kj__tls_may_seal(const struct kj__tls *tls);

/* Makes a record of 1 to KJ__TLS_RECORD_MAX bytes in `room`, which has KJ__TLS_SEALED_MAX(len), for
 * the caller to send before anything else is written, and gives its length; 0: the stream is
 * broken. What the socket did not take of it goes to kj__tls_keep, which copies it; false: there
 * is no memory, and nothing may follow. */
size_t kj__tls_seal(struct kj__tls *tls, const uint8_t *bytes, size_t len, uint8_t *room);
bool kj__tls_keep(struct kj__tls *tls, const uint8_t *bytes, size_t len);

/* A part of a record is kept here: call kj__tls_write again, with a `count` of 0 if need be.
 * False for NULL, as are the others that answer yes or no. */
bool kj__tls_has_unsent(const struct kj__tls *tls);

/* What is to be tried again waits for the socket to be writable. Both directions are to be
 * tried then; reading may need to write and, less often, the other way round. */
bool kj__tls_waits_for_output(const struct kj__tls *tls);

/* The same of reading alone: the input there is cannot be taken before something has left. */
bool kj__tls_read_waits_for_output(const struct kj__tls *tls);

/* The handshake is over; true for NULL. */
bool kj__tls_is_ready(const struct kj__tls *tls);

/* Tells the peer that nothing follows, if the socket takes it now. NULL is fine. */
void kj__tls_end(struct kj__tls *tls);

/* The same for a socket that may be plain: `tls` is NULL then. */
ssize_t kj__socket_read(int fd, struct kj__tls *tls, uint8_t *bytes, size_t size);
ssize_t kj__socket_write(int fd, struct kj__tls *tls, struct iovec *vector, int count,
                         uint8_t *scratch);

#endif
