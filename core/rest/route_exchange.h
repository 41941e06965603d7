/* route_exchange.h - one request of a route and its answer; what handlers see of it is in
 * kujata/route.h.
 *
 * Threads: lives on one HTTP worker's stack for one request.
 */
#ifndef KJ_REST_ROUTE_EXCHANGE_H
#define KJ_REST_ROUTE_EXCHANGE_H

#include "base/fields.h"
#include "rest/message.h"
#include "rest/route_table.h"

#include <kujata/route.h>

enum { KJ__ROUTE_FIELDS_MAX = 256, KJ__ROUTE_HEADERS_MAX = 64 };

struct kj_exchange {
    const struct kj__http_request *http; /* borrowed, as all pointers to const */
    const char *const *allowed_origins;  /* NULL at the end; may be NULL */
    struct kj__fields query, form;
    char *rest; /* NULL: the route has none */

    bool has_cookies, has_json; /* they were looked for */
    struct kj__fields cookies;
    json_t *json;
    struct kj_error fault; /* of the JSON */

    int status; /* 0: not answered yet */
    char *content_type;
    struct kj__buffer body;
    struct kj__fields headers;
    size_t header_count;
};

void kj__route_exchange_init(struct kj_exchange *exchange, const struct kj__http_request *http,
                             const char *const *allowed_origins);
void kj__route_exchange_fini(struct kj_exchange *exchange);

/* Reads what a handler may ask for; false after a refusal. */
bool kj__route_exchange_read(struct kj_exchange *exchange, const struct kj__route_place *place);

/* Moves the answer into the response; without memory just a 503 is left. */
void kj__route_exchange_finish(struct kj_exchange *exchange, struct kj__http_response *response);

#endif
