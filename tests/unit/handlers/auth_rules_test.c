/* auth_rules_test.c - rules that are read again while others look at them. */
#include "unit/rest/cmocka_all.h"

#include <kujata/kujata.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
size_t __sanitizer_get_current_allocated_bytes(void); /* gcc brings no header for it */
#endif

enum { RULES = 500, READINGS = 200, WARM_UP = 10, ROOM_BYTES = 4 << 20 };

static char path[] = "/tmp/kujata-rules-XXXXXX";
static atomic_bool is_done;

static size_t bytes_in_use(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return __sanitizer_get_current_allocated_bytes();
#else
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#endif
}

static void write_rules(void)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    (void)fputs("{\"rules\": [", file);
    for (int i = 0; i < RULES; i++) {
        (void)fprintf(file, "%s{\"claims\": [\"sub=user%d\"]}", i ? "," : "", i);
    }
    (void)fputs("]}", file);
    assert_int_equal(fclose(file), 0);
}

static void *look(void *rules)
{
    static const char *const claims[] = {"sub=user499"};
    static const char *const others[] = {"sub=nobody"};
    while (!is_done) {
        assert_true(kj_auth_rules_allow(rules, claims, 1, KJ_OP_UPDATE, "task"));
        assert_false(kj_auth_rules_allow(rules, others, 1, KJ_OP_UPDATE, "task"));
    }
    return NULL;
}

static void rules_read_again_take_the_place_of_the_old(void **state)
{
    (void)state;
    struct kj_auth_rules *rules;
    struct kj_error error = {{0}, 0};
    pthread_t threads[2];
    write_rules();
    assert_int_equal(
        kj_auth_rules_new(&(struct kj_auth_rules_options){.file = path}, &rules, &error), KJ_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, look, rules), 0);
    }

    size_t before = 0;
    for (int i = 0; i < READINGS; i++) {
        before = i == WARM_UP ? bytes_in_use() : before;
        assert_int_equal(kj_auth_rules_reload(rules, &error), KJ_OK);
    }

    assert_true(bytes_in_use() < before + ROOM_BYTES); /* one reading takes half a megabyte */
    is_done = true;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    kj_auth_rules_free(rules);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_read_again_take_the_place_of_the_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
