/* idempotency.c - see idempotency.h. */
#include "rest/idempotency.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A request that runs, or the answer to one. */
struct entry {
    struct kj__list by_age; /* in kept, once there is an answer */
    uint8_t request[KJ__IDEMPOTENCY_DIGEST_SIZE];
    bool is_running, is_firm;
    uint64_t expires_ms;
    int status;
    struct kj__packed_fields *headers;
    uint8_t *body;
    size_t body_len;
    size_t size; /* of all of it */
    char key[];
};

void kj__idempotency_init(struct kj__idempotency *store, struct kj__counters *counters)
{
    *store = (struct kj__idempotency){.counters = counters};
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->finished, &attributes);
    pthread_condattr_destroy(&attributes);
    kj__map_init(&store->entries);
    kj__list_init(&store->kept);
}

static void entry_free(void *value)
{
    struct entry *entry = value;
    free(entry->headers);
    free(entry->body);
    free(entry);
}

void kj__idempotency_fini(struct kj__idempotency *store)
{
    kj__map_fini(&store->entries, entry_free);
    pthread_cond_destroy(&store->finished);
    pthread_mutex_destroy(&store->lock);
}

/* ---- with the lock held ---- */

static void put_gauges(const struct kj__idempotency *store)
{
    struct kj__counters *counters = store->counters;
    atomic_store_explicit(&counters->idempotency_answers, store->kept_count, memory_order_relaxed);
    atomic_store_explicit(&counters->idempotency_bytes, store->kept_bytes, memory_order_relaxed);
}

static void drop(struct kj__idempotency *store, struct entry *entry)
{
    if (!entry->is_running) {
        kj__list_unlink(&entry->by_age);
        store->kept_count--;
        store->kept_bytes -= entry->size;
        put_gauges(store);
    }
    (void)kj__map_remove(&store->entries, entry->key);
    entry_free(entry);
}

static struct entry *oldest(const struct kj__idempotency *store)
{
    return kj__list_is_empty(&store->kept)
               ? NULL
               : KJ__CONTAINER_OF(store->kept.next, struct entry, by_age);
}

static void drop_expired(struct kj__idempotency *store)
{
    uint64_t now = kj__clock_monotonic_ms();
    for (struct entry *entry = oldest(store); entry && entry->expires_ms <= now;
         entry = oldest(store)) {
        drop(store, entry);
    }
}

/* How many. */
static size_t drop_surplus(struct kj__idempotency *store)
{
    size_t count = 0;
    while (store->kept_count > store->limits.answers || store->kept_bytes > store->limits.bytes) {
        drop(store, oldest(store));
        count++;
    }
    return count;
}

static enum kj__idempotency_verdict add_running(struct kj__idempotency *store,
                                                const struct kj__idempotency_id *id)
{
    size_t key_size = strlen(id->key) + 1;
    struct entry *entry = calloc(1, sizeof *entry + key_size);
    if (!entry || !kj__map_put(&store->entries, id->key, entry, NULL)) {
        free(entry);
        return KJ__IDEMPOTENCY_NO_MEMORY;
    }
    kj__list_init(&entry->by_age);
    entry->is_running = true;
    memcpy(entry->request, id->request, sizeof entry->request);
    memcpy(entry->key, id->key, key_size);
    return KJ__IDEMPOTENCY_RUN;
}

static enum kj__idempotency_verdict replay(const struct kj__idempotency *store,
                                           const struct entry *entry,
                                           struct kj__http_response *response)
{
    struct kj__fields headers;
    kj__packed_fields_view(entry->headers, &headers);
    response->status = entry->status;
    kj__buffer_append(&response->body, entry->body, entry->body_len);
    if (response->body.failed || !kj__fields_copy(&response->headers, &headers)) {
        return KJ__IDEMPOTENCY_NO_MEMORY;
    }
    KJ__COUNT(store->counters, idempotency_hits);
    return KJ__IDEMPOTENCY_REPLAYED;
}

/* Until a request has finished; false once that took too long, or when too many wait. The place
 * among those who wait is kept until the caller gives it back: the request that has finished may
 * be another one. */
static bool wait(struct kj__idempotency *store, uint64_t deadline_ms, bool *has_place)
{
    if (!*has_place && store->waiters >= store->limits.waiters) {
        return false;
    }
    store->waiters += !*has_place;
    *has_place = true;
    const struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                                   .tv_nsec = (long)(deadline_ms % 1000) * 1000000L};
    return pthread_cond_timedwait(&store->finished, &store->lock, &until) != ETIMEDOUT;
}

static enum kj__idempotency_verdict decide(struct kj__idempotency *store,
                                           const struct kj__idempotency_id *id,
                                           struct kj__http_response *response, bool *has_place)
{
    uint64_t deadline_ms = kj__clock_monotonic_ms() + store->limits.wait_ms;
    for (;;) {
        struct entry *entry = kj__map_get(&store->entries, id->key);
        if (!entry) {
            return add_running(store, id);
        }
        bool is_same = memcmp(entry->request, id->request, sizeof entry->request) == 0;
        if (entry->is_running) {
            if (!is_same) {
                return KJ__IDEMPOTENCY_OTHER;
            }
            if (!wait(store, deadline_ms, has_place)) {
                return KJ__IDEMPOTENCY_RUNNING;
            }
        } else if (is_same) {
            return replay(store, entry, response);
        } else if (entry->is_firm) {
            return KJ__IDEMPOTENCY_OTHER;
        } else {
            drop(store, entry);
        }
    }
}

/* ---- without it ---- */

enum kj__idempotency_verdict kj__idempotency_begin(struct kj__idempotency *store,
                                                   const struct kj__idempotency_id *id,
                                                   struct kj__http_response *response)
{
    pthread_mutex_lock(&store->lock);
    bool has_place = false;
    drop_expired(store);
    enum kj__idempotency_verdict verdict = decide(store, id, response, &has_place);
    store->waiters -= has_place;
    pthread_mutex_unlock(&store->lock);
    if (verdict == KJ__IDEMPOTENCY_OTHER || verdict == KJ__IDEMPOTENCY_RUNNING) {
        KJ__COUNT(store->counters, idempotency_conflicts);
    }
    return verdict;
}

/* A copy of an answer, to be moved into its entry. */
struct copy {
    struct kj__packed_fields *headers;
    uint8_t *body;
};

static bool copy_answer(struct copy *copy, const struct kj__http_response *answer)
{
    size_t len = answer->body.len;
    copy->body = malloc(len ? len : 1);
    if (!copy->body || !kj__fields_pack(&answer->headers, &copy->headers)) {
        free(copy->body);
        return false;
    }
    if (len) {
        memcpy(copy->body, answer->body.data, len);
    }
    return true;
}

static size_t size_of(const struct kj__idempotency_id *id, const struct kj__http_response *answer)
{
    /* The key is in the map's entry as well. */
    return sizeof(struct entry) + sizeof(struct kj__map_entry) + 2 * (strlen(id->key) + 1) +
           answer->headers.text.len + answer->body.len;
}

/* Lock held. How many others had to go for it. */
static size_t keep(struct kj__idempotency *store, struct entry *entry,
                   const struct kj__http_response *answer, const struct copy *copy)
{
    entry->is_running = false;
    entry->expires_ms = kj__clock_monotonic_ms() + store->limits.age_ms;
    entry->status = answer->status;
    entry->headers = copy->headers;
    entry->body = copy->body;
    entry->body_len = answer->body.len;
    kj__list_append(&store->kept, &entry->by_age);
    store->kept_count++;
    store->kept_bytes += entry->size;
    size_t dropped = drop_surplus(store);
    put_gauges(store);
    return dropped;
}

static void report_evictions(const struct kj__idempotency *store, size_t count)
{
    static struct kj__log_limit limit;
    KJ__COUNT_BY(store->counters, idempotency_evictions, count);
    kj__log_limited(&limit, KJ__LOG_WARNING, "rest",
                    "answers to Idempotency-Keys are dropped before their time: raise "
                    "idempotency_answers (%u) or idempotency_bytes (%u), or lower "
                    "idempotency_age_ms (%u)",
                    store->limits.answers, store->limits.bytes, store->limits.age_ms);
}

void kj__idempotency_finish(struct kj__idempotency *store, const struct kj__idempotency_id *id,
                            const struct kj__http_response *answer, bool is_firm)
{
    struct copy copy = {0};
    /* One that does not fit would only push out all the others. */
    size_t size = answer ? size_of(id, answer) : 0;
    bool fits = answer && size <= store->limits.bytes;
    bool is_kept = fits && copy_answer(&copy, answer);
    size_t evictions = answer && !is_kept;
    pthread_mutex_lock(&store->lock);
    struct entry *entry = kj__map_get(&store->entries, id->key);
    entry->is_firm = is_firm;
    entry->size = size;
    if (is_kept) {
        evictions = keep(store, entry, answer, &copy);
    } else {
        drop(store, entry);
    }
    pthread_cond_broadcast(&store->finished);
    pthread_mutex_unlock(&store->lock);
    if (evictions) {
        report_evictions(store, evictions);
    }
}
