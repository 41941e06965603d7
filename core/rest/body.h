/* body.h - the body of a write, decoded, made to fit its identity and validated. */
#ifndef KJ_REST_BODY_H
#define KJ_REST_BODY_H

#include "rest/context.h"

/* Sets the context's input for a create, update or patch; does nothing for other operations.
 * KJ_EREFUSED with the context's errors set, or KJ_ENOMEM. */
enum kj_status kj__body_read(struct kj_context *context);

#endif
