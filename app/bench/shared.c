/* shared.c - the clock, the futex and the marks that the processes of a bench agree on. */
#include "bench/bench.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t bench_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

void bench_futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
                               .tv_nsec = (long)(timeout_ns % NS_PER_S)};
    syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0);
}

void bench_futex_wake(_Atomic uint32_t *word)
{
    atomic_fetch_add(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

bool bench_is_done(struct bench_shared *shared, uint32_t number)
{
    uint64_t done = atomic_load(&shared->done[number % BENCH_IN_FLIGHT_MAX]);
    return done >> 32 == number && (uint32_t)done >= atomic_load(&shared->taking);
}

/* A mark is "~kj~", 4 hexadecimal digits of the run, 8 of the number, 16 of the time, "~":
 * characters that JSON, MessagePack and MQTT all carry as they are. */
static const char lead[4] = "~kj~";

enum { RUN_DIGITS = 4, NUMBER_DIGITS = 8, TIME_DIGITS = 16 };

_Static_assert(sizeof lead + RUN_DIGITS + NUMBER_DIGITS + TIME_DIGITS + 1 == BENCH_MARK_SIZE,
               "the parts of a mark");

static void write_hex(char *out, uint64_t value, size_t digits)
{
    for (size_t i = digits; i-- > 0; value >>= 4) {
        out[i] = "0123456789abcdef"[value & 15];
    }
}

static bool read_hex(const uint8_t *text, size_t digits, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < digits; i++) {
        unsigned c = text[i];
        unsigned digit = c - '0' < 10U ? c - '0' : c - 'a' < 6U ? c - 'a' + 10U : 16U;
        if (digit > 15) {
            return false;
        }
        *value = *value << 4 | digit;
    }
    return true;
}

void bench_mark_write(char text[BENCH_MARK_SIZE], const struct bench_mark *mark)
{
    char *digits = text + sizeof lead;
    memcpy(text, lead, sizeof lead);
    write_hex(digits, mark->run, RUN_DIGITS);
    write_hex(digits + RUN_DIGITS, mark->number, NUMBER_DIGITS);
    write_hex(digits + RUN_DIGITS + NUMBER_DIGITS, mark->time_ns, TIME_DIGITS);
    text[BENCH_MARK_SIZE - 1] = '~';
}

static bool read_mark(const uint8_t *text, struct bench_mark *mark)
{
    const uint8_t *digits = text + sizeof lead;
    uint64_t run;
    uint64_t number;
    if (memcmp(text, lead, sizeof lead) != 0 || text[BENCH_MARK_SIZE - 1] != '~' ||
        !read_hex(digits, RUN_DIGITS, &run) ||
        !read_hex(digits + RUN_DIGITS, NUMBER_DIGITS, &number) ||
        !read_hex(digits + RUN_DIGITS + NUMBER_DIGITS, TIME_DIGITS, &mark->time_ns)) {
        return false;
    }
    mark->run = (uint16_t)run;
    mark->number = (uint32_t)number;
    return true;
}

const uint8_t *bench_mark_find(const uint8_t *bytes, size_t len, struct bench_mark *mark)
{
    const uint8_t *end = bytes + len;
    const uint8_t *found;
    /* memchr, since the first byte of a mark is rare and memmem costs more to set up. */
    while ((found = memchr(bytes, lead[0], (size_t)(end - bytes)))) {
        if ((size_t)(end - found) >= BENCH_MARK_SIZE && read_mark(found, mark)) {
            return found + BENCH_MARK_SIZE;
        }
        bytes = found + 1;
    }
    return NULL;
}
