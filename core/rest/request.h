/* request.h - fills the request of a context from the HTTP exchange and its route. */
#ifndef KJ_REST_REQUEST_H
#define KJ_REST_REQUEST_H

#include "rest/api.h"
#include "rest/context.h"

/* Checks version, headers, path and query, in this order. `identity` stays NULL for a category
 * the model lacks. KJ_EREFUSED with the context's errors set, or KJ_ENOMEM. */
enum kj_status kj__request_parse(struct kj_context *context, const struct kj__api *api);

/* Reads `q`, and holds it and `order` against the identity; the request's filter stays NULL without
 * a `q`. KJ_EREFUSED with the context's errors set, or KJ_ENOMEM. */
enum kj_status kj__request_select(struct kj_context *context);

/* Appends an error whose title goes with its code ("Bad Request" for 400). */
__attribute__((format(printf, 4, 5))) enum kj_status kj__context_refuse(struct kj_context *context,
                                                                        int code,
                                                                        const char *subject,
                                                                        const char *format, ...);

#endif
