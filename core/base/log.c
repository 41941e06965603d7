/* log.c - see log.h. A line is one write, so lines of several threads do not mix. */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 1024, LOG_INTERVAL_MS = 1000 };

static _Atomic int threshold = KJ__LOG_INFO;

void kj__log_set_level(enum kj__log_level level)
{
    atomic_store(&threshold, (int)level);
}

static void write_line(enum kj__log_level level, const char *module, uint64_t suppressed,
                       const char *format, va_list arguments)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    char line[LOG_LINE_MAX];
    size_t len = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)snprintf(line + len, sizeof line - len, ".%03ldZ %s %s ", now.tv_nsec / 1000000,
                            names[level], module);
    int text = vsnprintf(line + len, sizeof line - len, format, arguments);
    len += text > 0 ? (size_t)text : 0;
    if (len < sizeof line && suppressed) {
        len += (size_t)snprintf(line + len, sizeof line - len, " (and %llu like it)",
                                (unsigned long long)suppressed);
    }
    if (len > sizeof line - 1) {
        len = sizeof line - 1;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = ' '; /* a peer's text must not forge a line or steer a terminal */
        }
    }
    line[len++] = '\n';
    /* Nothing sensible is left to do when stderr is gone. */
    ssize_t ignored = write(STDERR_FILENO, line, len);
    (void)ignored;
}

void kj__log(enum kj__log_level level, const char *module, const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&threshold, memory_order_relaxed)) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    write_line(level, module, 0, format, arguments);
    va_end(arguments);
}

void kj__log_limited(struct kj__log_limit *limit, enum kj__log_level level, const char *module,
                     const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&threshold, memory_order_relaxed)) {
        return;
    }
    uint64_t now = kj__clock_monotonic_ms();
    uint64_t next = atomic_load(&limit->next_ms);
    if (now < next ||
        !atomic_compare_exchange_strong(&limit->next_ms, &next, now + LOG_INTERVAL_MS)) {
        atomic_fetch_add(&limit->suppressed, 1);
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    write_line(level, module, atomic_exchange(&limit->suppressed, 0), format, arguments);
    va_end(arguments);
}
