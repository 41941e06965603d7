/* run.h - one run of the command, as the process that was started sees it. */
#ifndef KUJATA_APP_BENCH_RUN_H
#define KUJATA_APP_BENCH_RUN_H

#include "bench/bench.h"
#include "bench/publisher.h"

#include <signal.h>

enum { POLL_MS = 5 }; /* how often counters of the workers are looked at */

struct run {
    struct bench_settings settings;
    struct bench_shared *shared;
    struct bench_publisher *publisher;
    struct bench_result result;
    pid_t workers[BENCH_WORKERS_MAX];
    uint32_t worker_count;
    uint32_t takers; /* sessions that should have every event, as the load began */
    uint32_t next;   /* the number of the next event */
};

/* Set by the first SIGINT or SIGTERM: what is under way is waited for and reported. */
extern volatile sig_atomic_t bench_interrupted;

/* Returns early, and at once, when interrupted. */
void bench_sleep_until(uint64_t time_ns);

/* The first is kept. */
void bench_set_fault(struct run *run, const char *fault);

/* Publishes as the settings say, waits for what is on its way, and fills the result. */
void bench_load(struct run *run);

#endif
