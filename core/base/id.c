/* id.c - see id.h. */
#include "base/id.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

void kj__random_bytes(void *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = getrandom((char *)bytes + done, len - done, 0);
        if (got < 0 && errno != EINTR) {
            abort();
        }
        done += got > 0 ? (size_t)got : 0;
    }
}

enum { UUID_BYTES = 16, STOCK_BYTES = 256 /* what the kernel gives without interruption */ };

static const char digits[] = "0123456789abcdef";

static struct {
    pthread_mutex_t lock;
    uint32_t second;  /* guarded by lock; never goes back, even when the clock does */
    uint32_t counter; /* guarded by lock */
    uint64_t process; /* 40 random bits, 0 until the first ID */
} object_ids = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local uint8_t stock[STOCK_BYTES];
static _Thread_local size_t left; /* of the stock, in bytes */
static pthread_once_t forks = PTHREAD_ONCE_INIT;

/* The child of a fork has one thread, and would give the IDs that its parent gives. */
static void begin_anew(void)
{
    left = 0;
    object_ids.process = 0;
}

static void follow_forks(void)
{
    (void)pthread_atfork(NULL, NULL, begin_anew);
}

/* Every call of the API has a UUID: the kernel is asked for many at a time. None is given twice. */
static void take_from_stock(uint8_t bytes[UUID_BYTES])
{
    if (left == 0) {
        pthread_once(&forks, follow_forks);
        kj__random_bytes(stock, sizeof stock);
        left = sizeof stock;
    }
    left -= UUID_BYTES;
    memcpy(bytes, stock + left, UUID_BYTES);
}

void kj__uuid_make(char text[KJ__UUID_SIZE])
{
    uint8_t bytes[UUID_BYTES];
    take_from_stock(bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    char *out = text;
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *out++ = '-';
        }
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

/* The last `count` digits of a number; returns what is behind them. */
static char *put_hex(char *out, uint64_t number, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        out[i] = digits[number & 15];
        number >>= 4;
    }
    return out + count;
}

void kj__object_id_make(char text[KJ__OBJECT_ID_SIZE])
{
    uint32_t now = (uint32_t)time(NULL);
    pthread_mutex_lock(&object_ids.lock);
    if (object_ids.process == 0) {
        pthread_once(&forks, follow_forks);
        kj__random_bytes(&object_ids.process, sizeof object_ids.process);
        object_ids.process = (object_ids.process & UINT64_C(0xffffffffff)) | 1;
    }
    if (now > object_ids.second) {
        object_ids.second = now;
        object_ids.counter = 0;
    } else if (++object_ids.counter > 0xffffff) {
        object_ids.second++;
        object_ids.counter = 0;
    }
    uint32_t second = object_ids.second;
    uint32_t counter = object_ids.counter;
    pthread_mutex_unlock(&object_ids.lock);
    text = put_hex(text, second, 8);
    text = put_hex(text, object_ids.process, 10);
    *put_hex(text, counter, 6) = '\0';
}
