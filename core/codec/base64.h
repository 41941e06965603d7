/* base64.h - bytes as text, the standard alphabet with padding. */
#ifndef KJ_CODEC_BASE64_H
#define KJ_CODEC_BASE64_H

#include "base/buffer.h"

#include <stdbool.h>

void kj__base64_encode(const uint8_t *bytes, size_t len, struct kj__buffer *out);

/* Appends the bytes of a text. False, and nothing is appended, for one that is not whole groups of
 * four with the padding at its end; bits beyond the last byte are ignored, as Go does. */
bool kj__base64_decode(const char *text, size_t len, struct kj__buffer *out);

/* How many bytes a text that can be decoded holds. */
size_t kj__base64_decoded_len(const char *text, size_t len);

#endif
