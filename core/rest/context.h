/* context.h - one REST call from its first byte to its answer; what processors see of it is in
 * kujata/context.h.
 *
 * Threads: lives on one HTTP worker's stack for one call.
 */
#ifndef KJ_REST_CONTEXT_H
#define KJ_REST_CONTEXT_H

#include "base/buffer.h"
#include "base/claims.h"
#include "base/id.h"
#include "rest/credentials.h"
#include "rest/message.h"
#include "rest/policy.h"
#include "rest/query.h"
#include "rest/routes.h"

#include <kujata/context.h>

struct kj_context {
    const struct kj__http_request *http; /* borrowed, as long as the call, as is the policy */
    const struct kj__policy *policy;
    char id[KJ__UUID_SIZE]; /* also the trace of every error */
    struct kj__route route;
    struct kj__query query;
    struct kj_request request; /* borrows the members above and below */
    char *authorization;       /* a copy, split in two by a NUL; may be NULL */
    const struct kj__credentials *credentials;
    const char *token; /* borrows a header, the query or the member below; NULL: none */
    char *cookie;      /* a copy of the token in a cookie; may be NULL */

    struct kj_filter *filter; /* of `q`; NULL: none */

    json_t *errors; /* the error array; empty unless the call failed */
    json_t *input;  /* NULL: the operation has no body */
    json_t *output; /* NULL: none */
    size_t count;
    int status; /* 0: the operation's own */
    struct kj__buffer messages;
    char *next;
    char *location;
    struct kj__fields cookies; /* "Set-Cookie" lines */
    size_t cookie_count;
    int64_t retry_after_ns; /* of a refusal; 0: none is told */
    int error_status;       /* before a transformer had its word; 0: no errors */
    bool is_preflight;
    bool is_call;   /* of an operation, be it one that is refused */
    bool is_parsed; /* errors from here on are told in the client's encoding */

    struct kj_event **events; /* one reference each */
    size_t event_count;
    bool push_disabled;
    bool was_processed; /* a processor has seen it */
    bool is_over_bytes; /* its list has more bytes than an answer holds */
    bool is_audited;    /* it came as far as the authenticators */
    json_t *tracking;   /* what travels with the events; NULL: nothing */

    struct kj__claims claims;
};

/* False when there is no memory; fini is due in any case. All arguments are borrowed. */
bool kj__context_init(struct kj_context *context, const struct kj__http_request *http,
                      const struct kj__credentials *credentials, const struct kj__policy *policy);
void kj__context_fini(struct kj_context *context);

/* Whether a processor or handler left an error. */
bool kj__context_has_failed(const struct kj_context *context);

#endif
