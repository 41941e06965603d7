/* pattern.c - see pattern.h. */
#include "model/pattern.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* What a group, or all, holds so far, and its last piece, which a repetition is of. */
struct group {
    size_t size, last;
};

/* Behind a bracket expression that begins at `at`: a bracket right at its start stands for itself,
 * and "[:alpha:]" and its like are inside. */
static const char *skip_brackets(const char *at)
{
    at += at[1] == '^' ? 2 : 1;
    at += *at == ']';
    while (*at && *at != ']') {
        const char *end = NULL;
        if (*at == '[' && at[1] && strchr(":.=", at[1])) {
            const char close[] = {at[1], ']', '\0'};
            end = strstr(at + 2, close);
        }
        at = end ? end + 2 : at + 1;
    }
    return *at ? at + 1 : at;
}

/* How often braces such as "{2,5}" repeat at most, and what is behind them; 0: they do not. What is
 * too large to count is too large. */
static size_t bound_of(const char *at, const char **behind)
{
    const char *end = at + 1 + strspn(at + 1, "0123456789,");
    if (*end != '}') {
        return 0;
    }
    *behind = end + 1;
    char *comma;
    unsigned long low = strtoul(at + 1, &comma, 10);
    unsigned long high = *comma == ',' ? strtoul(comma + 1, NULL, 10) : 0;
    unsigned long most = high > low ? high : low;
    return most < KJ__PATTERN_SIZE_MAX ? most + 1 : KJ__PATTERN_SIZE_MAX;
}

static void add(struct group *group, size_t size)
{
    group->last = size;
    group->size += size;
}

static void repeat(struct group *group, size_t times)
{
    group->size += group->last * (times - 1);
    group->last *= times;
}

/* A piece or a repetition of the group; returns what is behind it. */
static const char *take_piece(struct group *group, const char *at)
{
    const char *behind = at + 1;
    size_t times;
    switch (*at) {
    case '+':
        repeat(group, 2);
        break;
    case '*':
    case '?':
        break;
    case '[':
        add(group, 1);
        behind = skip_brackets(at);
        break;
    case '{':
        times = bound_of(at, &behind);
        if (times > 0) {
            repeat(group, times);
        } else {
            add(group, 1);
        }
        break;
    default:
        add(group, 1);
        behind += *at == '\\' && at[1];
    }
    return behind;
}

bool kj__pattern_is_small(const char *pattern)
{
    struct group groups[KJ__PATTERN_DEPTH_MAX + 1] = {{0}};
    size_t depth = 0;
    for (const char *at = pattern; *at;) {
        if (*at == '(') {
            if (depth == KJ__PATTERN_DEPTH_MAX) {
                return false;
            }
            groups[++depth] = (struct group){0};
            at++;
        } else if (*at == ')' && depth > 0) {
            size_t inner = groups[depth--].size + 1;
            add(&groups[depth], inner);
            at++;
        } else {
            at = take_piece(&groups[depth], at);
        }
        if (groups[depth].size > KJ__PATTERN_SIZE_MAX) {
            return false;
        }
    }
    return true;
}
