/* filter_parse.h - a filter while its text is read. Private to core/model. */
#ifndef KJ_MODEL_FILTER_PARSE_H
#define KJ_MODEL_FILTER_PARSE_H

#include "model/filter_lexer.h"
#include "model/filter_parts.h"

struct kj__filter_parser {
    struct kj__filter_lexer lexer;
    enum kj__filter_dialect dialect;
    size_t comparison_count, pattern_count;
    struct kj_error *error;
};

/* How much of a piece of the text an error repeats, cut between characters; for "%.*s". */
int kj__filter_piece_len(const struct kj__filter_parser *parser, size_t start, size_t end);

/* Fail with "WHAT. found TOKEN", with "missing quote after TEXT", with "more than LIMIT WHAT". */
enum kj_status kj__filter_fail_at(const struct kj__filter_parser *parser,
                                  const struct kj__filter_token *token, const char *what);
enum kj_status kj__filter_fail_unclosed(const struct kj__filter_parser *parser,
                                        const struct kj__filter_token *token);
enum kj_status kj__filter_fail_limit(const struct kj__filter_parser *parser, size_t position,
                                     int limit, const char *what);

/* Reads what stands behind the node's comparator and fills its constants, also in part when it
 * fails. */
enum kj_status kj__filter_read_value(struct kj__filter_parser *parser,
                                     struct kj__filter_node *node);

#endif
