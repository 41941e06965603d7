/* id_test.c - the shape, uniqueness and order of identifiers. */
#include "base/id.h"
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static void uuid_has_version_4(void **state)
{
    (void)state;
    char first[KJ__UUID_SIZE], second[KJ__UUID_SIZE];

    kj__uuid_make(first);
    kj__uuid_make(second);

    assert_int_equal(strlen(first), KJ__UUID_SIZE - 1);
    assert_int_equal(strspn(first, "0123456789abcdef-"), KJ__UUID_SIZE - 1);
    for (size_t i = 0; first[i]; i++) {
        assert_int_equal(first[i] == '-', i == 8 || i == 13 || i == 18 || i == 23);
    }
    assert_int_equal(first[14], '4');
    assert_non_null(strchr("89ab", first[19]));
    assert_string_not_equal(first, second);
}

/* They come from a stock that is filled for many at a time. */
static void uuids_of_one_thread_differ(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    char made[COUNT][KJ__UUID_SIZE];

    for (size_t i = 0; i < COUNT; i++) {
        kj__uuid_make(made[i]);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(made[i], made[j]);
        }
    }
}

static void object_ids_sort_in_the_order_made(void **state)
{
    (void)state;
    char previous[KJ__OBJECT_ID_SIZE], next[KJ__OBJECT_ID_SIZE];
    kj__object_id_make(previous);

    for (int i = 0; i < 10000; i++) {
        kj__object_id_make(next);
        assert_int_equal(strspn(next, "0123456789abcdef"), KJ__OBJECT_ID_SIZE - 1);
        assert_true(strcmp(previous, next) < 0);
        memcpy(previous, next, sizeof previous);
    }
}

enum { IDS = 2000 };

static void *make_many(void *argument)
{
    char(*ids)[KJ__OBJECT_ID_SIZE] = argument;
    for (int i = 0; i < IDS; i++) {
        kj__object_id_make(ids[i]);
    }
    return NULL;
}

static int compare(const void *left, const void *right)
{
    return strcmp(left, right);
}

static void object_ids_of_many_threads_differ(void **state)
{
    (void)state;
    static char ids[4][IDS][KJ__OBJECT_ID_SIZE];
    pthread_t threads[4];
    for (size_t i = 0; i < LENGTH(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, make_many, ids[i]), 0);
    }
    for (size_t i = 0; i < LENGTH(threads); i++) {
        pthread_join(threads[i], NULL);
    }

    char(*all)[KJ__OBJECT_ID_SIZE] = ids[0];
    qsort(all, LENGTH(threads) * IDS, sizeof *all, compare);

    for (size_t i = 1; i < LENGTH(threads) * IDS; i++) {
        assert_string_not_equal(all[i - 1], all[i]);
    }
}

struct made {
    char uuid[KJ__UUID_SIZE], object[KJ__OBJECT_ID_SIZE];
};

static struct made make_both(void)
{
    struct made made;
    kj__uuid_make(made.uuid);
    kj__object_id_make(made.object);
    return made;
}

static void a_forked_process_makes_ids_of_its_own(void **state)
{
    (void)state;
    int ends[2];
    int status;
    struct made theirs;
    (void)make_both();
    assert_int_equal(pipe(ends), 0);

    pid_t child = fork();
    if (child == 0) {
        theirs = make_both();
        _exit(write(ends[1], &theirs, sizeof theirs) != (ssize_t)sizeof theirs);
    }
    struct made ours = make_both();

    assert_int_equal(read(ends[0], &theirs, sizeof theirs), sizeof theirs);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_string_not_equal(ours.uuid, theirs.uuid);
    assert_memory_not_equal(ours.object + 8, theirs.object + 8, 10);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uuid_has_version_4),
        cmocka_unit_test(uuids_of_one_thread_differ),
        cmocka_unit_test(object_ids_sort_in_the_order_made),
        cmocka_unit_test(object_ids_of_many_threads_differ),
        cmocka_unit_test(a_forked_process_makes_ids_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
