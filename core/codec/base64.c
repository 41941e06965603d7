/* base64.c - see base64.h. */
#include "codec/base64.h"

void kj__base64_encode(const uint8_t *bytes, size_t len, struct kj__buffer *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < len; at += 3) {
        size_t taken = len - at < 3 ? len - at : 3;
        uint32_t group = (uint32_t)bytes[at] << 16;
        group |= taken > 1 ? (uint32_t)bytes[at + 1] << 8 : 0;
        group |= taken > 2 ? (uint32_t)bytes[at + 2] : 0;
        const char text[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63],
                              taken > 1 ? alphabet[group >> 6 & 63] : '=',
                              taken > 2 ? alphabet[group & 63] : '='};
        kj__buffer_append(out, text, sizeof text);
    }
}
