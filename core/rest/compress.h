/* compress.h - gzip of an answer's body.                                    [any thread] */
#ifndef KJ_REST_COMPRESS_H
#define KJ_REST_COMPRESS_H

#include "base/buffer.h"

#include <stdbool.h>

enum { KJ__COMPRESS_BYTES_MIN = 1400 }; /* a shorter body fits a packet anyway */

/* Whether an Accept-Encoding (NULL: none) allows gzip. As in bahamut it must say so by name. */
bool kj__accepts_gzip(const char *accept_encoding);

/* Puts the compressed body in place of `body`. False leaves it as it was: it is small, would not
 * get shorter, or there is no memory. */
bool kj__compress(struct kj__buffer *body);

#endif
