/* nats_options_test.c - options the NATS backend refuses, and how it says so. */
#include <kujata/pubsub_nats.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void bad_options_are_refused_and_explained(void **state)
{
    static const struct {
        struct kj_pubsub_nats_options options;
        const char *text;
        size_t position;
    } cases[] = {
        {{.urls = NULL}, "nats://", 0},
        {{.urls = ""}, "nats://", 0},
        {{.urls = "127.0.0.1:4222"}, "nats://", 0},
        {{.urls = "http://a"}, "nats://", 0},
        {{.urls = "nats://"}, "no host", 0},
        {{.urls = "nats://:4222"}, "no host", 0},
        {{.urls = "nats://a:port"}, "bad port", 0},
        {{.urls = "nats://a:0"}, "bad port", 0},
        {{.urls = "nats://a:65536"}, "bad port", 0},
        {{.urls = "nats://a:"}, "bad port", 0},
        {{.urls = "nats://a/b"}, "bad host", 0},
        {{.urls = "nats://[::1"}, "bad host", 0},
        {{.urls = "nats://a,nats://b c"}, "address 2 has a blank", 9},
        {{.urls = "nats://a,"}, "address 2", 9},
        {{.urls = "nats://a", .credentials_file = "/nowhere/at.creds"}, "/nowhere/at.creds", 0},
        {{.urls = "nats://a", .credentials_file = "/dev/null"}, "/dev/null", 0},
        {{.urls = "nats://a", .user = "u", .token = "t"}, "either", 0},
        {{.urls = "nats://a", .password = "p"}, "user", 0},
        {{.urls = "tls://a,nats://a"}, "address 2 is of another scheme", 8},
        {{.urls = "tls://"}, "no host", 0},
        {{.urls = "tls://a,tls://b"}, "tls_name", 0},
        {{.urls = "nats://a", .tls_ca = "/dev/null"}, "not tls://", 0},
        {{.urls = "tls://a", .tls_ca = "/nowhere/ca.pem"}, "/nowhere/ca.pem", 0},
        {{.urls = "tls://a", .tls_certificate = "/nowhere/c.pem"}, "/nowhere/c.pem", 0},
        {{.urls = "tls://a", .tls_key = "/nowhere/c.key"}, "tls_certificate", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kj_error error = {0};
        struct kj_pubsub *pubsub = (void *)&error;
        assert_int_equal(kj_pubsub_nats_new(&cases[i].options, &pubsub, &error), KJ_EINVAL);
        assert_null(pubsub);
        assert_non_null(strstr(error.text, cases[i].text));
        assert_int_equal(error.position, cases[i].position);
        assert_int_equal(kj_pubsub_nats_new(&cases[i].options, &pubsub, NULL), KJ_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_options_are_refused_and_explained),
    };
    return cmocka_run_group_tests_name("nats options", tests, NULL, NULL);
}
