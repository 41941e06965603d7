/* report.c - what a run came to, as text or as JSON. */
#include "bench/bench.h"

#include <inttypes.h>
#include <jansson.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The workers together. */
struct totals {
    uint64_t opened, failed, closed, stalled;
    uint64_t deliveries, duplicates, disordered, unexpected, broken, bytes, lost;
    double client_cpu_s, busiest_cpu_s; /* of all processes; of the one that took most */
    const char *fault;
    struct histogram latency, complete;
};

static const struct {
    const char *name;
    double share;
} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};

enum { QUANTILE_COUNT = sizeof quantiles / sizeof *quantiles };

static void sum_up(const struct bench_settings *settings, const struct bench_shared *shared,
                   const struct bench_result *result, struct totals *totals)
{
    memset(totals, 0, sizeof *totals);
    totals->fault = result->fault;
    totals->client_cpu_s = totals->busiest_cpu_s = result->publisher_cpu_s;
    for (uint32_t i = 0; i < settings->processes; i++) {
        const struct bench_worker_stats *stats = &shared->workers[i];
        totals->opened += atomic_load(&stats->opened);
        totals->failed += atomic_load(&stats->failed);
        totals->deliveries += atomic_load(&stats->deliveries);
        totals->closed += stats->closed;
        totals->stalled += stats->stalled;
        totals->duplicates += stats->duplicates;
        totals->disordered += stats->disordered;
        totals->unexpected += stats->unexpected;
        totals->broken += stats->broken;
        totals->bytes += stats->bytes;
        double cpu_s = (double)atomic_load(&stats->cpu_ns) / NS_PER_S;
        totals->client_cpu_s += cpu_s;
        totals->busiest_cpu_s = cpu_s > totals->busiest_cpu_s ? cpu_s : totals->busiest_cpu_s;
        totals->fault = *totals->fault ? totals->fault : stats->fault;
        histogram_merge(&totals->latency, &stats->latency);
        histogram_merge(&totals->complete, &stats->complete);
    }
    totals->lost = result->expected > totals->deliveries ? result->expected - totals->deliveries
                                                         : 0;
}

static double ratio(double value, double by)
{
    return by > 0 ? value / by : 0;
}

/* ---- notes: what to mind while reading the figures ---- */

enum { NOTES_MAX = 5, NOTE_SIZE = 160 };

struct notes {
    char texts[NOTES_MAX][NOTE_SIZE];
    size_t count;
};

__attribute__((format(printf, 2, 3))) static void add_note(struct notes *notes, const char *format,
                                                           ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(notes->texts[notes->count++], NOTE_SIZE, format, arguments);
    va_end(arguments);
}

/* How many CPUs this process may use. */
static double own_cpus(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

static void collect_notes(const struct bench_settings *s, const struct totals *t,
                          const struct bench_result *r, struct notes *notes)
{
    double rate = ratio((double)r->published, r->measure_s);
    notes->count = 0;
    if (s->rate && r->planned > 0 && rate < s->rate * 0.95) {
        add_note(notes, "published %.1f events a second where --rate asks for %" PRIu32, rate,
                 s->rate);
    }
    if (s->publish && t->complete.count < r->published && t->lost == 0 && r->expected > 0) {
        add_note(notes,
                 "%" PRIu64 " of %" PRIu64 " events are not in \"to all\": too many were under way",
                 r->published - t->complete.count, r->published);
    }
    if (r->measure_s > 0 && (t->client_cpu_s > 0.9 * r->measure_s * own_cpus() ||
                             t->busiest_cpu_s > 0.9 * r->measure_s)) {
        add_note(notes, "a core of the client is used up: latency and deliveries a second are as "
                        "much its own as the server's");
    }
    if (s->server_pids.count && !(r->before.is_known && r->connected.is_known)) {
        add_note(notes, "the memory of --server-pid cannot be read: another user's, or gone");
    }
}

/* ---- JSON ---- */

/* null where there is nothing to divide, or by. */
static json_t *per(bool is_known, double value, double by)
{
    return is_known && by > 0 ? json_real(value / by) : json_null();
}

static json_t *bytes(const struct bench_memory *memory, uint64_t value)
{
    return memory->is_known ? json_integer((json_int_t)value) : json_null();
}

static json_t *growth(const struct bench_memory *from, const struct bench_memory *to,
                      uint64_t before, uint64_t after, uint64_t sessions)
{
    return per(from->is_known && to->is_known, (double)after - (double)before, (double)sessions);
}

static json_t *milliseconds(const struct histogram *histogram)
{
    json_t *object = json_object();
    for (size_t i = 0; i < QUANTILE_COUNT; i++) {
        double ns = (double)histogram_quantile(histogram, quantiles[i].share);
        json_object_set_new(object, quantiles[i].name,
                            per(histogram->count > 0, ns, (double)NS_PER_MS));
    }
    json_object_set_new(object, "max",
                        per(histogram->count > 0, (double)histogram->maximum, (double)NS_PER_MS));
    json_object_set_new(object, "count", json_integer((json_int_t)histogram->count));
    return object;
}

static json_t *describe_sessions(const struct totals *t, const struct bench_result *r)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:f, s:f}", "opened", (json_int_t)t->opened, "failed",
                     (json_int_t)t->failed, "closed", (json_int_t)t->closed, "stalled",
                     (json_int_t)t->stalled, "connect_s", r->connect_s, "connects_per_s",
                     ratio((double)t->opened, r->connect_s));
}

static json_t *describe_deliveries(const struct totals *t, const struct bench_result *r)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:o}",
        "planned", (json_int_t)r->planned, "published", (json_int_t)r->published, "expected",
        (json_int_t)r->expected, "received", (json_int_t)t->deliveries, "lost", (json_int_t)t->lost,
        "duplicates", (json_int_t)t->duplicates, "disordered", (json_int_t)t->disordered,
        "unexpected", (json_int_t)t->unexpected, "broken", (json_int_t)t->broken, "publish_errors",
        (json_int_t)r->publish_errors, "window_timeouts", (json_int_t)r->window_timeouts, "seconds",
        r->measure_s, "per_s", ratio((double)t->deliveries, r->measure_s), "publish_late_ms",
        (double)r->late_ns / NS_PER_MS, "client_cores", ratio(t->client_cpu_s, r->measure_s),
        "bytes_per_delivery", per(true, (double)t->bytes, (double)t->deliveries));
}

static json_t *describe_cpu(const struct totals *t, const struct bench_result *r)
{
    const struct bench_cpu *load = &r->load_cpu;
    const struct bench_cpu *connect = &r->connect_cpu;
    double deliveries = (double)t->deliveries;
    double opened = (double)t->opened;
    bool is_split = load->is_known && load->user_s + load->system_s > 0;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "cpu_us_per_delivery",
                     per(load->is_known, load->total_s * 1e6, deliveries), "user_us_per_delivery",
                     per(is_split, load->user_s * 1e6, deliveries), "system_us_per_delivery",
                     per(is_split, load->system_s * 1e6, deliveries), "cpu_us_per_event",
                     per(load->is_known, load->total_s * 1e6, (double)r->published),
                     "cpu_us_per_connect", per(connect->is_known, connect->total_s * 1e6, opened),
                     "user_us_per_connect",
                     per(connect->is_known && connect->user_s + connect->system_s > 0,
                         connect->user_s * 1e6, opened));
}

static json_t *describe_memory(const struct totals *t, const struct bench_result *r)
{
    const struct bench_memory *before = &r->before;
    const struct bench_memory *connected = &r->connected;
    const struct bench_memory *after = &r->after;
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "pss_before", bytes(before, before->pss),
        "pss_connected", bytes(connected, connected->pss), "pss_after", bytes(after, after->pss),
        "rss_before", bytes(before, before->rss), "rss_connected", bytes(connected, connected->rss),
        "pss_per_session", growth(before, connected, before->pss, connected->pss, t->opened),
        "rss_per_session", growth(before, connected, before->rss, connected->rss, t->opened),
        "pss_per_session_after", growth(before, after, before->pss, after->pss, t->opened));
}

static void print_json(const struct bench_settings *settings, const struct totals *totals,
                       const struct bench_result *result, const struct notes *notes)
{
    json_t *texts = json_array();
    for (size_t i = 0; i < notes->count; i++) {
        json_array_append_new(texts, json_string(notes->texts[i]));
    }
    json_t *report = json_pack(
        "{s:o, s:o, s:s, s:o, s:o, s:s, s:o}", "sessions", describe_sessions(totals, result),
        "deliveries", describe_deliveries(totals, result), "latency_from",
        settings->rate ? "planned" : "published", "latency_ms", milliseconds(&totals->latency),
        "complete_ms", milliseconds(&totals->complete), "fault", totals->fault, "notes", texts);
    if (report && settings->server_pids.count) {
        json_t *server = describe_cpu(totals, result);
        json_object_update_new(server, describe_memory(totals, result));
        json_object_set_new(report, "server", server);
    }
    json_dumpf(report, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(report);
}

/* ---- text ---- */

static void print_latency(const char *name, const struct histogram *histogram)
{
    printf("%s", name);
    for (size_t i = 0; i < QUANTILE_COUNT && histogram->count > 0; i++) {
        double ns = (double)histogram_quantile(histogram, quantiles[i].share);
        printf("  %s %.3f ms", quantiles[i].name, ns / NS_PER_MS);
    }
    if (histogram->count > 0) {
        printf("  max %.3f ms\n", (double)histogram->maximum / NS_PER_MS);
    } else {
        printf("  none\n");
    }
}

static void print_load(const struct bench_settings *settings, const struct totals *t,
                       const struct bench_result *r)
{
    printf("events      %" PRIu64 " published in %.3f s, %.1f a second", r->published, r->measure_s,
           ratio((double)r->published, r->measure_s));
    if (settings->rate) {
        printf("; %" PRIu64 " were planned, the latest went %.3f ms late", r->planned,
               (double)r->late_ns / NS_PER_MS);
    }
    printf("\ndeliveries  %" PRIu64
           ", %.0f a second, %.0f bytes each; the client took %.2f cores\n",
           t->deliveries, ratio((double)t->deliveries, r->measure_s),
           ratio((double)t->bytes, (double)t->deliveries), ratio(t->client_cpu_s, r->measure_s));
    print_latency("latency   ", &t->latency);
    print_latency("to all    ", &t->complete);
    printf("            from the time an event was %s\n",
           settings->rate ? "planned for" : "published at");
    printf("faults      %" PRIu64 " lost, %" PRIu64 " twice, %" PRIu64 " out of order, "
           "%" PRIu64 " not asked for, %" PRIu64 " broken streams, %" PRIu64
           " publishing errors, %" PRIu64 " timeouts\n",
           t->lost, t->duplicates, t->disordered, t->unexpected, t->broken, r->publish_errors,
           r->window_timeouts);
}

static void print_load_cpu(const struct bench_cpu *cpu, const char *of, uint64_t count)
{
    double us = 1e6 / (double)count;
    printf("server      %.2f us CPU %s", cpu->total_s * us, of);
    if (cpu->user_s + cpu->system_s > 0) {
        printf(" (user %.2f, system %.2f)", cpu->user_s * us, cpu->system_s * us);
    }
    printf("\n");
}

static void print_server(const struct totals *t, const struct bench_result *r)
{
    double opened = (double)t->opened;
    if (r->load_cpu.is_known && t->deliveries) {
        print_load_cpu(&r->load_cpu, "a delivery", t->deliveries);
    } else if (r->load_cpu.is_known && r->published) {
        print_load_cpu(&r->load_cpu, "an event", r->published);
    }
    if (r->connect_cpu.is_known && t->opened) {
        printf("server      %.1f us CPU a connect\n", r->connect_cpu.total_s * 1e6 / opened);
    }
    if (r->before.is_known && r->connected.is_known && t->opened) {
        printf("server      %.0f B (PSS) a session",
               ((double)r->connected.pss - (double)r->before.pss) / opened);
        if (r->after.is_known && r->published) {
            printf(", %.0f B after the load",
                   ((double)r->after.pss - (double)r->before.pss) / opened);
        }
        printf("\n");
    }
}

static void print_text(const struct bench_settings *settings, const struct totals *t,
                       const struct bench_result *r, const struct notes *notes)
{
    printf("sessions    %" PRIu64 " opened, %" PRIu64 " failed, %" PRIu64 " ended by the server, "
           "%" PRIu64 " stalled\n",
           t->opened, t->failed, t->closed, t->stalled);
    printf("connecting  %.3f s, %.0f a second\n", r->connect_s,
           ratio((double)t->opened, r->connect_s));
    if (t->deliveries || r->published) {
        print_load(settings, t, r);
    }
    if (settings->server_pids.count) {
        print_server(t, r);
    }
    for (size_t i = 0; i < notes->count; i++) {
        printf("note        %s\n", notes->texts[i]);
    }
    if (*t->fault) {
        printf("first fault %s\n", t->fault);
    }
}

void bench_report(const struct bench_settings *settings, const struct bench_shared *shared,
                  const struct bench_result *result)
{
    static struct totals totals; /* too large for the stack */
    struct notes notes;
    sum_up(settings, shared, result, &totals);
    collect_notes(settings, &totals, result, &notes);
    if (settings->json) {
        print_json(settings, &totals, result, &notes);
    } else {
        print_text(settings, &totals, result, &notes);
    }
    fflush(stdout);
}

bool bench_is_clean(const struct bench_settings *settings, const struct bench_shared *shared,
                    const struct bench_result *result)
{
    static struct totals totals;
    sum_up(settings, shared, result, &totals);
    return totals.opened == settings->sessions && totals.failed == 0 && totals.closed == 0 &&
           totals.lost == 0 && totals.duplicates == 0 && totals.disordered == 0 &&
           totals.unexpected == 0 && totals.broken == 0 && *totals.fault == '\0' &&
           result->publish_errors == 0 && result->window_timeouts == 0;
}
