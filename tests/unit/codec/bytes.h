/* bytes.h - bytes written as hexadecimal digits, and comparisons that print them. */
#ifndef KJ_TESTS_UNIT_CODEC_BYTES_H
#define KJ_TESTS_UNIT_CODEC_BYTES_H

#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* An allocation of just the right size, so that sanitizers see every read beyond it. The
 * caller frees it. */
static inline uint8_t *bytes_from_hex(const char *hex, size_t *len)
{
    *len = strlen(hex) / 2;
    uint8_t *bytes = malloc(*len ? *len : 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < *len; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (uint8_t)byte;
    }
    return bytes;
}

static inline void assert_bytes_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    char *text = calloc(len + 1, 2);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    assert_string_equal(text, hex);
    free(text);
}

static inline void assert_bytes_text(const uint8_t *bytes, size_t len, const char *text)
{
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    if (len) {
        memcpy(copy, bytes, len);
    }
    copy[len] = '\0';
    assert_string_equal(copy, text);
    assert_int_equal(len, strlen(text));
    free(copy);
}

#endif
