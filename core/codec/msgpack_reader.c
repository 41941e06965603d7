/* msgpack_reader.c - see msgpack_reader.h. */
#include "codec/msgpack_reader.h"

#include <string.h>

/* What a lead byte announces: a number of so many bytes, and what the number means. */
enum meaning {
    RESERVED,
    NIL,
    BOOLEAN,
    SIGNED,
    UNSIGNED,
    FLOAT,
    STR,
    BIN,
    EXT,       /* a length, then the type, then as many bytes */
    FIXED_EXT, /* the same with the length in the lead byte */
    ARRAY,
    MAP,
};

struct form {
    uint8_t meaning;
    uint8_t size; /* of the number that follows */
};

/* Lead bytes c0 to df. */
static const struct form forms[32] = {
    {NIL, 0},       {RESERVED, 0}, {BOOLEAN, 0},   {BOOLEAN, 0},   {BIN, 1},       {BIN, 2},
    {BIN, 4},       {EXT, 1},      {EXT, 2},       {EXT, 4},       {FLOAT, 4},     {FLOAT, 8},
    {UNSIGNED, 1},  {UNSIGNED, 2}, {UNSIGNED, 4},  {UNSIGNED, 8},  {SIGNED, 1},    {SIGNED, 2},
    {SIGNED, 4},    {SIGNED, 8},   {FIXED_EXT, 0}, {FIXED_EXT, 0}, {FIXED_EXT, 0}, {FIXED_EXT, 0},
    {FIXED_EXT, 0}, {STR, 1},      {STR, 2},       {STR, 4},       {ARRAY, 2},     {ARRAY, 4},
    {MAP, 2},       {MAP, 4},
};

struct kj__msgpack_reader kj__msgpack_reader_make(const uint8_t *bytes, size_t len)
{
    /* An empty input may be NULL, and nothing is ever added to that. */
    static const uint8_t nothing[1];
    const uint8_t *start = len ? bytes : nothing;
    return (struct kj__msgpack_reader){.start = start, .at = start, .end = start + len};
}

static size_t remaining(const struct kj__msgpack_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static uint64_t big_endian(const uint8_t *bytes, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/* Extends the sign of a number of `size` bytes. */
static int64_t signed_of(uint64_t value, size_t size)
{
    uint64_t sign = UINT64_C(1) << ((8 * size - 1) & 63);
    return (int64_t)((value ^ sign) - sign);
}

static double float_of(uint64_t value, size_t size)
{
    if (size == 4) {
        uint32_t narrow = (uint32_t)value;
        float real;
        memcpy(&real, &narrow, sizeof real);
        return (double)real;
    }
    double real;
    memcpy(&real, &value, sizeof real);
    return real;
}

static enum kj_status fail_truncated(const struct kj__msgpack_reader *reader,
                                     struct kj_error *error)
{
    kj_error_set(error, (size_t)(reader->end - reader->start), "EOF");
    return KJ_EPARSE;
}

static enum kj_status take_bytes(struct kj__msgpack_reader *reader, size_t len,
                                 struct kj__msgpack_item *item, struct kj_error *error)
{
    if (remaining(reader) < len) {
        return fail_truncated(reader, error);
    }
    item->bytes = reader->at;
    item->len = len;
    reader->at += len;
    return KJ_OK;
}

static enum kj_status take_count(const struct kj__msgpack_reader *reader, uint64_t count,
                                 struct kj__msgpack_item *item, struct kj_error *error)
{
    size_t room = remaining(reader);
    if (count > (item->type == KJ__MSGPACK_MAP ? room / 2 : room)) {
        return fail_truncated(reader, error);
    }
    item->count = (size_t)count;
    return KJ_OK;
}

enum { TIME_TYPE = 0xff }; /* -1, as a byte */

/* Turns extension -1 in one of its three layouts into a time. */
static void recognise_time(bool is_fixed, uint8_t type, struct kj__msgpack_item *item)
{
    const uint8_t *bytes = item->bytes;
    struct kj__timestamp time;
    if (type != TIME_TYPE) {
        return;
    }
    if (is_fixed && item->len == 4) {
        time = (struct kj__timestamp){.seconds = (int64_t)big_endian(bytes, 4)};
    } else if (is_fixed && item->len == 8) {
        uint64_t both = big_endian(bytes, 8);
        time.seconds = (int64_t)(both & 0x3ffffffff);
        time.nanoseconds = (uint32_t)(both >> 34);
    } else if (!is_fixed && item->len == 12) {
        time.seconds = (int64_t)big_endian(bytes + 4, 8);
        time.nanoseconds = (uint32_t)big_endian(bytes, 4);
    } else {
        return;
    }
    if (time.nanoseconds < 1000000000) {
        item->type = KJ__MSGPACK_TIME;
        item->time = time;
    }
}

static enum kj_status take_extension(struct kj__msgpack_reader *reader, bool is_fixed, size_t len,
                                     struct kj__msgpack_item *item, struct kj_error *error)
{
    if (remaining(reader) == 0) {
        return fail_truncated(reader, error);
    }
    uint8_t type = *reader->at++;
    item->type = KJ__MSGPACK_EXT;
    enum kj_status status = take_bytes(reader, len, item, error);
    if (!status) {
        recognise_time(is_fixed, type, item);
    }
    return status;
}

/* The forms whose lead byte holds the value or length itself. */
static enum kj_status take_fixed(struct kj__msgpack_reader *reader, uint8_t lead,
                                 struct kj__msgpack_item *item, struct kj_error *error)
{
    if (lead < 0x80 || lead >= 0xe0) {
        item->type = KJ__MSGPACK_INT;
        item->integer = signed_of(lead, 1);
        return KJ_OK;
    }
    if (lead >= 0xa0) {
        item->type = KJ__MSGPACK_STR;
        return take_bytes(reader, lead & 0x1f, item, error);
    }
    item->type = lead < 0x90 ? KJ__MSGPACK_MAP : KJ__MSGPACK_ARRAY;
    return take_count(reader, lead & 0x0f, item, error);
}

static enum kj_status take_number(enum meaning meaning, uint64_t number, size_t size,
                                  struct kj__msgpack_item *item)
{
    if (meaning == FLOAT) {
        item->type = KJ__MSGPACK_FLOAT;
        item->real = float_of(number, size);
    } else if (meaning == UNSIGNED && number > INT64_MAX) {
        item->type = KJ__MSGPACK_UINT;
        item->natural = number;
    } else {
        item->type = KJ__MSGPACK_INT;
        item->integer = meaning == SIGNED ? signed_of(number, size) : (int64_t)number;
    }
    return KJ_OK;
}

static enum kj_status take_form(struct kj__msgpack_reader *reader, uint8_t lead,
                                struct kj__msgpack_item *item, struct kj_error *error)
{
    struct form form = forms[lead - 0xc0];
    if (remaining(reader) < form.size) {
        return fail_truncated(reader, error);
    }
    uint64_t number = big_endian(reader->at, form.size);
    reader->at += form.size;
    switch ((enum meaning)form.meaning) {
    case NIL:
        item->type = KJ__MSGPACK_NIL;
        return KJ_OK;
    case BOOLEAN:
        item->type = KJ__MSGPACK_BOOL;
        item->boolean = lead & 1;
        return KJ_OK;
    case SIGNED:
    case UNSIGNED:
    case FLOAT:
        return take_number((enum meaning)form.meaning, number, form.size, item);
    case STR:
    case BIN:
        item->type = form.meaning == STR ? KJ__MSGPACK_STR : KJ__MSGPACK_BIN;
        return take_bytes(reader, (size_t)number, item, error);
    case EXT:
        return take_extension(reader, false, (size_t)number, item, error);
    case FIXED_EXT:
        return take_extension(reader, true, (size_t)1 << (lead - 0xd4), item, error);
    case ARRAY:
    case MAP:
        item->type = form.meaning == MAP ? KJ__MSGPACK_MAP : KJ__MSGPACK_ARRAY;
        return take_count(reader, number, item, error);
    case RESERVED:
        break;
    }
    size_t position = (size_t)(reader->at - reader->start);
    kj_error_set(error, position, "msgpack decode error [pos %zu]: invalid byte 0x%x", position,
                 (unsigned)lead);
    return KJ_EPARSE;
}

enum kj_status kj__msgpack_next(struct kj__msgpack_reader *reader, struct kj__msgpack_item *item,
                                struct kj_error *error)
{
    if (remaining(reader) == 0) {
        return fail_truncated(reader, error);
    }
    *item = (struct kj__msgpack_item){0};
    uint8_t lead = *reader->at++;
    return lead >= 0xc0 && lead < 0xe0 ? take_form(reader, lead, item, error)
                                       : take_fixed(reader, lead, item, error);
}

enum kj_status kj__msgpack_skip(struct kj__msgpack_reader *reader)
{
    for (size_t due = 1; due > 0; due--) {
        struct kj__msgpack_item item;
        enum kj_status status = kj__msgpack_next(reader, &item, NULL);
        if (status) {
            return status;
        }
        if (item.type == KJ__MSGPACK_ARRAY) {
            due += item.count;
        } else if (item.type == KJ__MSGPACK_MAP) {
            due += 2 * item.count;
        }
    }
    return KJ_OK;
}

enum kj_status kj__msgpack_next_member(struct kj__msgpack_reader *reader,
                                       struct kj__msgpack_item *key, struct kj__msgpack_item *value)
{
    enum kj_status status = kj__msgpack_next(reader, key, NULL);
    if (status) {
        return status;
    }
    struct kj__msgpack_reader ahead = *reader;
    status = kj__msgpack_next(&ahead, value, NULL);
    return status ? status : kj__msgpack_skip(reader);
}

bool kj__msgpack_is_text(const struct kj__msgpack_item *item, const char *text)
{
    size_t len = strlen(text);
    return (item->type == KJ__MSGPACK_STR || item->type == KJ__MSGPACK_BIN) && item->len == len &&
           memcmp(item->bytes, text, len) == 0;
}
