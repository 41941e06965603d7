/* accounts_name.c - see accounts_name.h. */
#include "handlers/accounts_name.h"

#include <kujata/accounts.h>
#include <stdint.h>
#include <string.h>

/* The next code point of UTF-8; -1 where it is none. */
static int32_t next_point(const char **text)
{
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)*text;
    int len = *at < 0x80 ? 1 : *at >> 5 == 6 ? 2 : *at >> 4 == 14 ? 3 : *at >> 3 == 30 ? 4 : 0;
    int32_t point = len == 1 ? *at : *at & (0x7f >> len);
    for (int i = 1; i < len; i++) {
        if (at[i] >> 6 != 2) {
            return -1;
        }
        point = point << 6 | (at[i] & 0x3f);
    }
    *text += len;
    bool is_good = len > 0 && point >= least[len] && point <= 0x10ffff &&
                   (point < 0xd800 || point > 0xdfff);
    return is_good ? point : -1;
}

/* Two names that look the same would let one user pass for another. */
static bool is_visible(int32_t point)
{
    static const struct {
        int32_t first, last;
    } hidden[] = {
        {0, 0x1f},          {0x7f, 0xa0},        {0xad, 0xad},     {0x115f, 0x1160},
        {0x1680, 0x1680},   {0x180b, 0x180f},    {0x2000, 0x200f}, {0x2028, 0x202f},
        {0x205f, 0x206f},   {0x3000, 0x3000},    {0x3164, 0x3164}, {0xe000, 0xf8ff},
        {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},    {0xffa0, 0xffa0}, {0xfff0, 0xffff},
        {0xe0000, 0xe0fff}, {0xf0000, 0x10ffff},
    };
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        if (point >= hidden[i].first && point <= hidden[i].last) {
            return false;
        }
    }
    return true;
}

bool kj__account_is_name(const char *name)
{
    size_t len = name ? strnlen(name, KJ_ACCOUNT_NAME_MAX + 1) : 0;
    if (len == 0 || len > KJ_ACCOUNT_NAME_MAX || name[0] == ' ' || name[len - 1] == ' ') {
        return false;
    }
    while (*name) {
        int32_t point = next_point(&name);
        if (point < 0 || !is_visible(point)) {
            return false;
        }
    }
    return true;
}

bool kj__account_is_password(const char *password)
{
    size_t len = password ? strnlen(password, KJ_PASSWORD_MAX + 1) : 0;
    return len >= KJ_PASSWORD_MIN && len <= KJ_PASSWORD_MAX;
}
