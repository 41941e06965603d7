/* store_sqlite_filter.c - see store_sqlite_filter.h.
 *
 * A comparison becomes ranges of keys. An attribute's column may hold several kinds of values, and
 * what a constant means differs by kind, so each kind that the column really has gives a range of
 * its own; in a store behind a model's checks that is one kind, and absent. What a key does not
 * tell makes the condition inexact: texts in lists, parts of texts, patterns, texts that may be
 * times in attributes that are none, and whether a member that is null is there.
 */
#include "handlers/store_sqlite_filter.h"

#include "handlers/store_sqlite_key.h"

#include <string.h>

/* More than these are left to kj_matches: SQL is compiled on the small stacks of HTTP workers. */
enum { COMPARISONS_MAX = 32, CONSTANTS_MAX = 256 };

struct translation {
    struct kj__sqlite_connection *connection;
    const struct kj__sqlite_collection *collection;
    struct kj__sqlite_condition *condition;
    size_t comparisons, constants;
    enum kj_status status;
};

/* A comparison of an indexed attribute. */
struct comparison {
    struct translation *translation;
    const struct kj_filter_node *node;
    const struct kj__sqlite_attribute *attribute;
    enum kj_filter_comparator comparator;
    size_t ranges, equalities; /* the latter among the former */
};

static sqlite3_str *sql_of(const struct comparison *comparison)
{
    return comparison->translation->condition->sql;
}

static void be_inexact(struct translation *translation)
{
    translation->condition->is_exact = false;
}

/* ---- what a column holds ---- */

static bool has_kind(struct comparison *comparison, enum kj__order_kind kind)
{
    struct translation *translation = comparison->translation;
    int64_t found = 0;
    if (translation->status) {
        return false;
    }
    char *sql = sqlite3_mprintf("SELECT EXISTS(SELECT 1 FROM keys_%lld WHERE k%lld >= x'%02x'"
                                " AND k%lld < x'%02x')",
                                translation->collection->number, comparison->attribute->number,
                                (unsigned)kind, comparison->attribute->number, (unsigned)kind + 1);
    translation->status = kj__sqlite_ask(translation->connection, sql, NULL, &found, NULL);
    sqlite3_free(sql);
    return found;
}

/* ---- ranges of keys ---- */

static void begin_range(struct comparison *comparison)
{
    sqlite3_str_appendall(sql_of(comparison), comparison->ranges++ ? " OR " : "(");
}

static void add_kind(struct comparison *comparison, enum kj__order_kind kind)
{
    begin_range(comparison);
    sqlite3_str_appendf(sql_of(comparison), "(k.k%lld >= x'%02x' AND k.k%lld < x'%02x')",
                        comparison->attribute->number, (unsigned)kind,
                        comparison->attribute->number, (unsigned)kind + 1);
}

static int add_value(struct comparison *comparison, const struct kj__order_value *value)
{
    size_t len = 0;
    unsigned char *key = kj__sqlite_key_new(value, &len);
    return kj__sqlite_add_key_take(comparison->translation->condition->values, key, len);
}

static void add_equal(struct comparison *comparison, const struct kj__order_value *value)
{
    begin_range(comparison);
    comparison->equalities++;
    sqlite3_str_appendf(sql_of(comparison), "k.k%lld = ?%d", comparison->attribute->number,
                        add_value(comparison, value));
}

static bool is_order(enum kj_filter_comparator comparator)
{
    return comparator >= KJ_FILTER_LESS && comparator <= KJ_FILTER_GREATER_OR_EQUAL;
}

/* The values of the constant's kind that the comparator allows. */
static void add_range(struct comparison *comparison, const struct kj__order_value *value)
{
    static const char *const signs[] = {
        [KJ_FILTER_LESS] = "<",
        [KJ_FILTER_LESS_OR_EQUAL] = "<=",
        [KJ_FILTER_GREATER] = ">",
        [KJ_FILTER_GREATER_OR_EQUAL] = ">=",
    };
    if (!is_order(comparison->comparator)) {
        add_equal(comparison, value);
        return;
    }
    bool is_less = comparison->comparator <= KJ_FILTER_LESS_OR_EQUAL;
    int64_t column = comparison->attribute->number;
    begin_range(comparison);
    sqlite3_str_appendf(sql_of(comparison), "(k.k%lld %s ?%d AND k.k%lld %s x'%02x')", column,
                        signs[comparison->comparator], add_value(comparison, value), column,
                        is_less ? ">=" : "<", (unsigned)value->kind + !is_less);
}

/* ---- one constant, kind by kind ---- */

static void compare_boolean(struct comparison *comparison,
                            const struct kj_filter_constant *constant)
{
    bool is_true = strcmp(constant->text, "true") == 0;
    bool has_same = comparison->comparator != KJ_FILTER_LESS &&
                    comparison->comparator != KJ_FILTER_GREATER;
    if (has_same && (is_true || strcmp(constant->text, "false") == 0)) {
        struct kj__order_value value = {.kind = is_true ? KJ__ORDER_TRUE : KJ__ORDER_FALSE};
        add_equal(comparison, &value);
    }
}

static void compare_number(struct comparison *comparison, const struct kj_filter_constant *constant)
{
    if (constant->is_number && has_kind(comparison, KJ__ORDER_NUMBER)) {
        struct kj__order_value value = {.kind = KJ__ORDER_NUMBER};
        value.number = constant->is_integer ? (long double)constant->integer
                                            : (long double)constant->real;
        add_range(comparison, &value);
    }
}

/* Times are kept as such, so their place among texts that are none is not known. */
static void compare_time(struct comparison *comparison, const struct kj_filter_constant *constant)
{
    if (!has_kind(comparison, KJ__ORDER_TIME)) {
        return;
    }
    if (constant->is_time) {
        struct kj__order_value value = {.kind = KJ__ORDER_TIME, .time = constant->time};
        add_range(comparison, &value);
    } else if (is_order(comparison->comparator) && constant->is_ordered) {
        add_kind(comparison, KJ__ORDER_TIME);
        be_inexact(comparison->translation);
    }
}

/* Against a time, a text may have to be read as one: see docs/filters.md. */
static void compare_text(struct comparison *comparison, const struct kj_filter_constant *constant)
{
    if (!has_kind(comparison, KJ__ORDER_STRING)) {
        return;
    }
    struct kj__order_value value = {.kind = KJ__ORDER_STRING,
                                    .text = {constant->text, constant->len}};
    if (constant->is_time) {
        add_kind(comparison, KJ__ORDER_STRING);
        be_inexact(comparison->translation);
    } else if (constant->is_ordered) {
        add_range(comparison, &value);
    } else if (constant->has_text && comparison->comparator != KJ_FILTER_LESS &&
               comparison->comparator != KJ_FILTER_GREATER) {
        add_equal(comparison, &value);
    }
}

/* Whether any of the constants fits; appends a condition in parentheses. */
static void compare_any(struct comparison *comparison)
{
    size_t count = kj_filter_node_constant_count(comparison->node);
    for (size_t i = 0; i < count; i++) {
        struct kj_filter_constant constant;
        kj_filter_node_constant(comparison->node, i, &constant);
        compare_boolean(comparison, &constant);
        compare_number(comparison, &constant);
        compare_time(comparison, &constant);
        compare_text(comparison, &constant);
    }
    sqlite3_str_appendall(sql_of(comparison), comparison->ranges ? ")" : "0");
}

/* ---- comparisons ---- */

static void say_anything(struct translation *translation)
{
    sqlite3_str_appendall(translation->condition->sql, "1");
    be_inexact(translation);
}

/* What the opposite is inexact of is not known to be the rest. */
static void compare_none(struct comparison *comparison)
{
    struct kj__sqlite_condition *condition = comparison->translation->condition;
    bool was_exact = condition->is_exact;
    condition->is_exact = true;
    sqlite3_str_appendall(condition->sql, "(NOT ");
    compare_any(comparison);
    sqlite3_str_appendall(condition->sql, condition->is_exact ? ")" : " OR 1)");
    condition->is_exact &= was_exact;
}

/* A list in `==` is the list itself, which no value outside of lists is. */
static bool is_whole_list(const struct comparison *comparison)
{
    return kj_filter_node_is_list(comparison->node) &&
           (comparison->comparator == KJ_FILTER_EQUAL ||
            comparison->comparator == KJ_FILTER_NOT_EQUAL);
}

static bool has_texts(struct comparison *comparison)
{
    return has_kind(comparison, KJ__ORDER_STRING) || has_kind(comparison, KJ__ORDER_TIME);
}

/* Of values that are neither lists nor objects. */
static void compare_scalar(struct comparison *comparison)
{
    struct translation *translation = comparison->translation;
    switch (comparison->comparator) {
    case KJ_FILTER_NOT_EQUAL:
    case KJ_FILTER_NOT_IN:
        if (is_whole_list(comparison)) {
            sqlite3_str_appendall(translation->condition->sql, "1");
        } else {
            compare_none(comparison);
        }
        break;
    case KJ_FILTER_CONTAINS:
    case KJ_FILTER_NOT_CONTAINS:
        if (has_texts(comparison)) {
            say_anything(translation);
        } else if (comparison->comparator == KJ_FILTER_CONTAINS) {
            compare_any(comparison);
        } else {
            compare_none(comparison);
        }
        break;
    case KJ_FILTER_MATCHES:
        if (has_texts(comparison)) {
            say_anything(translation);
        } else {
            sqlite3_str_appendall(translation->condition->sql, "0");
        }
        break;
    case KJ_FILTER_EXISTS:
        say_anything(translation);
        break;
    case KJ_FILTER_NOT_EXISTS:
        add_kind(comparison, KJ__ORDER_NONE);
        sqlite3_str_appendall(translation->condition->sql, ")");
        be_inexact(translation);
        break;
    default:
        if (is_whole_list(comparison)) {
            sqlite3_str_appendall(translation->condition->sql, "0");
        } else {
            compare_any(comparison);
        }
        break;
    }
}

/* IDs are texts. Against times and for orders they are left to kj_matches. */
static void compare_id(struct translation *translation, const struct kj_filter_node *node)
{
    enum kj_filter_comparator comparator = kj_filter_node_comparator(node);
    size_t count = kj_filter_node_constant_count(node);
    bool ok = (comparator == KJ_FILTER_EQUAL && !kj_filter_node_is_list(node)) ||
              comparator == KJ_FILTER_IN;
    struct kj_filter_constant constant;
    for (size_t i = 0; i < count && ok; i++) {
        kj_filter_node_constant(node, i, &constant);
        ok = constant.has_text && !constant.is_time;
    }
    if (!ok) {
        say_anything(translation);
        return;
    }
    sqlite3_str_appendall(translation->condition->sql, "k.ID IN (");
    for (size_t i = 0; i < count; i++) {
        kj_filter_node_constant(node, i, &constant);
        sqlite3_str_appendf(
            translation->condition->sql, "%s?%d", i ? "," : "",
            kj__sqlite_add_text(translation->condition->values, constant.text, constant.len));
    }
    sqlite3_str_appendall(translation->condition->sql, ")");
}

static enum kj_filter_comparator opposite_of(enum kj_filter_comparator comparator)
{
    switch (comparator) {
    case KJ_FILTER_NOT_EQUAL:
        return KJ_FILTER_EQUAL;
    case KJ_FILTER_NOT_IN:
        return KJ_FILTER_IN;
    case KJ_FILTER_NOT_CONTAINS:
        return KJ_FILTER_CONTAINS;
    default:
        return comparator;
    }
}

bool kj__sqlite_is_negation(const struct kj_filter *filter)
{
    const struct kj_filter_node *root = kj_filter_root(filter);
    return kj_filter_node_type(root) == KJ_FILTER_COMPARISON &&
           opposite_of(kj_filter_node_comparator(root)) != kj_filter_node_comparator(root);
}

/* A comparison that must hold, `is_needed`, and is one equality tells where to look. */
static void translate_comparison(struct translation *translation, const struct kj_filter_node *node,
                                 bool is_needed)
{
    const char *key = kj_filter_node_key(node);
    struct comparison comparison = {
        .translation = translation,
        .node = node,
        .attribute = kj__sqlite_attribute_of(translation->collection, key),
        .comparator = kj_filter_node_comparator(node),
    };
    if (translation->condition->is_opposite) {
        comparison.comparator = opposite_of(comparison.comparator);
    }
    translation->constants += kj_filter_node_constant_count(node);
    bool is_id = strcmp(key, "ID") == 0;
    if (++translation->comparisons > COMPARISONS_MAX || translation->constants > CONSTANTS_MAX ||
        (!is_id && (!comparison.attribute || has_kind(&comparison, KJ__ORDER_OTHER)))) {
        say_anything(translation);
    } else if (is_id) {
        compare_id(translation, node);
    } else {
        compare_scalar(&comparison);
        bool is_equality = comparison.comparator == KJ_FILTER_EQUAL ||
                           comparison.comparator == KJ_FILTER_IN;
        if (is_needed && is_equality && comparison.ranges == 1 && comparison.equalities == 1) {
            translation->condition->equal = comparison.attribute->number;
        }
    }
}

static void translate(struct translation *translation, const struct kj_filter_node *node,
                      bool is_needed)
{
    enum kj_filter_node_type type = kj_filter_node_type(node);
    if (type == KJ_FILTER_COMPARISON) {
        translate_comparison(translation, node, is_needed);
        return;
    }
    const char *separator = "(";
    for (node = kj_filter_node_first(node); node; node = kj_filter_node_next(node)) {
        sqlite3_str_appendall(translation->condition->sql, separator);
        translate(translation, node, is_needed && type == KJ_FILTER_AND);
        separator = type == KJ_FILTER_AND ? " AND " : " OR ";
    }
    sqlite3_str_appendall(translation->condition->sql, ")");
}

enum kj_status kj__sqlite_translate(struct kj__sqlite_connection *connection,
                                    const struct kj__sqlite_collection *collection,
                                    const struct kj_filter *filter,
                                    struct kj__sqlite_condition *condition)
{
    struct translation translation = {
        .connection = connection, .collection = collection, .condition = condition};
    condition->is_exact = true;
    condition->equal = 0;
    translate(&translation, condition->part ? condition->part : kj_filter_root(filter), true);
    return translation.status;
}
