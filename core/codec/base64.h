/* base64.h - bytes as text, the standard alphabet with padding. */
#ifndef KJ_CODEC_BASE64_H
#define KJ_CODEC_BASE64_H

#include "base/buffer.h"

void kj__base64_encode(const uint8_t *bytes, size_t len, struct kj__buffer *out);

#endif
