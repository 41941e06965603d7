/* buffer.c - see buffer.h. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_FIRST_CAPACITY = 256 };

void kj__buffer_init(struct kj__buffer *buffer)
{
    *buffer = (struct kj__buffer){0};
}

void kj__buffer_fini(struct kj__buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct kj__buffer){0};
}

uint8_t *kj__buffer_reserve(struct kj__buffer *buffer, size_t more)
{
    if (buffer->failed || more > SIZE_MAX / 2 - buffer->len) {
        buffer->failed = true;
        return NULL;
    }
    if (buffer->capacity - buffer->len < more) {
        size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_FIRST_CAPACITY;
        while (capacity - buffer->len < more) {
            capacity *= 2;
        }
        uint8_t *data = realloc(buffer->data, capacity);
        if (!data) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->len;
}

void kj__buffer_printf(struct kj__buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    /* vsnprintf writes a terminator, which the next append overwrites. */
    size_t room = buffer->failed ? 0 : buffer->capacity - buffer->len;
    char *at = room > 0 ? (char *)buffer->data + buffer->len : NULL;
    int len = vsnprintf(at, room, format, arguments);
    va_end(arguments);
    if (len >= 0 && (size_t)len >= room) {
        at = (char *)kj__buffer_reserve(buffer, (size_t)len + 1);
        if (at) {
            (void)vsnprintf(at, (size_t)len + 1, format, again);
        }
    }
    if (len > 0 && at) {
        buffer->len += (size_t)len;
    }
    va_end(again);
}

void kj__buffer_append_number(struct kj__buffer *buffer, uint64_t number)
{
    char digits[20]; /* as many as UINT64_MAX has */
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    kj__buffer_append(buffer, digits + at, sizeof digits - at);
}

void kj__buffer_consume(struct kj__buffer *buffer, size_t len)
{
    if (len >= buffer->len) {
        buffer->len = 0;
        return;
    }
    memmove(buffer->data, buffer->data + len, buffer->len - len);
    buffer->len -= len;
}

uint8_t *kj__buffer_take(struct kj__buffer *buffer, size_t *len)
{
    *len = 0;
    if (buffer->failed || (!buffer->data && !kj__buffer_reserve(buffer, 1))) {
        kj__buffer_fini(buffer);
        return NULL;
    }
    uint8_t *data = buffer->data;
    *len = buffer->len;
    *buffer = (struct kj__buffer){0};
    return data;
}
