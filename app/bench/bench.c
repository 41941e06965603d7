/* bench.c - `kujata bench`: starts the workers, publishes, and gathers what came of it. */
#include "bench/bench.h"
#include "bench/publisher.h"
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    DESCRIPTORS_SPARE = 64,
    PROBE_WAIT_MS = 250, /* the first time; twice as long each time after that */
    POLL_MS = 5,         /* how often counters of the workers are looked at */
};

/* One run of the command. */
struct run {
    struct bench_settings settings;
    struct bench_shared *shared;
    struct bench_publisher *publisher;
    struct bench_result result;
    pid_t workers[BENCH_WORKERS_MAX];
    uint32_t worker_count;
    uint32_t next; /* the number of the next event */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void sleep_until(uint64_t time_ns)
{
    struct timespec until = {.tv_sec = (time_t)(time_ns / NS_PER_S),
                             .tv_nsec = (long)(time_ns % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR && !interrupted) {
    }
}

static void set_fault(struct run *run, const char *fault)
{
    if (*run->result.fault == '\0') {
        snprintf(run->result.fault, sizeof run->result.fault, "%s", fault);
    }
}

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

/* ---- workers ---- */

/* As many processes as the descriptors of the sessions need, unless the user said. */
static int choose_processes(struct bench_settings *settings)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    uint64_t each = limit.rlim_max > DESCRIPTORS_SPARE * 2 ? limit.rlim_max - DESCRIPTORS_SPARE : 1;
    uint64_t needed = (settings->sessions + each - 1) / each;
    if (settings->processes == 0) {
        settings->processes = needed <= BENCH_WORKERS_MAX ? (uint32_t)needed : BENCH_WORKERS_MAX;
    }
    if (settings->processes > settings->sessions) {
        settings->processes = settings->sessions;
    }
    if (settings->processes < needed) {
        return options_fail(EXIT_USAGE, BENCH_COMMAND,
                            "--processes: %u sessions take %" PRIu64 " processes of %" PRIu64
                            " descriptors",
                            settings->sessions, needed, (uint64_t)limit.rlim_max);
    }
    return 0;
}

static int start_workers(struct run *run)
{
    run->shared = mmap(NULL, sizeof *run->shared, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run->shared == MAP_FAILED) {
        run->shared = NULL;
        return options_fail(EXIT_FAILURE, BENCH_COMMAND, "no memory for the workers");
    }
    /* Without a publisher of its own, a run counts whatever others publish. */
    atomic_store(&run->shared->measure_from, run->settings.publish ? UINT32_MAX : 0);
    for (uint32_t i = 0; i < run->settings.processes; i++) {
        pid_t pid = fork();
        if (pid < 0) {
            return options_fail(EXIT_FAILURE, BENCH_COMMAND, "a worker: %s", strerror(errno));
        }
        if (pid == 0) {
            /* A terminal tells all processes of ^C; the workers end when they are told to. */
            signal(SIGINT, SIG_IGN);
            signal(SIGTERM, SIG_IGN);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            bench_worker_run(&run->settings, run->shared, i);
            bench_settings_free(&run->settings);
            _exit(EXIT_SUCCESS);
        }
        run->workers[run->worker_count++] = pid;
    }
    return 0;
}

static void end_workers(struct run *run)
{
    if (run->shared) {
        atomic_store(&run->shared->phase, BENCH_ENDING);
    }
    for (uint32_t i = 0; i < run->worker_count; i++) {
        int status = 0;
        while (waitpid(run->workers[i], &status, 0) < 0 && errno == EINTR) {
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status)) {
            set_fault(run, "a worker process ended early");
        }
    }
}

/* ---- connecting ---- */

static void wait_for_sessions(struct run *run)
{
    uint64_t start = bench_now_ns();
    uint64_t progress_ns = start;
    uint64_t before = 0;
    while (!interrupted) {
        uint64_t opened = 0;
        uint64_t settled = 0;
        uint64_t last_ns = start;
        for (uint32_t i = 0; i < run->worker_count; i++) {
            struct bench_worker_stats *stats = &run->shared->workers[i];
            uint64_t open_ns = atomic_load(&stats->last_open_ns);
            opened += atomic_load(&stats->opened);
            settled += atomic_load(&stats->failed);
            last_ns = open_ns > last_ns ? open_ns : last_ns;
        }
        settled += opened;
        uint64_t now = bench_now_ns();
        if (settled != before) {
            before = settled;
            progress_ns = now;
        }
        run->result.connect_s = (double)(last_ns - start) / NS_PER_S;
        if (settled >= run->settings.sessions) {
            return;
        }
        if (now - progress_ns > run->settings.timeout_ms * NS_PER_MS) {
            set_fault(run, "not all sessions connected within --timeout-ms");
            return;
        }
        sleep_until(now + POLL_MS * NS_PER_MS);
    }
}

static void connect_sessions(struct run *run)
{
    struct bench_result *result = &run->result;
    double user_s;
    double system_s;
    wait_for_sessions(run);
    sleep_until(bench_now_ns() + run->settings.settle_ms * NS_PER_MS);
    bench_read_cpu(&run->settings, &user_s, &system_s);
    result->connect_user_s = user_s - result->connect_user_s;
    result->connect_system_s = system_s - result->connect_system_s;
    bench_read_memory(&run->settings, &result->pss_connected, &result->rss_connected);
}

/* ---- publishing ---- */

static bool wait_until_done(struct run *run, uint32_t number, uint64_t timeout_ms)
{
    uint64_t deadline = bench_now_ns() + timeout_ms * NS_PER_MS;
    while (!interrupted) {
        uint32_t seen = atomic_load(&run->shared->wake);
        if (bench_is_done(run->shared, number)) {
            return true;
        }
        uint64_t now = bench_now_ns();
        if (now >= deadline) {
            return false;
        }
        bench_futex_wait(&run->shared->wake, seen, deadline - now);
    }
    return false;
}

static bool publish(struct run *run, uint64_t planned_ns, bool is_measured)
{
    char fault[BENCH_FAULT_SIZE] = "";
    if (!bench_publish(run->publisher, run->next++, planned_ns, fault)) {
        run->result.publish_errors++;
        set_fault(run, fault);
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
    for (uint64_t wait_ms = PROBE_WAIT_MS; wait_ms <= most_ms && !interrupted; wait_ms *= 2) {
        uint32_t number = run->next;
        if (!publish(run, bench_now_ns(), false)) {
            return false;
        }
        if (wait_until_done(run, number, wait_ms)) {
            return true;
        }
    }
    set_fault(run, "no event arrived at every session before the measuring");
    return true;
}

/* Events as many at a time as the window has room for. */
static void publish_closed(struct run *run, uint64_t end_ns, bool is_measured)
{
    uint32_t oldest = run->next;
    while (bench_now_ns() < end_ns && !interrupted) {
        for (; run->next - oldest >= run->settings.window && !interrupted; oldest++) {
            if (!wait_until_done(run, oldest, run->settings.timeout_ms)) {
                run->result.window_timeouts += is_measured;
            }
        }
        if (!publish(run, bench_now_ns(), is_measured)) {
            return;
        }
    }
}

/* Events at their planned times; one that is late keeps its time, so that its latency holds
 * what it waited. */
static void publish_open(struct run *run, uint64_t end_ns, bool is_measured)
{
    uint64_t start = bench_now_ns();
    for (uint64_t i = 0; !interrupted; i++) {
        uint64_t planned = start + i * NS_PER_S / run->settings.rate;
        if (planned >= end_ns) {
            return;
        }
        sleep_until(planned);
        uint64_t late = bench_now_ns() - planned;
        if (is_measured && late > run->result.late_ns) {
            run->result.late_ns = late;
        }
        if (!publish(run, planned, is_measured)) {
            return;
        }
    }
}

/* Waits for what was published, as long as something still arrives. */
static void drain(struct run *run, bool is_measured)
{
    wait_until_done(run, run->next - 1, run->settings.timeout_ms);
    uint64_t before = 0;
    uint64_t progress_ns = bench_now_ns();
    while (is_measured && !interrupted) {
        uint64_t deliveries = count_deliveries(run);
        uint64_t now = bench_now_ns();
        if (deliveries != before) {
            before = deliveries;
            progress_ns = now;
        }
        if (deliveries >= run->result.expected ||
            now - progress_ns > run->settings.timeout_ms * NS_PER_MS) {
            return;
        }
        sleep_until(now + POLL_MS * NS_PER_MS);
    }
}

static void load(struct run *run, uint64_t duration_ms, bool is_measured)
{
    uint64_t end_ns = bench_now_ns() + duration_ms * NS_PER_MS;
    if (run->settings.rate) {
        publish_open(run, end_ns, is_measured);
    } else {
        publish_closed(run, end_ns, is_measured);
    }
}

static void measure(struct run *run)
{
    struct bench_result *result = &run->result;
    if (!probe(run)) {
        return;
    }
    if (run->settings.warmup_ms) {
        load(run, run->settings.warmup_ms, false);
        drain(run, false);
    }
    double user_s;
    double system_s;
    uint32_t takers = count_expected(run);
    bench_read_cpu(&run->settings, &user_s, &system_s);
    atomic_store(&run->shared->measure_from, run->next);
    uint64_t start = bench_now_ns();
    load(run, run->settings.duration_s * 1000ULL, true);
    result->expected = result->published * takers;
    drain(run, true);
    uint64_t last = last_delivery_ns(run);
    result->measure_s = last > start ? (double)(last - start) / NS_PER_S : 0;
    bench_read_cpu(&run->settings, &result->user_s, &result->system_s);
    result->user_s -= user_s;
    result->system_s -= system_s;
}

/* ---- the command ---- */

static void hold(const struct run *run)
{
    uint64_t opened = 0;
    for (uint32_t i = 0; i < run->worker_count; i++) {
        opened += atomic_load(&run->shared->workers[i].opened);
    }
    fprintf(stderr, "kujata bench: holding %" PRIu64 " sessions\n", opened);
    while (!interrupted) {
        sleep_until(bench_now_ns() + NS_PER_S);
    }
}

static void run_phases(struct run *run)
{
    uint64_t rss;
    connect_sessions(run);
    if (run->settings.publish && !interrupted) {
        run->publisher = bench_publisher_new(&run->settings, run->result.fault);
        if (run->publisher) {
            measure(run);
        }
    }
    bench_read_memory(&run->settings, &run->result.pss_after, &rss);
    if (run->settings.hold) {
        hold(run);
    }
}

int command_bench(int argc, char *const *argv)
{
    static struct run run = {.next = 1};
    int exit_status = bench_settings_parse(&run.settings, argc, argv);
    exit_status = exit_status < 0 ? choose_processes(&run.settings) : exit_status;
    if (exit_status == 0 && run.settings.processes) {
        struct sigaction action = {.sa_handler = on_signal};
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        signal(SIGPIPE, SIG_IGN);
        bench_read_cpu(&run.settings, &run.result.connect_user_s, &run.result.connect_system_s);
        bench_read_memory(&run.settings, &run.result.pss_before, &run.result.rss_before);
        exit_status = start_workers(&run);
        if (exit_status == 0) {
            run_phases(&run);
        }
        end_workers(&run);
        if (exit_status == 0) {
            bench_report(&run.settings, run.shared, &run.result);
            exit_status = bench_is_clean(&run.settings, run.shared, &run.result) ? EXIT_SUCCESS
                                                                                 : EXIT_FAILURE;
        }
        bench_publisher_free(run.publisher);
        if (run.shared) {
            munmap(run.shared, sizeof *run.shared);
        }
    }
    bench_settings_free(&run.settings);
    return exit_status;
}
