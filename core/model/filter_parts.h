/* filter_parts.h - what a filter consists of. Private to core/model.
 *
 * Built by one thread while a text is read, and only read afterwards.
 */
#ifndef KJ_MODEL_FILTER_PARTS_H
#define KJ_MODEL_FILTER_PARTS_H

#include "base/buffer.h"
#include "base/timestamp.h"
#include "model/filter.h"
#include "model/filter_regex.h"

#include <stdatomic.h>

enum kj__filter_comparator {
    KJ__FILTER_EQUAL,
    KJ__FILTER_NOT_EQUAL,
    KJ__FILTER_LESS,
    KJ__FILTER_LESS_OR_EQUAL,
    KJ__FILTER_GREATER,
    KJ__FILTER_GREATER_OR_EQUAL,
    KJ__FILTER_CONTAINS,
    KJ__FILTER_NOT_CONTAINS,
    KJ__FILTER_IN,
    KJ__FILTER_NOT_IN,
    KJ__FILTER_MATCHES,
    KJ__FILTER_EXISTS,
    KJ__FILTER_NOT_EXISTS,
};

/* As it is written, in lower case; static. */
const char *kj__filter_comparator_text(enum kj__filter_comparator comparator);

struct kj__filter_number {
    bool is_integer;
    int64_t integer; /* when it is one */
    double real;     /* always; the nearest to a long integer */
};

/* -1, 0 or 1; 2 when one is no number. */
int kj__filter_number_compare(struct kj__filter_number left, struct kj__filter_number right);

/* Digits with a sign, a fraction and an exponent, each optional. */
bool kj__filter_number_read(const char *text, size_t len, struct kj__filter_number *number);

/* RFC 3339, `YYYY-MM-DD HH:MM` or `YYYY-MM-DD`, the latter two in UTC. */
bool kj__filter_time_read(const char *text, size_t len, struct kj__timestamp *time);

/* As Go writes durations: `1h30m`, `-250ms`, `0`. */
bool kj__filter_duration_read(const char *text, size_t len, int64_t *duration_ns);

struct kj__timestamp kj__filter_time_add(int64_t now_ns, int64_t duration_ns);

enum kj__filter_constant_type {
    KJ__FILTER_TEXT,    /* quoted, or a word */
    KJ__FILTER_NUMBER,  /* a word that is one */
    KJ__FILTER_BOOLEAN, /* the word true or false */
    KJ__FILTER_DATE,    /* date(...) */
    KJ__FILTER_NOW,     /* now(...) */
};

struct kj__filter_constant {
    enum kj__filter_constant_type type;
    bool is_number, is_time; /* for texts too: what they can be converted to */
    bool boolean;
    char *text; /* malloc'd; as written, "true" or "false"; empty for times */
    size_t len;
    size_t position; /* in the text that was read first; for errors */
    union {          /* by is_number and is_time, which exclude each other */
        struct kj__filter_number number;
        struct kj__timestamp time;
        int64_t duration_ns; /* of KJ__FILTER_NOW */
    };
    struct kj__regex *pattern; /* of `matches` only */
};

/* Works out what a text can be converted to. */
void kj__filter_constant_classify(struct kj__filter_constant *constant);

enum kj__filter_node_type { KJ__FILTER_COMPARISON, KJ__FILTER_AND, KJ__FILTER_OR };

struct kj__filter_node {
    enum kj__filter_node_type type;
    unsigned height;              /* of groups in groups; 0 for a comparison */
    struct kj__filter_node *next; /* among its siblings */

    struct kj__filter_node *first, *last; /* of a group, which has two or more */

    enum kj__filter_comparator comparator; /* of a comparison, as is all below */
    bool is_list;                          /* `== [a, b]`: equal to the list itself */
    bool has_dot;
    struct kj__filter_constant *constants;
    size_t constant_count;
    size_t position; /* of the key, as in a constant */
    size_t key_len;
    char key[];
};

void kj__filter_node_free(struct kj__filter_node *node); /* and all below; NULL is fine */

/* Calls `visit` with every comparison, in the order of the text, until it returns true, which is
 * then the result. */
bool kj__filter_node_walk(const struct kj__filter_node *node,
                          bool (*visit)(const struct kj__filter_node *comparison, void *ctx),
                          void *ctx);

/* Appends the canonical text. */
void kj__filter_node_write(const struct kj__filter_node *node, struct kj__buffer *out);
void kj__filter_constant_write(const struct kj__filter_constant *constant, struct kj__buffer *out);

/* The member a key leads to, which may be null, or NULL. */
const json_t *kj__filter_member(const json_t *entity, const char *key, size_t key_len);

/* The key of a constant; false for what has none, which is now(). */
bool kj__filter_constant_hash(const struct kj__filter_constant *constant, uint64_t *hash);

struct kj_filter {
    _Atomic size_t references;
    _Atomic uint64_t cut; /* evaluations by kj_filter_matches that were given up */
    struct kj__filter_node *root;
    char *text; /* canonical, malloc'd */
    size_t len;
    uint64_t hash;
    size_t size;
    bool is_relative;
    const struct kj__filter_node *keyed; /* where `key_hashes` come from, or NULL */
    uint64_t *key_hashes;                /* malloc'd */
    size_t key_count;
};

/* Chooses the comparison to index by and makes its hashes. */
enum kj_status kj__filter_choose_key(struct kj_filter *filter);

/* The tree of a text, without what a filter adds to it. */
enum kj_status kj__filter_read(const char *text, size_t len, enum kj__filter_dialect dialect,
                               struct kj__filter_node **root, struct kj_error *error);

#endif
