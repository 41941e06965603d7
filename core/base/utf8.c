/* utf8.c - see utf8.h.
 *
 * A small automaton: a state says how many continuation bytes are due and, for the lead
 * bytes E0, ED, F0 and F4, the narrower range that the first of them must lie in.
 */
#include "base/utf8.h"

#include <string.h>

enum state {
    BETWEEN = 0,
    DUE_1,
    DUE_2,
    DUE_3,
    AFTER_E0, /* A0..BF, then one more */
    AFTER_ED, /* 80..9F, then one more */
    AFTER_F0, /* 90..BF, then two more */
    AFTER_F4, /* 80..8F, then two more */
    INVALID,
};

static enum state lead(uint8_t byte)
{
    if (byte < 0x80) {
        return BETWEEN;
    }
    if (byte >= 0xc2 && byte <= 0xdf) {
        return DUE_1;
    }
    switch (byte) {
    case 0xe0:
        return AFTER_E0;
    case 0xed:
        return AFTER_ED;
    case 0xf0:
        return AFTER_F0;
    case 0xf4:
        return AFTER_F4;
    default:
        break;
    }
    if (byte >= 0xe1 && byte <= 0xef) {
        return DUE_2;
    }
    return byte >= 0xf1 && byte <= 0xf3 ? DUE_3 : INVALID;
}

static enum state step(enum state state, uint8_t byte)
{
    static const struct {
        uint8_t low, high;
        uint8_t next;
    } table[] = {
        [DUE_1] = {0x80, 0xbf, BETWEEN},  [DUE_2] = {0x80, 0xbf, DUE_1},
        [DUE_3] = {0x80, 0xbf, DUE_2},    [AFTER_E0] = {0xa0, 0xbf, DUE_1},
        [AFTER_ED] = {0x80, 0x9f, DUE_1}, [AFTER_F0] = {0x90, 0xbf, DUE_2},
        [AFTER_F4] = {0x80, 0x8f, DUE_2},
    };
    if (state == BETWEEN) {
        return lead(byte);
    }
    if (state == INVALID || byte < table[state].low || byte > table[state].high) {
        return INVALID;
    }
    return (enum state)table[state].next;
}

bool kj__utf8_feed(struct kj__utf8 *utf8, const uint8_t *bytes, size_t len)
{
    enum state state = (enum state)utf8->state;
    size_t i = 0;
    while (i < len) {
        /* Eight ASCII bytes at a time: most text is ASCII. */
        uint64_t word;
        while (state == BETWEEN && len - i >= sizeof word) {
            memcpy(&word, bytes + i, sizeof word);
            if (word & UINT64_C(0x8080808080808080)) {
                break;
            }
            i += sizeof word;
        }
        if (i == len) {
            break;
        }
        state = step(state, bytes[i++]);
        if (state == INVALID) {
            break;
        }
    }
    utf8->state = (uint8_t)state;
    return state != INVALID;
}

bool kj__utf8_is_valid(const uint8_t *bytes, size_t len)
{
    struct kj__utf8 utf8 = {0};
    return kj__utf8_feed(&utf8, bytes, len) && kj__utf8_is_complete(&utf8);
}

size_t kj__utf8_character(const uint8_t *bytes, size_t len)
{
    enum state state = BETWEEN;
    for (size_t i = 0; i < len; i++) {
        state = step(state, bytes[i]);
        if (state == BETWEEN) {
            return i + 1;
        }
        if (state == INVALID) {
            return 0;
        }
    }
    return 0;
}

size_t kj__utf8_whole(const char *text, size_t len)
{
    size_t start = len;
    for (int i = 0; i < 3 && start > 0 && ((uint8_t)text[start - 1] & 0xc0) == 0x80; i++) {
        start--;
    }
    if (start == 0 || ((uint8_t)text[start - 1] & 0xc0) != 0xc0) {
        return len; /* it ends with a byte of its own, or with none that makes sense */
    }
    struct kj__utf8 utf8 = {0};
    bool may_go_on = kj__utf8_feed(&utf8, (const uint8_t *)text + start - 1, len - start + 1);
    return may_go_on && !kj__utf8_is_complete(&utf8) ? start - 1 : len;
}

size_t kj__utf8_count(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        count += ((uint8_t)text[i] & 0xc0) != 0x80;
    }
    return count;
}
