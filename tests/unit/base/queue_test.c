/* queue_test.c - order, bounds and closing, alone and between threads. */
#include "base/queue.h"
#include "check.h"

static void queue_keeps_order_across_growth_and_wrapping(void **state)
{
    (void)state;
    struct kj__queue queue;
    kj__queue_init(&queue, 1000);
    uintptr_t in = 0, out = 0;
    void *items[70];

    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 73 && in - out < 1000; i++) {
            assert_int_equal(kj__queue_push(&queue, (void *)++in, NULL), KJ__QUEUE_PUSHED);
        }
        size_t taken = kj__queue_take(&queue, items, LENGTH(items));
        for (size_t i = 0; i < taken; i++) {
            assert_int_equal((uintptr_t)items[i], ++out);
        }
    }

    assert_int_equal(queue.count, in - out);
    kj__queue_fini(&queue);
}

static void queue_refuses_beyond_its_limit_and_after_close(void **state)
{
    (void)state;
    struct kj__queue queue;
    kj__queue_init(&queue, 2);
    int item;
    void *items[4];
    bool was_empty = false;

    assert_int_equal(kj__queue_push(&queue, &item, &was_empty), KJ__QUEUE_PUSHED);
    assert_true(was_empty);
    assert_int_equal(kj__queue_push(&queue, &item, &was_empty), KJ__QUEUE_PUSHED);
    assert_false(was_empty);
    assert_int_equal(kj__queue_push(&queue, &item, NULL), KJ__QUEUE_FULL);
    kj__queue_close(&queue);
    assert_int_equal(kj__queue_push(&queue, &item, NULL), KJ__QUEUE_CLOSED);
    assert_int_equal(kj__queue_push_wait(&queue, &item, NULL), KJ__QUEUE_CLOSED);

    assert_int_equal(kj__queue_take_wait(&queue, items, 4), 2);
    assert_int_equal(kj__queue_take_wait(&queue, items, 4), 0);
    kj__queue_fini(&queue);
}

enum { PRODUCERS = 3, ITEMS = 20000 };

struct producer {
    pthread_t thread;
    struct kj__queue *queue;
    uintptr_t number;
};

static void *produce(void *argument)
{
    struct producer *producer = argument;
    for (uintptr_t i = 1; i <= ITEMS; i++) {
        void *item = (void *)(i * PRODUCERS + producer->number);
        if (kj__queue_push_wait(producer->queue, item, NULL) != KJ__QUEUE_PUSHED) {
            break;
        }
    }
    return NULL;
}

static void queue_keeps_each_producers_order_between_threads(void **state)
{
    (void)state;
    struct kj__queue queue;
    kj__queue_init(&queue, 100);
    struct producer producers[PRODUCERS];
    for (uintptr_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.queue = &queue, .number = i};
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }

    uintptr_t seen[PRODUCERS] = {0};
    void *items[32];
    for (size_t total = 0; total < (size_t)PRODUCERS * ITEMS;) {
        size_t taken = kj__queue_take_wait(&queue, items, LENGTH(items));
        assert_true(taken > 0 && taken <= LENGTH(items));
        for (size_t i = 0; i < taken; i++) {
            uintptr_t item = (uintptr_t)items[i];
            assert_int_equal(item / PRODUCERS, ++seen[item % PRODUCERS]);
        }
        total += taken;
    }

    for (size_t i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
    }
    assert_int_equal(kj__queue_take(&queue, items, LENGTH(items)), 0);
    kj__queue_fini(&queue);
}

static void queue_close_wakes_those_who_wait(void **state)
{
    (void)state;
    struct kj__queue queue;
    kj__queue_init(&queue, 1);
    int item;
    assert_int_equal(kj__queue_push(&queue, &item, NULL), KJ__QUEUE_PUSHED);
    struct producer producer = {.queue = &queue};
    assert_int_equal(pthread_create(&producer.thread, NULL, produce, &producer), 0);

    kj__queue_close(&queue);

    assert_int_equal(pthread_join(producer.thread, NULL), 0);
    kj__queue_fini(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_keeps_order_across_growth_and_wrapping),
        cmocka_unit_test(queue_refuses_beyond_its_limit_and_after_close),
        cmocka_unit_test(queue_keeps_each_producers_order_between_threads),
        cmocka_unit_test(queue_close_wakes_those_who_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
