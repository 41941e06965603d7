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

/* A mark is "~kj~", 8 hexadecimal digits of the number, 16 of the time, "~": characters that
 * JSON, MessagePack and MQTT all carry as they are. */
static const char lead[4] = "~kj~";

enum { NUMBER_DIGITS = 8, TIME_DIGITS = 16 };

_Static_assert(sizeof lead + NUMBER_DIGITS + TIME_DIGITS + 1 == BENCH_MARK_SIZE, "mark");

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

void bench_mark_write(char mark[BENCH_MARK_SIZE], uint32_t number, uint64_t time_ns)
{
    memcpy(mark, lead, sizeof lead);
    write_hex(mark + sizeof lead, number, NUMBER_DIGITS);
    write_hex(mark + sizeof lead + NUMBER_DIGITS, time_ns, TIME_DIGITS);
    mark[BENCH_MARK_SIZE - 1] = '~';
}

const uint8_t *bench_mark_find(const uint8_t *bytes, size_t len, uint32_t *number,
                               uint64_t *time_ns)
{
    const uint8_t *end = bytes + len;
    const uint8_t *found;
    /* memchr, since the first byte of a mark is rare and memmem costs more to set up. */
    while ((found = memchr(bytes, lead[0], (size_t)(end - bytes)))) {
        const uint8_t *digits = found + sizeof lead;
        uint64_t value;
        if ((size_t)(end - found) >= BENCH_MARK_SIZE && memcmp(found, lead, sizeof lead) == 0 &&
            found[BENCH_MARK_SIZE - 1] == '~' && read_hex(digits, NUMBER_DIGITS, &value) &&
            read_hex(digits + NUMBER_DIGITS, TIME_DIGITS, time_ns)) {
            *number = (uint32_t)value;
            return found + BENCH_MARK_SIZE;
        }
        bytes = found + 1;
    }
    return NULL;
}
