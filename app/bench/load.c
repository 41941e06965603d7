/* load.c - the load of a run: what is published when, and when all of it has arrived. */
#include "bench/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/prctl.h>

enum { PROBE_WAIT_MS = 250 }; /* the first time; twice as long each time after that */

/* ---- sums over the workers ---- */

static uint64_t count_deliveries(const struct run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->worker_count; i++) {
        sum += atomic_load(&run->shared->workers[i].deliveries);
    }
    return sum;
}

static uint64_t last_delivery_ns(const struct run *run)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < run->worker_count; i++) {
        uint64_t time_ns = atomic_load(&run->shared->workers[i].last_delivery_ns);
        last = time_ns > last ? time_ns : last;
    }
    return last;
}

static uint32_t count_expected(const struct run *run)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < run->worker_count; i++) {
        sum += atomic_load(&run->shared->workers[i].expected);
    }
    return sum;
}

/* The server has ended every session that was to hear of the events. */
static bool nobody_is_left(const struct run *run)
{
    return run->takers > 0 && count_expected(run) == 0;
}

/* ---- waiting ---- */

/* False when the time has passed, the run is interrupted or nobody is there to have the event. */
static bool wait_until_done(struct run *run, uint32_t number, uint64_t timeout_ms)
{
    uint64_t deadline = bench_now_ns() + timeout_ms * NS_PER_MS;
    while (!bench_interrupted && !nobody_is_left(run)) {
        uint32_t seen = atomic_load(&run->shared->wake);
        if (run->takers == 0 || bench_is_done(run->shared, number)) {
            return true;
        }
        uint64_t now = bench_now_ns();
        if (now >= deadline) {
            return false;
        }
        /* The end of a session wakes nobody. */
        uint64_t most_ns = 20 * POLL_MS * NS_PER_MS;
        bench_futex_wait(&run->shared->wake, seen,
                         deadline - now < most_ns ? deadline - now : most_ns);
    }
    return false;
}

/* Waits for what was published, as long as something still arrives: after an interruption too,
 * or what is on its way would pass for lost. `cpu` is read when the last arrived, so that the
 * waiting for what does not is left out. */
static void drain(struct run *run, struct bench_cpu *cpu)
{
    uint64_t before = UINT64_MAX;
    uint64_t progress_ns = bench_now_ns();
    for (;;) {
        uint32_t seen = atomic_load(&run->shared->wake);
        uint64_t deliveries = count_deliveries(run);
        uint64_t now = bench_now_ns();
        if (deliveries != before) {
            before = deliveries;
            progress_ns = now;
            *cpu = bench_read_cpu(&run->settings);
        }
        if (deliveries >= run->result.expected || nobody_is_left(run) ||
            now - progress_ns > run->settings.timeout_ms * NS_PER_MS) {
            return;
        }
        bench_futex_wait(&run->shared->wake, seen, POLL_MS * NS_PER_MS);
    }
}

/* ---- publishing ---- */

static bool publish(struct run *run, uint64_t planned_ns, bool is_measured)
{
    char fault[BENCH_FAULT_SIZE] = "";
    if (!bench_publish(run->publisher, run->next++, planned_ns, fault)) {
        run->result.publish_errors++;
        bench_set_fault(run, fault);
        return false;
    }
    run->result.published += is_measured;
    return true;
}

/* A push config is not answered: events are sent until one arrives everywhere. */
static bool probe(struct run *run)
{
    uint64_t most_ms = run->settings.timeout_ms;
    most_ms = most_ms > PROBE_WAIT_MS ? most_ms : PROBE_WAIT_MS;
    for (uint64_t wait_ms = PROBE_WAIT_MS;
         wait_ms <= most_ms && !bench_interrupted && !nobody_is_left(run); wait_ms *= 2) {
        uint32_t number = run->next;
        if (!publish(run, bench_now_ns(), false)) {
            return false;
        }
        if (wait_until_done(run, number, wait_ms)) {
            return true;
        }
    }
    bench_set_fault(run, bench_interrupted ? "interrupted before the measuring"
                         : nobody_is_left(run)
                             ? "every session ended before the measuring"
                             : "no event arrived at every session before the measuring");
    return !bench_interrupted && !nobody_is_left(run);
}

/* Events as many at a time as the window has room for. */
static void publish_closed(struct run *run, uint64_t end_ns, bool is_measured)
{
    uint32_t oldest = run->next;
    while (bench_now_ns() < end_ns) {
        for (; run->next - oldest >= run->settings.window && !bench_interrupted; oldest++) {
            bool is_done = wait_until_done(run, oldest, run->settings.timeout_ms);
            if (!is_done && is_measured && !bench_interrupted && !nobody_is_left(run)) {
                run->result.window_timeouts++;
            }
        }
        if (bench_interrupted || nobody_is_left(run) ||
            !publish(run, bench_now_ns(), is_measured)) {
            return;
        }
    }
}

/* False when it is so late that waiting for the rest would take for ever. */
static bool note_lateness(struct run *run, uint64_t number, uint64_t planned_ns, bool is_measured)
{
    char fault[BENCH_FAULT_SIZE];
    uint64_t now = bench_now_ns();
    uint64_t late = now > planned_ns ? now - planned_ns : 0;
    if (is_measured && late > run->result.late_ns) {
        run->result.late_ns = late;
    }
    if (late > run->settings.timeout_ms * NS_PER_MS) {
        snprintf(fault, sizeof fault,
                 "publishing fell behind --rate by more than --timeout-ms, at event %" PRIu64,
                 number);
        bench_set_fault(run, fault);
        return false;
    }
    return true;
}

/* Events at their planned times; one that is late keeps its time, so that its latency holds
 * what it waited. */
static void publish_open(struct run *run, uint64_t start, uint64_t end_ns, bool is_measured)
{
    for (uint64_t i = 0;; i++) {
        uint64_t planned = start + i * NS_PER_S / run->settings.rate;
        bool is_over = planned >= end_ns;
        bench_sleep_until(is_over ? end_ns : planned);
        if (is_over || bench_interrupted || nobody_is_left(run) ||
            !note_lateness(run, i, planned, is_measured) || !publish(run, planned, is_measured)) {
            return;
        }
    }
}

static void load(struct run *run, uint64_t duration_ms, bool is_measured)
{
    uint64_t start = bench_now_ns();
    uint64_t end_ns = start + duration_ms * NS_PER_MS;
    if (run->settings.rate) {
        publish_open(run, start, end_ns, is_measured);
    } else {
        publish_closed(run, end_ns, is_measured);
    }
}

/* ---- measuring ---- */

static void measure(struct run *run)
{
    struct bench_result *result = &run->result;
    struct bench_cpu after;
    uint32_t takers = count_expected(run);
    struct bench_cpu before = bench_read_cpu(&run->settings);
    atomic_store(&run->shared->measure_from, run->next);
    uint64_t own_before = bench_cpu_ns();
    uint64_t start = bench_now_ns();
    load(run, run->settings.duration_s * 1000ULL, true);
    uint64_t end = bench_now_ns();
    result->expected = result->published * takers;
    drain(run, &after);
    uint64_t last = last_delivery_ns(run);
    result->measure_s = (double)((last > end ? last : end) - start) / NS_PER_S;
    result->publisher_cpu_s = (double)(bench_cpu_ns() - own_before) / NS_PER_S;
    result->load_cpu = bench_cpu_between(&before, &after);
    result->planned = run->settings.rate ? (uint64_t)run->settings.rate * run->settings.duration_s
                                         : result->published;
}

void bench_load(struct run *run)
{
    prctl(PR_SET_TIMERSLACK, 1000); /* planned times are met within a microsecond */
    run->takers = count_expected(run);
    if (run->takers > 0 && !probe(run)) {
        return;
    }
    if (run->settings.warmup_ms) {
        load(run, run->settings.warmup_ms, false);
        wait_until_done(run, run->next - 1, run->settings.timeout_ms);
    }
    if (bench_interrupted) {
        bench_set_fault(run, "interrupted before the measuring");
        return;
    }
    measure(run);
    if (bench_interrupted) {
        bench_set_fault(run, "interrupted before the end of --duration");
    }
}
