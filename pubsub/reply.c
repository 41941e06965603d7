/* reply.c - see reply.h. */
#include "pubsub/reply.h"

#include "base/clock.h"
#include "base/list.h"
#include "codec/publication.h"
#include "pubsub/subscription.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct kj__desk {
    _Atomic uint32_t refs; /* the hub's, and one for each replier */
    kj__send_answer send;
    pthread_mutex_t lock;
    struct kj__hub *hub; /* guarded by lock; NULL: gone */
};

enum state { WAITING = 0, ANSWERED, EXPIRED };

struct replier {
    struct kj__replier base;
    struct kj__desk *desk; /* a reference */
    int response_mode;
    _Atomic int state;      /* enum state */
    uint64_t expires_at_ms; /* 0: no handler has seen the publication */
    char address[];
};

static struct replier *replier_of(struct kj__replier *base)
{
    return KJ__CONTAINER_OF(base, struct replier, base);
}

struct kj__desk *kj__desk_new(struct kj__hub *hub, kj__send_answer send)
{
    struct kj__desk *desk = calloc(1, sizeof *desk);
    if (desk) {
        atomic_init(&desk->refs, 1);
        desk->send = send;
        desk->hub = hub;
        pthread_mutex_init(&desk->lock, NULL);
    }
    return desk;
}

static void unref(struct kj__desk *desk)
{
    if (atomic_fetch_sub_explicit(&desk->refs, 1, memory_order_acq_rel) == 1) {
        pthread_mutex_destroy(&desk->lock);
        free(desk);
    }
}

void kj__desk_close(struct kj__desk *desk)
{
    if (desk) {
        pthread_mutex_lock(&desk->lock);
        desk->hub = NULL;
        pthread_mutex_unlock(&desk->lock);
        unref(desk);
    }
}

/* Takes over the answer. */
static enum kj_status send_take(struct kj__desk *desk, struct kj_publication *answer)
{
    pthread_mutex_lock(&desk->lock);
    enum kj_status status = KJ_ECLOSED;
    if (desk->hub) {
        /* First, so that who has the answer finds it counted. */
        KJ__HUB_COUNT(desk->hub, replies);
        status = desk->send(desk->hub, answer);
    }
    if (desk->hub && status) {
        atomic_fetch_sub(&desk->hub->counters.replies, 1);
    }
    pthread_mutex_unlock(&desk->lock);
    kj_publication_unref(answer);
    return status;
}

static void report_unanswered(struct kj__desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    if (desk->hub) {
        KJ__HUB_COUNT(desk->hub, unanswered);
        kj__alarm_raise(desk->hub->unanswered, &desk->hub->reporter);
    }
    pthread_mutex_unlock(&desk->lock);
}

/* Of several who answer at once, one gets through. */
static enum kj_status claim(struct replier *replier)
{
    bool is_late = kj__clock_monotonic_ms() >= replier->expires_at_ms;
    int state = WAITING;
    if (!atomic_compare_exchange_strong(&replier->state, &state, is_late ? EXPIRED : ANSWERED)) {
        return state == ANSWERED ? KJ_EEXIST : KJ_ETIMEOUT;
    }
    if (is_late) {
        report_unanswered(replier->desk);
        return KJ_ETIMEOUT;
    }
    return KJ_OK;
}

static enum kj_status reply(struct kj__replier *base, const struct kj_publication *response)
{
    struct replier *replier = replier_of(base);
    const struct kj__publication_change change = {.topic = replier->address};
    struct kj_publication *answer;
    enum kj_status status = claim(replier);
    if (status) {
        return status;
    }
    status = kj__publication_copy(response, &change, &answer);
    if (!status) {
        status = send_take(replier->desk, answer);
    }
    if (status) {
        atomic_store(&replier->state, WAITING);
    }
    return status;
}

static void release(struct kj__replier *base)
{
    struct replier *replier = replier_of(base);
    bool was_seen = replier->expires_at_ms > 0;
    if (was_seen && replier->response_mode == KJ_RESPONSE_PUBLICATION &&
        atomic_load(&replier->state) == WAITING) {
        report_unanswered(replier->desk);
    }
    unref(replier->desk);
    free(replier);
}

enum kj_status kj__desk_attach(struct kj__desk *desk, struct kj_publication *publication,
                               const char *address)
{
    int mode = kj__publication_response_mode(publication);
    if (mode != KJ_RESPONSE_ACK && mode != KJ_RESPONSE_PUBLICATION) {
        return KJ_OK;
    }
    size_t size = strlen(address) + 1;
    struct replier *replier = calloc(1, sizeof *replier + size);
    if (!replier) {
        return KJ_ENOMEM;
    }
    replier->base = (struct kj__replier){.reply = reply, .release = release};
    replier->desk = desk;
    replier->response_mode = mode;
    memcpy(replier->address, address, size);
    atomic_fetch_add_explicit(&desk->refs, 1, memory_order_relaxed);
    kj__publication_set_replier_take(publication, &replier->base);
    return KJ_OK;
}

void kj__reply_begin(struct kj_publication *publication, uint32_t timeout_ms)
{
    struct kj__replier *base = kj__publication_replier(publication);
    if (!base) {
        return;
    }
    struct replier *replier = replier_of(base);
    replier->expires_at_ms = kj__clock_monotonic_ms() + timeout_ms;
    struct kj_publication *answer;
    if (replier->response_mode == KJ_RESPONSE_ACK &&
        !kj__publication_new_bare(replier->address, KJ__ACK, &answer)) {
        /* Where it cannot be sent, that is counted there, and who waits is told by the clock. */
        (void)send_take(replier->desk, answer);
    }
}
