/* pubsub_nats.h - the backend that joins nodes through NATS.
 *
 * Publications are handed to a thread of the backend, so publishing never waits for the
 * broker. While the broker is away they wait in a bounded queue and leave, in order, once
 * it is back. What was handed to a broker that died with it in hand is lost: NATS core is
 * at-most-once.
 */
#ifndef KUJATA_PUBSUB_NATS_H
#define KUJATA_PUBSUB_NATS_H

#include <kujata/error.h>
#include <kujata/pubsub.h>

/* At most one of user, token and credentials_file. */
struct kj_pubsub_nats_options {
    const char *urls;             /* "nats://HOST:PORT", several joined by commas; required;
                                   * "tls://HOST:PORT" for TLS */
    const char *user;             /* NULL: none, or as the URL says */
    const char *password;         /* NULL: none */
    const char *token;            /* NULL: none */
    const char *credentials_file; /* a .creds file; NULL: none */
    /* PEM files, with tls:// alone: whom to trust (NULL: whom the system trusts), and what to show
     * a broker that asks for a certificate (tls_key NULL: in the same file). */
    const char *tls_ca, *tls_certificate, *tls_key;
    const char *tls_name;       /* the host the broker's certificate must be for; NULL: that of the
                                   * urls, which is then one */
    const char *client_name;    /* shown by the broker; NULL: "kujata" */
    uint32_t reconnect_wait_ms; /* pause between two tries; 0: 500 */
    uint32_t publish_queue_limit; /* publications waiting for the broker; 0: 65,536 */
    uint64_t publish_queue_bytes; /* bytes of their data; 0: 256 MiB */
    uint32_t request_limit;       /* requests waiting for an answer; 0: 4,096 */
    struct kj_pubsub_errors errors;
};

/* Starts connecting and returns; a broker that is away now is joined when it comes.
 * KJ_EINVAL with `error` filled for a bad URL, credentials file or file of TLS.  [any thread] */
enum kj_status kj_pubsub_nats_new(const struct kj_pubsub_nats_options *options,
                                  struct kj_pubsub **pubsub, struct kj_error *error);

#endif
