/* answer.h - a context's outcome as an HTTP response. */
#ifndef KJ_REST_ANSWER_H
#define KJ_REST_ANSWER_H

#include "rest/context.h"

/* Fills the response after a processor succeeded. Anything but KJ_OK leaves the response
 * empty, to be filled with an error. */
enum kj_status kj__answer_success(struct kj_context *context, struct kj__http_response *response);

/* Of one who asks too often. */
extern const struct kj_api_error kj__too_many;

/* Answers OPTIONS: a preflight where there is CORS, else 200 and nothing more. */
enum kj_status kj__answer_options(struct kj_context *context, struct kj__http_response *response);

/* Adds what every answer ends with; without memory just its status is left. */
void kj__answer_finish(const struct kj_context *context, struct kj__http_response *response);

/* Fills the response with the context's errors; without any, with a 500 whose text is that of
 * `status`. In the encoding the request asked for, or JSON before that is known. */
void kj__answer_errors(struct kj_context *context, enum kj_status status,
                       struct kj__http_response *response);

#endif
