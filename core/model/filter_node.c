/* filter_node.c - the tree of a filter: released, walked, written as canonical text. */
#include "model/filter_parts.h"

#include <stdlib.h>
#include <string.h>

void kj__filter_node_free(struct kj__filter_node *node)
{
    while (node && node->first) { /* bounded: groups nest KJ__FILTER_DEPTH_MAX deep */
        struct kj__filter_node *child = node->first;
        node->first = child->next;
        kj__filter_node_free(child);
    }
    if (node) {
        for (size_t i = 0; i < node->constant_count; i++) {
            kj__regex_free(node->constants[i].pattern);
            free(node->constants[i].text);
        }
        free(node->constants);
        free(node);
    }
}

bool kj__filter_node_walk(const struct kj__filter_node *node,
                          bool (*visit)(const struct kj__filter_node *comparison, void *ctx),
                          void *ctx)
{
    if (node->type == KJ__FILTER_COMPARISON) {
        return visit(node, ctx);
    }
    bool stopped = false;
    for (const struct kj__filter_node *child = node->first; child && !stopped;
         child = child->next) {
        stopped = kj__filter_node_walk(child, visit, ctx);
    }
    return stopped;
}

const char *kj__filter_comparator_text(enum kj__filter_comparator comparator)
{
    static const char *const texts[] = {
        [KJ__FILTER_EQUAL] = "==",
        [KJ__FILTER_NOT_EQUAL] = "!=",
        [KJ__FILTER_LESS] = "<",
        [KJ__FILTER_LESS_OR_EQUAL] = "<=",
        [KJ__FILTER_GREATER] = ">",
        [KJ__FILTER_GREATER_OR_EQUAL] = ">=",
        [KJ__FILTER_CONTAINS] = "contains",
        [KJ__FILTER_NOT_CONTAINS] = "not contains",
        [KJ__FILTER_IN] = "in",
        [KJ__FILTER_NOT_IN] = "not in",
        [KJ__FILTER_MATCHES] = "matches",
        [KJ__FILTER_EXISTS] = "exists",
        [KJ__FILTER_NOT_EXISTS] = "not exists",
    };
    return texts[comparator];
}

/* In double quotes. A text that ends in a backslash cannot stand in quotes, so it was a word, and
 * is written as one with every further character escaped. */
static void write_text(const char *text, size_t len, struct kj__buffer *out)
{
    bool is_word = len > 0 && text[len - 1] == '\\';
    if (!is_word) {
        kj__buffer_append_byte(out, '"');
    }
    for (size_t i = 0; i < len; i++) {
        bool is_continuation = ((uint8_t)text[i] & 0xc0) == 0x80;
        if (is_word ? i > 0 && !is_continuation : text[i] == '"') {
            kj__buffer_append_byte(out, '\\');
        }
        kj__buffer_append_byte(out, (uint8_t)text[i]);
    }
    if (!is_word) {
        kj__buffer_append_byte(out, '"');
    }
}

void kj__filter_constant_write(const struct kj__filter_constant *constant, struct kj__buffer *out)
{
    char time[KJ__TIMESTAMP_TEXT_SIZE];
    switch (constant->type) {
    case KJ__FILTER_TEXT:
        write_text(constant->text, constant->len, out);
        break;
    case KJ__FILTER_NUMBER:
    case KJ__FILTER_BOOLEAN:
        kj__buffer_append(out, constant->text, constant->len);
        break;
    case KJ__FILTER_DATE:
        (void)kj__timestamp_format(constant->time, time);
        kj__buffer_printf(out, "date(\"%s\")", time);
        break;
    case KJ__FILTER_NOW:
        kj__buffer_printf(out, "now(\"%lldns\")", (long long)constant->duration_ns);
        break;
    }
}

static void write_comparison(const struct kj__filter_node *node, struct kj__buffer *out)
{
    bool has_value = node->comparator < KJ__FILTER_EXISTS;
    bool in_brackets = node->is_list || (has_value && node->comparator >= KJ__FILTER_CONTAINS);
    write_text(node->key, node->key_len, out);
    kj__buffer_append_byte(out, ' ');
    kj__buffer_append_text(out, kj__filter_comparator_text(node->comparator));
    kj__buffer_append_text(out, in_brackets ? " [" : has_value ? " " : "");
    for (size_t i = 0; i < node->constant_count; i++) {
        kj__buffer_append_text(out, i > 0 ? ", " : "");
        kj__filter_constant_write(&node->constants[i], out);
    }
    kj__buffer_append_text(out, in_brackets ? "]" : "");
}

void kj__filter_node_write(const struct kj__filter_node *node, struct kj__buffer *out)
{
    if (node->type == KJ__FILTER_COMPARISON) {
        write_comparison(node, out);
        return;
    }
    for (const struct kj__filter_node *child = node->first; child; child = child->next) {
        bool is_group = child->type != KJ__FILTER_COMPARISON;
        if (child != node->first) {
            kj__buffer_append_text(out, node->type == KJ__FILTER_AND ? " and " : " or ");
        }
        kj__buffer_append_text(out, is_group ? "(" : "");
        kj__filter_node_write(child, out);
        kj__buffer_append_text(out, is_group ? ")" : "");
    }
}
