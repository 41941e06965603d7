/* pattern.c - which POSIX extended expressions are also JavaScript's, with the same meaning. */
#include "spec/parts.h"

#include <string.h>

/* What comes behind a bracket expression that both read alike; NULL for others. */
static const char *skip_brackets(const char *at)
{
    at++;
    at += *at == '^';
    if (*at == ']') {
        return NULL; /* a member of the set here, the end of an empty one there */
    }
    for (; *at && *at != ']'; at++) {
        /* A backslash is itself here and an escape there; so is what opens a class. */
        if (*at == '\\' || *at == '[' || (unsigned char)*at >= 0x80) {
            return NULL;
        }
    }
    return *at ? at + 1 : NULL;
}

/* The same of {2}, {2,} and {2,5}. */
static const char *skip_braces(const char *at)
{
    static const char digits[] = "0123456789";
    size_t count = strspn(++at, digits);
    at += count;
    if (count == 0) {
        return NULL;
    }
    if (*at == ',') {
        at++;
        at += strspn(at, digits);
    }
    return *at == '}' ? at + 1 : NULL;
}

/* Behind one atom, or NULL. */
static const char *skip_atom(const char *at)
{
    if (*at == '[') {
        return skip_brackets(at);
    }
    if (*at == '\\') {
        return at[1] && strchr(".[]{}()*+?^$|\\/", at[1]) ? at + 2 : NULL;
    }
    return strchr("]{}*+?", *at) ? NULL : at + 1;
}

bool kj__spec_pattern_is_common(const char *pattern)
{
    bool may_repeat = false;
    for (const char *at = pattern; at && *at;) {
        if (may_repeat && strchr("*+?{", *at)) {
            at = *at == '{' ? skip_braces(at) : at + 1;
            may_repeat = false;
        } else {
            /* Nothing repeats an opening parenthesis, an alternative or an anchor. */
            may_repeat = !strchr("(|^$", *at);
            bool is_empty = *at == '(' && at[1] == ')';
            at = is_empty ? NULL : skip_atom(at);
        }
        if (!at) {
            return false;
        }
    }
    return true;
}
