/* bench.h - what the parts of `kujata bench` share.
 *
 * The process that was started publishes and reports; its sessions live in worker processes,
 * each with one epoll loop, so that a worker's descriptors are its own. What they tell each
 * other lies in one struct bench_shared, which all of them map.
 *
 * Times are nanoseconds of the monotonic clock, which is the same in every process of a machine.
 */
#ifndef KUJATA_APP_BENCH_BENCH_H
#define KUJATA_APP_BENCH_BENCH_H

#include "bench/histogram.h"
#include "options.h"

#include <kujata/encoding.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define BENCH_COMMAND "bench"

enum {
    BENCH_WORKERS_MAX = 64,
    BENCH_FAULT_SIZE = 256,
    BENCH_IN_FLIGHT_MAX = 4096, /* events whose arrival everywhere is followed at a time */
    BENCH_PAYLOAD_MIN = 40,     /* holds a mark */
    BENCH_PAYLOAD_MAX = 1 << 20,
};

#define NS_PER_S 1000000000ULL
#define NS_PER_MS 1000000ULL

/* ---- settings ---- */

/* Where a URL leads. Names are resolved once. */
struct bench_target {
    struct sockaddr_storage address;
    socklen_t address_len;
    char authority[264]; /* for the Host header */
    const char *path;    /* with the query; borrowed from the URL */
    bool tls;
};

struct bench_bytes {
    uint8_t *data;
    size_t len;
};

/* A message as frames carry it. */
struct bench_message {
    struct bench_bytes bytes;
    bool is_binary;
};

/* A push config that some sessions send, and whether it lets the published events through. */
struct bench_config {
    struct bench_message message;
    bool is_expected;
};

enum bench_publish { BENCH_PUBLISH_NOTHING, BENCH_PUBLISH_POST, BENCH_PUBLISH_WEBSOCKET };

struct bench_settings {
    struct text_list urls, headers, filters, configs, silent_configs, sends, publish_sends;
    struct text_list server_pids;
    int encoding; /* enum kj_encoding */
    const char *post, *publish_url, *body, *attribute, *identity, *content_type, *stall, *ca;
    uint32_t sessions, processes, rate, window, duration_s, warmup_ms, payload, connecting;
    uint32_t timeout_ms, settle_ms, nap_us, receive_buffer;
    bool hold, json, insecure;

    /* Worked out of the above. */
    enum bench_publish publish;
    struct bench_target *targets; /* as many as urls */
    struct bench_target publish_target;
    struct bench_message template; /* what is published, with {PAYLOAD} in it */
    struct bench_config *session_configs;
    size_t session_config_count;
    struct bench_message *session_sends, *publisher_sends;
    pid_t pids[TEXT_LIST_MAX];
    double stall_share;
    uint16_t run;
};

/* An exit status, or -1 to go on. */
int bench_settings_parse(struct bench_settings *settings, int argc, char *const *argv);
void bench_settings_free(struct bench_settings *settings);

/* ---- what the processes share ---- */

/* From BENCH_RUNNING on nobody connects any more. */
enum bench_phase { BENCH_CONNECTING, BENCH_RUNNING, BENCH_ENDING };

/* Of one worker. The atomics are read while it runs, the rest once it has ended. */
struct bench_worker_stats {
    _Atomic uint32_t opened, failed; /* sessions */
    _Atomic uint32_t expected;       /* those open that should have every event */
    _Atomic uint64_t deliveries;     /* measured, each event once per session */
    _Atomic uint64_t begin_ns, last_open_ns, last_delivery_ns;
    _Atomic uint64_t cpu_ns;  /* from the first measured delivery to the last */
    uint32_t closed, stalled; /* sessions the server ended; sessions that never read */
    uint64_t duplicates, disordered, unexpected, broken;
    uint64_t bytes;               /* of the frames that measured deliveries came in */
    struct histogram latency;     /* of each measured delivery */
    struct histogram complete;    /* of the last delivery of each event; at one worker only */
    char fault[BENCH_FAULT_SIZE]; /* the first */
};

struct bench_shared {
    _Atomic int phase;
    _Atomic uint32_t measure_from; /* the first event that counts */
    _Atomic uint32_t wake;         /* a futex: counts events that arrived everywhere */
    _Atomic uint32_t taking;       /* workers with sessions that should have every event */
    /* For event i, at i modulo the size: i in the upper half, and below it the number of
     * workers all of whose sessions have it. */
    _Atomic uint64_t done[BENCH_IN_FLIGHT_MAX];
    struct bench_worker_stats workers[BENCH_WORKERS_MAX];
};

uint64_t bench_now_ns(void);

/* CPU time of this process. */
uint64_t bench_cpu_ns(void);

/* Waits until the word is no longer `seen`, or the time has passed. [any process] */
void bench_futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns);
void bench_futex_wake(_Atomic uint32_t *word);

/* ---- marks: how an event is known again in whatever an encoding makes of it ---- */

enum { BENCH_MARK_SIZE = 33 };

struct bench_mark {
    uint16_t run; /* tells the events of one bench from those of another on the same server */
    uint32_t number;
    uint64_t time_ns; /* when it was planned for */
};

void bench_mark_write(char text[BENCH_MARK_SIZE], const struct bench_mark *mark);

/* Finds the first mark in the bytes and returns what follows it, or NULL. */
const uint8_t *bench_mark_find(const uint8_t *bytes, size_t len, struct bench_mark *mark);

/* ---- the parts ---- */

/* Whether event `number` has arrived everywhere. [any process] */
bool bench_is_done(struct bench_shared *shared, uint32_t number);

/* Runs in a worker process: connects its sessions and reads until the phase ends. */
void bench_worker_run(const struct bench_settings *settings, struct bench_shared *shared,
                      uint32_t index);

/* CPU time of the server's processes: of all their threads, those that have ended too. */
struct bench_cpu {
    bool is_known; /* false: one of them could not be read */
    double total_s;
    double user_s, system_s; /* from ticks; the total is from the process's clock, in ns */
};

struct bench_memory {
    bool is_known;
    uint64_t pss, rss; /* bytes */
};

struct bench_result {
    double connect_s, measure_s;
    uint64_t planned; /* events: as many as --rate and --duration make, or as were published */
    uint64_t published, publish_errors, window_timeouts, late_ns;
    uint64_t expected; /* deliveries */
    double publisher_cpu_s;
    struct bench_cpu connect_cpu, load_cpu; /* spent in each */
    struct bench_memory before, connected, after;
    char fault[BENCH_FAULT_SIZE];
};

void bench_report(const struct bench_settings *settings, const struct bench_shared *shared,
                  const struct bench_result *result);

/* Whether nothing failed, was lost, came twice or in the wrong order. */
bool bench_is_clean(const struct bench_settings *settings, const struct bench_shared *shared,
                    const struct bench_result *result);

/* Of all the processes together, since they were started. */
struct bench_cpu bench_read_cpu(const struct bench_settings *settings);
struct bench_memory bench_read_memory(const struct bench_settings *settings);

/* What was spent between two readings; known when both are. */
struct bench_cpu bench_cpu_between(const struct bench_cpu *from, const struct bench_cpu *to);

#endif
