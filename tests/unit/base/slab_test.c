/* slab_test.c - objects given out and back, and the memory behind them. */
#include "base/slab.h"

#include "check.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OBJECT_SIZE = 200, MANY = 5000, THREADS = 4, TURNS = 20000 };

static bool is_zero(const uint8_t *object)
{
    for (size_t i = 0; i < OBJECT_SIZE; i++) {
        if (object[i]) {
            return false;
        }
    }
    return true;
}

static void objects_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    static uint8_t *objects[MANY];
    struct kj__slab slab;
    kj__slab_init(&slab, OBJECT_SIZE);
    for (int turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < MANY; i++) {
            objects[i] = kj__slab_take(&slab);
            assert_non_null(objects[i]);
            assert_int_equal((uintptr_t)objects[i] % 16, 0);
            assert_true(is_zero(objects[i]));
            memset(objects[i], (int)(i % 251) + 1, OBJECT_SIZE);
        }
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(objects[i][0], i % 251 + 1);
            assert_int_equal(objects[i][OBJECT_SIZE - 1], i % 251 + 1);
            kj__slab_give(&slab, objects[i]);
        }
    }
    kj__slab_fini(&slab);
}

static size_t mapped_pages(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu", &pages), 1);
    (void)fclose(file);
    return pages;
}

static void memory_goes_back_when_objects_do(void **state)
{
    (void)state;
    static void *objects[MANY];
    struct kj__slab slab;
    kj__slab_init(&slab, OBJECT_SIZE);
    size_t before = mapped_pages();
    for (size_t i = 0; i < MANY; i++) {
        objects[i] = kj__slab_take(&slab);
    }
    size_t full = mapped_pages();
    assert_true(full - before >= (size_t)MANY * OBJECT_SIZE / 4096);
    for (size_t i = 0; i < MANY; i++) {
        kj__slab_give(&slab, objects[i]);
    }
    assert_true(mapped_pages() - before <= 64 * 1024 / 4096);
    kj__slab_fini(&slab);
}

static void *take_and_give(void *argument)
{
    struct kj__slab *slab = argument;
    uint8_t *held[16] = {0};
    for (unsigned i = 0; i < TURNS; i++) {
        uint8_t **place = &held[(i * 7) % 16];
        if (*place) {
            kj__slab_give(slab, *place);
            *place = NULL;
        } else {
            *place = kj__slab_take(slab);
            memset(*place, 0xff, OBJECT_SIZE);
        }
    }
    for (size_t i = 0; i < 16; i++) {
        if (held[i]) {
            kj__slab_give(slab, held[i]);
        }
    }
    return NULL;
}

static void threads_share_one(void **state)
{
    (void)state;
    struct kj__slab slab;
    pthread_t threads[THREADS];
    kj__slab_init(&slab, OBJECT_SIZE);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &slab), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(slab.empty_chunks <= 1);
    kj__slab_fini(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_zeroed_aligned_and_apart),
        cmocka_unit_test(memory_goes_back_when_objects_do),
        cmocka_unit_test(threads_share_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
