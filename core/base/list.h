/* list.h - an intrusive doubly linked ring with a head.
 *
 * A node is embedded in the thing listed; KJ__CONTAINER_OF leads back. An unlinked node
 * points at itself, so unlinking twice is harmless.
 */
#ifndef KJ_BASE_LIST_H
#define KJ_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define KJ__CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct kj__list {
    struct kj__list *prev, *next;
};

static inline void kj__list_init(struct kj__list *list)
{
    list->prev = list->next = list;
}

static inline bool kj__list_is_empty(const struct kj__list *list)
{
    return list->next == list;
}

static inline void kj__list_append(struct kj__list *list, struct kj__list *node)
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

static inline void kj__list_prepend(struct kj__list *list, struct kj__list *node)
{
    kj__list_append(list->next, node);
}

static inline void kj__list_unlink(struct kj__list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    kj__list_init(node);
}

/* Appends all of `from` to `to`. */
static inline void kj__list_move(struct kj__list *from, struct kj__list *to)
{
    while (!kj__list_is_empty(from)) {
        struct kj__list *node = from->next;
        kj__list_unlink(node);
        kj__list_append(to, node);
    }
}

#endif
