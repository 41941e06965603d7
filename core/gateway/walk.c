/* walk.c - topics that have clients, visited in portions so that nobody waits long for the lock. */
#include "gateway/topic.h"

#include <stdlib.h>
#include <string.h>

/* Stands in the list of topics, in front of what is still to come. */
struct kj_topic_walk {
    struct kj_gateway *gateway;
    enum kj_topic_kind kind;
    struct kj__topic_stop stop;
};

struct kj_topic_walk *kj_topic_walk_new(struct kj_gateway *gateway, enum kj_topic_kind kind)
{
    struct kj_topic_walk *walk = calloc(1, sizeof *walk);
    if (walk) {
        walk->gateway = gateway;
        walk->kind = kind;
        pthread_mutex_lock(&gateway->lock);
        struct kj__list *occupied = &gateway->occupied[kind];
        kj__list_append(occupied->next, &walk->stop.link); /* in front of the first */
        pthread_mutex_unlock(&gateway->lock);
    }
    return walk;
}

void kj_topic_walk_free(struct kj_topic_walk *walk)
{
    if (walk) {
        pthread_mutex_lock(&walk->gateway->lock);
        kj__list_unlink(&walk->stop.link);
        pthread_mutex_unlock(&walk->gateway->lock);
        free(walk);
    }
}

/* Moves a stop behind its next one; lock held. */
static void step(struct kj__list *link)
{
    struct kj__list *passed = link->next;
    kj__list_unlink(link);
    kj__list_append(passed->next, link);
}

size_t kj_topic_walk_next(struct kj_topic_walk *walk, struct kj_topic_count *topics, size_t max)
{
    struct kj__list *link = &walk->stop.link;
    size_t count = 0;
    pthread_mutex_lock(&walk->gateway->lock);
    for (const struct kj__list *end = &walk->gateway->occupied[walk->kind];
         count < max && link->next != end; step(link)) {
        const struct kj__topic_stop *stop = KJ__CONTAINER_OF(link->next, struct kj__topic_stop,
                                                             link);
        if (stop->topic) {
            topics[count].clients = stop->topic->member_count;
            memcpy(topics[count].name, stop->topic->name,
                   strlen(stop->topic->name) + 1); /* valid: not longer */
            count++;
        }
    }
    pthread_mutex_unlock(&walk->gateway->lock);
    return count;
}
