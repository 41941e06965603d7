/* filter.h - the filter language of `q` and of push configs (docs/filters.md), for processors and
 * storages.
 *
 *     name == "x" and (priority >= 3 or labels contains ["urgent"]) and title matches "^re:"
 *
 * Threads: a filter is immutable and reference counted; every call is for any thread.
 */
#ifndef KUJATA_FILTER_H
#define KUJATA_FILTER_H

#include <jansson.h>
#include <kujata/error.h>
#include <kujata/status.h>
#include <kujata/time.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj_filter;

/* Reads a text; every bound of docs/filters.md holds. KJ_EPARSE for what is not a filter, KJ_ELIMIT
 * beyond a bound, `error` (may be NULL) saying what and at which byte; KJ_ENOMEM. */
enum kj_status kj_filter_parse(const char *text, struct kj_filter **filter, struct kj_error *error);

struct kj_filter *kj_filter_ref(struct kj_filter *filter);
void kj_filter_unref(struct kj_filter *filter); /* NULL is fine */

/* The canonical text, which parses to the same filter and lives as long as it. */
const char *kj_filter_text(const struct kj_filter *filter);

/* Whether an object matches; now() is this moment. An evaluation beyond the bound on its work is
 * no match. */
bool kj_filter_matches(const struct kj_filter *filter, const json_t *object);

/* ---- what a filter consists of, for storages that answer it in a language of their own ----
 *
 * docs/filters.md says what a comparison means. Nodes, and what they give, live as long as the
 * filter; groups nest 32 deep at most. */

struct kj_filter_node;

enum kj_filter_node_type {
    KJ_FILTER_COMPARISON = 0,
    KJ_FILTER_AND, /* of two nodes or more, as is the next */
    KJ_FILTER_OR,
};

enum kj_filter_comparator {
    KJ_FILTER_EQUAL = 0,
    KJ_FILTER_NOT_EQUAL,
    KJ_FILTER_LESS,
    KJ_FILTER_LESS_OR_EQUAL,
    KJ_FILTER_GREATER,
    KJ_FILTER_GREATER_OR_EQUAL,
    KJ_FILTER_CONTAINS,
    KJ_FILTER_NOT_CONTAINS,
    KJ_FILTER_IN,
    KJ_FILTER_NOT_IN,
    KJ_FILTER_MATCHES,
    KJ_FILTER_EXISTS,
    KJ_FILTER_NOT_EXISTS,
};

/* A value on the right side of a comparison, and all it can be taken for. */
struct kj_filter_constant {
    const char *text; /* as it was written; "" for date() and now() */
    size_t len;
    bool has_text;   /* may equal a string: false for date() and now() */
    bool is_ordered; /* has a place among strings: neither a bare number nor a boolean */
    bool is_number, is_integer;
    int64_t integer; /* when it is one */
    double real;     /* of every number; the nearest to a long integer */
    bool is_time;
    struct kj_time time; /* now() is the moment of the call */
};

const struct kj_filter_node *kj_filter_root(const struct kj_filter *filter);
enum kj_filter_node_type kj_filter_node_type(const struct kj_filter_node *node);
const struct kj_filter_node *kj_filter_node_first(const struct kj_filter_node *group);
const struct kj_filter_node *kj_filter_node_next(const struct kj_filter_node *node); /* or NULL */

/* Of a comparison. A list in `==` and `!=` is the list itself, elsewhere any of its items. */
const char *kj_filter_node_key(const struct kj_filter_node *comparison);
enum kj_filter_comparator kj_filter_node_comparator(const struct kj_filter_node *comparison);
bool kj_filter_node_is_list(const struct kj_filter_node *comparison);
size_t kj_filter_node_constant_count(const struct kj_filter_node *comparison);
void kj_filter_node_constant(const struct kj_filter_node *comparison, size_t index,
                             struct kj_filter_constant *constant);

#endif
