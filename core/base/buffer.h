/* buffer.h - a byte string that grows.
 *
 * A failed allocation is remembered in `failed`, so a run of appends is checked once at
 * its end. Not safe for concurrent use.
 */
#ifndef KJ_BASE_BUFFER_H
#define KJ_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct kj__buffer {
    uint8_t *data; /* malloc'd; NULL while empty */
    size_t len;
    size_t capacity;
    bool failed; /* an append found no memory; what followed was ignored */
};

void kj__buffer_init(struct kj__buffer *buffer);
void kj__buffer_fini(struct kj__buffer *buffer);

/* Makes room for `more` bytes past len; NULL when there is no memory. */
uint8_t *kj__buffer_reserve(struct kj__buffer *buffer, size_t more);

static inline void kj__buffer_append(struct kj__buffer *buffer, const void *bytes, size_t len)
{
    bool has_room = !buffer->failed && buffer->capacity - buffer->len >= len;
    if (len > 0 && (has_room || kj__buffer_reserve(buffer, len))) {
        memcpy(buffer->data + buffer->len, bytes, len);
        buffer->len += len;
    }
}

static inline void kj__buffer_append_text(struct kj__buffer *buffer, const char *text)
{
    kj__buffer_append(buffer, text, strlen(text));
}

static inline void kj__buffer_append_byte(struct kj__buffer *buffer, uint8_t byte)
{
    kj__buffer_append(buffer, &byte, 1);
}

__attribute__((format(printf, 2, 3))) void kj__buffer_printf(struct kj__buffer *buffer,
                                                             const char *format, ...);

void kj__buffer_append_number(struct kj__buffer *buffer, uint64_t number); /* in decimal */

/* Drops `len` bytes at the front. */
void kj__buffer_consume(struct kj__buffer *buffer, size_t len);

/* Hands the bytes to the caller, who frees them, and leaves the buffer empty. NULL (and a
 * length of 0) when an append failed; an empty buffer gives a one-byte allocation. */
uint8_t *kj__buffer_take(struct kj__buffer *buffer, size_t *len);

#endif
