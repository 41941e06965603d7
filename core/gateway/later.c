/* later.c - what is to be done in a while, by the keeper. */
#include "base/clock.h"
#include "gateway/gateway.h"

#include <stdlib.h>

struct later {
    struct kj__list link; /* lock: in the gateway's, the next one first */
    uint64_t due_ms;
    void (*run)(void *ctx);
    void *ctx;
};

enum kj_status kj_gateway_later(struct kj_gateway *gateway, uint32_t delay_ms,
                                void (*run)(void *ctx), void *ctx)
{
    struct later *later = malloc(sizeof *later);
    if (!later) {
        return KJ_ENOMEM;
    }
    *later = (struct later){.due_ms = kj__clock_monotonic_ms() + delay_ms, .run = run, .ctx = ctx};
    pthread_mutex_lock(&gateway->lock);
    enum kj_status status = gateway->is_stopping ? KJ_ECLOSED : KJ_OK;
    if (!status) {
        struct kj__list *at = gateway->later.prev;
        while (at != &gateway->later &&
               KJ__CONTAINER_OF(at, struct later, link)->due_ms > later->due_ms) {
            at = at->prev;
        }
        kj__list_append(at->next, &later->link);
        pthread_cond_signal(&gateway->changed);
    }
    pthread_mutex_unlock(&gateway->lock);
    if (status) {
        free(later);
    }
    return status;
}

uint64_t kj__gateway_next_later(const struct kj_gateway *gateway)
{
    return kj__list_is_empty(&gateway->later)
               ? UINT64_MAX
               : KJ__CONTAINER_OF(gateway->later.next, struct later, link)->due_ms;
}

void kj__gateway_run_later(struct kj_gateway *gateway, uint64_t now_ms)
{
    while (kj__gateway_next_later(gateway) <= now_ms && !gateway->is_stopping) {
        struct later *later = KJ__CONTAINER_OF(gateway->later.next, struct later, link);
        kj__list_unlink(&later->link);
        pthread_mutex_unlock(&gateway->lock);
        later->run(later->ctx);
        free(later);
        pthread_mutex_lock(&gateway->lock);
    }
}

void kj__gateway_drop_later(struct kj_gateway *gateway)
{
    while (!kj__list_is_empty(&gateway->later)) {
        struct later *later = KJ__CONTAINER_OF(gateway->later.next, struct later, link);
        kj__list_unlink(&later->link);
        free(later);
    }
}
