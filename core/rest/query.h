/* query.h - the parameters of a request: those built in, and the rest.
 *
 * A parameter that is neither built in nor declared by the model is an error, so that a
 * mistyped name never widens what a client gets. The query borrows from the model.
 */
#ifndef KJ_REST_QUERY_H
#define KJ_REST_QUERY_H

#include "base/fields.h"
#include "rest/parameters.h"

#include <jansson.h>
#include <kujata/status.h>
#include <stdbool.h>

enum {
    KJ__ORDER_KEYS_MAX = 16,
    KJ__UNKNOWN_PARAMETERS_MAX = 32, /* reported in one answer */
};

struct kj__query {
    struct kj__fields all;      /* every parameter, in the order sent */
    int page, page_size, limit; /* 0: not given */
    const char *after;          /* "" when not given; borrows `all`, as `order` does */
    const char *order[KJ__ORDER_KEYS_MAX + 1]; /* NULL at the end */
    bool recursive, propagated, override_protection;
    const char *filter_text; /* of `q`; NULL: not given, or empty */
    struct kj__given_parameters given;
};

/* What a query may hold. */
struct kj__query_rules {
    enum kj_operation operation;
    const struct kj__parameters *declared; /* NULL: none */
    int largest_page;                      /* 0: any */
    bool strict_flags;                     /* see kj_server_options */
    bool accepts_token;                    /* "token" is a parameter: a credential */
};

void kj__query_init(struct kj__query *query);
void kj__query_fini(struct kj__query *query);

/* KJ_EREFUSED with what is wrong appended to `errors`, or KJ_ENOMEM. */
enum kj_status kj__query_parse(struct kj__query *query, const char *text,
                               const struct kj__query_rules *rules, json_t *errors,
                               const char *trace);

#endif
