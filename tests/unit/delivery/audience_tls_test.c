/* audience_tls_test.c - frames for many over TLS, on a real shard: what each peer makes of them. */
#include "audience_fixture.h"
#include "pairs.h"

#include <openssl/ssl.h>
#include <stdlib.h>

/* Every test runs with each way to the sockets that there is. */
static enum kj_io fixture_io;

static SSL_CTX *server_context, *peer_context;

/* Its TLS lies in memory, so that it never waits for the socket. */
struct peer {
    struct member *member; /* a reference */
    SSL *ssl;
    int fd;
    uint8_t unsent[4096];
    size_t unsent_len;
};

static void make_contexts(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    assert_non_null(key);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    server_context = SSL_CTX_new(TLS_server_method());
    peer_context = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_set_num_tickets(server_context, 0), 1);
    assert_int_equal(SSL_CTX_use_certificate(server_context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server_context, key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static int set_up(void **state)
{
    *state = fixture_new(fixture_io);
    make_contexts();
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    SSL_CTX_free(server_context);
    SSL_CTX_free(peer_context);
    return 0;
}

/* ---- peers ---- */

static void carry(SSL *from, SSL *to)
{
    char bytes[4096];
    int len;
    while ((len = BIO_read(SSL_get_wbio(from), bytes, sizeof bytes)) > 0) {
        assert_int_equal(BIO_write(SSL_get_rbio(to), bytes, len), len);
    }
}

static void shake_hands(SSL *server, SSL *peer)
{
    SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_bio(peer, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(server);
    SSL_set_connect_state(peer);
    for (int i = 0; i < 4; i++) {
        SSL_do_handshake(peer);
        carry(peer, server);
        SSL_do_handshake(server);
        carry(server, peer);
    }
    assert_true(SSL_is_init_finished(server) && SSL_is_init_finished(peer));
}

static struct peer join_peer(struct fixture *fixture)
{
    int pair[2];
    int opened = atomic_load(&fixture->opened);
    SSL *server = SSL_new(server_context);
    struct peer peer = {.member = calloc(1, sizeof *peer.member), .ssl = SSL_new(peer_context)};
    shake_hands(server, peer.ssl);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    peer.fd = pair[1];
    kj__connection_init(&peer.member->connection, fixture->delivery, &fixture->patient, true);
    peer.member->wanted = 1;
    assert_true(kj__connection_announce(&peer.member->connection));
    assert_true(kj__connection_attach(&peer.member->connection, pair[0],
                                      kj__tls_new_take(server, pair[0])));
    wait_for(&fixture->opened, opened + 1);
    return peer;
}

static void leave(struct peer *peer)
{
    kj__connection_unref(&peer->member->connection);
    SSL_free(peer->ssl);
    close(peer->fd);
}

/* Sends what the socket takes; false when it does not take everything. */
static bool push(struct peer *peer)
{
    for (;;) {
        if (peer->unsent_len == 0) {
            int len = BIO_read(SSL_get_wbio(peer->ssl), peer->unsent, sizeof peer->unsent);
            peer->unsent_len = len > 0 ? (size_t)len : 0;
        }
        if (peer->unsent_len == 0) {
            return true;
        }
        ssize_t sent = send(peer->fd, peer->unsent, peer->unsent_len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            assert_int_equal(errno, EAGAIN);
            return false;
        }
        peer->unsent_len -= (size_t)sent;
        memmove(peer->unsent, peer->unsent + sent, peer->unsent_len);
    }
}

/* Up to `size` bytes, as soon as there are any. */
static size_t receive(struct peer *peer, uint8_t *bytes, size_t size)
{
    size_t got;
    while (!SSL_read_ex(peer->ssl, bytes, size, &got)) {
        uint8_t sealed[4096];
        bool is_sent = push(peer);
        struct pollfd ready = {.fd = peer->fd, .events = is_sent ? POLLIN : POLLIN | POLLOUT};
        assert_int_equal(SSL_get_error(peer->ssl, 0), SSL_ERROR_WANT_READ);
        assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
        ssize_t len = recv(peer->fd, sealed, sizeof sealed, MSG_DONTWAIT);
        assert_true(len > 0 || (len < 0 && errno == EAGAIN));
        if (len > 0) {
            assert_int_equal(BIO_write(SSL_get_rbio(peer->ssl), sealed, (int)len), len);
        }
    }
    return got;
}

static void expect(struct peer *peer, const void *wanted, size_t len)
{
    static uint8_t bytes[READ_MAX];
    for (size_t done = 0; done < len;) {
        size_t part = len - done < sizeof bytes ? len - done : sizeof bytes;
        size_t got = receive(peer, bytes, part);
        assert_memory_equal(bytes, (const uint8_t *)wanted + done, got);
        done += got;
    }
}

/* ---- the tests ---- */

/* Around a record's size, and around what a batch of writes has room for. */
static size_t every_size(size_t number)
{
    static const size_t sizes[] = {4,          16300,      17000,      70 * 1024, 200 * 1024,
                                   208 * 1024, 260 * 1024, 300 * 1024, 1 << 20,   100};
    return sizes[number % (sizeof sizes / sizeof *sizes)];
}

static void frames_of_every_size_reach_every_member(void **state)
{
    enum { PEERS = 3, FRAMES = 20 };
    struct fixture *fixture = *state;
    struct peer peers[PEERS];
    const struct script *script = &fixture->script;
    write_script(fixture, FRAMES, every_size);
    for (size_t i = 0; i < PEERS; i++) {
        peers[i] = join_peer(fixture);
    }
    for (size_t frame = 0; frame < FRAMES; frame++) {
        post(fixture, (struct call){.run = append, .from = frame, .to = frame + 1});
        for (size_t i = 0; i < PEERS; i++) {
            expect(&peers[i], script->frames[frame]->bytes, script->frames[frame]->len);
        }
    }
    post(fixture, (struct call){.run = append, .from = 0, .to = FRAMES});
    for (size_t i = 0; i < PEERS; i++) {
        expect(&peers[i], script->stream, script->offsets[FRAMES]);
        leave(&peers[i]);
    }
}

/* As an answer to a peer's new keys, which the socket had no room for when it was made. */
static void keep_and_append(struct call *call)
{
    struct kj__connection *connection = &call->member->connection;
    uint8_t room[KJ__TLS_SEALED_MAX(5)];
    size_t len = kj__tls_seal(connection->tls, (const uint8_t *)"first", 5, room);
    assert_true(len > 0 && kj__tls_keep(connection->tls, room, len));
    kj__shard_mark_dirty(connection->shard, connection);
    append(call);
}

static void what_reading_left_to_be_sent_leaves_before_the_next_frame(void **state)
{
    struct fixture *fixture = *state;
    write_script(fixture, 2, medium_sizes);
    struct peer peer = join_peer(fixture);
    for (size_t i = 0; i < 2; i++) {
        post(fixture,
             (struct call){.run = keep_and_append, .member = peer.member, .from = i, .to = i + 1});
        expect(&peer, "first", 5);
        expect(&peer, fixture->script.frames[i]->bytes, fixture->script.frames[i]->len);
    }
    leave(&peer);
}

static _Atomic bool is_deaf;

static void look_whether_deaf(struct call *call)
{
    atomic_store(&is_deaf, call->member->connection.is_deaf);
}

/* Asks for new keys, whose coming it does not look at, until it is not heard any more. */
static void ask_until_not_heard(struct fixture *fixture, struct peer *peer)
{
    atomic_store(&is_deaf, false);
    for (int waited = 0; !is_deaf;) {
        if (push(peer)) {
            waited = 0;
            assert_int_equal(SSL_key_update(peer->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
            assert_int_equal(SSL_do_handshake(peer->ssl), 1);
        } else {
            post_and_wait(fixture, (struct call){.run = look_whether_deaf, .member = peer->member});
            assert_true(waited++ < DEADLINE_MS);
            poll(NULL, 0, 1);
        }
    }
}

static void who_asks_for_keys_and_does_not_read_is_heard_once_it_reads(void **state)
{
    static const uint8_t ping[] = {0x89, 0x80, 0, 0, 0, 0};
    static const uint8_t pong[] = {0x8a, 0};
    struct fixture *fixture = *state;
    struct peer peer = join_peer(fixture);
    ask_until_not_heard(fixture, &peer);
    assert_int_equal(SSL_write(peer.ssl, ping, sizeof ping), sizeof ping);
    expect(&peer, pong, sizeof pong);
    post_and_wait(fixture, (struct call){.run = look_whether_deaf, .member = peer.member});
    assert_false(is_deaf);
    leave(&peer);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(frames_of_every_size_reach_every_member),
        WITH_FIXTURE(what_reading_left_to_be_sent_leaves_before_the_next_frame),
        WITH_FIXTURE(who_asks_for_keys_and_does_not_read_is_heard_once_it_reads),
    };
    int failed = 0;
    for (int way = 0; way < count_ways(); way++) {
        fixture_io = way ? KJ_IO_URING : KJ_IO_EPOLL;
        failed += cmocka_run_group_tests_name(way ? "io_uring" : "epoll", tests, NULL, NULL);
    }
    return failed;
}
