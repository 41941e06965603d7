/* clock.c - see clock.h. */
#include "base/clock.h"

#include <limits.h>
#include <time.h>

uint64_t kj__clock_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int64_t kj__clock_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t kj__clock_wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int kj__clock_left_ms(uint64_t now_ms, uint64_t deadline_ms)
{
    uint64_t left = now_ms < deadline_ms ? deadline_ms - now_ms : 0;
    return left < INT_MAX ? (int)left : INT_MAX;
}
