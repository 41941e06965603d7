/* process.c - what the kernel says about the processes of the server. */
#include "bench/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static FILE *open_proc(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

void bench_read_cpu(const struct bench_settings *settings, double *user_s, double *system_s)
{
    double ticks = (double)sysconf(_SC_CLK_TCK);
    *user_s = *system_s = 0;
    for (size_t i = 0; i < settings->server_pids.count; i++) {
        char line[1024] = "";
        FILE *file = open_proc(settings->pids[i], "stat");
        if (file && fgets(line, sizeof line, file)) {
            /* The name, in parentheses, may hold anything; utime and stime are the 12th and
             * 13th field behind it. */
            const char *rest = strrchr(line, ')');
            uint64_t user = 0;
            uint64_t system = 0;
            if (rest && sscanf(rest + 1,
                               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
                               &user, &system) == 2) {
                *user_s += (double)user / ticks;
                *system_s += (double)system / ticks;
            }
        }
        if (file) {
            fclose(file);
        }
    }
}

void bench_read_memory(const struct bench_settings *settings, uint64_t *pss, uint64_t *rss)
{
    *pss = *rss = 0;
    for (size_t i = 0; i < settings->server_pids.count; i++) {
        char line[256];
        FILE *file = open_proc(settings->pids[i], "smaps_rollup");
        while (file && fgets(line, sizeof line, file)) {
            uint64_t kib;
            if (sscanf(line, "Pss: %" SCNu64, &kib) == 1) {
                *pss += kib * 1024;
            } else if (sscanf(line, "Rss: %" SCNu64, &kib) == 1) {
                *rss += kib * 1024;
            }
        }
        if (file) {
            fclose(file);
        }
    }
}
