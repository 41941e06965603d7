/* msgpack_reader.h - one msgpack item after another, without memory of its own. */
#ifndef KJ_CODEC_MSGPACK_READER_H
#define KJ_CODEC_MSGPACK_READER_H

#include "base/timestamp.h"

#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kj__msgpack_type {
    KJ__MSGPACK_NIL,
    KJ__MSGPACK_BOOL,
    KJ__MSGPACK_INT,
    KJ__MSGPACK_UINT, /* above INT64_MAX only */
    KJ__MSGPACK_FLOAT,
    KJ__MSGPACK_STR,
    KJ__MSGPACK_BIN,
    KJ__MSGPACK_ARRAY, /* its elements follow as items */
    KJ__MSGPACK_MAP,   /* its keys and values follow, in turn */
    KJ__MSGPACK_TIME,
    KJ__MSGPACK_EXT, /* any other extension */
};

struct kj__msgpack_item {
    enum kj__msgpack_type type;
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double real;
        struct kj__timestamp time;
        size_t count; /* elements of an array, pairs of a map */
        size_t len;   /* of STR, BIN and EXT */
    };
    const uint8_t *bytes; /* of STR, BIN and EXT, borrowed */
};

struct kj__msgpack_reader {
    const uint8_t *start, *at, *end;
};

struct kj__msgpack_reader kj__msgpack_reader_make(const uint8_t *bytes, size_t len);

/* Reads one item. Its count and length are at most what the bytes that remain can hold.
 * KJ_EPARSE, with the text "EOF" when the bytes end too early. */
enum kj_status kj__msgpack_next(struct kj__msgpack_reader *reader, struct kj__msgpack_item *item,
                                struct kj_error *error);

/* Moves past one whole value of checked bytes. */
enum kj_status kj__msgpack_skip(struct kj__msgpack_reader *reader);

/* Reads the key and the value of one member of a map and moves past both. */
enum kj_status kj__msgpack_next_member(struct kj__msgpack_reader *reader,
                                       struct kj__msgpack_item *key,
                                       struct kj__msgpack_item *value);

/* Whether the item is a str or bin of just these bytes. */
bool kj__msgpack_is_text(const struct kj__msgpack_item *item, const char *text);

#endif
