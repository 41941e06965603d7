/* topic.c - see topic.h. */
#include "pubsub/topic.h"

#include <stddef.h>
#include <string.h>

enum word { WORD_INVALID, WORD_LITERAL, WORD_ANY, WORD_REST };

static bool is_word_byte(unsigned char byte)
{
    return byte > ' ' && byte != 0x7f && byte != '.' && byte != '*' && byte != '>';
}

/* Classifies the word `*cursor` points at and moves past it, to '.' or to whatever ends it. */
static enum word read_word(const char **cursor)
{
    const char *start = *cursor;
    if (*start == '*' || *start == '>') {
        *cursor = start + 1;
        return *start == '*' ? WORD_ANY : WORD_REST;
    }
    while (is_word_byte((unsigned char)**cursor)) {
        (*cursor)++;
    }
    return *cursor > start ? WORD_LITERAL : WORD_INVALID;
}

static bool is_valid(const char *text, bool wildcards)
{
    const char *cursor = text;
    for (;;) {
        enum word word = read_word(&cursor);
        if (word == WORD_INVALID || (word != WORD_LITERAL && !wildcards)) {
            return false;
        }
        if (*cursor == '\0') {
            return cursor - text <= KJ__TOPIC_MAX;
        }
        if (*cursor != '.' || word == WORD_REST) {
            return false;
        }
        cursor++;
    }
}

bool kj_topic_is_valid(const char *text)
{
    return is_valid(text, false);
}

bool kj__topic_pattern_is_valid(const char *text)
{
    return is_valid(text, true);
}

bool kj__topic_has_wildcard(const char *pattern)
{
    return strpbrk(pattern, "*>") != NULL;
}

bool kj__topic_matches(const char *pattern, const char *topic)
{
    while (*pattern != '>') {
        size_t pattern_len = strcspn(pattern, ".");
        size_t topic_len = strcspn(topic, ".");
        bool any = *pattern == '*';
        if (!any && (pattern_len != topic_len || memcmp(pattern, topic, topic_len) != 0)) {
            return false;
        }
        pattern += pattern_len;
        topic += topic_len;
        if (*pattern == '\0' || *topic == '\0') {
            return *pattern == *topic;
        }
        pattern++;
        topic++;
    }
    return true;
}
