/* filter_parse.c - from the text of a filter to its tree.
 *
 * Recursion goes one level down per parenthesis and is bounded by KJ__FILTER_DEPTH_MAX; the
 * groups that a change of conjunction makes nest too, and have the same bound.
 */
#include "model/filter_parse.h"

#include "base/utf8.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FOUND_MAX = 64 }; /* bytes of the text that an error repeats */

/* A piece of the text, cut between characters. */
int kj__filter_piece_len(const struct kj__filter_parser *parser, size_t start, size_t end)
{
    size_t len = 0;
    while (start + len < end && len < FOUND_MAX) {
        len += kj__utf8_character((const uint8_t *)parser->lexer.text + start + len,
                                  end - start - len);
    }
    return (int)len;
}

/* Fails with "WHAT. found TOKEN". */
enum kj_status kj__filter_fail_at(const struct kj__filter_parser *parser,
                                  const struct kj__filter_token *token, const char *what)
{
    if (token->type == KJ__FILTER_TOKEN_END) {
        kj_error_set(parser->error, token->start, "%s. found EOF", what);
    } else {
        kj_error_set(parser->error, token->start, "%s. found %.*s", what,
                     kj__filter_piece_len(parser, token->start, token->end),
                     parser->lexer.text + token->start);
    }
    return KJ_EPARSE;
}

enum kj_status kj__filter_fail_unclosed(const struct kj__filter_parser *parser,
                                        const struct kj__filter_token *token)
{
    kj_error_set(parser->error, token->start, "missing quote after %.*s",
                 kj__filter_piece_len(parser, token->start + 1, token->end),
                 parser->lexer.text + token->start + 1);
    return KJ_EPARSE;
}

enum kj_status kj__filter_fail_limit(const struct kj__filter_parser *parser, size_t position,
                                     int limit, const char *what)
{
    kj_error_set(parser->error, position, "more than %d %s", limit, what);
    return KJ_ELIMIT;
}

static const struct {
    const char *name;
    enum kj__filter_comparator plain, negated;
    bool has_negation;
} comparators[] = {
    {"==", KJ__FILTER_EQUAL, KJ__FILTER_EQUAL, false},
    {"!=", KJ__FILTER_NOT_EQUAL, KJ__FILTER_NOT_EQUAL, false},
    {"<", KJ__FILTER_LESS, KJ__FILTER_LESS, false},
    {"<=", KJ__FILTER_LESS_OR_EQUAL, KJ__FILTER_LESS_OR_EQUAL, false},
    {">", KJ__FILTER_GREATER, KJ__FILTER_GREATER, false},
    {">=", KJ__FILTER_GREATER_OR_EQUAL, KJ__FILTER_GREATER_OR_EQUAL, false},
    {"contains", KJ__FILTER_CONTAINS, KJ__FILTER_NOT_CONTAINS, true},
    {"in", KJ__FILTER_IN, KJ__FILTER_NOT_IN, true},
    {"matches", KJ__FILTER_MATCHES, KJ__FILTER_MATCHES, false},
    {"exists", KJ__FILTER_EXISTS, KJ__FILTER_NOT_EXISTS, true},
};

static enum kj_status check_dialect(const struct kj__filter_parser *parser, size_t position,
                                    enum kj__filter_comparator comparator)
{
    static const char *const refused[] = {
        [KJ__FILTER_LESS] = "<",
        [KJ__FILTER_LESS_OR_EQUAL] = "<=",
        [KJ__FILTER_GREATER] = ">",
        [KJ__FILTER_GREATER_OR_EQUAL] = ">=",
        [KJ__FILTER_CONTAINS] = "CONTAINS",
        [KJ__FILTER_NOT_CONTAINS] = "NOT CONTAINS",
        [KJ__FILTER_IN] = "IN",
        [KJ__FILTER_NOT_IN] = "NOT IN",
        [KJ__FILTER_NOT_EXISTS] = NULL,
    };
    if (parser->dialect == KJ__FILTER_PUSH && refused[comparator]) {
        kj_error_set(parser->error, position, "unsupported comparator: %s", refused[comparator]);
        return KJ_EUNSUPPORTED;
    }
    return KJ_OK;
}

static enum kj_status fail_operator(const struct kj__filter_parser *parser,
                                    const struct kj__filter_token *token)
{
    bool is_end = token->type == KJ__FILTER_TOKEN_END;
    kj_error_set(parser->error, token->start,
                 "invalid operator. found %.*s instead of "
                 "(==, !=, <, <=, >, >=, contains, in, matches, exists)",
                 is_end ? 3 : kj__filter_piece_len(parser, token->start, token->end),
                 is_end ? "EOF" : parser->lexer.text + token->start);
    return KJ_EPARSE;
}

static enum kj_status read_comparator(struct kj__filter_parser *parser,
                                      enum kj__filter_comparator *comparator)
{
    struct kj__filter_token token = kj__filter_next(&parser->lexer);
    size_t position = token.start;
    bool is_negated = kj__filter_token_is(&token, "not");
    if (is_negated) {
        token = kj__filter_next(&parser->lexer);
    }
    for (size_t i = 0; i < sizeof comparators / sizeof *comparators; i++) {
        if (kj__filter_token_is(&token, comparators[i].name)) {
            if (is_negated && !comparators[i].has_negation) {
                kj_error_set(parser->error, token.start, "invalid usage of operator NOT before %s",
                             token.name);
                return KJ_EPARSE;
            }
            *comparator = is_negated ? comparators[i].negated : comparators[i].plain;
            return check_dialect(parser, position, *comparator);
        }
    }
    return fail_operator(parser, &token);
}

static enum kj_status read_comparison(struct kj__filter_parser *parser,
                                      const struct kj__filter_token *key,
                                      struct kj__filter_node **comparison)
{
    if (key->word_len > 0 && key->word[0] == '$') {
        kj_error_set(parser->error, key->start, "could not start a parameter with $. Found %.*s",
                     kj__filter_piece_len(parser, key->start, key->end),
                     parser->lexer.text + key->start);
        return KJ_EPARSE;
    }
    if (++parser->comparison_count > KJ__FILTER_COMPARISONS_MAX) {
        return kj__filter_fail_limit(parser, key->start, KJ__FILTER_COMPARISONS_MAX, "comparisons");
    }
    struct kj__filter_node *node = calloc(1, sizeof *node + key->word_len + 1);
    if (!node) {
        return KJ_ENOMEM;
    }
    memcpy(node->key, key->word, key->word_len);
    node->key_len = key->word_len;
    node->position = key->start;
    node->has_dot = memchr(node->key, '.', node->key_len) != NULL;
    enum kj_status status = read_comparator(parser, &node->comparator);
    if (!status && node->comparator < KJ__FILTER_EXISTS) {
        status = kj__filter_read_value(parser, node);
    }
    if (status) {
        kj__filter_node_free(node);
        return status;
    }
    *comparison = node;
    return KJ_OK;
}

/* Puts a node, or when it is a group of the same kind what it holds, at the end of a group. */
static void adopt(struct kj__filter_node *group, struct kj__filter_node *node)
{
    struct kj__filter_node *first = node;
    struct kj__filter_node *last = node;
    unsigned height = node->height + 1;
    if (node->type == group->type) {
        first = node->first;
        last = node->last;
        height = node->height;
        free(node);
    }
    *(group->last ? &group->last->next : &group->first) = first;
    group->last = last;
    group->height = height > group->height ? height : group->height;
}

/* Makes *left the conjunction of itself and `right`, which is taken. */
static enum kj_status join(const struct kj__filter_parser *parser, struct kj__filter_node **left,
                           enum kj__filter_node_type conjunction, struct kj__filter_node *right)
{
    struct kj__filter_node *group = *left;
    assert(group && right);
    if (group->type != conjunction) {
        group = calloc(1, sizeof *group);
        if (!group) {
            kj__filter_node_free(right);
            return KJ_ENOMEM;
        }
        group->type = conjunction;
        adopt(group, *left);
        *left = group;
    }
    adopt(group, right);
    return group->height > KJ__FILTER_DEPTH_MAX
               ? kj__filter_fail_limit(parser, parser->lexer.at, KJ__FILTER_DEPTH_MAX,
                                       "groups in groups")
               : KJ_OK;
}

static enum kj_status read_group(struct kj__filter_parser *parser, unsigned depth,
                                 struct kj__filter_node **group);

static bool may_start(const struct kj__filter_token *token)
{
    return token->type == KJ__FILTER_TOKEN_WORD || token->type == KJ__FILTER_TOKEN_QUOTED ||
           token->type == KJ__FILTER_TOKEN_UNCLOSED || token->type == KJ__FILTER_TOKEN_LEFT;
}

static enum kj_status read_term(struct kj__filter_parser *parser, unsigned depth,
                                struct kj__filter_node **term)
{
    struct kj__filter_token token = kj__filter_next(&parser->lexer);
    if (!may_start(&token)) {
        return kj__filter_fail_at(parser, &token, "invalid start of expression");
    }
    if (token.type == KJ__FILTER_TOKEN_UNCLOSED) {
        return kj__filter_fail_unclosed(parser, &token);
    }
    if (token.type != KJ__FILTER_TOKEN_LEFT) {
        return read_comparison(parser, &token, term);
    }
    if (depth == KJ__FILTER_DEPTH_MAX) {
        return kj__filter_fail_limit(parser, token.start, KJ__FILTER_DEPTH_MAX,
                                     "parentheses in each other");
    }
    enum kj_status status = read_group(parser, depth + 1, term);
    if (!status && kj__filter_peek(&parser->lexer).type == KJ__FILTER_TOKEN_RIGHT) {
        (void)kj__filter_next(&parser->lexer); /* at the end of the text it may be missing */
    }
    return status;
}

/* `start` is where what came before the token begins. */
static enum kj_status fail_keyword(const struct kj__filter_parser *parser, size_t start,
                                   const struct kj__filter_token *token)
{
    kj_error_set(parser->error, token->start, "invalid keyword after %.*s. found %.*s",
                 kj__filter_piece_len(parser, start, parser->lexer.at), parser->lexer.text + start,
                 kj__filter_piece_len(parser, token->start, token->end),
                 parser->lexer.text + token->start);
    return KJ_EPARSE;
}

static bool ends_group(const struct kj__filter_token *token)
{
    return token->type == KJ__FILTER_TOKEN_END || token->type == KJ__FILTER_TOKEN_RIGHT;
}

/* Reads up to a closing parenthesis or the end, and leaves that unread. */
static enum kj_status read_group(struct kj__filter_parser *parser, unsigned depth,
                                 struct kj__filter_node **group)
{
    struct kj__filter_node *made = NULL;
    struct kj__filter_token token = kj__filter_peek(&parser->lexer);
    size_t start = token.start; /* of the last term */
    enum kj_status status = read_term(parser, depth, &made);
    token = kj__filter_peek(&parser->lexer);
    while (!status && !ends_group(&token)) {
        bool is_and = kj__filter_token_is(&token, "and");
        if (!is_and && !kj__filter_token_is(&token, "or")) {
            status = fail_keyword(parser, start, &token);
            break;
        }
        (void)kj__filter_next(&parser->lexer);
        token = kj__filter_peek(&parser->lexer);
        if (ends_group(&token)) { /* a conjunction with nothing behind it is let pass */
            break;
        }
        start = token.start;
        struct kj__filter_node *term = NULL;
        status = read_term(parser, depth, &term);
        if (!status) {
            status = join(parser, &made, is_and ? KJ__FILTER_AND : KJ__FILTER_OR, term);
        }
        token = kj__filter_peek(&parser->lexer);
    }
    if (status) {
        kj__filter_node_free(made);
        return status;
    }
    *group = made;
    return KJ_OK;
}

/* Closing parentheses too many are let pass, but nothing behind them: bahamut would ignore it. */
static enum kj_status read_end(struct kj__filter_parser *parser)
{
    struct kj__filter_token token = kj__filter_next(&parser->lexer);
    while (token.type == KJ__FILTER_TOKEN_RIGHT) {
        token = kj__filter_next(&parser->lexer);
    }
    return token.type == KJ__FILTER_TOKEN_END
               ? KJ_OK
               : kj__filter_fail_at(parser, &token, "invalid keyword after the last parenthese");
}

static enum kj_status check_text(const char *text, size_t len, struct kj_error *error)
{
    struct kj__utf8 utf8 = {0};
    if (len > KJ__FILTER_TEXT_MAX) {
        kj_error_set(error, KJ__FILTER_TEXT_MAX, "more than %d bytes in a filter",
                     KJ__FILTER_TEXT_MAX);
        return KJ_ELIMIT;
    }
    size_t valid = 0;
    while (valid < len && text[valid] && kj__utf8_feed(&utf8, (const uint8_t *)text + valid, 1)) {
        valid++;
    }
    if (valid < len || !kj__utf8_is_complete(&utf8)) {
        kj_error_set(error, valid, "the filter is not UTF-8 text");
        return KJ_EPARSE;
    }
    return KJ_OK;
}

enum kj_status kj__filter_read(const char *text, size_t len, enum kj__filter_dialect dialect,
                               struct kj__filter_node **root, struct kj_error *error)
{
    *root = NULL;
    enum kj_status status = check_text(text, len, error);
    if (status) {
        return status;
    }
    struct kj__filter_parser parser = {
        .lexer = {.text = text, .len = len, .scratch = malloc(len + 1)},
        .dialect = dialect,
        .error = error};
    if (!parser.lexer.scratch) {
        return KJ_ENOMEM;
    }
    status = read_group(&parser, 0, root);
    if (!status) {
        status = read_end(&parser);
    }
    if (status) {
        kj__filter_node_free(*root);
        *root = NULL;
    }
    free(parser.lexer.scratch);
    return status;
}
