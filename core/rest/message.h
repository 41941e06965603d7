/* message.h - one HTTP exchange, without a socket.
 *
 * core/http fills the request from civetweb and writes the response out.
 */
#ifndef KJ_REST_MESSAGE_H
#define KJ_REST_MESSAGE_H

#include "base/buffer.h"
#include "base/fields.h"
#include "codec/certificate.h"

#include <stddef.h>
#include <stdint.h>

struct kj__http_request {
    const char *method;
    const char *path;                 /* as sent: still escaped, without the query */
    const char *query;                /* as sent, or "" */
    const struct kj__fields *headers; /* in order; several lines stay several */
    const uint8_t *body;              /* whole, within the limit */
    size_t body_len;
    const char *remote_address;
    struct kj__certificate *certificate; /* the client's; NULL: none */
};

struct kj__http_response {
    int status;
    struct kj__fields headers; /* without Content-Length, Date and Connection */
    struct kj__buffer body;    /* not sent on HEAD, but its length is */
};

void kj__http_response_init(struct kj__http_response *response);
void kj__http_response_fini(struct kj__http_response *response);

#endif
