/* error_array.h - the array of error objects a client receives, as in bahamut. */
#ifndef KJ_CODEC_ERROR_ARRAY_H
#define KJ_CODEC_ERROR_ARRAY_H

#include "base/buffer.h"

#include <jansson.h>
#include <kujata/encoding.h>
#include <kujata/error.h>
#include <kujata/status.h>

/* Appends one error to a json_t array. `trace` stamps it; NULL leaves it empty. */
enum kj_status kj__error_array_add(json_t *array, const struct kj_api_error *error,
                                   const char *trace);

/* The code of the first element, or 500. */
int kj__error_array_status(const json_t *array);

/* Appends the array. JSON leaves out code 0, data null and trace ""; msgpack has all six.
 * This and the call below append nothing when they fail. */
enum kj_status kj__error_array_encode(const json_t *array, enum kj_encoding encoding,
                                      struct kj__buffer *out);

/* One element alone, as error events carry it. */
enum kj_status kj__error_encode(const struct kj_api_error *error, enum kj_encoding encoding,
                                struct kj__buffer *out);

#endif
