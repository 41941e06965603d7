/* store_order.c - see store_order.h. */
#include "handlers/store_order.h"

#include <stdlib.h>
#include <string.h>

static bool is_time(const struct kj_identity *identity, const char *name)
{
    enum kj_attribute_type type;
    return kj_identity_attribute_type(identity, name, &type) && type == KJ_TYPE_TIME;
}

enum kj_status kj__order_new(const struct kj_identity *identity, const char *const *keys,
                             struct kj__order **order)
{
    size_t count = 0;
    while (keys[count]) {
        count++;
    }
    struct kj__order *made = calloc(1, sizeof *made + count * sizeof made->keys[0]);
    *order = made;
    if (!made) {
        return KJ_ENOMEM;
    }
    made->count = count;
    for (size_t i = 0; i < count; i++) {
        bool is_descending = keys[i][0] == '-';
        const char *name = keys[i] + is_descending;
        made->keys[i] = (struct kj__order_key){name, is_descending, is_time(identity, name)};
    }
    return KJ_OK;
}

static void read_text(struct kj__order_value *value, const json_t *json, bool may_be_time)
{
    const char *bytes = json_string_value(json);
    size_t len = json_string_length(json);
    struct kj_time time;
    if (may_be_time && kj_time_parse(bytes, len, &time)) {
        value->kind = KJ__ORDER_TIME;
        value->time = time;
        return;
    }
    value->kind = KJ__ORDER_STRING;
    value->text.bytes = bytes;
    value->text.len = len;
}

void kj__order_value_read(struct kj__order_value *value, const json_t *json, bool is_time)
{
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_NULL:
        value->kind = KJ__ORDER_NONE;
        break;
    case JSON_FALSE:
        value->kind = KJ__ORDER_FALSE;
        break;
    case JSON_TRUE:
        value->kind = KJ__ORDER_TRUE;
        break;
    case JSON_INTEGER:
        value->kind = KJ__ORDER_NUMBER;
        value->number = (long double)json_integer_value(json);
        break;
    case JSON_REAL:
        value->kind = KJ__ORDER_NUMBER;
        value->number = (long double)json_real_value(json);
        break;
    case JSON_STRING:
        read_text(value, json, is_time);
        break;
    default:
        value->kind = KJ__ORDER_OTHER;
        break;
    }
}

static int compare_texts(const struct kj__order_value *left, const struct kj__order_value *right)
{
    bool is_shorter = left->text.len < right->text.len;
    int order = memcmp(left->text.bytes, right->text.bytes,
                       is_shorter ? left->text.len : right->text.len);
    if (order) {
        return order < 0 ? -1 : 1;
    }
    return (left->text.len > right->text.len) - is_shorter;
}

int kj__order_value_compare(const struct kj__order_value *left, const struct kj__order_value *right)
{
    if (left->kind != right->kind) {
        return left->kind < right->kind ? -1 : 1;
    }
    switch (left->kind) {
    case KJ__ORDER_NUMBER:
        return (left->number > right->number) - (left->number < right->number);
    case KJ__ORDER_TIME:
        return kj_time_compare(left->time, right->time);
    case KJ__ORDER_STRING:
        return compare_texts(left, right);
    default:
        return 0;
    }
}

int kj__order_compare(const struct kj__order *order, const struct kj__order_row *left,
                      const struct kj__order_row *right)
{
    for (size_t i = 0; i < order->count; i++) {
        int difference = kj__order_value_compare(&left->values[i], &right->values[i]);
        if (difference) {
            return order->keys[i].is_descending ? -difference : difference;
        }
    }
    return strcmp(left->id, right->id);
}

static int compare_rows(const void *left, const void *right, void *order)
{
    return kj__order_compare(order, left, right);
}

void kj__order_sort(const struct kj__order *order, struct kj__order_row *rows, size_t count)
{
    if (count > 1) {
        qsort_r(rows, count, sizeof *rows, compare_rows, (void *)order);
    }
}
