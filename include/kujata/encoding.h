/* encoding.h - the two encodings everything on the wire exists in. */
#ifndef KUJATA_ENCODING_H
#define KUJATA_ENCODING_H

enum kj_encoding {
    KJ_ENCODING_JSON = 0,
    KJ_ENCODING_MSGPACK = 1,
};

enum { KJ_ENCODING_COUNT = 2 };

/* "application/json" or "application/msgpack"; static.                 [any thread] */
const char *kj_encoding_name(enum kj_encoding encoding);

#endif
