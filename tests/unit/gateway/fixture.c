/* fixture.c - see fixture.h. */
#include "fixture.h"

/* ---- the protocol of words ---- */

static void answer(struct kj_client *client, const char *format, long first, long second)
{
    char text[64];
    (void)snprintf(text, sizeof text, format, first, second);
    kj_client_send(client, KJ_FRAME_TEXT, text, strlen(text));
}

static void say_to(struct kj_client *client, enum kj_topic_kind kind, const char *name,
                   const char *text)
{
    struct kj_push_receipt receipt;
    enum kj_status status = kj_gateway_publish(
        kj_client_gateway(client),
        &(struct kj_push_options){.kind = kind,
                                  .name = kind == KJ_TOPIC_ALL ? NULL : name,
                                  .from = kj_client_user(client),
                                  .client = kj_client_id(client),
                                  .body = (const uint8_t *)text,
                                  .body_len = strlen(text)},
        &receipt);
    answer(client, "ok %ld %ld", status, (long)receipt.reached);
}

/* ---- works ---- */

struct work {
    pthread_t thread; /* the client's shard */
    bool has_run;
    char text[64];
};

static void run_work(void *item)
{
    struct work *work = item;
    assert_false(pthread_equal(work->thread, pthread_self()));
    work->has_run = true;
}

static void finish_work(struct kj_client *client, void *item)
{
    struct work *work = item;
    assert_true(work->has_run);
    assert_true(pthread_equal(work->thread, pthread_self()));
    kj_client_send(client, KJ_FRAME_TEXT, work->text, strlen(work->text));
}

static void begin_work(struct kj_client *client, const char *text)
{
    struct work *work = calloc(1, sizeof *work);
    assert_non_null(work);
    work->thread = pthread_self();
    (void)snprintf(work->text, sizeof work->text, "worked %.32s", text);
    enum kj_status status = kj_client_work(client,
                                           &(struct kj_work){run_work, finish_work, free, work});
    if (status) {
        assert_int_equal(status, KJ_ECLOSED); /* the gateway stops */
        free(work);
    }
}

static void on_message(struct kj_client *client, enum kj_frame frame, uint8_t *data, size_t len,
                       void *ctx)
{
    (void)frame;
    (void)ctx;
    char text[FRAME_MAX];
    char name[256] = "";
    char third[8192] = "";
    int kind = 0;
    assert_true(len < sizeof text);
    memcpy(text, data, len);
    text[len] = '\0';
    if (sscanf(text, "join %255s", name) == 1) {
        answer(client, "ok %ld", kj_client_join(client, name), 0);
    } else if (sscanf(text, "leave %255s", name) == 1) {
        answer(client, "ok %ld", kj_client_leave(client, name), 0);
    } else if (sscanf(text, "user %255s %8191s", name, third) >= 1) {
        answer(client, "ok %ld", kj_client_set_user(client, name, third), 0);
    } else if (sscanf(text, "say %d %255s %8191s", &kind, name, third) == 3) {
        say_to(client, (enum kj_topic_kind)kind, name, third);
    } else if (sscanf(text, "work %255s", name) == 1) {
        begin_work(client, name);
    } else if (sscanf(text, "login %255s", name) == 1) {
        answer(client, "login %ld", kj_client_authenticate(client, name), 0);
    } else {
        kj_client_id_format(kj_client_id(client), name);
        kj_client_send(client, KJ_FRAME_TEXT, name, strlen(name));
    }
}

static enum kj_status encode(unsigned encoding, const struct kj_push *const *pushes, size_t count,
                             struct kj_frames *frames, void *ctx)
{
    struct fixture *fixture = ctx;
    struct kj__buffer text = {0};
    fixture->encoded++;
    for (size_t i = 0; i < count; i++) {
        size_t len;
        const uint8_t *body = kj_push_body(pushes[i], &len);
        kj__buffer_printf(&text, "[%d %s %d %s %.*s]", (int)kj_push_kind(pushes[i]),
                          kj_push_name(pushes[i]), (int)kj_push_sequence(pushes[i]),
                          kj_push_from(pushes[i]), (int)len, (const char *)body);
    }
    enum kj_status status = kj_frames_add(frames, encoding ? KJ_FRAME_BINARY : KJ_FRAME_TEXT,
                                          text.data, text.len);
    kj__buffer_fini(&text);
    return status;
}

static void on_open(struct kj_client *client, void *ctx)
{
    (void)client;
    ((struct fixture *)ctx)->opened++;
}

static void on_close(struct kj_client *client, void *ctx)
{
    (void)client;
    ((struct fixture *)ctx)->closed++;
}

static void on_authenticated(struct kj_client *client, const char *refusal, void *ctx)
{
    (void)ctx;
    char text[600];
    if (!refusal) {
        kj_client_admit(client);
        kj_client_set_user(client, kj_session_claim(kj_client_session(client), "user"), NULL);
    }
    (void)snprintf(text, sizeof text, "%s%s", refusal ? "refused " : "welcome",
                   refusal ? refusal : "");
    kj_client_send(client, KJ_FRAME_TEXT, text, strlen(text));
    if (refusal) {
        kj_client_close(client, KJ_CLOSE_UNAUTHORIZED, "refused");
    }
}

static void on_gap(struct kj_client *client, uint32_t dropped, void *ctx)
{
    (void)ctx;
    answer(client, "gap %ld", (long)dropped, 0);
}

static void on_end(struct kj_client *client, uint16_t code, const char *reason, void *ctx)
{
    (void)ctx;
    char text[256];
    (void)snprintf(text, sizeof text, "end %u %s", code, reason);
    kj_client_send(client, KJ_FRAME_TEXT, text, strlen(text));
}

/* ---- what stands in for the server ---- */

static bool authenticate(struct kj_session *session, struct kj_error *error, void *ctx)
{
    struct fixture *fixture = ctx;
    const char *token = kj_session_token(session);
    while (token && strcmp(token, "slow") == 0 && fixture->is_slow) {
        poll(NULL, 0, 1);
    }
    fixture->looked++;
    if (!token || strcmp(token, "good") != 0) {
        kj_error_set(error, 0, "no such token");
        return false;
    }
    return kj_session_set_claims(session, (const char *const[]){"user=alice"}, 1) == KJ_OK;
}

static void give_place(const char *remote_address, void *ctx)
{
    assert_string_equal(remote_address, "127.0.0.1");
    ((struct fixture *)ctx)->places--;
}

int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->limits = (struct kj_limits){
        .message_fragments = 16, .write_stall_ms = 60000, .close_timeout_ms = 500};
    fixture->shards = 2;
    fixture->linger_ms = 60000;
    fixture->topics = 1000;
    fixture->protocol = (struct kj_protocol){.name = "words",
                                             .encoding_count = 2,
                                             .is_open = true,
                                             .on_open = on_open,
                                             .on_message = on_message,
                                             .on_authenticated = on_authenticated,
                                             .on_gap = on_gap,
                                             .on_end = on_end,
                                             .on_close = on_close,
                                             .encode = encode,
                                             .ctx = fixture};
    *state = fixture;
    return 0;
}

void start(struct fixture *fixture)
{
    if (!fixture->pubsub) {
        assert_int_equal(kj_pubsub_local_new(NULL, &fixture->pubsub), KJ_OK);
    }
    assert_int_equal(
        kj__delivery_new(fixture->shards, KJ_IO_AUTO, &fixture->counters, &fixture->delivery),
        KJ_OK);
    assert_int_equal(kj__gateway_new(
                         &(struct kj__gateway_options){
                             .delivery = fixture->delivery,
                             .pubsub = fixture->pubsub,
                             .counters = &fixture->counters,
                             .prefix = "test",
                             .topics = fixture->topics,
                             .linger_ms = fixture->linger_ms,
                             .limits = &fixture->limits,
                             .authenticate = fixture->has_authenticator ? authenticate : NULL,
                             .threads = 2,
                             .give_place = give_place,
                             .ctx = fixture},
                         &fixture->gateway),
                     KJ_OK);
    struct kj_error error;
    assert_int_equal(
        kj__gateway_mount(fixture->gateway, &fixture->protocol, NULL, &fixture->mount, &error),
        KJ_OK);
    assert_int_equal(kj__delivery_start(fixture->delivery), KJ_OK);
    assert_int_equal(kj__gateway_start(fixture->gateway), KJ_OK);
}

int tear_down(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->gateway) {
        kj__gateway_stop(fixture->gateway);
        kj__delivery_stop(fixture->delivery, 0);
        assert_int_equal(fixture->opened, fixture->closed);
        assert_int_equal(fixture->places, 0);
        assert_int_equal(fixture->counters.gateway_clients, 0);
        kj__gateway_free(fixture->gateway);
        assert_int_equal(fixture->counters.gateway_topics, 0);
        kj__delivery_free(fixture->delivery);
    }
    if (!fixture->is_pubsub_borrowed) {
        kj_pubsub_free(fixture->pubsub);
    }
    free(fixture);
    return 0;
}

/* ---- clients ---- */

int connect_as(struct fixture *fixture, enum kj_encoding encoding, bool may_stay)
{
    int pair[2];
    struct kj__fields headers;
    kj__fields_init(&headers, true);
    struct kj_client *client = kj__client_new(
        fixture->mount, &(struct kj__session_origin){.headers = &headers,
                                                     .query = "",
                                                     .remote_address = "127.0.0.1",
                                                     .read_encoding = encoding,
                                                     .write_encoding = encoding});
    assert_non_null(client);
    fixture->places++;
    client->may_stay = may_stay;
    assert_true(kj__connection_announce(&client->session.connection));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(kj__connection_attach(&client->session.connection, pair[0], NULL));
    kj_client_unref(client);
    kj__fields_fini(&headers);
    return pair[1];
}

int connect_client(struct fixture *fixture)
{
    return connect_as(fixture, KJ_ENCODING_JSON, true);
}

static void read_exactly(int fd, uint8_t *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&waiting, 1, DEADLINE_MS), 1);
        ssize_t got = recv(fd, bytes + done, len - done, 0);
        assert_true(got > 0);
        done += (size_t)got;
    }
}

bool hear(int fd, char text[FRAME_MAX])
{
    uint8_t header[4];
    for (;;) {
        read_exactly(fd, header, 2);
        size_t len = header[1];
        if (len == 126) {
            read_exactly(fd, header + 2, 2);
            len = (size_t)header[2] << 8 | header[3];
        }
        assert_true(len < FRAME_MAX - 1);
        read_exactly(fd, (uint8_t *)text, len);
        text[len] = '\0';
        if (header[0] == (0x80 | KJ__FRAME_CLOSE)) {
            (void)snprintf(text, FRAME_MAX, "%u",
                           (unsigned)(uint8_t)text[0] << 8 | (uint8_t)text[1]);
            return false;
        }
        if (header[0] != (0x80 | KJ__FRAME_PING)) {
            return true;
        }
    }
}

void say(int fd, const char *text)
{
    struct kj__buffer frame = {0};
    kj__frame_append(&frame, KJ__FRAME_CLIENT, KJ__FRAME_TEXT, (const uint8_t *)text, strlen(text));
    assert_int_equal(send(fd, frame.data, frame.len, MSG_NOSIGNAL), (ssize_t)frame.len);
    kj__buffer_fini(&frame);
}

void expect(int fd, const char *text)
{
    char heard[FRAME_MAX];
    assert_true(hear(fd, heard));
    assert_string_equal(heard, text);
}

void expect_close(int fd, unsigned code)
{
    char heard[FRAME_MAX];
    char wanted[8];
    assert_false(hear(fd, heard));
    (void)snprintf(wanted, sizeof wanted, "%u", code);
    assert_string_equal(heard, wanted);
}

void expect_silence(int fd)
{
    char heard[FRAME_MAX];
    say(fd, "who");
    assert_true(hear(fd, heard));
    assert_non_null(strchr(heard, '-'));
    assert_int_not_equal(heard[0], '[');
}

void ask(int fd, const char *text, const char *wanted)
{
    say(fd, text);
    expect(fd, wanted);
}

void wait_for(_Atomic uint64_t *counter, uint64_t wanted)
{
    for (int waited = 0; *counter != wanted; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

void wait_for_members(struct fixture *fixture, const char *room, size_t wanted)
{
    for (int waited = 0; kj_gateway_member_count(fixture->gateway, KJ_TOPIC_ROOM, room) != wanted;
         waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

enum kj_status publish(struct fixture *fixture, enum kj_topic_kind kind, const char *name,
                       const char *text)
{
    return kj_gateway_publish(
        fixture->gateway,
        &(struct kj_push_options){
            .kind = kind, .name = name, .body = (const uint8_t *)text, .body_len = strlen(text)},
        NULL);
}
