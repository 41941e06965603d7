/* encoding.h - values in either encoding, and which encoding a peer speaks. */
#ifndef KJ_CODEC_ENCODING_H
#define KJ_CODEC_ENCODING_H

#include "base/buffer.h"
#include "codec/msgpack.h"

#include <jansson.h>
#include <kujata/encoding.h>
#include <kujata/error.h>
#include <kujata/status.h>

/* kj__json_decode or kj__msgpack_decode. `error` texts are the client's to see: "unable to
 * decode application/json: ...". */
enum kj_status kj__value_decode(enum kj_encoding encoding, const uint8_t *bytes, size_t len,
                                json_t **value, struct kj_error *error);

/* The same for an object of a client, whose members are of these kinds (kj__msgpack_decode_as has
 * them). A number that would become another one is KJ_EPARSE. */
enum kj_status kj__value_decode_as(enum kj_encoding encoding, const uint8_t *bytes, size_t len,
                                   const struct kj__member_kinds *kinds, json_t **value,
                                   struct kj_error *error);

/* kj__json_encode or kj__msgpack_encode; KJ_ENOMEM when the buffer failed. */
enum kj_status kj__value_encode(enum kj_encoding encoding, const json_t *value,
                                const struct kj__member_kinds *kinds, struct kj__buffer *out);

/* The encoding of a media type's name, or false when it is neither. */
bool kj__encoding_from_name(const char *name, size_t len, enum kj_encoding *encoding);

/* Content negotiation as bahamut's. `header` is the first Content-Type or Accept
 * line, NULL when absent. *http_status is 400 or 415 on failure, and `error` holds the
 * description for the client. Media types are compared without regard to case, parameters are
 * parsed and ignored; in Accept the first known item wins. */
enum kj_status kj__negotiate_content_type(const char *header, enum kj_encoding *encoding,
                                          int *http_status, struct kj_error *error);
enum kj_status kj__negotiate_accept(const char *header, enum kj_encoding *encoding,
                                    int *http_status, struct kj_error *error);

#endif
