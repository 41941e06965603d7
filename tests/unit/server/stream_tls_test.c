/* stream_tls_test.c - clients over TLS, of a whole server. */
#include "stream_fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

static char file[] = "/tmp/kujata-stream-XXXXXX";

/* A certificate of its own, with its key, as `file` has it from now on. */
static void write_certificate(long serial)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_X509(out, certificate), 1);
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(out), 0);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static int set_up_tls(void **state)
{
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    write_certificate(1);
    set_up(state);
    struct node *node = *state;
    node->options.tls_certificate = file;
    node->stream.tls = true;
    return 0;
}

static int tear_down_tls(void **state)
{
    unlink(file);
    memcpy(file + strlen(file) - 6, "XXXXXX", 6);
    return tear_down(state);
}

static SSL *dial_tls(const struct node *node)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(ssl, dial(node));
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

static void hang_up(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static void ask(SSL *ssl, const void *bytes, int len)
{
    uint8_t answer[256];
    assert_int_equal(SSL_write(ssl, bytes, len), len);
    for (int done = 0; done < len;) {
        int got = SSL_read(ssl, answer + done, len - done);
        assert_true(got > 0);
        done += got;
    }
    assert_memory_equal(answer, bytes, (size_t)len);
}

static long serial_of(const SSL *ssl)
{
    return ASN1_INTEGER_get(X509_get0_serialNumber(SSL_get0_peer_certificate(ssl)));
}

static void packets_come_back_through_tls(void **state)
{
    struct node *node = *state;
    start(node);
    SSL *ssl = dial_tls(node);
    ask(ssl, "\0\0\0\1x\0\0\0\2yz", 11);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(SSL_write(ssl, &"\0\0\0\1"[i], 1), 1);
    }
    assert_int_equal(SSL_write(ssl, "w", 1), 1);
    uint8_t answer[5];
    assert_int_equal(SSL_read(ssl, answer, 5), 5);
    assert_memory_equal(answer, "\0\0\0\1w", 5);
    hang_up(ssl);
    wait_for(&node->closed, 1);
    assert_int_equal(kj_server_counter(node->server, "stream_tls_failed_total"), 0);
}

/* A push that is published while the handshake is under way follows it. */
static void pushes_wait_for_the_handshake(void **state)
{
    struct node *node = *state;
    start(node);
    int fd = dial(node);
    wait_for(&node->opened, 1);
    const struct kj_push_options push = {
        .kind = KJ_TOPIC_ALL, .body = (const uint8_t *)"hello", .body_len = 5};
    assert_int_equal(kj_gateway_publish(kj_server_gateway(node->server), &push, NULL), KJ_OK);
    wait_for_counter(node, "gateway_received_total", 1);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(ssl, fd);
    assert_int_equal(SSL_connect(ssl), 1);
    uint8_t heard[5];
    assert_int_equal(SSL_read(ssl, heard, 5), 5);
    assert_memory_equal(heard, "hello", 5);
    ask(ssl, "\0\0\0\1x", 5);
    hang_up(ssl);
}

static void a_handshake_has_its_time(void **state)
{
    struct node *node = *state;
    node->protocol.limits.handshake_ms = 300;
    start(node);
    SSL *good = dial_tls(node);
    int silent = dial(node);
    expect_end(silent);
    wait_for_counter(node, "stream_tls_failed_total", 1);
    assert_int_equal(kj_server_counter(node->server, "gateway_handshakes_too_slow_total"), 1);
    ask(good, "\0\0\0\1x", 5); /* it has had longer by now */
    hang_up(good);
}

static void what_is_no_tls_is_closed(void **state)
{
    struct node *node = *state;
    start(node);
    int fd = dial(node);
    send_bytes(fd, "\0\0\0\1x\0\0\0\1x", 10);
    struct pollfd waiting = {.fd = fd, .events = POLLIN | POLLRDHUP};
    assert_int_equal(poll(&waiting, 1, DEADLINE_MS), 1);
    wait_for(&node->closed, 1);
    wait_for_counter(node, "stream_tls_failed_total", 1);
    assert_int_equal(kj_server_counter(node->server, "gateway_messages_received_total"), 0);
    close(fd);
}

static void a_new_certificate_is_for_connections_to_come(void **state)
{
    struct node *node = *state;
    start(node);
    SSL *first = dial_tls(node);
    assert_int_equal(serial_of(first), 1);
    write_certificate(2);
    assert_int_equal(kj_server_reload_tls(node->server, &node->error), KJ_OK);
    SSL *second = dial_tls(node);
    assert_int_equal(serial_of(second), 2);
    ask(first, "\0\0\0\1x", 5);
    ask(second, "\0\0\0\1x", 5);
    hang_up(first);
    hang_up(second);
}

/* One that has not shaken hands is there as well. */
static void they_are_let_go_at_the_stop(void **state)
{
    struct node *node = *state;
    start(node);
    SSL *ssl = dial_tls(node);
    ask(ssl, "\0\0\0\1x", 5);
    int silent = dial(node);
    wait_for(&node->opened, 2);
    kj_server_stop(node->server);
    uint8_t byte;
    assert_int_equal(SSL_read(ssl, &byte, 1), 0);
    assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
    hang_up(ssl);
    expect_end(silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(packets_come_back_through_tls, set_up_tls, tear_down_tls),
        cmocka_unit_test_setup_teardown(pushes_wait_for_the_handshake, set_up_tls, tear_down_tls),
        cmocka_unit_test_setup_teardown(a_handshake_has_its_time, set_up_tls, tear_down_tls),
        cmocka_unit_test_setup_teardown(what_is_no_tls_is_closed, set_up_tls, tear_down_tls),
        cmocka_unit_test_setup_teardown(a_new_certificate_is_for_connections_to_come, set_up_tls,
                                        tear_down_tls),
        cmocka_unit_test_setup_teardown(they_are_let_go_at_the_stop, set_up_tls, tear_down_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
