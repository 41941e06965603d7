/* home.c - see home.h. */
#include "gateway/home.h"

#include "gateway/client.h"
#include "gateway/topic.h"

#include <stdlib.h>
#include <string.h>

/* As many as a shard takes of others; bytes of bodies. */
enum { WAITING_MAX = 65536, WAITING_BYTES_MAX = 64 << 20 };

struct waiting {
    struct kj__list link;
    struct kj_push *push; /* a reference */
    char words[];         /* of its topic */
};

void kj__home_init(struct kj__home *home)
{
    *home = (struct kj__home){.count = 0};
    pthread_mutex_init(&home->turn, NULL);
    kj__list_init(&home->waiting);
}

static void release(struct waiting *waiting)
{
    kj__push_unref(waiting->push);
    free(waiting);
}

/* The one that waits longest. */
static struct waiting *take(struct kj__home *home)
{
    struct waiting *first = KJ__CONTAINER_OF(home->waiting.next, struct waiting, link);
    kj__list_unlink(&first->link);
    home->count--;
    home->bytes -= first->push->parts.body_len;
    return first;
}

void kj__home_fini(struct kj__home *home)
{
    while (!kj__list_is_empty(&home->waiting)) {
        release(take(home));
    }
    pthread_mutex_destroy(&home->turn);
}

static struct waiting *make(const char *words, const struct kj__buffer *encoded)
{
    size_t size = strlen(words) + 1;
    struct waiting *made = malloc(sizeof *made + size);
    if (made && kj__push_decode(encoded->data, encoded->len, &made->push)) {
        free(made);
        return NULL;
    }
    if (made) {
        memcpy(made->words, words, size);
    }
    return made;
}

enum kj_status kj__home_put(struct kj_gateway *gateway, const char *words,
                            const struct kj__buffer *encoded)
{
    struct kj__home *home = &gateway->home;
    struct waiting *made = make(words, encoded);
    if (!made) {
        return KJ_ENOMEM;
    }
    size_t bytes = made->push->parts.body_len;
    pthread_mutex_lock(&gateway->lock);
    bool has_room = home->count < WAITING_MAX &&
                    (home->count == 0 || home->bytes + bytes <= WAITING_BYTES_MAX);
    if (has_room) {
        kj__list_append(&home->waiting, &made->link);
        home->count++;
        home->bytes += bytes;
        atomic_fetch_add(&home->ahead, 1);
        pthread_cond_signal(&gateway->changed);
    }
    pthread_mutex_unlock(&gateway->lock);
    if (!has_room) {
        release(made);
        return KJ_EFULL;
    }
    return KJ_OK;
}

/* To whom it goes, referenced; both are NULL when nobody of this node is meant. Lock held. */
static void find(struct kj_gateway *gateway, const struct waiting *waiting,
                 struct kj__topic **topic, struct kj_client **client)
{
    bool is_session = waiting->push->parts.kind == KJ_TOPIC_SESSION;
    *topic = is_session ? NULL : kj__topic_find(gateway, waiting->words);
    *client = is_session ? kj__map_get(&gateway->clients, waiting->push->parts.name) : NULL;
    if (*topic) {
        atomic_fetch_add_explicit(&(*topic)->refs, 1, memory_order_relaxed);
    }
    if (*client) {
        kj_client_ref(*client);
    }
}

/* Takes the next, and finds to whom it goes; NULL when none waits. */
static struct waiting *next(struct kj_gateway *gateway, struct kj__topic **topic,
                            struct kj_client **client)
{
    struct waiting *waiting = NULL;
    pthread_mutex_lock(&gateway->lock);
    if (!kj__list_is_empty(&gateway->home.waiting)) {
        waiting = take(&gateway->home);
        find(gateway, waiting, topic, client);
    }
    pthread_mutex_unlock(&gateway->lock);
    return waiting;
}

void kj__home_deliver(struct kj_gateway *gateway)
{
    struct kj__home *home = &gateway->home;
    if (atomic_load(&home->ahead) == 0) {
        return;
    }
    struct kj__topic *topic;
    struct kj_client *client;
    pthread_mutex_lock(&home->turn);
    for (struct waiting *waiting = next(gateway, &topic, &client); waiting;
         waiting = next(gateway, &topic, &client)) {
        if (topic || client) {
            kj__gateway_post(gateway, kj__push_ref(waiting->push), topic, client);
        }
        if (topic) {
            kj__topic_unref(topic);
        }
        kj_client_unref(client);
        release(waiting);
        atomic_fetch_sub(&home->ahead, 1);
    }
    pthread_mutex_unlock(&home->turn);
}
