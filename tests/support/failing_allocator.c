/* failing_allocator.c - see failing_allocator.h. */
#include "failing_allocator.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Names the linker gives them. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
/* NOLINTEND(bugprone-reserved-identifier) */

static _Atomic long left = -1; /* calls until the one that fails; negative: none does */
static _Atomic bool is_for_good, has_failed;
static _Thread_local bool spared;

void allocator_fail_after(long calls, bool for_good)
{
    atomic_store(&is_for_good, for_good);
    atomic_store(&has_failed, false);
    atomic_store(&left, calls);
}

bool allocator_recover(void)
{
    atomic_store(&left, -1);
    atomic_store(&is_for_good, false);
    return atomic_load(&has_failed);
}

void allocator_spare(bool is_spared)
{
    spared = is_spared;
}

static bool fails(void)
{
    if (spared) {
        return false;
    }
    if (atomic_load(&is_for_good) && atomic_load(&has_failed)) {
        return true;
    }
    if (atomic_load(&left) < 0 || atomic_fetch_sub(&left, 1) != 0) {
        return false;
    }
    atomic_store(&has_failed, true);
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
    return fails() ? NULL : __real_strndup(text, len);
}
