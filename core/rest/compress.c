/* compress.c - see compress.h. Each thread keeps its compressor, whose memory (some 256 KiB) is
 * dearer to get than to use. */
#include "rest/compress.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

enum {
    LEVEL = 6,
    GZIP_WINDOW_BITS = 15 + 16, /* the 16 asks for gzip's frame */
    MEMORY_LEVEL = 8,
    OS_UNKNOWN = 255,
};

/* ---- Accept-Encoding ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Whether the parameters of a coding give it a weight of 0. */
static bool is_refused(const char *parameters, size_t len)
{
    const char *end = parameters + len;
    while (parameters < end) {
        parameters++; /* the semicolon */
        while (parameters < end && is_blank(*parameters)) {
            parameters++;
        }
        size_t part = strcspn(parameters, ";,");
        if (part > 2 && (*parameters == 'q' || *parameters == 'Q') && parameters[1] == '=') {
            /* 0, 0. and 0.000 are all there is of nothing (RFC 9110 12.4.2). */
            return strspn(parameters + 2, "0.") == strcspn(parameters + 2, ";, \t");
        }
        parameters += part;
    }
    return false;
}

bool kj__accepts_gzip(const char *accept_encoding)
{
    static const char name[] = "gzip";
    const char *at = accept_encoding ? accept_encoding : "";
    while (*at) {
        while (is_blank(*at) || *at == ',') {
            at++;
        }
        size_t item = strcspn(at, ",");
        size_t word = strcspn(at, ",; \t");
        if (word == strlen(name) && strncasecmp(at, name, word) == 0) {
            size_t parameters = strcspn(at, ",;");
            return !is_refused(at + parameters, item - parameters);
        }
        at += item;
    }
    return false;
}

/* ---- compressors ---- */

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void free_stream(void *value)
{
    deflateEnd(value);
    free(value);
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, free_stream) == 0;
}

static z_stream *new_stream(void)
{
    z_stream *stream = calloc(1, sizeof *stream);
    if (!stream || deflateInit2(stream, LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, MEMORY_LEVEL,
                                Z_DEFAULT_STRATEGY) != Z_OK) {
        free(stream);
        return NULL;
    }
    if (pthread_setspecific(key, stream) != 0) {
        free_stream(stream);
        return NULL;
    }
    return stream;
}

/* This thread's, ready for another body; NULL when there is no memory. */
static z_stream *thread_stream(void)
{
    pthread_once(&key_once, make_key);
    z_stream *stream = has_key ? pthread_getspecific(key) : NULL;
    if (!stream) {
        return has_key ? new_stream() : NULL;
    }
    return deflateReset(stream) == Z_OK ? stream : NULL;
}

bool kj__compress(struct kj__buffer *body)
{
    static const gz_header header = {.os = OS_UNKNOWN};
    struct kj__buffer out;
    bool is_worth_it = body->len >= KJ__COMPRESS_BYTES_MIN && body->len <= UINT_MAX;
    z_stream *stream = is_worth_it ? thread_stream() : NULL;
    if (!stream) {
        return false;
    }
    kj__buffer_init(&out);
    size_t room = body->len - 1; /* what is not shorter is of no use */
    stream->next_in = body->data;
    stream->avail_in = (uInt)body->len;
    stream->next_out = kj__buffer_reserve(&out, room);
    stream->avail_out = (uInt)room;
    /* zlib writes to a header only where it decompresses. */
    deflateSetHeader(stream, (gz_header *)&header);
    if (!stream->next_out || deflate(stream, Z_FINISH) != Z_STREAM_END) {
        kj__buffer_fini(&out);
        return false;
    }
    out.len = room - stream->avail_out;
    kj__buffer_fini(body);
    *body = out;
    return true;
}
