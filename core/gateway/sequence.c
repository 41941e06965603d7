/* sequence.c - see sequence.h. */
#include "gateway/sequence.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

static struct kj__sequence_stripe *stripe_of(struct kj__sequences *sequences, const char *words)
{
    return &sequences->stripes[kj__hash(words, strlen(words)) % KJ__SEQUENCE_STRIPES];
}

void kj__sequences_init(struct kj__sequences *sequences)
{
    for (size_t i = 0; i < KJ__SEQUENCE_STRIPES; i++) {
        pthread_mutex_init(&sequences->stripes[i].lock, NULL);
        kj__map_init(&sequences->stripes[i].last);
        sequences->stripes[i].floor = 0;
    }
}

void kj__sequences_fini(struct kj__sequences *sequences)
{
    for (size_t i = 0; i < KJ__SEQUENCE_STRIPES; i++) {
        kj__map_fini(&sequences->stripes[i].last, free);
        pthread_mutex_destroy(&sequences->stripes[i].lock);
    }
}

/* Lock held. */
static void make_room(struct kj__sequence_stripe *stripe)
{
    if (stripe->last.count < KJ__SEQUENCES_MAX / KJ__SEQUENCE_STRIPES) {
        return;
    }
    uint64_t *oldest = kj__map_remove(&stripe->last, kj__map_next(&stripe->last, NULL)->key);
    stripe->floor = *oldest > stripe->floor ? *oldest : stripe->floor;
    free(oldest);
}

/* Lock held. */
static uint64_t *add(struct kj__sequence_stripe *stripe, const char *words)
{
    uint64_t *last = malloc(sizeof *last);
    if (!last) {
        return NULL;
    }
    make_room(stripe);
    *last = stripe->floor;
    if (!kj__map_put(&stripe->last, words, last, NULL)) {
        free(last);
        return NULL;
    }
    return last;
}

uint64_t *kj__sequences_lock(struct kj__sequences *sequences, const char *words)
{
    struct kj__sequence_stripe *stripe = stripe_of(sequences, words);
    pthread_mutex_lock(&stripe->lock);
    uint64_t *last = kj__map_get(&stripe->last, words);
    return last ? last : add(stripe, words);
}

void kj__sequences_unlock(struct kj__sequences *sequences, const char *words)
{
    pthread_mutex_unlock(&stripe_of(sequences, words)->lock);
}
