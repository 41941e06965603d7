/* process.c - what the kernel says about the processes of the server. */
#include "bench/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static FILE *open_proc(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

/* ---- CPU ---- */

static bool add_ticks(pid_t pid, struct bench_cpu *cpu)
{
    char line[1024] = "";
    uint64_t user = 0;
    uint64_t system = 0;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    FILE *file = open_proc(pid, "stat");
    if (!file) {
        return false;
    }
    bool is_read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    /* The name, in parentheses, may hold anything; utime and stime are the 12th and 13th field
     * behind it. */
    const char *rest = is_read ? strrchr(line, ')') : NULL;
    if (!rest ||
        sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user,
               &system) != 2) {
        return false;
    }
    cpu->user_s += (double)user / ticks;
    cpu->system_s += (double)system / ticks;
    return true;
}

/* The process's own clock: the steps of /proc, of 10 ms, are a thousand deliveries. */
static bool add_total(pid_t pid, struct bench_cpu *cpu)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used)) {
        return false;
    }
    cpu->total_s += (double)used.tv_sec + (double)used.tv_nsec / NS_PER_S;
    return true;
}

struct bench_cpu bench_read_cpu(const struct bench_settings *settings)
{
    struct bench_cpu cpu = {.is_known = settings->server_pids.count > 0};
    for (size_t i = 0; i < settings->server_pids.count; i++) {
        cpu.is_known &= add_ticks(settings->pids[i], &cpu) && add_total(settings->pids[i], &cpu);
    }
    return cpu;
}

struct bench_cpu bench_cpu_between(const struct bench_cpu *from, const struct bench_cpu *to)
{
    struct bench_cpu cpu = {.is_known = from->is_known && to->is_known};
    if (cpu.is_known) {
        double user_s = to->user_s - from->user_s;
        double system_s = to->system_s - from->system_s;
        cpu.total_s = to->total_s - from->total_s;
        if (user_s + system_s > 0) {
            cpu.user_s = cpu.total_s * user_s / (user_s + system_s);
            cpu.system_s = cpu.total_s - cpu.user_s;
        }
    }
    return cpu;
}

/* ---- memory ---- */

/* A process that has ended, or one of another user, has no such lines. */
static bool add_memory(pid_t pid, struct bench_memory *memory)
{
    char line[256];
    int found = 0;
    FILE *file = open_proc(pid, "smaps_rollup");
    while (file && fgets(line, sizeof line, file)) {
        uint64_t kib;
        if (sscanf(line, "Pss: %" SCNu64, &kib) == 1) {
            memory->pss += kib * 1024;
            found++;
        } else if (sscanf(line, "Rss: %" SCNu64, &kib) == 1) {
            memory->rss += kib * 1024;
            found++;
        }
    }
    if (file) {
        fclose(file);
    }
    return found == 2;
}

struct bench_memory bench_read_memory(const struct bench_settings *settings)
{
    struct bench_memory memory = {.is_known = settings->server_pids.count > 0};
    for (size_t i = 0; i < settings->server_pids.count; i++) {
        memory.is_known &= add_memory(settings->pids[i], &memory);
    }
    return memory;
}
