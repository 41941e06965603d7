/* filter_walk.c - a filter as storages see it; see kujata/filter.h. */
#include "model/filter_parts.h"

#include "base/clock.h"

/* The public names are the same values. */
_Static_assert((int)KJ_FILTER_COMPARISON == (int)KJ__FILTER_COMPARISON &&
                   (int)KJ_FILTER_AND == (int)KJ__FILTER_AND &&
                   (int)KJ_FILTER_OR == (int)KJ__FILTER_OR,
               "types of nodes differ");
_Static_assert((int)KJ_FILTER_EQUAL == (int)KJ__FILTER_EQUAL &&
                   (int)KJ_FILTER_NOT_EQUAL == (int)KJ__FILTER_NOT_EQUAL &&
                   (int)KJ_FILTER_LESS == (int)KJ__FILTER_LESS &&
                   (int)KJ_FILTER_LESS_OR_EQUAL == (int)KJ__FILTER_LESS_OR_EQUAL &&
                   (int)KJ_FILTER_GREATER == (int)KJ__FILTER_GREATER &&
                   (int)KJ_FILTER_GREATER_OR_EQUAL == (int)KJ__FILTER_GREATER_OR_EQUAL &&
                   (int)KJ_FILTER_CONTAINS == (int)KJ__FILTER_CONTAINS &&
                   (int)KJ_FILTER_NOT_CONTAINS == (int)KJ__FILTER_NOT_CONTAINS &&
                   (int)KJ_FILTER_IN == (int)KJ__FILTER_IN &&
                   (int)KJ_FILTER_NOT_IN == (int)KJ__FILTER_NOT_IN &&
                   (int)KJ_FILTER_MATCHES == (int)KJ__FILTER_MATCHES &&
                   (int)KJ_FILTER_EXISTS == (int)KJ__FILTER_EXISTS &&
                   (int)KJ_FILTER_NOT_EXISTS == (int)KJ__FILTER_NOT_EXISTS,
               "comparators differ");

static const struct kj__filter_node *inside(const struct kj_filter_node *node)
{
    return (const struct kj__filter_node *)node;
}

static const struct kj_filter_node *outside(const struct kj__filter_node *node)
{
    return (const struct kj_filter_node *)node;
}

const struct kj_filter_node *kj_filter_root(const struct kj_filter *filter)
{
    return outside(filter->root);
}

enum kj_filter_node_type kj_filter_node_type(const struct kj_filter_node *node)
{
    return (enum kj_filter_node_type)inside(node)->type;
}

const struct kj_filter_node *kj_filter_node_first(const struct kj_filter_node *group)
{
    return outside(inside(group)->first);
}

const struct kj_filter_node *kj_filter_node_next(const struct kj_filter_node *node)
{
    return outside(inside(node)->next);
}

const char *kj_filter_node_key(const struct kj_filter_node *comparison)
{
    return inside(comparison)->key;
}

enum kj_filter_comparator kj_filter_node_comparator(const struct kj_filter_node *comparison)
{
    return (enum kj_filter_comparator)inside(comparison)->comparator;
}

bool kj_filter_node_is_list(const struct kj_filter_node *comparison)
{
    return inside(comparison)->is_list;
}

size_t kj_filter_node_constant_count(const struct kj_filter_node *comparison)
{
    return inside(comparison)->constant_count;
}

void kj_filter_node_constant(const struct kj_filter_node *comparison, size_t index,
                             struct kj_filter_constant *constant)
{
    const struct kj__filter_constant *from = &inside(comparison)->constants[index];
    bool is_now = from->type == KJ__FILTER_NOW;
    *constant = (struct kj_filter_constant){
        .text = from->text,
        .len = from->len,
        .has_text = from->type != KJ__FILTER_DATE && !is_now,
        .is_ordered = from->type == KJ__FILTER_TEXT,
        .is_number = from->is_number,
        .is_time = from->is_time || is_now,
    };
    if (from->is_number) {
        constant->is_integer = from->number.is_integer;
        constant->integer = from->number.integer;
        constant->real = from->number.real;
    } else if (constant->is_time) {
        struct kj__timestamp time = is_now ? kj__filter_time_add(kj__clock_wall_ns(),
                                                                 from->duration_ns)
                                           : from->time;
        constant->time = (struct kj_time){time.seconds, time.nanoseconds};
    }
}
