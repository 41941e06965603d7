/* requests.c - see requests.h. */
#include "pubsub/requests.h"

#include "base/clock.h"
#include "base/id.h"
#include "codec/publication.h"
#include "pubsub/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_LIMIT = 4096, DEFAULT_TIMEOUT_MS = 10000, PREFIX_RANDOM_BYTES = 16 };

#define COUNT(requests, member)                                                                    \
    atomic_fetch_add_explicit(&(requests)->counters.member, 1, memory_order_relaxed)

struct kj__request {
    struct kj__list node; /* among the deadlines while open, then among the settled */
    struct kj_request_options options;
    uint64_t deadline_ms;
    enum kj_status status; /* once settled, as is the reply */
    struct kj_publication *reply;
    char address[KJ__REQUEST_ADDRESS_SIZE];
};

static struct kj__request *request_of(struct kj__list *node)
{
    return KJ__CONTAINER_OF(node, struct kj__request, node);
}

void kj__requests_init(struct kj__requests *requests, uint32_t limit)
{
    uint8_t random[PREFIX_RANDOM_BYTES];
    *requests = (struct kj__requests){.limit = limit ? limit : DEFAULT_LIMIT};
    kj__random_bytes(random, sizeof random);
    size_t len = (size_t)snprintf(requests->prefix, sizeof requests->prefix, "_INBOX.");
    for (size_t i = 0; i < sizeof random; i++, len += 2) {
        snprintf(requests->prefix + len, 3, "%02x", random[i]);
    }
    memcpy(requests->prefix + len, ".", 2);
    pthread_mutex_init(&requests->lock, NULL);
    kj__condition_init(&requests->changed);
    kj__map_init(&requests->open);
    kj__list_init(&requests->deadlines);
    kj__list_init(&requests->settled);
}

/* Has an open request told; lock held. */
static void settle(struct kj__requests *requests, struct kj__request *request,
                   enum kj_status status, struct kj_publication *reply)
{
    request->status = status;
    request->reply = reply;
    kj__list_unlink(&request->node);
    kj__list_append(&requests->settled, &request->node);
    pthread_cond_signal(&requests->changed);
}

static void count_end(struct kj__requests *requests, enum kj_status status)
{
    switch (status) {
    case KJ_OK:
        COUNT(requests, answered);
        break;
    case KJ_ETIMEOUT:
        COUNT(requests, timed_out);
        break;
    case KJ_ENOTFOUND:
        COUNT(requests, unheard);
        break;
    case KJ_EPARSE:
        COUNT(requests, misanswered);
        break;
    default:
        COUNT(requests, abandoned);
        break;
    }
}

/* Calls the handler of the request settled first; lock held, released meanwhile. */
static void tell_first(struct kj__requests *requests)
{
    struct kj__request *request = request_of(requests->settled.next);
    kj__list_unlink(&request->node);
    pthread_mutex_unlock(&requests->lock);
    count_end(requests, request->status);
    request->options.on_reply(request->status, request->reply, request->options.ctx);
    kj_publication_unref(request->reply);
    free(request);
    pthread_mutex_lock(&requests->lock);
    requests->alive--;
}

/* Settles those whose time is over; lock held. */
static void expire(struct kj__requests *requests)
{
    uint64_t now = kj__clock_monotonic_ms();
    while (!kj__list_is_empty(&requests->deadlines)) {
        struct kj__request *soonest = request_of(requests->deadlines.next);
        if (soonest->deadline_ms > now) {
            return;
        }
        kj__map_remove(&requests->open, soonest->address);
        settle(requests, soonest, KJ_ETIMEOUT, NULL);
    }
}

/* Lock held. */
static void wait_for_work(struct kj__requests *requests)
{
    if (kj__list_is_empty(&requests->deadlines)) {
        pthread_cond_wait(&requests->changed, &requests->lock);
    } else {
        kj__condition_wait_until(&requests->changed, &requests->lock,
                                 request_of(requests->deadlines.next)->deadline_ms);
    }
}

static void *run(void *arg)
{
    struct kj__requests *requests = arg;
    pthread_mutex_lock(&requests->lock);
    for (;;) {
        expire(requests);
        if (!kj__list_is_empty(&requests->settled)) {
            tell_first(requests);
        } else if (requests->stopping && requests->alive == 0) {
            break;
        } else {
            wait_for_work(requests);
        }
    }
    pthread_mutex_unlock(&requests->lock);
    return NULL;
}

void kj__requests_close(struct kj__requests *requests)
{
    pthread_mutex_lock(&requests->lock);
    requests->closed = true;
    kj__map_fini(&requests->open, NULL);
    kj__map_init(&requests->open);
    while (!kj__list_is_empty(&requests->deadlines)) {
        settle(requests, request_of(requests->deadlines.next), KJ_ECLOSED, NULL);
    }
    pthread_mutex_unlock(&requests->lock);
}

void kj__requests_stop(struct kj__requests *requests)
{
    pthread_mutex_lock(&requests->lock);
    bool must_join = requests->started && !requests->stopping;
    requests->stopping = true;
    pthread_cond_signal(&requests->changed);
    pthread_mutex_unlock(&requests->lock);
    if (must_join) {
        pthread_join(requests->thread, NULL);
    }
}

void kj__requests_fini(struct kj__requests *requests)
{
    kj__map_fini(&requests->open, NULL);
    pthread_cond_destroy(&requests->changed);
    pthread_mutex_destroy(&requests->lock);
}

/* Most have the same timeout, so the place is mostly the last; lock held. */
static void insert_by_deadline(struct kj__requests *requests, struct kj__request *request)
{
    struct kj__list *before = requests->deadlines.prev;
    while (before != &requests->deadlines &&
           request_of(before)->deadline_ms > request->deadline_ms) {
        before = before->prev;
    }
    kj__list_append(before->next, &request->node);
}

/* Lock held. */
static enum kj_status check_room(struct kj__requests *requests)
{
    if (requests->closed) {
        return KJ_ECLOSED;
    }
    if (requests->alive >= requests->limit) {
        return KJ_EFULL;
    }
    if (!requests->started) {
        requests->started = kj__thread_start(&requests->thread, "kj-requests", run, requests);
    }
    return requests->started ? KJ_OK : KJ_ENOMEM;
}

enum kj_status kj__requests_open(struct kj__requests *requests,
                                 const struct kj_request_options *options,
                                 char address[KJ__REQUEST_ADDRESS_SIZE])
{
    uint32_t timeout_ms = options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
    struct kj__request *request = calloc(1, sizeof *request);
    if (!request) {
        return KJ_ENOMEM;
    }
    request->options = *options;
    request->deadline_ms = kj__clock_monotonic_ms() + timeout_ms;
    pthread_mutex_lock(&requests->lock);
    enum kj_status status = check_room(requests);
    if (!status) {
        snprintf(address, KJ__REQUEST_ADDRESS_SIZE, "%s%" PRIu64, requests->prefix,
                 ++requests->last_number);
        memcpy(request->address, address, KJ__REQUEST_ADDRESS_SIZE);
        status = kj__map_put(&requests->open, address, request, NULL) ? KJ_OK : KJ_ENOMEM;
    }
    if (!status) {
        insert_by_deadline(requests, request);
        requests->alive++;
        COUNT(requests, requests);
        pthread_cond_signal(&requests->changed);
    }
    pthread_mutex_unlock(&requests->lock);
    if (status) {
        free(request);
    }
    return status;
}

bool kj__requests_withdraw(struct kj__requests *requests, const char *address)
{
    pthread_mutex_lock(&requests->lock);
    struct kj__request *request = kj__map_remove(&requests->open, address);
    if (request) {
        kj__list_unlink(&request->node);
        requests->alive--;
        atomic_fetch_sub_explicit(&requests->counters.requests, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&requests->lock);
    free(request);
    return request != NULL;
}

bool kj__requests_is_open(struct kj__requests *requests, const char *address)
{
    pthread_mutex_lock(&requests->lock);
    bool is_open = kj__map_get(&requests->open, address) != NULL;
    pthread_mutex_unlock(&requests->lock);
    return is_open;
}

/* Takes the request of that address over from the deadlines; NULL, counted: nobody waits. */
static struct kj__request *take(struct kj__requests *requests, const char *address)
{
    pthread_mutex_lock(&requests->lock);
    struct kj__request *request = kj__map_remove(&requests->open, address);
    if (request) {
        kj__list_unlink(&request->node);
    }
    pthread_mutex_unlock(&requests->lock);
    if (!request) {
        COUNT(requests, late_answers);
    }
    return request;
}

static void give_back(struct kj__requests *requests, struct kj__request *request,
                      enum kj_status status, struct kj_publication *reply)
{
    pthread_mutex_lock(&requests->lock);
    settle(requests, request, status, reply);
    pthread_mutex_unlock(&requests->lock);
}

void kj__requests_answer(struct kj__requests *requests, const char *address, const uint8_t *bytes,
                         size_t len)
{
    struct kj__request *request = take(requests, address);
    if (!request) {
        return;
    }
    struct kj_publication *reply = NULL;
    enum kj_status status = KJ_OK;
    if (request->options.mode == KJ_RESPONSE_ACK) {
        size_t expected = strlen(KJ__ACK);
        status = len == expected && memcmp(bytes, KJ__ACK, len) == 0 ? KJ_OK : KJ_EPARSE;
    } else {
        status = kj_publication_decode(bytes, len, address, &reply);
        status = status && status != KJ_ENOMEM ? KJ_EPARSE : status;
    }
    give_back(requests, request, status, reply);
}

void kj__requests_fail(struct kj__requests *requests, const char *address, enum kj_status status)
{
    struct kj__request *request = take(requests, address);
    if (request) {
        give_back(requests, request, status, NULL);
    }
}
