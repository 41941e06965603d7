/* certificate.h - who a client is by its TLS certificate.
 *
 * There is one only where the server has tls_client_ca and the client showed a certificate that
 * leads there and proved that it has the key: what is seen here may be believed. Which clients
 * may do what is still the application's to decide. Threads: read-only, any thread.
 */
#ifndef KUJATA_CERTIFICATE_H
#define KUJATA_CERTIFICATE_H

#include <stddef.h>
#include <stdint.h>

struct kj_certificate {
    const char *subject;      /* as RFC 2253 writes it: "CN=alice,O=Example" */
    const char *const *names; /* the alternative ones, NULL at the end: "DNS:alice.example.org",
                               * "IP Address:192.0.2.1", "email:a@example.org", "URI:urn:alice" */
    const uint8_t *der;       /* the whole certificate */
    size_t der_len;
};

#endif
