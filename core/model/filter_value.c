/* filter_value.c - the right side of a comparison: texts, numbers, times, lists, patterns. */
#include "model/filter_parse.h"

#include <stdlib.h>
#include <string.h>

static char *copy_text(const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

/* A zeroed place for one more constant, counted; NULL when there is no memory. */
static struct kj__filter_constant *add_constant(struct kj__filter_node *node)
{
    size_t count = node->constant_count;
    if ((count & (count - 1)) == 0) { /* full: capacities are powers of two */
        size_t capacity = count ? 2 * count : 1;
        void *grown = realloc(node->constants, capacity * sizeof *node->constants);
        if (!grown) {
            return NULL;
        }
        node->constants = grown;
    }
    struct kj__filter_constant *constant = &node->constants[node->constant_count++];
    *constant = (struct kj__filter_constant){0};
    return constant;
}

/* Moves past `(`...`)` and gives what is between, without blanks and quotes around it. False
 * when the parenthesis does not end, or another one begins in it. */
static bool read_argument(struct kj__filter_parser *parser, const char **argument, size_t *len)
{
    struct kj__filter_lexer *lexer = &parser->lexer;
    (void)kj__filter_next(lexer);
    size_t start = lexer->at;
    size_t end = start;
    while (end < lexer->len && lexer->text[end] != ')' && lexer->text[end] != '(') {
        end++;
    }
    if (end == lexer->len || lexer->text[end] != ')') {
        return false;
    }
    lexer->at = end + 1;
    while (start < end && strchr(" \"'", lexer->text[start])) {
        start++;
    }
    while (start < end && strchr(" \"'", lexer->text[end - 1])) {
        end--;
    }
    *argument = lexer->text + start;
    *len = end - start;
    return true;
}

static enum kj_status read_time(struct kj__filter_parser *parser,
                                const struct kj__filter_token *token,
                                struct kj__filter_constant *constant)
{
    bool is_date = token->word[0] == 'd';
    const char *argument;
    size_t len;
    char canonical[KJ__TIMESTAMP_TEXT_SIZE];
    if (!read_argument(parser, &argument, &len)) {
        kj_error_set(parser->error, token->start, "missing parenthese after %s",
                     is_date ? "date" : "now");
        return KJ_EPARSE;
    }
    size_t position = (size_t)(argument - parser->lexer.text);
    int shown = kj__filter_piece_len(parser, position, position + len);
    constant->text = copy_text("", 0);
    if (!constant->text) {
        return KJ_ENOMEM;
    }
    constant->is_time = is_date;
    constant->type = is_date ? KJ__FILTER_DATE : KJ__FILTER_NOW;
    if (is_date && (!kj__filter_time_read(argument, len, &constant->time) ||
                    kj__timestamp_format(constant->time, canonical) == 0)) {
        kj_error_set(parser->error, position, "unable to parse date format %.*s", shown, argument);
        return KJ_EPARSE;
    }
    if (!is_date && len > 0 && !kj__filter_duration_read(argument, len, &constant->duration_ns)) {
        kj_error_set(parser->error, position, "unable to parse duration %.*s", shown, argument);
        return KJ_EPARSE;
    }
    return KJ_OK;
}

static bool is_time_call(const struct kj__filter_parser *parser,
                         const struct kj__filter_token *token)
{
    return token->type == KJ__FILTER_TOKEN_WORD &&
           ((token->word_len == 4 && memcmp(token->word, "date", 4) == 0) ||
            (token->word_len == 3 && memcmp(token->word, "now", 3) == 0)) &&
           kj__filter_peek(&parser->lexer).type == KJ__FILTER_TOKEN_LEFT;
}

/* A bare word is one value; what follows must not look like more of it. */
static enum kj_status check_single_word(const struct kj__filter_parser *parser,
                                        const struct kj__filter_token *word)
{
    struct kj__filter_token next = kj__filter_peek(&parser->lexer);
    const char *text = parser->lexer.text;
    int word_len = kj__filter_piece_len(parser, word->start, word->end);
    if (next.type == KJ__FILTER_TOKEN_QUOTED || next.type == KJ__FILTER_TOKEN_UNCLOSED) {
        kj_error_set(parser->error, next.start, "missing quote before the value: %.*s", word_len,
                     text + word->start);
        return KJ_EPARSE;
    }
    if (next.type == KJ__FILTER_TOKEN_WORD) {
        kj_error_set(parser->error, next.start, "missing parenthese to protect value: %.*s %.*s",
                     word_len, text + word->start,
                     kj__filter_piece_len(parser, next.start, next.end), text + next.start);
        return KJ_EPARSE;
    }
    return KJ_OK;
}

/* `text` is copied; the rest follows from the token's type. */
static enum kj_status fill_constant(const struct kj__filter_parser *parser,
                                    const struct kj__filter_token *token,
                                    struct kj__filter_constant *constant)
{
    bool is_boolean = token->type == KJ__FILTER_TOKEN_KEYWORD;
    constant->len = is_boolean ? strlen(token->name) : token->word_len;
    constant->text = copy_text(is_boolean ? token->name : token->word, constant->len);
    if (!constant->text) {
        return KJ_ENOMEM;
    }
    kj__filter_constant_classify(constant);
    if (is_boolean) {
        constant->type = KJ__FILTER_BOOLEAN;
        constant->boolean = token->name[0] == 't';
    } else if (token->type == KJ__FILTER_TOKEN_WORD) {
        /* A plus can only come from an escape, and the canonical text of numbers has none. */
        if (constant->is_number && !memchr(constant->text, '+', constant->len)) {
            constant->type = KJ__FILTER_NUMBER;
        }
        return constant->type == KJ__FILTER_TEXT ? check_single_word(parser, token) : KJ_OK;
    }
    return KJ_OK;
}

static enum kj_status read_constant(struct kj__filter_parser *parser,
                                    const struct kj__filter_token *token,
                                    struct kj__filter_node *node)
{
    struct kj__filter_constant *constant = add_constant(node);
    if (!constant) {
        return KJ_ENOMEM;
    }
    constant->position = token->start;
    if (is_time_call(parser, token)) {
        return read_time(parser, token, constant);
    }
    bool is_boolean = kj__filter_token_is(token, "true") || kj__filter_token_is(token, "false");
    if (token->type == KJ__FILTER_TOKEN_UNCLOSED) {
        return kj__filter_fail_unclosed(parser, token);
    }
    if (!is_boolean && token->type != KJ__FILTER_TOKEN_WORD &&
        token->type != KJ__FILTER_TOKEN_QUOTED) {
        return kj__filter_fail_at(parser, token, "invalid value");
    }
    return fill_constant(parser, token, constant);
}

static enum kj_status read_list(struct kj__filter_parser *parser, struct kj__filter_node *node)
{
    enum kj_status status = KJ_OK;
    while (!status) {
        struct kj__filter_token token = kj__filter_next(&parser->lexer);
        switch (token.type) {
        case KJ__FILTER_TOKEN_CLOSE:
            return KJ_OK;
        case KJ__FILTER_TOKEN_COMMA:
            break;
        case KJ__FILTER_TOKEN_END:
        case KJ__FILTER_TOKEN_LEFT:
        case KJ__FILTER_TOKEN_RIGHT:
            return kj__filter_fail_at(parser, &token, "invalid end of array");
        default:
            if (node->constant_count == KJ__FILTER_LIST_MAX) {
                return kj__filter_fail_limit(parser, token.start, KJ__FILTER_LIST_MAX,
                                             "values in a list");
            }
            status = read_constant(parser, &token, node);
        }
    }
    return status;
}

static enum kj_status compile_pattern(struct kj__filter_parser *parser, size_t position,
                                      struct kj__filter_constant *constant)
{
    char why[KJ__REGEX_WHY_MAX];
    if (constant->type == KJ__FILTER_DATE || constant->type == KJ__FILTER_NOW) {
        kj_error_set(parser->error, position, "invalid pattern. found a time");
        return KJ_EPARSE;
    }
    if (++parser->pattern_count > KJ__FILTER_PATTERNS_MAX) {
        return kj__filter_fail_limit(parser, position, KJ__FILTER_PATTERNS_MAX,
                                     "patterns in a filter");
    }
    if (constant->len > KJ__FILTER_PATTERN_MAX) {
        return kj__filter_fail_limit(parser, position, KJ__FILTER_PATTERN_MAX,
                                     "bytes in a pattern");
    }
    enum kj_status status = kj__regex_new(constant->text, constant->len, &constant->pattern, why);
    if (status != KJ_OK && status != KJ_ENOMEM) {
        kj_error_set(parser->error, position, "invalid pattern. %s", why);
    }
    return status;
}

enum kj_status kj__filter_read_value(struct kj__filter_parser *parser, struct kj__filter_node *node)
{
    struct kj__filter_token token = kj__filter_next(&parser->lexer);
    bool is_list = token.type == KJ__FILTER_TOKEN_OPEN;
    bool orders = node->comparator >= KJ__FILTER_LESS &&
                  node->comparator <= KJ__FILTER_GREATER_OR_EQUAL;
    if (is_list && orders) {
        return kj__filter_fail_at(parser, &token, "invalid value");
    }
    node->is_list = is_list && node->comparator <= KJ__FILTER_NOT_EQUAL;
    enum kj_status status = is_list ? read_list(parser, node) : read_constant(parser, &token, node);
    for (size_t i = 0; node->comparator == KJ__FILTER_MATCHES && i < node->constant_count; i++) {
        status = status ? status : compile_pattern(parser, token.start, &node->constants[i]);
    }
    return status;
}
