/* tls_test.c - the stream against OpenSSL itself, which has its bytes in memory and so lets the
 * test carry them over as it likes. Every test runs in TLS 1.2 and in 1.3, with a peer that takes
 * records of any size and with one that wants small ones. */
#include "delivery/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { LARGE = 256 * 1024 };

struct pair {
    struct kj__tls *tls; /* under test: the server's side of the socket */
    int fd;
    SSL *peer; /* what it sends and gets lies in its two memory BIOs */
    int peer_fd;
    SSL_CTX *server_context, *peer_context;
    uint8_t scratch[KJ__TLS_RECORD_MAX];
};

static SSL_CTX *make_server_context(int version)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    assert_non_null(key);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

static SSL *new_side(SSL_CTX *context)
{
    SSL *ssl = SSL_new(context);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    return ssl;
}

static void carry(SSL *from, SSL *to)
{
    char bytes[4096];
    int len;
    while ((len = BIO_read(SSL_get_wbio(from), bytes, sizeof bytes)) > 0) {
        assert_int_equal(BIO_write(SSL_get_rbio(to), bytes, len), len);
    }
}

static void set_up(struct pair *pair, int version, uint8_t fragments)
{
    int fds[2];
    *pair = (struct pair){.server_context = make_server_context(version),
                          .peer_context = SSL_CTX_new(TLS_client_method())};
    assert_int_equal(SSL_CTX_set_tlsext_max_fragment_length(pair->peer_context, fragments), 1);
    SSL *server = new_side(pair->server_context);
    pair->peer = new_side(pair->peer_context);
    SSL_set_accept_state(server);
    SSL_set_connect_state(pair->peer);
    for (int i = 0; i < 4; i++) {
        SSL_do_handshake(pair->peer);
        carry(pair->peer, server);
        SSL_do_handshake(server);
        carry(server, pair->peer);
    }
    assert_true(SSL_is_init_finished(server) && SSL_is_init_finished(pair->peer));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    pair->fd = fds[0];
    pair->peer_fd = fds[1];
    pair->tls = kj__tls_new_take(server, pair->fd);
    assert_non_null(pair->tls);
}

static void tear_down(struct pair *pair)
{
    kj__tls_free(pair->tls);
    SSL_free(pair->peer);
    SSL_CTX_free(pair->server_context);
    SSL_CTX_free(pair->peer_context);
    close(pair->fd);
    if (pair->peer_fd >= 0) {
        close(pair->peer_fd);
    }
}

/* What the peer has to send, at most `step` bytes of it: false when there is nothing. */
static bool peer_sends(struct pair *pair, size_t step)
{
    char bytes[LARGE];
    int len = BIO_read(SSL_get_wbio(pair->peer), bytes, (int)step);
    if (len > 0) {
        assert_int_equal(send(pair->peer_fd, bytes, (size_t)len, 0), len);
    }
    return len > 0;
}

/* Lets the peer have what lies in its socket, and read it; at most `size` bytes. */
static size_t peer_reads(struct pair *pair, uint8_t *bytes, size_t size)
{
    char sealed[16384];
    ssize_t len;
    while ((len = recv(pair->peer_fd, sealed, sizeof sealed, 0)) > 0) {
        BIO_write(SSL_get_rbio(pair->peer), sealed, (int)len);
    }
    size_t used = 0;
    size_t got;
    while (used < size && SSL_read_ex(pair->peer, bytes + used, size - used, &got)) {
        used += got;
    }
    return used;
}

static void peer_says(struct pair *pair, const char *text)
{
    assert_int_equal(SSL_write(pair->peer, text, (int)strlen(text)), (int)strlen(text));
}

static void assert_would_block(struct pair *pair)
{
    uint8_t byte;
    assert_int_equal(kj__tls_read(pair->tls, &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_false(kj__tls_has_more(pair->tls));
}

/* ---- the tests ---- */

static void bytes_that_drip_in_are_read_whole(struct pair *pair)
{
    uint8_t bytes[KJ__TLS_RECORD_MAX];
    assert_would_block(pair);
    peer_says(pair, "drop by drop");
    ssize_t got = -1;
    while (got < 0 && peer_sends(pair, 1)) {
        got = kj__tls_read(pair->tls, bytes, sizeof bytes);
        assert_true(got > 0 || errno == EAGAIN);
    }
    assert_int_equal(got, 12);
    assert_memory_equal(bytes, "drop by drop", 12);
    assert_false(peer_sends(pair, 1));
    assert_would_block(pair);
}

static void one_read_takes_every_record_there_is(struct pair *pair)
{
    uint8_t bytes[4 * KJ__TLS_RECORD_MAX];
    peer_says(pair, "one");
    peer_says(pair, "two");
    peer_says(pair, "three");
    peer_sends(pair, LARGE);
    assert_int_equal(kj__tls_read(pair->tls, bytes, sizeof bytes), 11);
    assert_memory_equal(bytes, "onetwothree", 11);
    assert_false(kj__tls_has_more(pair->tls));
}

static void what_a_small_buffer_leaves_is_announced(struct pair *pair)
{
    uint8_t bytes[8] = {0};
    peer_says(pair, "abcdefg");
    peer_sends(pair, LARGE);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(kj__tls_read(pair->tls, bytes + i, 1), 1);
        assert_int_equal(kj__tls_has_more(pair->tls), i < 6);
    }
    assert_memory_equal(bytes, "abcdefg", 7);
}

static void frames_of_one_flush_are_one_record(struct pair *pair)
{
    uint8_t bytes[64];
    size_t got;
    struct iovec vector[] = {{"\x81\x01"
                              "a",
                              3},
                             {"\x81\x01"
                              "b",
                              3},
                             {"\x81\x01"
                              "c",
                              3}};
    assert_int_equal(kj__tls_write(pair->tls, vector, 3, pair->scratch), 9);
    assert_false(kj__tls_has_unsent(pair->tls));
    assert_int_equal(peer_reads(pair, bytes, 0), 0);
    assert_int_equal(SSL_read_ex(pair->peer, bytes, sizeof bytes, &got), 1);
    assert_int_equal(got, 9); /* one SSL_read never gives more than one record */
    assert_memory_equal(bytes,
                        "\x81\x01"
                        "a\x81\x01"
                        "b\x81\x01"
                        "c",
                        9);
}

static void nothing_to_write_is_no_record(struct pair *pair)
{
    uint8_t byte;
    assert_int_equal(kj__tls_write(pair->tls, NULL, 0, pair->scratch), 0);
    assert_int_equal(recv(pair->peer_fd, &byte, 1, 0), -1);
}

static void nothing_to_write_waits_for_no_handshake(struct pair *pair)
{
    uint8_t bytes[8];
    SSL *fresh = SSL_new(pair->server_context);
    SSL_set_accept_state(fresh);
    struct kj__tls *tls = kj__tls_new_take(fresh, pair->fd);
    assert_true(kj__tls_keep(tls, (const uint8_t *)"rest", 4));
    assert_int_equal(kj__tls_write(tls, NULL, 0, pair->scratch), 0);
    assert_false(kj__tls_has_unsent(tls) || kj__tls_waits_for_output(tls));
    assert_int_equal(recv(pair->peer_fd, bytes, sizeof bytes, 0), 4);
    kj__tls_free(tls);
}

/* Writes until the socket is full; appends what was accepted to `expected`. Each call offers
 * other bytes, as a queue does from which frames are dropped. */
static size_t fill_socket(struct pair *pair, uint8_t *expected)
{
    size_t accepted = 0;
    for (unsigned call = 0;; call++) {
        uint8_t offered[3][9000];
        struct iovec vector[3];
        for (unsigned i = 0; i < 3; i++) {
            memset(offered[i], (int)(call * 3 + i), sizeof offered[i]);
            vector[i] = (struct iovec){offered[i], sizeof offered[i]};
        }
        ssize_t written = kj__tls_write(pair->tls, vector, 3, pair->scratch);
        if (written < 0) {
            assert_int_equal(errno, EAGAIN);
            return accepted;
        }
        for (size_t i = 0, left = (size_t)written; left > 0; i++) {
            size_t part = left < sizeof offered[i] ? left : sizeof offered[i];
            memcpy(expected + accepted, offered[i], part);
            accepted += part;
            left -= part;
        }
        assert_true(accepted < 2 * (size_t)LARGE);
    }
}

static void what_was_accepted_arrives_however_full_the_socket(struct pair *pair)
{
    static uint8_t expected[3 * LARGE];
    static uint8_t received[3 * LARGE];
    int small = 8192;
    setsockopt(pair->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    size_t accepted = 0;
    size_t arrived = 0;
    for (int round = 0; round < 8; round++) {
        accepted += fill_socket(pair, expected + accepted);
        assert_true(kj__tls_has_unsent(pair->tls));
        assert_true(kj__tls_waits_for_output(pair->tls));
        arrived += peer_reads(pair, received + arrived, sizeof received - arrived);
    }
    while (kj__tls_has_unsent(pair->tls)) {
        assert_true(kj__tls_write(pair->tls, NULL, 0, pair->scratch) == 0 || errno == EAGAIN);
        arrived += peer_reads(pair, received + arrived, sizeof received - arrived);
    }
    assert_false(kj__tls_waits_for_output(pair->tls));
    arrived += peer_reads(pair, received + arrived, sizeof received - arrived);
    assert_int_equal(arrived, accepted);
    assert_memory_equal(received, expected, accepted);
}

static void reading_goes_on_while_writing_is_blocked(struct pair *pair)
{
    static uint8_t expected[3 * LARGE];
    uint8_t bytes[KJ__TLS_RECORD_MAX];
    fill_socket(pair, expected);
    peer_says(pair, "still here");
    peer_sends(pair, LARGE);
    assert_int_equal(kj__tls_read(pair->tls, bytes, sizeof bytes), 10);
    assert_true(kj__tls_has_unsent(pair->tls));
}

static void keys_may_change_on_the_way(struct pair *pair)
{
    uint8_t bytes[KJ__TLS_RECORD_MAX];
    struct iovec answer = {"answer", 6};
    if (SSL_version(pair->peer) == TLS1_3_VERSION) {
        assert_int_equal(SSL_key_update(pair->peer, SSL_KEY_UPDATE_REQUESTED), 1);
    }
    peer_says(pair, "question");
    while (peer_sends(pair, 1)) {
    }
    assert_int_equal(kj__tls_read(pair->tls, bytes, sizeof bytes), 8);
    assert_int_equal(kj__tls_write(pair->tls, &answer, 1, pair->scratch), 6);
    assert_int_equal(peer_reads(pair, bytes, sizeof bytes), 6);
    assert_memory_equal(bytes, "answer", 6);
}

/* ---- sealed ahead ---- */

static uint8_t sealed[KJ__TLS_SEALED_MAX(KJ__TLS_RECORD_MAX)];

/* Seals, and sends `part` of it in 16ths; the rest is kept. */
static void seal_and_send(struct pair *pair, const uint8_t *bytes, size_t len, size_t part)
{
    assert_true(kj__tls_may_seal(pair->tls));
    size_t sealed_len = kj__tls_seal(pair->tls, bytes, len, sealed);
    assert_in_range(sealed_len, len + 1, KJ__TLS_SEALED_MAX(len));
    size_t sent = sealed_len * part / 16;
    assert_int_equal(send(pair->fd, sealed, sent, 0), sent);
    if (sent < sealed_len) {
        assert_true(kj__tls_keep(pair->tls, sealed + sent, sealed_len - sent));
        assert_false(kj__tls_may_seal(pair->tls));
        assert_true(kj__tls_has_unsent(pair->tls) && kj__tls_waits_for_output(pair->tls));
    }
}

static void what_was_sealed_leaves_ahead_of_what_is_written_then(struct pair *pair)
{
    static uint8_t expected[20 * KJ__TLS_RECORD_MAX];
    static uint8_t received[sizeof expected];
    size_t len = 0;
    size_t arrived = 0;
    for (size_t part = 0; part <= 16; part++) {
        size_t size = 1 + (part * 1093) % KJ__TLS_RECORD_MAX;
        memset(expected + len, (int)part, size);
        seal_and_send(pair, expected + len, size, part);
        len += size;
        struct iovec behind = {expected + len, 100};
        memset(expected + len, 200, 100);
        assert_int_equal(kj__tls_write(pair->tls, &behind, 1, pair->scratch), 100);
        len += 100;
        arrived += peer_reads(pair, received + arrived, sizeof received - arrived);
    }
    assert_int_equal(arrived, len);
    assert_memory_equal(received, expected, len);
    assert_true(kj__tls_may_seal(pair->tls));
}

static void the_largest_record_has_room(struct pair *pair)
{
    static uint8_t bytes[KJ__TLS_RECORD_MAX];
    static uint8_t received[KJ__TLS_RECORD_MAX];
    memset(bytes, 'x', sizeof bytes);
    if (SSL_version(pair->peer) == TLS1_3_VERSION) {
        uint8_t question[8];
        assert_int_equal(SSL_key_update(pair->peer, SSL_KEY_UPDATE_REQUESTED), 1);
        peer_says(pair, "question");
        while (peer_sends(pair, 1)) {
        }
        assert_int_equal(kj__tls_read(pair->tls, question, sizeof question), 8);
    }
    seal_and_send(pair, bytes, sizeof bytes, 16);
    assert_int_equal(peer_reads(pair, received, sizeof received), sizeof received);
    assert_memory_equal(received, bytes, sizeof bytes);
}

/* A peer may ask for new keys as often as it likes; what is kept for it meanwhile is bounded. */
static void a_peer_that_asks_and_does_not_read_is_not_answered_for_ever(struct pair *pair)
{
    static uint8_t expected[3 * LARGE];
    uint8_t bytes[KJ__TLS_RECORD_MAX];
    if (SSL_version(pair->peer) != TLS1_3_VERSION) {
        return;
    }
    fill_socket(pair, expected);
    errno = 0;
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(SSL_key_update(pair->peer, SSL_KEY_UPDATE_REQUESTED), 1);
        peer_says(pair, "?");
        while (peer_sends(pair, LARGE)) {
        }
        while (kj__tls_read(pair->tls, bytes, sizeof bytes) > 0) {
        }
        assert_int_equal(errno, EAGAIN);
        if (recv(pair->fd, bytes, 1, MSG_PEEK) > 0) {
            break; /* it is not read from any more */
        }
    }
    assert_true(recv(pair->fd, bytes, 1, MSG_PEEK) == 1);
    assert_true(kj__tls_waits_for_output(pair->tls));
}

/* Others wait for the thread while one is read from. */
static void what_holds_no_data_is_read_some_at_a_time(struct pair *pair)
{
    enum { KEYS = 2000 };
    uint8_t bytes[KJ__TLS_RECORD_MAX];
    ssize_t got = -1;
    int reads = 0;
    if (SSL_version(pair->peer) != TLS1_3_VERSION) {
        return;
    }
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(SSL_key_update(pair->peer, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(pair->peer), 1);
    }
    peer_says(pair, "question");
    assert_true(peer_sends(pair, LARGE));
    for (; got < 0; reads++) {
        assert_true(recv(pair->fd, bytes, 1, MSG_PEEK) == 1); /* it announces what is left */
        got = kj__tls_read(pair->tls, bytes, sizeof bytes);
        assert_true(got > 0 || errno == EAGAIN);
        assert_false(kj__tls_has_more(pair->tls));
    }
    assert_int_equal(got, 8);
    assert_in_range(reads, 3, KEYS);
}

static void the_end_is_told_and_heard(struct pair *pair)
{
    uint8_t bytes[KJ__TLS_RECORD_MAX];
    kj__tls_end(pair->tls);
    assert_int_equal(peer_reads(pair, bytes, sizeof bytes), 0);
    assert_int_equal(SSL_get_shutdown(pair->peer), SSL_RECEIVED_SHUTDOWN);

    peer_says(pair, "last words");
    SSL_shutdown(pair->peer);
    peer_sends(pair, LARGE);
    assert_int_equal(kj__tls_read(pair->tls, bytes, sizeof bytes), 10);
    assert_int_equal(kj__tls_read(pair->tls, bytes, sizeof bytes), 0);
    assert_true(kj__tls_has_more(pair->tls));
}

static void an_end_behind_data_is_announced(struct pair *pair)
{
    uint8_t bytes[4 * KJ__TLS_RECORD_MAX];
    peer_says(pair, "last words");
    SSL_shutdown(pair->peer);
    peer_sends(pair, LARGE);
    assert_int_equal(kj__tls_read(pair->tls, bytes, sizeof bytes), 10);
    assert_true(kj__tls_has_more(pair->tls)); /* the socket would not say */
    assert_int_equal(kj__tls_read(pair->tls, bytes, sizeof bytes), 0);
}

static void a_peer_without_manners_is_an_end_and_no_signal(struct pair *pair)
{
    uint8_t byte;
    struct iovec text = {"text", 4};
    close(pair->peer_fd);
    pair->peer_fd = -1;
    assert_int_equal(kj__tls_read(pair->tls, &byte, 1), 0);
    assert_int_equal(kj__tls_write(pair->tls, &text, 1, pair->scratch), -1);
    assert_int_equal(errno, EPIPE);
    kj__tls_end(pair->tls);
}

static void garbage_is_an_error_with_a_reason(struct pair *pair)
{
    uint8_t byte;
    uint8_t garbage[40] = {0x17, 3, 3, 0, 32};
    assert_int_equal(send(pair->peer_fd, garbage, 37, 0), 37);
    assert_int_equal(kj__tls_read(pair->tls, &byte, 1), -1);
    assert_int_equal(errno, EPROTO);
    assert_non_null(kj__tls_fault(pair->tls));
    assert_int_equal(kj__tls_read(pair->tls, &byte, 1), -1);
    assert_int_equal(ERR_peek_error(), 0); /* nothing is left for the next one's sake */
}

typedef void (*pair_test)(struct pair *pair);

static void run_in_each_version(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const uint8_t fragments[] = {TLSEXT_max_fragment_length_DISABLED,
                                        TLSEXT_max_fragment_length_512};
    pair_test test = *(pair_test *)*state;
    for (size_t i = 0; i < 4; i++) {
        struct pair pair;
        set_up(&pair, versions[i / 2], fragments[i % 2]);
        test(&pair);
        tear_down(&pair);
    }
}

#define TEST(name)                                                                                 \
    {                                                                                              \
#name, run_in_each_version, NULL, NULL, &(pair_test)                                       \
        {                                                                                          \
            name                                                                                   \
        }                                                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_that_drip_in_are_read_whole),
        TEST(one_read_takes_every_record_there_is),
        TEST(what_a_small_buffer_leaves_is_announced),
        TEST(frames_of_one_flush_are_one_record),
        TEST(nothing_to_write_is_no_record),
        TEST(nothing_to_write_waits_for_no_handshake),
        TEST(what_was_sealed_leaves_ahead_of_what_is_written_then),
        TEST(the_largest_record_has_room),
        TEST(a_peer_that_asks_and_does_not_read_is_not_answered_for_ever),
        TEST(what_was_accepted_arrives_however_full_the_socket),
        TEST(reading_goes_on_while_writing_is_blocked),
        TEST(keys_may_change_on_the_way),
        TEST(what_holds_no_data_is_read_some_at_a_time),
        TEST(the_end_is_told_and_heard),
        TEST(an_end_behind_data_is_announced),
        TEST(a_peer_without_manners_is_an_end_and_no_signal),
        TEST(garbage_is_an_error_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
