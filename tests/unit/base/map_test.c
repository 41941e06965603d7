/* map_test.c - the map against a plain array on random operations, and its order. */
#include "base/map.h"
#include "check.h"

#include <stdio.h>

static void map_keeps_the_order_of_insertion(void **state)
{
    (void)state;
    struct kj__map map;
    kj__map_init(&map);
    static int values[100];
    char key[8];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        assert_true(kj__map_put(&map, key, &values[i], NULL));
    }

    int next = 0;
    for (struct kj__map_entry *at = kj__map_next(&map, NULL); at; at = kj__map_next(&map, at)) {
        assert_ptr_equal(at->value, &values[next++]);
    }

    assert_int_equal(next, 100);
    kj__map_fini(&map, NULL);
}

static void map_put_hands_back_what_it_replaces(void **state)
{
    (void)state;
    struct kj__map map;
    kj__map_init(&map);
    int first, second;
    void *previous = &map;

    assert_true(kj__map_put(&map, "a", &first, &previous));
    assert_null(previous);
    assert_true(kj__map_put(&map, "a", &second, &previous));

    assert_ptr_equal(previous, &first);
    assert_ptr_equal(kj__map_get(&map, "a"), &second);
    assert_int_equal(map.count, 1);
    kj__map_fini(&map, NULL);
}

static void map_fini_releases_every_value(void **state)
{
    (void)state;
    struct kj__map map;
    kj__map_init(&map);
    assert_true(kj__map_put(&map, "", malloc(1), NULL));
    assert_true(kj__map_put(&map, "b", malloc(1), NULL));

    kj__map_fini(&map, free); /* a leak would be the sanitizer's to report */
}

static void map_agrees_with_an_array_on_random_operations(void **state)
{
    (void)state;
    enum { KEYS = 300 };
    static void *twin[KEYS];
    struct kj__map map;
    kj__map_init(&map);
    srand(3);
    size_t count = 0;
    for (int i = 0; i < 50000; i++) {
        int index = rand() % KEYS;
        char key[8];
        (void)snprintf(key, sizeof key, "%d", index);
        void *previous;
        switch (rand() % 3) {
        case 0:
            assert_true(kj__map_put(&map, key, &twin[index], &previous));
            assert_ptr_equal(previous, twin[index]);
            count += twin[index] == NULL;
            twin[index] = &twin[index];
            break;
        case 1:
            assert_ptr_equal(kj__map_remove(&map, key), twin[index]);
            count -= twin[index] != NULL;
            twin[index] = NULL;
            break;
        default:
            assert_ptr_equal(kj__map_get(&map, key), twin[index]);
            break;
        }
        assert_int_equal(map.count, count);
    }
    kj__map_fini(&map, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_keeps_the_order_of_insertion),
        cmocka_unit_test(map_put_hands_back_what_it_replaces),
        cmocka_unit_test(map_fini_releases_every_value),
        cmocka_unit_test(map_agrees_with_an_array_on_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
