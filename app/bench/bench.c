/* bench.c - `kujata bench`: starts the workers, publishes, and gathers what came of it. */
#include "bench/run.h"
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

enum { DESCRIPTORS_SPARE = 64 };

volatile sig_atomic_t bench_interrupted;

/* A second signal ends the process, for those who do not want to wait. */
static void on_signal(int number)
{
    bench_interrupted = 1;
    signal(number, SIG_DFL);
}

void bench_sleep_until(uint64_t time_ns)
{
    struct timespec until = {.tv_sec = (time_t)(time_ns / NS_PER_S),
                             .tv_nsec = (long)(time_ns % NS_PER_S)};
    while (!bench_interrupted &&
           clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

void bench_set_fault(struct run *run, const char *fault)
{
    if (*run->result.fault == '\0') {
        snprintf(run->result.fault, sizeof run->result.fault, "%s", fault);
    }
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
                            " descriptors; there may be %d, or a higher ulimit -n",
                            settings->sessions, needed, (uint64_t)limit.rlim_max,
                            BENCH_WORKERS_MAX);
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
            bench_set_fault(run, "a worker process ended early");
        }
    }
}

/* ---- connecting ---- */

/* How many have opened, and how many of those or have failed; the time from the first attempt
 * to the last success is noted. */
static uint64_t count_settled(struct run *run)
{
    uint64_t settled = 0;
    uint64_t begin_ns = UINT64_MAX;
    uint64_t last_ns = 0;
    for (uint32_t i = 0; i < run->worker_count; i++) {
        struct bench_worker_stats *stats = &run->shared->workers[i];
        uint64_t first = atomic_load(&stats->begin_ns);
        uint64_t last = atomic_load(&stats->last_open_ns);
        settled += atomic_load(&stats->failed) + atomic_load(&stats->opened);
        begin_ns = first && first < begin_ns ? first : begin_ns;
        last_ns = last > last_ns ? last : last_ns;
    }
    run->result.connect_s = last_ns > begin_ns ? (double)(last_ns - begin_ns) / NS_PER_S : 0;
    return settled;
}

/* Sessions that do not come to an end are given up, so that none joins in the measuring. */
static void wait_for_sessions(struct run *run)
{
    uint64_t progress_ns = bench_now_ns();
    uint64_t before = 0;
    while (!bench_interrupted) {
        uint64_t settled = count_settled(run);
        uint64_t now = bench_now_ns();
        if (settled != before) {
            before = settled;
            progress_ns = now;
        }
        if (settled >= run->settings.sessions) {
            return;
        }
        if (now - progress_ns > run->settings.timeout_ms * NS_PER_MS) {
            if (atomic_exchange(&run->shared->phase, BENCH_RUNNING) == BENCH_RUNNING) {
                bench_set_fault(run, "a worker process does not answer");
                return;
            }
            progress_ns = now;
        }
        bench_sleep_until(now + POLL_MS * NS_PER_MS);
    }
    bench_set_fault(run, "interrupted while connecting");
}

static void connect_sessions(struct run *run, const struct bench_cpu *before)
{
    wait_for_sessions(run);
    bench_sleep_until(bench_now_ns() + run->settings.settle_ms * NS_PER_MS);
    struct bench_cpu after = bench_read_cpu(&run->settings);
    run->result.connect_cpu = bench_cpu_between(before, &after);
    run->result.connected = bench_read_memory(&run->settings);
}

/* ---- the command ---- */

static uint64_t count_opened(const struct run *run)
{
    uint64_t opened = 0;
    for (uint32_t i = 0; i < run->worker_count; i++) {
        opened += atomic_load(&run->shared->workers[i].opened);
    }
    return opened;
}

static void hold(const struct run *run)
{
    fprintf(stderr, "kujata bench: holding %" PRIu64 " sessions\n", count_opened(run));
    while (!bench_interrupted) {
        bench_sleep_until(bench_now_ns() + NS_PER_S);
    }
}

/* Returns -1 to go on, with a report. */
static int run_phases(struct run *run)
{
    struct bench_cpu before = bench_read_cpu(&run->settings);
    run->result.before = bench_read_memory(&run->settings);
    int exit_status = start_workers(run);
    if (exit_status) {
        return exit_status;
    }
    connect_sessions(run, &before);
    if (run->settings.publish && !bench_interrupted && count_opened(run) > 0) {
        run->publisher = bench_publisher_new(&run->settings, run->result.fault);
        if (run->publisher) {
            bench_load(run);
        }
    }
    run->result.after = bench_read_memory(&run->settings);
    if (before.is_known && !bench_read_cpu(&run->settings).is_known) {
        bench_set_fault(run, "a process of --server-pid has ended");
    }
    if (run->settings.hold) {
        hold(run);
    }
    return -1;
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
        exit_status = run_phases(&run);
        end_workers(&run);
        if (exit_status < 0) {
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
