/* server_metrics.c - see server_metrics.h. */
#include "core/server_metrics.h"

#include "base/metrics.h"

#include <kujata/server.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LABEL_SIZE = 32 };

struct counter {
    const char *name, *help;
    enum kj__metric_kind kind;
    uint64_t value;
};

/* Those that core/rest/traffic.c gives with labels. */
static bool is_in_traffic(const char *name)
{
    return strcmp(name, "http_requests_total") == 0 || strcmp(name, "http_errors_5xx_total") == 0;
}

static void add_counters(const struct kj__counters *counters, struct kj__buffer *out)
{
#define READ_COUNTER(member, name, kind, help)                                                     \
    {name, help, KJ__##kind, atomic_load_explicit(&counters->member, memory_order_relaxed)},
    const struct counter all[] = {KJ__COUNTER_MAP(READ_COUNTER)};
#undef READ_COUNTER
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!is_in_traffic(all[i].name)) {
            kj__metrics_head(out, all[i].name, all[i].kind, all[i].help);
            kj__metrics_number(out, all[i].name, "", all[i].value);
        }
    }
}

static void add_connections(const struct kj__counters *counters, struct kj__buffer *out)
{
    uint64_t waiting = atomic_load_explicit(&counters->connections_waiting, memory_order_relaxed);
    uint64_t served = atomic_load_explicit(&counters->connections_served, memory_order_relaxed);
    uint64_t sessions = atomic_load_explicit(&counters->sessions, memory_order_relaxed) +
                        atomic_load_explicit(&counters->gateway_clients, memory_order_relaxed);
    kj__metrics_family(out, "tcp_connections_current", KJ__GAUGE,
                       "Connections open: waiting, with a worker, a session's or a client's.",
                       (double)(waiting + served + sessions));
}

/* A number of each shard. */
static void add_shards(struct kj__delivery *delivery, struct kj__buffer *out, const char *name,
                       const char *help, uint64_t (*read)(struct kj__shard *shard))
{
    kj__metrics_head(out, name, KJ__GAUGE, help);
    for (size_t i = 0; i < delivery->shard_count; i++) {
        char label[LABEL_SIZE];
        (void)snprintf(label, sizeof label, "shard=\"%zu\"", i);
        kj__metrics_number(out, name, label, read(&delivery->shards[i]));
    }
}

static uint64_t read_sessions(struct kj__shard *shard)
{
    return atomic_load_explicit(&shard->gauges.connections, memory_order_relaxed);
}

static uint64_t read_jobs(struct kj__shard *shard)
{
    return kj__queue_count(&shard->inbox);
}

static uint64_t read_queue_bytes(struct kj__shard *shard)
{
    return atomic_load_explicit(&shard->gauges.queue_bytes, memory_order_relaxed);
}

static uint64_t read_queue_messages(struct kj__shard *shard)
{
    return atomic_load_explicit(&shard->gauges.queue_messages, memory_order_relaxed);
}

static void add_other(const char *name, const char *help, uint64_t value, void *out)
{
    static const char counted[] = "_total";
    size_t len = strlen(name);
    size_t tail = sizeof counted - 1;
    bool is_counter = len > tail && strcmp(name + len - tail, counted) == 0;
    kj__metrics_family(out, name, is_counter ? KJ__COUNTER : KJ__GAUGE, help, (double)value);
}

/* What the backend counts, which keeps its numbers by itself. */
static void read_backend(struct kj_pubsub *pubsub, kj_counter_visit visit, void *ctx)
{
    struct kj_pubsub_stats stats;
    kj_pubsub_stats(pubsub, &stats);
    const struct backend_counter {
        const char *name, *help;
        uint64_t value;
    } all[] = {
        {"pubsub_published_total", "Publications and requests the backend accepted.",
         stats.published},
        {"pubsub_refused_total", "Publications the backend's full queue refused.", stats.refused},
        {"pubsub_failed_total", "Publications accepted that the broker would not take.",
         stats.failed},
        {"pubsub_delivered_total", "Publications given to a subscription's handler.",
         stats.delivered},
        {"pubsub_dropped_total", "Publications lost at a full subscription.", stats.dropped},
        {"pubsub_discarded_total",
         "Publications still waiting when their subscription or the backend ended.",
         stats.discarded},
        {"pubsub_undecodable_total", "Messages on our topics that are no publications.",
         stats.undecodable},
        {"pubsub_disconnects_total", "Times the link to the broker broke.", stats.disconnects},
        {"pubsub_requests_total", "Requests accepted.", stats.requests},
        {"pubsub_answered_total", "Requests that were answered.", stats.answered},
        {"pubsub_timed_out_total", "Requests without an answer in time.", stats.timed_out},
        {"pubsub_unheard_total", "Requests that nobody listened for.", stats.unheard},
        {"pubsub_misanswered_total", "Requests whose answer could not be read.", stats.misanswered},
        {"pubsub_abandoned_total", "Requests that the backend's end, or the broker, cut off.",
         stats.abandoned},
        {"pubsub_late_answers_total", "Answers that nobody waited for any more.",
         stats.late_answers},
        {"pubsub_replies_total", "Answers sent.", stats.replies},
        {"pubsub_unanswered_total", "Requests of others whose handler gave no answer in time.",
         stats.unanswered},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        visit(all[i].name, all[i].help, all[i].value, ctx);
    }
}

/* Everything that is not in kj__counters. */
static void read_others(struct kj__server_numbers numbers, kj_counter_visit visit, void *ctx)
{
    if (numbers.pubsub) {
        read_backend(numbers.pubsub, visit, ctx);
    }
    if (numbers.source->read) {
        numbers.source->read(numbers.source->ctx, visit, ctx);
    }
}

void kj__server_metrics(struct kj__server_numbers numbers, struct kj__traffic *traffic,
                        struct kj__delivery *delivery, struct kj__buffer *out)
{
    kj__traffic_metrics(traffic, out);
    add_counters(numbers.counters, out);
    add_connections(numbers.counters, out);
    if (delivery) {
        add_shards(delivery, out, "shard_sessions_current",
                   "Sessions of a shard, those in their handshake included.", read_sessions);
        add_shards(delivery, out, "shard_jobs_current", "Jobs waiting for a shard.", read_jobs);
        add_shards(delivery, out, "shard_queue_bytes_current",
                   "Bytes that wait for the sockets of a shard's sessions.", read_queue_bytes);
        add_shards(delivery, out, "shard_queue_messages_current",
                   "Frames that wait for the sockets of a shard's sessions.", read_queue_messages);
        kj__dispatch_metrics(&delivery->dispatch, out);
    }
    read_others(numbers, add_other, out);
    kj__metrics_process(out);
}

/* ---- one by one ---- */

struct counter_visit {
    void (*visit)(const char *name, uint64_t value, void *ctx);
    void *ctx;
};

/* Help is for /metrics alone. */
static void visit_other(const char *name, const char *help, uint64_t value, void *ctx)
{
    (void)help;
    const struct counter_visit *other = ctx;
    other->visit(name, value, other->ctx);
}

void kj__server_counters_visit(struct kj__server_numbers numbers,
                               void (*visit)(const char *name, uint64_t value, void *ctx),
                               void *ctx)
{
    const struct kj__counters *counters = numbers.counters;
#define VISIT_COUNTER(member, name, kind, help)                                                    \
    visit(name, atomic_load_explicit(&counters->member, memory_order_relaxed), ctx);
    KJ__COUNTER_MAP(VISIT_COUNTER)
#undef VISIT_COUNTER
    read_others(numbers, visit_other, &(struct counter_visit){visit, ctx});
}

struct wanted_counter {
    const char *name;
    uint64_t value;
};

static void pick_counter(const char *name, uint64_t value, void *ctx)
{
    struct wanted_counter *wanted = ctx;
    if (strcmp(name, wanted->name) == 0) {
        wanted->value = value;
    }
}

uint64_t kj__server_counters_find(struct kj__server_numbers numbers, const char *name)
{
    struct wanted_counter wanted = {.name = name};
    kj__server_counters_visit(numbers, pick_counter, &wanted);
    return wanted.value;
}
