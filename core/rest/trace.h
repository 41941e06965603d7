/* trace.h - what a request brings for whoever traces it across services.
 *
 * `traceparent` and `tracestate` of W3C Trace Context (level 1, version 00) and bahamut's
 * X-External-Tracking-ID and -Type. What is malformed is ignored, and nothing is made up in its
 * place. What is left travels with the events of the request.
 */
#ifndef KJ_REST_TRACE_H
#define KJ_REST_TRACE_H

#include "base/counters.h"
#include "base/fields.h"

#include <jansson.h>
#include <kujata/status.h>

/* *tracking is a new object of strings by header names in lower case, or NULL for none. What is
 * ignored is counted. KJ_ENOMEM. */
enum kj_status kj__trace_read(const struct kj__fields *headers, struct kj__counters *counters,
                              json_t **tracking);

#endif
