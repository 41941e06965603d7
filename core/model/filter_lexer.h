/* filter_lexer.h - a filter's text, one token after another. Private to core/model. */
#ifndef KJ_MODEL_FILTER_LEXER_H
#define KJ_MODEL_FILTER_LEXER_H

#include <stdbool.h>
#include <stddef.h>

enum kj__filter_token_type {
    KJ__FILTER_TOKEN_END,
    KJ__FILTER_TOKEN_WORD,     /* bare, and no keyword */
    KJ__FILTER_TOKEN_KEYWORD,  /* bare, in any case: and, or, not, contains, ... true, false */
    KJ__FILTER_TOKEN_QUOTED,   /* its word is what the quotes hold */
    KJ__FILTER_TOKEN_UNCLOSED, /* a quote without its end; its word is all that follows */
    KJ__FILTER_TOKEN_OPERATOR, /* == != < <= > >= */
    KJ__FILTER_TOKEN_LEFT,     /* ( */
    KJ__FILTER_TOKEN_RIGHT,    /* ) */
    KJ__FILTER_TOKEN_OPEN,     /* [ */
    KJ__FILTER_TOKEN_CLOSE,    /* ] */
    KJ__FILTER_TOKEN_COMMA,
    KJ__FILTER_TOKEN_OTHER, /* a character that stands outside quotes nowhere */
};

struct kj__filter_token {
    enum kj__filter_token_type type;
    size_t start, end; /* in the text */
    const char *word;  /* without quotes and escapes; lives in the lexer's scratch */
    size_t word_len;
    const char *name; /* of operators and keywords, in lower case; static */
};

/* Copying it is looking ahead. The text is valid UTF-8 without NUL. */
struct kj__filter_lexer {
    const char *text;
    size_t len, at;
    char *scratch; /* as long as the text: a token's word is written where the token stands */
};

struct kj__filter_token kj__filter_next(struct kj__filter_lexer *lexer);

/* The token after what was read, which stays unread. */
struct kj__filter_token kj__filter_peek(const struct kj__filter_lexer *lexer);

/* Whether it is the operator or keyword of that name. */
bool kj__filter_token_is(const struct kj__filter_token *token, const char *name);

#endif
