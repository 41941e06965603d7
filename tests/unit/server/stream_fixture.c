/* stream_fixture.c - see stream_fixture.h. */
#include "stream_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

static const struct kj_identity_spec identities[] = {{.name = "task", .category = "tasks"}};
static const struct kj_relation_spec relations[] = {
    {.parent = "root", .child = "task", .operations = KJ_OP_ALL}};

/* ---- the protocol ---- */

static size_t packet_len(const uint8_t *data, size_t len, void *ctx)
{
    (void)ctx;
    if (len < LENGTH_SIZE) {
        return 0;
    }
    uint32_t rest = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 |
                    data[3];
    return rest > INT32_MAX ? SIZE_MAX : LENGTH_SIZE + rest;
}

static void on_message(struct kj_client *client, enum kj_frame frame, uint8_t *data, size_t len,
                       void *ctx)
{
    (void)ctx;
    assert_int_equal(frame, KJ_FRAME_BINARY);
    assert_int_equal(packet_len(data, len, NULL), len);
    switch (len > LENGTH_SIZE ? data[LENGTH_SIZE] : 0) {
    case 'j':
        assert_int_equal(kj_client_join(client, "room"), KJ_OK);
        break;
    case 'a':
        assert_int_equal(kj_client_admit(client), KJ_OK);
        break;
    case 'q':
        kj_client_send(client, KJ_FRAME_TEXT, "bye", 3);
        kj_client_close(client, 1000, "not seen");
        return;
    default:
        break;
    }
    kj_client_send(client, KJ_FRAME_TEXT, data, len);
}

static enum kj_status encode(unsigned encoding, const struct kj_push *const *pushes, size_t count,
                             struct kj_frames *frames, void *ctx)
{
    (void)encoding;
    (void)ctx;
    enum kj_status status = KJ_OK;
    for (size_t i = 0; !status && i < count; i++) {
        size_t len;
        const uint8_t *body = kj_push_body(pushes[i], &len);
        status = kj_frames_add(frames, KJ_FRAME_TEXT, body, len);
    }
    return status;
}

static void on_open(struct kj_client *client, void *ctx)
{
    struct kj_session *session = kj_client_session(client);
    assert_string_equal(kj_session_remote_address(session), "127.0.0.1");
    assert_null(kj_session_token(session));
    assert_null(kj_session_header(session, "Host"));
    assert_null(kj_session_cookie(session, "a"));
    assert_null(kj_session_parameter(session, "a"));
    ((struct node *)ctx)->opened++;
}

static void on_close(struct kj_client *client, void *ctx)
{
    (void)client;
    ((struct node *)ctx)->closed++;
}

/* ---- life ---- */

int set_up(void **state)
{
    const struct kj_model_spec spec = {
        .identities = identities, .identity_count = 1, .relations = relations, .relation_count = 1};
    struct node *node = calloc(1, sizeof *node);
    assert_int_equal(kj_model_new(&spec, &node->model, NULL), KJ_OK);
    assert_int_equal(kj_pubsub_local_new(NULL, &node->pubsub), KJ_OK);
    node->options = (struct kj_server_options){
        .listen = "127.0.0.1:0", .model = node->model, .pubsub = node->pubsub, .shards = 2};
    node->stream.listen = "127.0.0.1:0";
    node->protocol = (struct kj_protocol){.name = "lengths",
                                          .is_open = true,
                                          .packet_len = packet_len,
                                          .on_open = on_open,
                                          .on_message = on_message,
                                          .on_close = on_close,
                                          .encode = encode,
                                          .ctx = node};
    *state = node;
    return 0;
}

void start(struct node *node)
{
    assert_int_equal(kj_server_new(&node->options, &node->server, &node->error), KJ_OK);
    assert_int_equal(kj_server_listen(node->server, &node->stream, &node->protocol, &node->error),
                     KJ_OK);
    assert_int_equal(kj_server_stream_port(node->server, 0), 0);
    assert_int_equal(kj_server_start(node->server, &node->error), KJ_OK);
    assert_int_not_equal(kj_server_stream_port(node->server, 0), 0);
    assert_int_equal(kj_server_stream_port(node->server, 1), 0);
}

int tear_down(void **state)
{
    struct node *node = *state;
    kj_server_stop(node->server);
    assert_int_equal(node->opened, node->closed);
    assert_int_equal(kj_server_counter(node->server, "gateway_clients_current"), 0);
    kj_server_free(node->server);
    kj_pubsub_free(node->pubsub);
    kj_model_free(node->model);
    free(node);
    return 0;
}

/* ---- the client's end ---- */

int dial(const struct node *node)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(kj_server_stream_port(node->server, 0)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

void send_bytes(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

void expect_bytes(int fd, const void *wanted, size_t len)
{
    uint8_t bytes[4096];
    for (size_t done = 0; done < len;) {
        size_t part = len - done < sizeof bytes ? len - done : sizeof bytes;
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&waiting, 1, DEADLINE_MS), 1);
        ssize_t got = recv(fd, bytes, part, 0);
        assert_true(got > 0);
        assert_memory_equal(bytes, (const uint8_t *)wanted + done, (size_t)got);
        done += (size_t)got;
    }
}

void expect_end(int fd)
{
    uint8_t byte;
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, DEADLINE_MS), 1);
    ssize_t got = recv(fd, &byte, 1, 0);
    assert_true(got == 0 || (got < 0 && errno == ECONNRESET));
    close(fd);
}

void wait_for(_Atomic int *value, int wanted)
{
    for (int waited = 0; *value != wanted; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

void wait_for_counter(const struct node *node, const char *name, uint64_t wanted)
{
    for (int waited = 0; kj_server_counter(node->server, name) != wanted; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}
