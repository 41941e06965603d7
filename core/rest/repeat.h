/* repeat.h - whether a request repeats one that had its answer; see idempotency.h.
 *
 * After https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header: 422 for a key
 * that came with another request, 409 for one whose request still runs.
 */
#ifndef KJ_REST_REPEAT_H
#define KJ_REST_REPEAT_H

#include "rest/context.h"
#include "rest/idempotency.h"

enum kj__repeat_verdict {
    KJ__REPEAT_UNKEYED,  /* no key, or an operation that needs none */
    KJ__REPEAT_FIRST,    /* run it; kj__repeat_finish is due */
    KJ__REPEAT_ANSWERED, /* the response is filled */
    KJ__REPEAT_REFUSED,  /* *status says why, the context's errors are set */
};

/* `store` may be NULL: keys mean nothing. *id is filled for KJ__REPEAT_FIRST. May wait. */
enum kj__repeat_verdict kj__repeat_begin(struct kj__idempotency *store, struct kj_context *context,
                                         struct kj__http_response *response,
                                         struct kj__idempotency_id *id, enum kj_status *status);

/* Keeps the answer, if it is one to be given again. */
void kj__repeat_finish(struct kj__idempotency *store, const struct kj_context *context,
                       const struct kj__http_response *response,
                       const struct kj__idempotency_id *id);

#endif
