/* filter_lexer.c - see filter_lexer.h. */
#include "model/filter_lexer.h"

#include "base/utf8.h"

#include <string.h>
#include <strings.h>

/* Longer ones come first. */
static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">"};
static const char *const keywords[] = {"and",     "or",     "not",  "contains", "in",
                                       "matches", "exists", "true", "false"};

enum {
    OPERATOR_COUNT = sizeof operators / sizeof *operators,
    KEYWORD_COUNT = sizeof keywords / sizeof *keywords,
};

static const char *operator_at(const struct kj__filter_lexer *lexer, size_t at)
{
    for (size_t i = 0; i < OPERATOR_COUNT; i++) {
        size_t len = strlen(operators[i]);
        if (lexer->len - at >= len && memcmp(lexer->text + at, operators[i], len) == 0) {
            return operators[i];
        }
    }
    return NULL;
}

/* A lone = or ! is part of a word, as it is for elemental. */
static bool is_word_character(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') ||
           (character && strchr("-_@:$#./\\*=!", character));
}

static const char *keyword_of(const char *word, size_t len)
{
    for (size_t i = 0; i < KEYWORD_COUNT; i++) {
        if (strlen(keywords[i]) == len && strncasecmp(keywords[i], word, len) == 0) {
            return keywords[i];
        }
    }
    return NULL;
}

/* A backslash takes the next character as it is, except at the word's start, where it is an
 * ordinary one. */
static void read_word(struct kj__filter_lexer *lexer, struct kj__filter_token *token)
{
    char *word = lexer->scratch + token->start;
    size_t len = 0;
    while (lexer->at < lexer->len && is_word_character(lexer->text[lexer->at]) &&
           (len == 0 || !operator_at(lexer, lexer->at))) {
        size_t size = 1;
        if (len > 0 && lexer->text[lexer->at] == '\\' && lexer->at + 1 < lexer->len) {
            lexer->at++;
            size = kj__utf8_character((const uint8_t *)lexer->text + lexer->at,
                                      lexer->len - lexer->at);
        }
        memcpy(word + len, lexer->text + lexer->at, size);
        len += size;
        lexer->at += size;
    }
    token->word = word;
    token->word_len = len;
    token->name = keyword_of(word, len);
    token->type = token->name ? KJ__FILTER_TOKEN_KEYWORD : KJ__FILTER_TOKEN_WORD;
}

/* Everything up to the same quote is taken as it is, since clients do not escape and patterns are
 * full of backslashes; only a backslash before that quote makes it part of the text. */
static void read_quoted(struct kj__filter_lexer *lexer, struct kj__filter_token *token)
{
    char quote = lexer->text[lexer->at++];
    char *word = lexer->scratch + token->start;
    size_t len = 0;
    token->type = KJ__FILTER_TOKEN_UNCLOSED;
    while (lexer->at < lexer->len) {
        char character = lexer->text[lexer->at++];
        if (character == quote) {
            token->type = KJ__FILTER_TOKEN_QUOTED;
            break;
        }
        if (character == '\\' && lexer->at < lexer->len && lexer->text[lexer->at] == quote) {
            character = lexer->text[lexer->at++];
        }
        word[len++] = character;
    }
    token->word = word;
    token->word_len = len;
}

static enum kj__filter_token_type type_of_mark(char character)
{
    switch (character) {
    case '(':
        return KJ__FILTER_TOKEN_LEFT;
    case ')':
        return KJ__FILTER_TOKEN_RIGHT;
    case '[':
        return KJ__FILTER_TOKEN_OPEN;
    case ']':
        return KJ__FILTER_TOKEN_CLOSE;
    case ',':
        return KJ__FILTER_TOKEN_COMMA;
    default:
        return KJ__FILTER_TOKEN_OTHER;
    }
}

struct kj__filter_token kj__filter_next(struct kj__filter_lexer *lexer)
{
    while (lexer->at < lexer->len && strchr(" \t\r\n", lexer->text[lexer->at])) {
        lexer->at++;
    }
    struct kj__filter_token token = {.type = KJ__FILTER_TOKEN_END, .start = lexer->at};
    if (lexer->at < lexer->len) {
        char character = lexer->text[lexer->at];
        token.name = operator_at(lexer, lexer->at);
        if (token.name) {
            token.type = KJ__FILTER_TOKEN_OPERATOR;
            lexer->at += strlen(token.name);
        } else if (is_word_character(character)) {
            read_word(lexer, &token);
        } else if (character == '"' || character == '\'') {
            read_quoted(lexer, &token);
        } else {
            token.type = type_of_mark(character);
            lexer->at += kj__utf8_character((const uint8_t *)lexer->text + lexer->at,
                                            lexer->len - lexer->at);
        }
    }
    token.end = lexer->at;
    return token;
}

struct kj__filter_token kj__filter_peek(const struct kj__filter_lexer *lexer)
{
    struct kj__filter_lexer ahead = *lexer;
    return kj__filter_next(&ahead);
}

bool kj__filter_token_is(const struct kj__filter_token *token, const char *name)
{
    return token->name && strcmp(token->name, name) == 0;
}
