/* filter_key.c - what an index of filters can hash on.
 *
 * Values that a comparison takes for equal must have one hash: numbers are hashed as the nearest
 * double, whatever they are written like, texts that are times as times, booleans as text.
 */
#include "model/filter_parts.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_of_number(double real)
{
    struct {
        char tag[8];
        double real;
    } bytes = {.tag = "number", .real = real + 0.0}; /* -0 equals 0 */
    return kj__hash(&bytes, sizeof bytes);
}

static uint64_t hash_of_time(struct kj__timestamp time)
{
    struct {
        char tag[8];
        int64_t seconds, nanoseconds;
    } bytes = {.tag = "time", .seconds = time.seconds, .nanoseconds = time.nanoseconds};
    return kj__hash(&bytes, sizeof bytes);
}

static uint64_t hash_of_text(const char *text, size_t len)
{
    struct kj__filter_number number;
    struct kj__timestamp time;
    if (kj__filter_number_read(text, len, &number)) {
        return hash_of_number(number.real);
    }
    return kj__filter_time_read(text, len, &time) ? hash_of_time(time) : kj__hash(text, len);
}

bool kj__filter_constant_hash(const struct kj__filter_constant *constant, uint64_t *hash)
{
    if (constant->type == KJ__FILTER_NOW) {
        return false;
    }
    *hash = constant->type == KJ__FILTER_DATE ? hash_of_time(constant->time)
                                              : hash_of_text(constant->text, constant->len);
    return true;
}

static void visit_value(const json_t *value, void (*visit)(uint64_t hash, void *ctx), void *ctx)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        visit(hash_of_text(json_string_value(value), json_string_length(value)), ctx);
        break;
    case JSON_TRUE:
        visit(hash_of_text("true", 4), ctx);
        break;
    case JSON_FALSE:
        visit(hash_of_text("false", 5), ctx);
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        visit(hash_of_number(json_number_value(value)), ctx);
        break;
    default:
        break;
    }
}

void kj__filter_visit_keys(const json_t *entity, const char *member,
                           void (*visit)(uint64_t hash, void *ctx), void *ctx)
{
    const json_t *value = kj__filter_member(entity, member, strlen(member));
    if (!value) {
        return;
    }
    if (!json_is_array(value)) {
        visit_value(value, visit, ctx);
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        visit_value(json_array_get(value, i), visit, ctx);
    }
}

static bool is_keyed(const struct kj__filter_node *node)
{
    bool is_equality = node->type == KJ__FILTER_COMPARISON && !node->is_list &&
                       (node->comparator == KJ__FILTER_EQUAL || node->comparator == KJ__FILTER_IN);
    uint64_t unused;
    for (size_t i = 0; is_equality && i < node->constant_count; i++) {
        is_equality = kj__filter_constant_hash(&node->constants[i], &unused);
    }
    return is_equality;
}

static int compare_hashes(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static enum kj_status make_hashes(struct kj_filter *filter)
{
    const struct kj__filter_node *node = filter->keyed;
    filter->key_hashes = calloc(node->constant_count + 1, sizeof *filter->key_hashes);
    if (!filter->key_hashes) {
        return KJ_ENOMEM;
    }
    for (size_t i = 0; i < node->constant_count; i++) {
        (void)kj__filter_constant_hash(&node->constants[i], &filter->key_hashes[i]);
    }
    qsort(filter->key_hashes, node->constant_count, sizeof *filter->key_hashes, compare_hashes);
    for (size_t i = 0; i < node->constant_count; i++) {
        if (i == 0 || filter->key_hashes[i] != filter->key_hashes[filter->key_count - 1]) {
            filter->key_hashes[filter->key_count++] = filter->key_hashes[i];
        }
    }
    return KJ_OK;
}

enum kj_status kj__filter_choose_key(struct kj_filter *filter)
{
    const struct kj__filter_node *root = filter->root;
    const struct kj__filter_node *node = root->type == KJ__FILTER_AND ? root->first : root;
    for (; node; node = node->next) {
        if (is_keyed(node) &&
            (!filter->keyed || node->constant_count < filter->keyed->constant_count)) {
            filter->keyed = node;
        }
    }
    return filter->keyed ? make_hashes(filter) : KJ_OK;
}

bool kj__filter_key(const struct kj_filter *filter, struct kj__filter_key *key)
{
    if (!filter->keyed) {
        return false;
    }
    *key = (struct kj__filter_key){
        .member = filter->keyed->key, .hashes = filter->key_hashes, .count = filter->key_count};
    return true;
}
