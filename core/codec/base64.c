/* base64.c - see base64.h. */
#include "codec/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void kj__base64_encode(const uint8_t *bytes, size_t len, struct kj__buffer *out)
{
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

size_t kj__base64_decoded_len(const char *text, size_t len)
{
    size_t padding = 0;
    while (padding < 2 && padding < len && text[len - 1 - padding] == '=') {
        padding++;
    }
    return len / 4 * 3 - padding;
}

/* The six bits of a character; -1 when it has none. */
static int bits_of(char character)
{
    if (character >= 'A' && character <= 'Z') {
        return character - 'A';
    }
    if (character >= 'a' && character <= 'z') {
        return character - 'a' + 26;
    }
    if (character >= '0' && character <= '9') {
        return character - '0' + 52;
    }
    return character == '+' ? 62 : character == '/' ? 63 : -1;
}

bool kj__base64_decode(const char *text, size_t len, struct kj__buffer *out)
{
    size_t before = out->len;
    size_t left = len % 4 == 0 ? kj__base64_decoded_len(text, len) : 0;
    bool is_good = len % 4 == 0;
    for (size_t at = 0; is_good && at < len; at += 4) {
        uint32_t group = 0;
        size_t taken = left < 3 ? left : 3;
        for (size_t i = 0; is_good && i <= taken; i++) {
            int bits = bits_of(text[at + i]);
            is_good = bits >= 0;
            group |= is_good ? (uint32_t)bits << (18 - 6 * i) : 0;
        }
        const uint8_t bytes[3] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group};
        kj__buffer_append(out, bytes, taken);
        left -= taken;
    }
    if (!is_good) {
        out->len = before;
    }
    return is_good;
}
