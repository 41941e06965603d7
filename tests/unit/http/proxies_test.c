/* proxies_test.c - whose address is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/proxies.h"

#include <string.h>

static const char *const trusted[] = {"10.0.0.0/8", "192.0.2.7", "2001:db8::/33", "::1", NULL};

/* The client by a header of one line, or of two where `second` is none. */
static void assert_client(const char *peer, const char *first, const char *second,
                          const char *expected)
{
    struct kj__proxies proxies;
    struct kj__fields headers;
    char address[KJ__PROXIED_ADDRESS_SIZE];
    assert_int_equal(kj__proxies_init(&proxies, trusted, NULL), KJ_OK);
    kj__fields_init(&headers, true);
    assert_true(kj__fields_add(&headers, "Host", "x"));
    if (first) {
        assert_true(kj__fields_add(&headers, "x-forwarded-for", first));
    }
    if (second) {
        assert_true(kj__fields_add(&headers, "X-Forwarded-For", second));
    }
    assert_string_equal(kj__proxies_client(&proxies, peer, &headers, address), expected);
    kj__fields_fini(&headers);
    kj__proxies_fini(&proxies);
}

static void peers_that_are_no_proxies_speak_for_themselves(void **state)
{
    (void)state;
    assert_client("203.0.113.1", "198.51.100.1", NULL, "203.0.113.1");
    assert_client("192.0.2.8", "198.51.100.1", NULL, "192.0.2.8");
    assert_client("2001:db8:8000::1", "198.51.100.1", NULL, "2001:db8:8000::1");
    assert_client("fe80::1%lo", "198.51.100.1", NULL, "fe80::1%lo");
}

static void proxies_name_their_client(void **state)
{
    (void)state;
    assert_client("10.1.2.3", "198.51.100.1", NULL, "198.51.100.1");
    assert_client("::1", "2001:0db9::0001", NULL, "2001:db9::1");
    assert_client("2001:db8:7fff::1", " 198.51.100.1 ", NULL, "198.51.100.1");
    assert_client("192.0.2.7", NULL, NULL, "192.0.2.7");
}

static void only_what_proxies_have_written_is_believed(void **state)
{
    (void)state;
    assert_client("10.1.2.3", "6.6.6.6, 198.51.100.1, 10.9.9.9", NULL, "198.51.100.1");
    assert_client("10.1.2.3", "6.6.6.6, 198.51.100.1", "10.9.9.9", "198.51.100.1");
    assert_client("10.1.2.3", "10.0.0.1, 10.0.0.2", NULL, "10.0.0.1");
}

static void what_is_no_address_ends_the_list(void **state)
{
    (void)state;
    assert_client("10.1.2.3", "unknown", NULL, "10.1.2.3");
    assert_client("10.1.2.3", "", NULL, "10.1.2.3");
    assert_client("10.1.2.3", "198.51.100.1, junk, 10.9.9.9", NULL, "10.9.9.9");
    assert_client("10.1.2.3", "1.2.3.4,", NULL, "10.1.2.3");
}

static void ports_are_left_out(void **state)
{
    (void)state;
    assert_client("10.1.2.3", "198.51.100.1:1234", NULL, "198.51.100.1");
    assert_client("10.1.2.3", "[2001:db9::1]:1234", NULL, "2001:db9::1");
    assert_client("10.1.2.3", "[2001:db9::1]", NULL, "2001:db9::1");
    assert_client("10.1.2.3", "[2001:db9::1]x", NULL, "10.1.2.3");
}

static void addresses_of_ipv4_over_ipv6_are_those_of_ipv4(void **state)
{
    (void)state;
    assert_client("::ffff:10.1.2.3", "::ffff:198.51.100.1", NULL, "198.51.100.1");
}

static void bad_networks_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       "proxy",       "10.0.0.0/33", "10.0.0.0/",
                                      "10.0.0", "10.0.0.0/-1", "::/129",      "10.0.0.0/8/8"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *const texts[] = {bad[i], NULL};
        struct kj__proxies proxies;
        struct kj_error error = {.text = ""};
        assert_int_equal(kj__proxies_init(&proxies, texts, &error), KJ_EINVAL);
        assert_non_null(strstr(error.text, "trusted_proxies"));
        kj__proxies_fini(&proxies);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_that_are_no_proxies_speak_for_themselves),
        cmocka_unit_test(proxies_name_their_client),
        cmocka_unit_test(only_what_proxies_have_written_is_believed),
        cmocka_unit_test(what_is_no_address_ends_the_list),
        cmocka_unit_test(ports_are_left_out),
        cmocka_unit_test(addresses_of_ipv4_over_ipv6_are_those_of_ipv4),
        cmocka_unit_test(bad_networks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
