/* msgpack.h - msgpack bytes from and to JSON values.
 *
 * Every input is walked before anything is made of it: nesting at most KJ__NESTING_MAX, at most
 * KJ__VALUES_MAX values, every declared count at most the bytes that remain, no duplicate keys.
 * msgpack-c writes;
 * the reader is our own, since msgpack-c's reserves memory by declared count and builds a tree
 * where a conversion needs none.
 *
 * Times are extension -1 and bytes are bin, and neither has a JSON form of its own: a JSON value
 * holds them as RFC 3339 and base64 text, and `kinds` tells which members to turn back.
 */
#ifndef KJ_CODEC_MSGPACK_H
#define KJ_CODEC_MSGPACK_H

#include "base/buffer.h"
#include "base/timestamp.h"

#include <jansson.h>
#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a member of the outermost object is, beyond what its JSON value shows. */
enum kj__member_kind {
    KJ__MEMBER_PLAIN = 0,
    KJ__MEMBER_TEXT,          /* a string, which msgpack may hold as bin too */
    KJ__MEMBER_TIME,          /* RFC 3339 text or null */
    KJ__MEMBER_BYTES,         /* base64 text or null; bin, which msgpack may hold as str too */
    KJ__MEMBER_LIST_OF_TEXTS, /* an array of them, as the next two */
    KJ__MEMBER_LIST_OF_TIMES,
    KJ__MEMBER_LIST_OF_BYTES,
};

struct kj__member_kinds {
    enum kj__member_kind (*kind_of)(const void *ctx, const char *member);
    const void *ctx;
};

/* Walks one value; *used (may be NULL) gets its length. KJ_EPARSE, with the text "EOF" for a
 * truncated one, KJ_ELIMIT, or KJ_ENOMEM. Keys are str or bin, UTF-8 without NUL. */
enum kj_status kj__msgpack_check(const uint8_t *bytes, size_t len, size_t *used,
                                 struct kj_error *error);

/* Whether every number of the first value, which has been checked, is one that JSON values hold:
 * no integer from 2^63 on, no infinity, no NaN. *position is behind the first that is not. */
bool kj__msgpack_is_exact(const uint8_t *bytes, size_t len, size_t *position);

/* Checks, then reads the first value; what follows is ignored. Times become RFC 3339 text,
 * bin becomes base64 text, invalid UTF-8 becomes U+FFFD. Other extensions, and times outside the
 * years 0000 to 9999, are KJ_EPARSE. */
enum kj_status kj__msgpack_decode(const uint8_t *bytes, size_t len, json_t **value,
                                  struct kj_error *error);

/* The same, where `kinds` (may be NULL) tells what bin and str mean in the outermost object. */
enum kj_status kj__msgpack_decode_as(const uint8_t *bytes, size_t len,
                                     const struct kj__member_kinds *kinds, json_t **value,
                                     struct kj_error *error);

/* Appends the value as Go's codec does for typed objects: keys sorted, integers in the
 * shortest signed form, floats in 8 bytes. `kinds` may be NULL; a member that is not of its
 * kind is KJ_EINVAL. This and the three calls below append nothing when they fail. */
enum kj_status kj__msgpack_encode(const json_t *value, const struct kj__member_kinds *kinds,
                                  struct kj__buffer *out);

/* Appends the JSON text of one msgpack value without building a tree, as bahamut converts it. */
enum kj_status kj__msgpack_to_json(const uint8_t *bytes, size_t len, struct kj__buffer *out);

/* Appends the msgpack form of a value that another wrote, positive integers unsigned, as bahamut
 * does. `kinds` may be NULL; a member that is not of its kind stays as it is. */
enum kj_status kj__msgpack_convert(const json_t *value, const struct kj__member_kinds *kinds,
                                   struct kj__buffer *out);

/* The same of one JSON text, with and without kinds. */
enum kj_status kj__json_to_msgpack_as(const uint8_t *bytes, size_t len,
                                      const struct kj__member_kinds *kinds, struct kj__buffer *out);
enum kj_status kj__json_to_msgpack(const uint8_t *bytes, size_t len, struct kj__buffer *out);

/* The pieces an envelope is written with. */
void kj__msgpack_put_map(struct kj__buffer *out, size_t count);
void kj__msgpack_put_array(struct kj__buffer *out, size_t count);
void kj__msgpack_put_text(struct kj__buffer *out, const char *text, size_t len);
void kj__msgpack_put_bin_head(struct kj__buffer *out, size_t len); /* the bytes follow */
void kj__msgpack_put_bin(struct kj__buffer *out, const uint8_t *bytes, size_t len);
void kj__msgpack_put_int(struct kj__buffer *out, int64_t value); /* shortest signed form */
void kj__msgpack_put_nil(struct kj__buffer *out);

/* Extension -1 in its shortest layout; nil for the first instant of year 1, Go's zero time. */
void kj__msgpack_put_time(struct kj__buffer *out, struct kj__timestamp time);

#endif
