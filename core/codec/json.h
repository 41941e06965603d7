/* json.h - JSON text, bounded before it is parsed and written as bahamut writes it.
 *
 * Reading is jansson's, behind a scan that refuses what would exhaust it: its parser
 * crashes near 800 levels on the 100 KiB stacks of HTTP workers. Writing is ours, because
 * the bytes must be those of Go's codec: keys sorted bytewise, no blanks, `<`, `>`, `&`,
 * U+2028 and U+2029 escaped, floats that look like floats.
 */
#ifndef KJ_CODEC_JSON_H
#define KJ_CODEC_JSON_H

#include "base/buffer.h"

#include <jansson.h>
#include <kujata/error.h>
#include <kujata/status.h>
#include <stddef.h>
#include <stdint.h>

/* A value takes a hundred bytes and more where its text takes two, so their number is bounded
 * too: a body of 1 MiB must not become 200. */
enum { KJ__NESTING_MAX = 64, KJ__VALUES_MAX = 65536 };

/* Reads the first JSON value of the bytes; what follows it is ignored, as bahamut does.
 * Duplicate keys are refused; integers that do not fit int64_t become reals. KJ_EPARSE,
 * KJ_ELIMIT or KJ_ENOMEM with `error` filled (may be NULL); an empty or truncated input is
 * KJ_EPARSE with the text "EOF". */
enum kj_status kj__json_decode(const uint8_t *bytes, size_t len, json_t **value,
                               struct kj_error *error);

/* The same, but an integer that does not fit int64_t is KJ_EPARSE, unless it is written as the real
 * that it becomes: large reals are often written without a fraction, by ourselves too. */
enum kj_status kj__json_decode_exactly(const uint8_t *bytes, size_t len, json_t **value,
                                       struct kj_error *error);

/* A new string value; bytes that are not UTF-8 become U+FFFD each. NULL without memory. */
json_t *kj__json_text(const char *text, size_t len);

/* Appends the value. Check `out->failed` for memory. KJ_ELIMIT when it nests too deep, and
 * then nothing is appended. */
enum kj_status kj__json_encode(const json_t *value, struct kj__buffer *out);

void kj__json_encode_int(int64_t value, struct kj__buffer *out);

/* One string with its quotes; invalid UTF-8 becomes \uFFFD, byte by byte. */
void kj__json_encode_string(const char *text, size_t len, struct kj__buffer *out);

/* One float in Go's shortest form; NaN and infinities become null. */
void kj__json_encode_float(double value, struct kj__buffer *out);

#endif
