/* workers.c - see workers.h. */
#include "gateway/workers.h"

#include "base/log.h"
#include "gateway/client.h"
#include "gateway/gateway.h"

#include <stdlib.h>

struct kj__work {
    struct kj__job job;
    struct kj_client *client; /* a reference */
    struct kj_work work;
};

static void work_free(struct kj__work *work)
{
    if (work->work.release) {
        work->work.release(work->work.item);
    }
    kj_client_unref(work->client);
    free(work);
}

static void run_done(struct kj__job *job, struct kj__shard *shard)
{
    (void)shard;
    struct kj__work *work = (struct kj__work *)job;
    work->work.done(work->client, work->work.item);
    work_free(work);
}

static void *run_works(void *argument)
{
    struct kj__worker *worker = argument;
    void *item;
    while (kj__queue_take_wait(&worker->waiting, &item, 1) == 1) {
        struct kj__work *work = item;
        work->work.run(work->work.item);
        work->job.run = run_done;
        if (!work->work.done ||
            !kj__shard_post(work->client->session.connection.shard, &work->job)) {
            work_free(work);
        }
    }
    return NULL;
}

enum kj_status kj__workers_init(struct kj__workers *workers, size_t count,
                                struct kj__counters *counters)
{
    *workers = (struct kj__workers){.counters = counters};
    workers->items = calloc(count, sizeof *workers->items);
    if (!workers->items) {
        return KJ_ENOMEM;
    }
    for (; workers->count < count; workers->count++) {
        kj__queue_init(&workers->items[workers->count].waiting, KJ__WORKS_MAX);
    }
    return KJ_OK;
}

enum kj_status kj__workers_start(struct kj__workers *workers)
{
    for (; workers->started < workers->count; workers->started++) {
        struct kj__worker *worker = &workers->items[workers->started];
        if (pthread_create(&worker->thread, NULL, run_works, worker) != 0) {
            return KJ_ENOMEM;
        }
    }
    return KJ_OK;
}

void kj__workers_stop(struct kj__workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        void *item;
        kj__queue_close(&workers->items[i].waiting);
        while (kj__queue_take(&workers->items[i].waiting, &item, 1) == 1) {
            work_free(item);
        }
    }
    for (; workers->started > 0; workers->started--) {
        pthread_join(workers->items[workers->started - 1].thread, NULL);
    }
}

void kj__workers_fini(struct kj__workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        kj__queue_fini(&workers->items[i].waiting);
    }
    free(workers->items);
}

static enum kj_status give(struct kj__workers *workers, struct kj_client *client,
                           const struct kj_work *work)
{
    static struct kj__log_limit limit;
    struct kj__work *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    made->client = kj_client_ref(client);
    made->work = *work;
    enum kj_status status = KJ_OK;
    switch (kj__queue_push(&workers->items[client->id % workers->count].waiting, made, NULL)) {
    case KJ__QUEUE_PUSHED:
        return KJ_OK;
    case KJ__QUEUE_FULL:
        KJ__COUNT(workers->counters, gateway_works_refused);
        kj__log_limited(&limit, KJ__LOG_WARNING, "gateway",
                        "too much waits for the threads that may wait: see gateway_threads "
                        "(--gateway-threads)");
        status = KJ_EFULL;
        break;
    case KJ__QUEUE_CLOSED:
        status = KJ_ECLOSED;
        break;
    default:
        status = KJ_ENOMEM;
        break;
    }
    kj_client_unref(client);
    free(made);
    return status;
}

enum kj_status kj_client_work(struct kj_client *client, const struct kj_work *work)
{
    return give(&client->mount->gateway->workers, client, work);
}

enum kj_status kj_client_work_outside(struct kj_client *client, const struct kj_work *work)
{
    return give(&client->mount->gateway->outside, client, work);
}
