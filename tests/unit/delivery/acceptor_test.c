/* acceptor_test.c - a listener for streams. */
#include "delivery/acceptor.h"
#include "pairs.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

struct fixture {
    struct kj__counters counters;
    struct kj__acceptor *acceptor;
    _Atomic int accepted;
    char address[64];
};

/* Says hello and hangs up. */
static void greet(void *ctx, int fd, const char *address)
{
    struct fixture *fixture = ctx;
    (void)snprintf(fixture->address, sizeof fixture->address, "%s", address);
    assert_int_equal(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
    close(fd);
    atomic_fetch_add(&fixture->accepted, 1);
}

static struct kj__acceptor_options options_of(struct fixture *fixture, const char *listen)
{
    return (struct kj__acceptor_options){
        .listen = listen, .on_socket = greet, .ctx = fixture, .counters = &fixture->counters};
}

static int dial(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void sockets_are_handed_on_with_their_address(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    const struct kj__acceptor_options options = options_of(&fixture, "127.0.0.1:0");
    struct kj_error error;
    assert_int_equal(kj__acceptor_start(&options, &fixture.acceptor, &error), KJ_OK);
    for (int i = 0; i < 3; i++) {
        int fd = dial(kj__acceptor_port(fixture.acceptor));
        expect_bytes(fd, "hello", 5);
        expect_end(fd);
        close(fd);
    }
    wait_for(&fixture.accepted, 3);
    assert_string_equal(fixture.address, "127.0.0.1");
    assert_int_equal(fixture.counters.stream_accepted, 3);
    kj__acceptor_stop(fixture.acceptor);
}

static void addresses_at_fault_are_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",       "8080",           "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x",
        "::1:80", "[127.0.0.1]:80", "host:80"};
    struct fixture fixture = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct kj__acceptor_options options = options_of(&fixture, wrong[i]);
        struct kj_error error = {0};
        assert_int_equal(kj__acceptor_start(&options, &fixture.acceptor, &error), KJ_EINVAL);
        assert_null(fixture.acceptor);
        assert_non_null(strstr(error.text, wrong[i]));
    }
}

static void a_port_that_is_taken_is_an_error(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct kj__acceptor *second;
    struct kj_error error = {0};
    char listen[32];
    const struct kj__acceptor_options options = options_of(&fixture, "127.0.0.1:0");
    assert_int_equal(kj__acceptor_start(&options, &fixture.acceptor, &error), KJ_OK);
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", kj__acceptor_port(fixture.acceptor));
    const struct kj__acceptor_options again = options_of(&fixture, listen);
    assert_int_equal(kj__acceptor_start(&again, &second, &error), KJ_EIO);
    assert_null(second);
    assert_non_null(strstr(error.text, "Address already in use"));
    kj__acceptor_stop(fixture.acceptor);
    kj__acceptor_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_are_handed_on_with_their_address),
        cmocka_unit_test(addresses_at_fault_are_named),
        cmocka_unit_test(a_port_that_is_taken_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
