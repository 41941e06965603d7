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

static void add_foreign(const char *name, const char *help, uint64_t value, void *out)
{
    static const char counted[] = "_total";
    size_t len = strlen(name);
    size_t tail = sizeof counted - 1;
    bool is_counter = len > tail && strcmp(name + len - tail, counted) == 0;
    kj__metrics_family(out, name, is_counter ? KJ__COUNTER : KJ__GAUGE, help, (double)value);
}

void kj__server_metrics(const struct kj__server_numbers *numbers, struct kj__buffer *out)
{
    kj__traffic_metrics(numbers->traffic, out);
    add_counters(numbers->counters, out);
    add_connections(numbers->counters, out);
    if (numbers->delivery) {
        add_shards(numbers->delivery, out, "shard_sessions_current",
                   "Sessions of a shard, those in their handshake included.", read_sessions);
        add_shards(numbers->delivery, out, "shard_jobs_current", "Jobs waiting for a shard.",
                   read_jobs);
        add_shards(numbers->delivery, out, "shard_queue_bytes_current",
                   "Bytes that wait for the sockets of a shard's sessions.", read_queue_bytes);
        add_shards(numbers->delivery, out, "shard_queue_messages_current",
                   "Frames that wait for the sockets of a shard's sessions.", read_queue_messages);
        kj__dispatch_metrics(&numbers->delivery->dispatch, out);
    }
    if (numbers->source->read) {
        numbers->source->read(numbers->source->ctx, add_foreign, out);
    }
    kj__metrics_process(out);
}

/* ---- one by one ---- */

/* Help is for /metrics alone. */
static void visit_foreign(const char *name, const char *help, uint64_t value, void *ctx)
{
    (void)help;
    const struct kj__counter_visit *foreign = ctx;
    foreign->visit(name, value, foreign->ctx);
}

void kj__server_counters_visit(const struct kj__counters *counters,
                               const struct kj_counter_source *source,
                               struct kj__counter_visit *visit)
{
#define VISIT_COUNTER(member, name, kind, help)                                                    \
    visit->visit(name, atomic_load_explicit(&counters->member, memory_order_relaxed), visit->ctx);
    KJ__COUNTER_MAP(VISIT_COUNTER)
#undef VISIT_COUNTER
    if (source->read) {
        source->read(source->ctx, visit_foreign, visit);
    }
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

uint64_t kj__server_counters_find(const struct kj__counters *counters,
                                  const struct kj_counter_source *source, const char *name)
{
    struct wanted_counter wanted = {.name = name};
    kj__server_counters_visit(counters, source, &(struct kj__counter_visit){pick_counter, &wanted});
    return wanted.value;
}
