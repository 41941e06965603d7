/* filter_match.c - whether an entity fits a filter.
 *
 * Everything here only reads: the filter and the entity are shared by threads, and what an
 * evaluation keeps is on its stack.
 */
#include "model/filter_parts.h"

#include <string.h>

struct evaluation {
    const json_t *entity;
    int64_t now_ns;
    size_t work_left;
    bool is_cut; /* there was not enough of it, or of memory: the answer no longer counts */
};

/* Takes from the budget. False, once and for all, when it is spent. */
static bool spend(struct evaluation *evaluation, size_t work)
{
    if (evaluation->is_cut || work > evaluation->work_left) {
        evaluation->is_cut = true;
        return false;
    }
    evaluation->work_left -= work;
    return true;
}

const json_t *kj__filter_member(const json_t *entity, const char *key, size_t key_len)
{
    const json_t *member = json_object_getn(entity, key, key_len);
    const char *dot = member ? NULL : memchr(key, '.', key_len);
    while (dot) {
        const json_t *inner = json_object_getn(entity, key, (size_t)(dot - key));
        key_len -= (size_t)(dot - key) + 1;
        key = dot + 1;
        entity = inner;
        member = json_object_getn(entity, key, key_len);
        dot = member ? NULL : memchr(key, '.', key_len);
    }
    return member;
}

enum order { BEFORE = -1, SAME = 0, AFTER = 1, UNORDERED = 2 };

static enum order order_of_times(struct kj__timestamp left, struct kj__timestamp right)
{
    if (left.seconds != right.seconds) {
        return left.seconds < right.seconds ? BEFORE : AFTER;
    }
    return left.nanoseconds == right.nanoseconds  ? SAME
           : left.nanoseconds < right.nanoseconds ? BEFORE
                                                  : AFTER;
}

static enum order order_of_bytes(const char *left, size_t left_len, const char *right,
                                 size_t right_len)
{
    size_t shared = left_len < right_len ? left_len : right_len;
    int order = shared ? memcmp(left, right, shared) : 0;
    if (order == 0) {
        order = (left_len > right_len) - (left_len < right_len);
    }
    return order < 0 ? BEFORE : order > 0 ? AFTER : SAME;
}

/* A string against a constant. Times in entities are RFC 3339 text, so a text that is a time is
 * compared as one when the constant is one, too. */
static enum order order_of_string(const struct evaluation *evaluation, const json_t *string,
                                  const struct kj__filter_constant *constant)
{
    const char *text = json_string_value(string);
    size_t len = json_string_length(string);
    struct kj__timestamp time;
    if ((constant->is_time || constant->type == KJ__FILTER_NOW) &&
        kj__filter_time_read(text, len, &time)) {
        return order_of_times(time, constant->is_time ? constant->time
                                                      : kj__filter_time_add(evaluation->now_ns,
                                                                            constant->duration_ns));
    }
    if (constant->type == KJ__FILTER_DATE || constant->type == KJ__FILTER_NOW) {
        return UNORDERED;
    }
    enum order order = order_of_bytes(text, len, constant->text, constant->len);
    /* A bare number or boolean becomes text to be equal to one, but has no place among texts. */
    return constant->type == KJ__FILTER_TEXT || order == SAME ? order : UNORDERED;
}

static enum order order_of_boolean(bool value, const struct kj__filter_constant *constant)
{
    const char *text = value ? "true" : "false";
    return strcmp(constant->text, text) == 0 ? SAME : UNORDERED;
}

static enum order order_of(const struct evaluation *evaluation, const json_t *value,
                           const struct kj__filter_constant *constant)
{
    struct kj__filter_number number = {0};
    switch (json_typeof(value)) {
    case JSON_STRING:
        return order_of_string(evaluation, value, constant);
    case JSON_TRUE:
    case JSON_FALSE:
        return order_of_boolean(json_is_true(value), constant);
    case JSON_INTEGER:
        number.is_integer = true;
        number.integer = json_integer_value(value);
        break;
    case JSON_REAL:
        number.real = json_real_value(value);
        break;
    default:
        return UNORDERED;
    }
    return constant->is_number ? (enum order)kj__filter_number_compare(number, constant->number)
                               : UNORDERED;
}

static bool holds(enum kj__filter_comparator comparator, enum order order)
{
    switch (comparator) {
    case KJ__FILTER_LESS:
        return order == BEFORE;
    case KJ__FILTER_LESS_OR_EQUAL:
        return order == BEFORE || order == SAME;
    case KJ__FILTER_GREATER:
        return order == AFTER;
    case KJ__FILTER_GREATER_OR_EQUAL:
        return order == AFTER || order == SAME;
    default:
        return order == SAME;
    }
}

/* Whether one value that is no list fits one of the constants. */
static bool fits_any(struct evaluation *evaluation, const struct kj__filter_node *node,
                     const json_t *value)
{
    for (size_t i = 0; i < node->constant_count && spend(evaluation, 1); i++) {
        if (holds(node->comparator, order_of(evaluation, value, &node->constants[i]))) {
            return true;
        }
    }
    return false;
}

/* Whether it is the list that the constants are, item by item. */
static bool equals_list(struct evaluation *evaluation, const struct kj__filter_node *node,
                        const json_t *value)
{
    size_t count = node->constant_count;
    if (!json_is_array(value) || json_array_size(value) != count || !spend(evaluation, count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (order_of(evaluation, json_array_get(value, i), &node->constants[i]) != SAME) {
            return false;
        }
    }
    return true;
}

enum {
    STEPS_PER_WORK = 16, /* of a pattern: RE2 at its slowest takes 3 ns for one */
    BYTES_PER_WORK = 64, /* searched for a text */
};

static bool has_part(struct evaluation *evaluation, const struct kj__filter_node *node,
                     const json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    for (size_t i = 0; i < node->constant_count; i++) {
        const struct kj__filter_constant *constant = &node->constants[i];
        bool is_text = constant->type != KJ__FILTER_DATE && constant->type != KJ__FILTER_NOW;
        if (!spend(evaluation, 1 + len / BYTES_PER_WORK)) {
            break;
        }
        if (is_text && memmem(text, len, constant->text, constant->len)) {
            return true;
        }
    }
    return false;
}

static bool matches_pattern(struct evaluation *evaluation, const struct kj__filter_node *node,
                            const json_t *value)
{
    size_t len = json_string_length(value);
    bool found = false;
    for (size_t i = 0; json_is_string(value) && i < node->constant_count && !found; i++) {
        const struct kj__regex *pattern = node->constants[i].pattern;
        if (!spend(evaluation, 1 + len * kj__regex_steps(pattern) / STEPS_PER_WORK)) {
            break;
        }
        if (kj__regex_match(pattern, json_string_value(value), len, &found) != KJ_OK) {
            evaluation->is_cut = true;
        }
    }
    return found;
}

/* Whether the predicate holds for the value, or for an item when it is a list. */
static bool any_item(struct evaluation *evaluation, const struct kj__filter_node *node,
                     const json_t *value,
                     bool (*fits)(struct evaluation *evaluation, const struct kj__filter_node *node,
                                  const json_t *value))
{
    if (!json_is_array(value)) {
        return fits(evaluation, node, value);
    }
    bool found = false;
    for (size_t i = 0; i < json_array_size(value) && !found && spend(evaluation, 1); i++) {
        const json_t *item = json_array_get(value, i);
        found = !json_is_array(item) && fits(evaluation, node, item);
    }
    return found;
}

/* A list equals a list of constants as a whole, or through an item that is such a list. */
static bool equals(struct evaluation *evaluation, const struct kj__filter_node *node,
                   const json_t *value)
{
    if (!node->is_list) {
        return any_item(evaluation, node, value, fits_any);
    }
    bool found = equals_list(evaluation, node, value);
    for (size_t i = 0; i < json_array_size(value) && !found && spend(evaluation, 1); i++) {
        found = equals_list(evaluation, node, json_array_get(value, i));
    }
    return found;
}

static bool compare(struct evaluation *evaluation, const struct kj__filter_node *node)
{
    if (!spend(evaluation, 1)) {
        return false;
    }
    const json_t *value = node->has_dot
                              ? kj__filter_member(evaluation->entity, node->key, node->key_len)
                              : json_object_getn(evaluation->entity, node->key, node->key_len);
    bool is_there = value && !json_is_null(value);
    switch (node->comparator) {
    case KJ__FILTER_EXISTS:
        return value != NULL;
    case KJ__FILTER_NOT_EXISTS:
        return value == NULL;
    case KJ__FILTER_EQUAL:
        return is_there && equals(evaluation, node, value);
    case KJ__FILTER_NOT_EQUAL:
        return !is_there || !equals(evaluation, node, value);
    case KJ__FILTER_NOT_IN:
        return !is_there || !any_item(evaluation, node, value, fits_any);
    case KJ__FILTER_CONTAINS:
        return is_there &&
               any_item(evaluation, node, value, json_is_string(value) ? has_part : fits_any);
    case KJ__FILTER_NOT_CONTAINS:
        return !is_there ||
               !any_item(evaluation, node, value, json_is_string(value) ? has_part : fits_any);
    case KJ__FILTER_MATCHES:
        return is_there && any_item(evaluation, node, value, matches_pattern);
    default:
        return is_there && any_item(evaluation, node, value, fits_any);
    }
}

static bool evaluate(struct evaluation *evaluation, const struct kj__filter_node *node)
{
    if (node->type == KJ__FILTER_COMPARISON) {
        return compare(evaluation, node);
    }
    bool is_and = node->type == KJ__FILTER_AND;
    bool result = is_and;
    for (const struct kj__filter_node *child = node->first; child && result == is_and;
         child = child->next) {
        result = evaluate(evaluation, child);
    }
    return result;
}

bool kj__filter_matches(const struct kj_filter *filter, const json_t *entity,
                        struct kj__filter_round *round)
{
    struct evaluation evaluation = {
        .entity = entity, .now_ns = round->now_ns, .work_left = KJ__FILTER_WORK_MAX};
    bool result = entity && evaluate(&evaluation, filter->root);
    round->cut += evaluation.is_cut;
    return result && !evaluation.is_cut;
}
