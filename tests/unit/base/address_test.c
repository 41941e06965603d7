/* address_test.c - network addresses as keys. */
#include "base/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void a_network_of_ipv6_has_one_key(void **state)
{
    (void)state;
    uint64_t key = kj__address_key("2001:db8:0:1::1");
    assert_true(key != 0);
    assert_true(kj__address_key("2001:db8:0:1:ffff::2") == key);
    assert_true(kj__address_key("2001:DB8::1:0:0:0:1") == key);
    assert_true(kj__address_key("2001:db8:0:2::1") != key);
}

static void an_address_of_ipv4_has_its_own(void **state)
{
    (void)state;
    assert_true(kj__address_key("192.0.2.1") == kj__address_key("192.0.2.1"));
    assert_true(kj__address_key("192.0.2.1") != kj__address_key("192.0.2.2"));
    assert_true(kj__address_key("::ffff:192.0.2.1") == kj__address_key("192.0.2.1"));
    assert_true(kj__address_key("") != 0);
}

static void keys_have_a_text(void **state)
{
    (void)state;
    char one[KJ__ADDRESS_KEY_SIZE];
    char other[KJ__ADDRESS_KEY_SIZE];
    kj__address_key_format("2001:db8:0:1::1", one);
    kj__address_key_format("2001:db8:0:1::2", other);
    assert_int_equal(strlen(one), KJ__ADDRESS_KEY_SIZE - 1);
    assert_string_equal(one, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_of_ipv6_has_one_key),
        cmocka_unit_test(an_address_of_ipv4_has_its_own),
        cmocka_unit_test(keys_have_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
