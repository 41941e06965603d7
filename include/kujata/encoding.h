/* encoding.h - the two encodings everything on the wire exists in. */
#ifndef KUJATA_ENCODING_H
#define KUJATA_ENCODING_H

#include <jansson.h>
#include <kujata/error.h>
#include <kujata/status.h>
#include <stddef.h>
#include <stdint.h>

enum kj_encoding {
    KJ_ENCODING_JSON = 0,
    KJ_ENCODING_MSGPACK = 1,
};

enum { KJ_ENCODING_COUNT = 2 };

/* "application/json" or "application/msgpack"; static.                 [any thread] */
const char *kj_encoding_name(enum kj_encoding encoding);

/* Reads the first value of the bytes, which a peer may have written: nesting, number of values and
 * every declared count are bounded, and a key comes once. In msgpack, times become RFC 3339 text
 * and bin becomes base64 text. KJ_EPARSE, KJ_ELIMIT or KJ_ENOMEM with `error` filled (may be
 * NULL).                                                               [any thread] */
enum kj_status kj_value_decode(enum kj_encoding encoding, const uint8_t *bytes, size_t len,
                               json_t **value, struct kj_error *error);

/* Writes a value, keys sorted; *bytes is malloc'd and the caller's. KJ_ELIMIT when it nests too
 * deep, KJ_ENOMEM.                                                     [any thread] */
enum kj_status kj_value_encode(enum kj_encoding encoding, const json_t *value, uint8_t **bytes,
                               size_t *len);

#endif
