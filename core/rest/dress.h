/* dress.h - what an answer gets last: headers that depend on who asks, and not on what came of
 * it. An answer that is kept to be given again is kept without them.
 */
#ifndef KJ_REST_DRESS_H
#define KJ_REST_DRESS_H

#include "rest/context.h"

/* Compresses the body, adds what says so, and CORS, to headers that are ordered by name. A bare
 * answer stays bare. False when there is no memory. */
bool kj__answer_dress(const struct kj_context *context, struct kj__http_response *response);

#endif
