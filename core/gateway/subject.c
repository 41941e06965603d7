/* subject.c - see subject.h. */
#include "gateway/subject.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool kj_name_is_valid(const char *name)
{
    size_t len = name ? strnlen(name, KJ_NAME_MAX + 1) : 0;
    return len > 0 && len <= KJ_NAME_MAX && kj__utf8_is_valid((const uint8_t *)name, len);
}

bool kj__topic_name_is_valid(enum kj_topic_kind kind, const char *name)
{
    uint64_t id;
    switch (kind) {
    case KJ_TOPIC_ALL:
        return !name || !*name;
    case KJ_TOPIC_ROOM:
    case KJ_TOPIC_USER:
    case KJ_TOPIC_DEVICE:
        return kj_name_is_valid(name);
    case KJ_TOPIC_SESSION:
        return name && kj_client_id_parse(name, &id);
    }
    return false;
}

static bool is_plain(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
}

static void append_word(const char *name, struct kj__buffer *out)
{
    for (; *name; name++) {
        if (is_plain(*name)) {
            kj__buffer_append_byte(out, (uint8_t)*name);
        } else {
            kj__buffer_printf(out, "=%02X", (unsigned)(uint8_t)*name);
        }
    }
}

void kj__node_words(uint32_t node, struct kj__buffer *out)
{
    kj__buffer_printf(out, "node.%" PRIx32, node);
    kj__buffer_append_byte(out, '\0');
}

void kj__topic_words(enum kj_topic_kind kind, const char *name, struct kj__buffer *out)
{
    uint64_t id;
    switch (kind) {
    case KJ_TOPIC_ALL:
        kj__buffer_append_text(out, "all");
        break;
    case KJ_TOPIC_ROOM:
        kj__buffer_append_text(out, "room.");
        append_word(name, out);
        break;
    case KJ_TOPIC_USER:
        kj__buffer_append_text(out, "user.");
        append_word(name, out);
        break;
    case KJ_TOPIC_DEVICE:
        kj__buffer_append_text(out, "device.");
        append_word(name, out);
        break;
    case KJ_TOPIC_SESSION:
        if (kj_client_id_parse(name, &id)) {
            kj__node_words(kj__node_of_client(id), out);
        }
        return;
    }
    kj__buffer_append_byte(out, '\0');
}

/* ---- the IDs of clients ---- */

void kj_client_id_format(uint64_t id, char text[KJ_CLIENT_ID_SIZE])
{
    (void)snprintf(text, KJ_CLIENT_ID_SIZE, "%" PRIx32 "-%" PRIx64, kj__node_of_client(id),
                   id & ((UINT64_C(1) << KJ__CLIENT_BITS) - 1));
}

/* Digits as they are written: lower case, without a leading zero. */
static const char *read_digits(const char *text, unsigned bits, uint64_t *number)
{
    static const char digits[] = "0123456789abcdef";
    const char *start = text;
    const char *digit;
    *number = 0;
    for (; *text && (digit = strchr(digits, *text)); text++) {
        *number = *number << 4 | (uint64_t)(digit - digits);
        if (*number >> bits) {
            return NULL;
        }
    }
    return text == start || (*start == '0' && text > start + 1) ? NULL : text;
}

bool kj_client_id_parse(const char *text, uint64_t *id)
{
    uint64_t node;
    uint64_t number;
    const char *at = read_digits(text, KJ__NODE_BITS, &node);
    if (!at || *at != '-') {
        return false;
    }
    at = read_digits(at + 1, KJ__CLIENT_BITS, &number);
    if (!at || *at) {
        return false;
    }
    *id = node << KJ__CLIENT_BITS | number;
    return true;
}
