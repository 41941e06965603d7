/* metrics.c - see metrics.h. */
#include "base/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { STAT_TEXT_SIZE = 1024 };

void kj__metrics_head(struct kj__buffer *out, const char *name, enum kj__metric_kind kind,
                      const char *help)
{
    static const char *const kinds[] = {
        [KJ__COUNTER] = "counter",
        [KJ__GAUGE] = "gauge",
        [KJ__SUMMARY] = "summary",
        [KJ__HISTOGRAM] = "histogram",
    };
    kj__buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
}

static void begin_sample(struct kj__buffer *out, const char *name, const char *labels)
{
    kj__buffer_printf(out, *labels ? "%s{%s} " : "%s%s ", name, labels);
}

void kj__metrics_number(struct kj__buffer *out, const char *name, const char *labels,
                        uint64_t value)
{
    begin_sample(out, name, labels);
    kj__buffer_printf(out, "%" PRIu64 "\n", value);
}

void kj__metrics_real(struct kj__buffer *out, const char *name, const char *labels, double value)
{
    begin_sample(out, name, labels);
    if (isnan(value)) {
        kj__buffer_append_text(out, "NaN\n"); /* printf may put a sign */
    } else {
        kj__buffer_printf(out, "%.17g\n", value);
    }
}

void kj__metrics_family(struct kj__buffer *out, const char *name, enum kj__metric_kind kind,
                        const char *help, double value)
{
    kj__metrics_head(out, name, kind, help);
    kj__metrics_real(out, name, "", value);
}

/* ---- the process ---- */

/* Reads a small file whole; false when it cannot. */
static bool read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    size_t len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    (void)fclose(file);
    return len > 0;
}

static void add_descriptors(struct kj__buffer *out)
{
    struct rlimit limit;
    DIR *folder = opendir("/proc/self/fd");
    if (folder) {
        int count = -3; /* the two dots, and the folder itself */
        while (readdir(folder)) {
            count++;
        }
        closedir(folder);
        kj__metrics_family(out, "process_open_fds", KJ__GAUGE, "Descriptors in use.", count);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        kj__metrics_family(out, "process_max_fds", KJ__GAUGE, "Descriptors there may be.",
                           (double)limit.rlim_cur);
    }
}

/* Seconds since 1970 at which the machine started; 0 when unknown. */
static double boot_time(void)
{
    double time = 0;
    char line[STAT_TEXT_SIZE];
    FILE *file = fopen("/proc/stat", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "btime %lf", &time) == 1) {
            break;
        }
    }
    if (file) {
        (void)fclose(file);
    }
    return time;
}

void kj__metrics_process(struct kj__buffer *out)
{
    char text[STAT_TEXT_SIZE];
    unsigned long user, kernel, virtual_bytes;
    unsigned long long start;
    long threads, pages;
    add_descriptors(out);
    /* The name in parentheses may hold anything, so what follows it is read. */
    const char *rest = read_text("/proc/self/stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    if (!rest || sscanf(rest,
                        ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d "
                        "%*d %ld %*d %llu %lu %ld",
                        &user, &kernel, &threads, &start, &virtual_bytes, &pages) != 6) {
        return;
    }
    double ticks = (double)sysconf(_SC_CLK_TCK);
    kj__metrics_family(out, "process_cpu_seconds_total", KJ__COUNTER, "Time on a processor.",
                       (double)(user + kernel) / ticks);
    kj__metrics_family(out, "process_start_time_seconds", KJ__GAUGE,
                       "When the process started, since 1970.",
                       boot_time() + (double)start / ticks);
    kj__metrics_family(out, "process_resident_memory_bytes", KJ__GAUGE, "Memory in use.",
                       (double)pages * (double)sysconf(_SC_PAGESIZE));
    kj__metrics_family(out, "process_virtual_memory_bytes", KJ__GAUGE, "Address space in use.",
                       (double)virtual_bytes);
    kj__metrics_family(out, "process_threads", KJ__GAUGE, "Threads.", (double)threads);
}
