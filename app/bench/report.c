/* report.c - what a run came to, as text or as JSON. */
#include "bench/bench.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* The workers together. */
struct totals {
    uint64_t opened, failed, closed, stalled;
    uint64_t deliveries, duplicates, disordered, unexpected, broken, bytes, lost;
    double client_cpu_s;
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
        totals->client_cpu_s += (double)stats->cpu_ns / NS_PER_S;
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

static double per_session(uint64_t after, uint64_t before, uint64_t sessions)
{
    return ratio((double)after - (double)before, (double)sessions);
}

/* ---- JSON ---- */

static json_t *milliseconds(const struct histogram *histogram)
{
    json_t *object = json_object();
    for (size_t i = 0; i < QUANTILE_COUNT; i++) {
        double ns = (double)histogram_quantile(histogram, quantiles[i].share);
        json_object_set_new(object, quantiles[i].name, json_real(ns / NS_PER_MS));
    }
    json_object_set_new(object, "max", json_real((double)histogram->maximum / NS_PER_MS));
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
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "published",
        (json_int_t)r->published, "expected", (json_int_t)r->expected, "received",
        (json_int_t)t->deliveries, "lost", (json_int_t)t->lost, "duplicates",
        (json_int_t)t->duplicates, "disordered", (json_int_t)t->disordered, "unexpected",
        (json_int_t)t->unexpected, "broken", (json_int_t)t->broken, "publish_errors",
        (json_int_t)r->publish_errors, "window_timeouts", (json_int_t)r->window_timeouts, "seconds",
        r->measure_s, "per_s", ratio((double)t->deliveries, r->measure_s), "publish_late_ms",
        (double)r->late_ns / NS_PER_MS, "client_cores", ratio(t->client_cpu_s, r->measure_s));
}

static json_t *describe_server(const struct totals *t, const struct bench_result *r)
{
    double deliveries = (double)t->deliveries;
    double opened = (double)t->opened;
    return json_pack(
        "{s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "cpu_us_per_delivery",
        ratio((r->user_s + r->system_s) * 1e6, deliveries), "user_us_per_delivery",
        ratio(r->user_s * 1e6, deliveries), "system_us_per_delivery",
        ratio(r->system_s * 1e6, deliveries), "cpu_us_per_connect",
        ratio((r->connect_user_s + r->connect_system_s) * 1e6, opened), "user_us_per_connect",
        ratio(r->connect_user_s * 1e6, opened), "pss_before", (json_int_t)r->pss_before,
        "pss_connected", (json_int_t)r->pss_connected, "pss_after", (json_int_t)r->pss_after,
        "rss_before", (json_int_t)r->rss_before, "rss_connected", (json_int_t)r->rss_connected,
        "pss_per_session", per_session(r->pss_connected, r->pss_before, t->opened),
        "rss_per_session", per_session(r->rss_connected, r->rss_before, t->opened),
        "pss_per_session_after", per_session(r->pss_after, r->pss_before, t->opened));
}

static void print_json(const struct bench_settings *settings, const struct totals *totals,
                       const struct bench_result *result)
{
    json_t *report = json_pack(
        "{s:o, s:o, s:o, s:o, s:s}", "sessions", describe_sessions(totals, result), "deliveries",
        describe_deliveries(totals, result), "latency_ms", milliseconds(&totals->latency),
        "complete_ms", milliseconds(&totals->complete), "fault", totals->fault);
    if (report && settings->server_pids.count) {
        json_object_set_new(report, "server", describe_server(totals, result));
    }
    json_dumpf(report, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(report);
}

/* ---- text ---- */

static void print_latency(const char *name, const struct histogram *histogram)
{
    printf("%s", name);
    for (size_t i = 0; i < QUANTILE_COUNT; i++) {
        double ns = (double)histogram_quantile(histogram, quantiles[i].share);
        printf("  %s %.3f ms", quantiles[i].name, ns / NS_PER_MS);
    }
    printf("  max %.3f ms\n", (double)histogram->maximum / NS_PER_MS);
}

static void print_server(const struct totals *t, const struct bench_result *r)
{
    double deliveries = (double)t->deliveries;
    if (t->deliveries) {
        printf("server      %.2f us CPU a delivery (user %.2f, system %.2f)\n",
               ratio((r->user_s + r->system_s) * 1e6, deliveries),
               ratio(r->user_s * 1e6, deliveries), ratio(r->system_s * 1e6, deliveries));
    }
    printf("server      %.1f us CPU a connect; %.0f B (PSS) a session, %.0f B after the load\n",
           ratio((r->connect_user_s + r->connect_system_s) * 1e6, (double)t->opened),
           per_session(r->pss_connected, r->pss_before, t->opened),
           per_session(r->pss_after, r->pss_before, t->opened));
}

static void print_text(const struct bench_settings *settings, const struct totals *t,
                       const struct bench_result *r)
{
    printf("sessions    %" PRIu64 " opened, %" PRIu64 " failed, %" PRIu64 " ended by the server, "
           "%" PRIu64 " stalled\n",
           t->opened, t->failed, t->closed, t->stalled);
    printf("connecting  %.3f s, %.0f a second\n", r->connect_s,
           ratio((double)t->opened, r->connect_s));
    if (t->deliveries || r->published) {
        printf("events      %" PRIu64 " published in %.3f s, %.1f a second, at most %.3f ms late\n",
               r->published, r->measure_s, ratio((double)r->published, r->measure_s),
               (double)r->late_ns / NS_PER_MS);
        printf("deliveries  %" PRIu64 ", %.0f a second; the client took %.2f cores\n",
               t->deliveries, ratio((double)t->deliveries, r->measure_s),
               ratio(t->client_cpu_s, r->measure_s));
        print_latency("latency   ", &t->latency);
        print_latency("to all    ", &t->complete);
        printf("faults      %" PRIu64 " lost, %" PRIu64 " twice, %" PRIu64 " out of order, "
               "%" PRIu64 " not asked for, %" PRIu64 " broken streams, %" PRIu64
               " publishing errors, %" PRIu64 " timeouts\n",
               t->lost, t->duplicates, t->disordered, t->unexpected, t->broken, r->publish_errors,
               r->window_timeouts);
    }
    if (settings->server_pids.count) {
        print_server(t, r);
    }
    if (*t->fault) {
        printf("first fault %s\n", t->fault);
    }
}

void bench_report(const struct bench_settings *settings, const struct bench_shared *shared,
                  const struct bench_result *result)
{
    static struct totals totals; /* too large for the stack */
    sum_up(settings, shared, result, &totals);
    if (settings->json) {
        print_json(settings, &totals, result);
    } else {
        print_text(settings, &totals, result);
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
