/* certificate_test.c - copies of certificates, and how long they live. */
#include "codec/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void copies_all_it_is_given(void **state)
{
    (void)state;
    char subject[] = "CN=alice";
    char name[] = "DNS:alice.example.org";
    uint8_t der[] = {0x30, 0x00, 0xff};
    const char *names[] = {name, "", NULL};
    struct kj__certificate *copy = kj__certificate_new(&(struct kj_certificate){
        .subject = subject, .names = names, .der = der, .der_len = sizeof der});
    memset(subject, 'x', sizeof subject - 1);
    memset(name, 'x', sizeof name - 1);
    memset(der, 'x', sizeof der);
    names[0] = NULL;
    const struct kj_certificate *seen = kj__certificate_seen(copy);
    assert_string_equal(seen->subject, "CN=alice");
    assert_string_equal(seen->names[0], "DNS:alice.example.org");
    assert_string_equal(seen->names[1], "");
    assert_null(seen->names[2]);
    assert_int_equal(seen->der_len, 3);
    assert_memory_equal(seen->der, "\x30\x00\xff", 3);
    kj__certificate_unref(copy);
}

static void lives_until_the_last_reference(void **state)
{
    (void)state;
    const char *names[] = {NULL};
    struct kj__certificate *first = kj__certificate_new(
        &(struct kj_certificate){.subject = "CN=bob", .names = names, .der = (uint8_t *)""});
    struct kj__certificate *second = kj__certificate_ref(first);
    assert_ptr_equal(first, second);
    kj__certificate_unref(first);
    assert_string_equal(kj__certificate_seen(second)->subject, "CN=bob");
    kj__certificate_unref(second);
}

static void none_is_fine(void **state)
{
    (void)state;
    assert_null(kj__certificate_ref(NULL));
    assert_null(kj__certificate_seen(NULL));
    kj__certificate_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_all_it_is_given),
        cmocka_unit_test(lives_until_the_last_reference),
        cmocka_unit_test(none_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
