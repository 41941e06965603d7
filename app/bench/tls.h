/* tls.h - sockets with or without TLS, behind the same calls.
 *
 * A NULL struct bench_tls is a plain socket. Sockets do not block: -1 with EAGAIN asks to
 * wait, a send is whole or counts as failed.
 */
#ifndef KUJATA_APP_BENCH_TLS_H
#define KUJATA_APP_BENCH_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bench_tls;
struct bench_tls_context;

/* `ca` is a file of certificates, NULL for the system's. NULL when it cannot be read. */
struct bench_tls_context *bench_tls_context_new(const char *ca, bool insecure);
void bench_tls_context_free(struct bench_tls_context *context);

/* `host` is what the certificate must name. NULL without memory. */
struct bench_tls *bench_tls_new(struct bench_tls_context *context, int fd, const char *host);
void bench_tls_free(struct bench_tls *tls);

/* One step of the handshake: 0 when it is over, EPOLLIN or EPOLLOUT to wait for, -1 failed. */
int bench_tls_handshake(struct bench_tls *tls);

ssize_t bench_tls_send(struct bench_tls *tls, int fd, const uint8_t *bytes, size_t len);
ssize_t bench_tls_receive(struct bench_tls *tls, int fd, uint8_t *bytes, size_t size);

#endif
