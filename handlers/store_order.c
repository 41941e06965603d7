/* store_order.c - see store_order.h. */
#include "handlers/store_order.h"

#include <stdlib.h>
#include <string.h>

struct order {
    const char *const *keys;
    size_t count;
};

/* An object beside the values it is compared by, looked up once. */
struct row {
    const json_t *object;
    const json_t **values; /* one per key, then the ID */
};

enum kind { KIND_NONE, KIND_FALSE, KIND_TRUE, KIND_NUMBER, KIND_STRING, KIND_OTHER };

static enum kind kind_of(const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_NULL:
        return KIND_NONE;
    case JSON_FALSE:
        return KIND_FALSE;
    case JSON_TRUE:
        return KIND_TRUE;
    case JSON_INTEGER:
    case JSON_REAL:
        return KIND_NUMBER;
    case JSON_STRING:
        return KIND_STRING;
    default:
        return KIND_OTHER;
    }
}

/* A long double holds every integer and every double exactly, so mixed numbers have one
 * consistent order. */
static long double number_of(const json_t *value)
{
    return json_is_integer(value) ? (long double)json_integer_value(value)
                                  : (long double)json_real_value(value);
}

static int compare_values(const json_t *a, const json_t *b)
{
    enum kind kind = kind_of(a);
    enum kind other = kind_of(b);
    if (kind != other) {
        return kind < other ? -1 : 1;
    }
    if (kind == KIND_STRING) {
        return strcmp(json_string_value(a), json_string_value(b));
    }
    if (kind == KIND_NUMBER) {
        long double x = number_of(a);
        long double y = number_of(b);
        return (x > y) - (x < y);
    }
    return 0;
}

static int compare_rows(const void *left, const void *right, void *ctx)
{
    const struct row *a = left;
    const struct row *b = right;
    const struct order *order = ctx;
    for (size_t i = 0; i < order->count; i++) {
        int difference = compare_values(a->values[i], b->values[i]);
        if (difference) {
            return order->keys[i][0] == '-' ? -difference : difference;
        }
    }
    return compare_values(a->values[order->count], b->values[order->count]);
}

static void look_up(struct row *row, const struct order *order)
{
    for (size_t i = 0; i < order->count; i++) {
        const char *key = order->keys[i];
        row->values[i] = json_object_get(row->object, key[0] == '-' ? key + 1 : key);
    }
    row->values[order->count] = json_object_get(row->object, "ID");
}

bool kj__store_sort(const json_t **objects, size_t count, const char *const *keys)
{
    struct order order = {.keys = keys};
    while (keys[order.count]) {
        order.count++;
    }
    size_t width = order.count + 1;
    struct row *rows = calloc(count ? count : 1, sizeof *rows);
    const json_t **values = calloc((count ? count : 1) * width, sizeof(const json_t *));
    if (!rows || !values) {
        free(values);
        free(rows);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct row){objects[i], values + i * width};
        look_up(&rows[i], &order);
    }
    qsort_r(rows, count, sizeof *rows, compare_rows, &order);
    for (size_t i = 0; i < count; i++) {
        objects[i] = rows[i].object;
    }
    free(values);
    free(rows);
    return true;
}
