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

void kj__buffer_append(struct kj__buffer *buffer, const void *bytes, size_t len)
{
    if (len == 0) {
        return;
    }
    uint8_t *room = kj__buffer_reserve(buffer, len);
    if (room) {
        memcpy(room, bytes, len);
        buffer->len += len;
    }
}

void kj__buffer_append_text(struct kj__buffer *buffer, const char *text)
{
    kj__buffer_append(buffer, text, strlen(text));
}

void kj__buffer_append_byte(struct kj__buffer *buffer, uint8_t byte)
{
    kj__buffer_append(buffer, &byte, 1);
}

void kj__buffer_printf(struct kj__buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (len >= 0) {
        /* vsnprintf writes a terminator, which the next append overwrites. */
        char *room = (char *)kj__buffer_reserve(buffer, (size_t)len + 1);
        if (room) {
            (void)vsnprintf(room, (size_t)len + 1, format, again);
            buffer->len += (size_t)len;
        }
    }
    va_end(again);
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
