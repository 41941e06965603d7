/* fixture.c - see fixture.h. */
#include "fixture.h"

#include <kujata/pubsub_local.h>

int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->limits = (struct kj_limits){.message_bytes = 65536,
                                         .message_fragments = 16,
                                         .session_queue_bytes = 1 << 20,
                                         .session_queue_messages = 4096,
                                         .sessions = 100,
                                         .ping_interval_ms = 60000,
                                         .pong_timeout_ms = 60000,
                                         .write_stall_ms = 60000,
                                         .close_timeout_ms = 500};
    fixture->shards = 2;
    fixture->dispatch.ctx = fixture;
    *state = fixture;
    return 0;
}

void start(struct fixture *fixture)
{
    assert_int_equal(kj_pubsub_local_new(NULL, &fixture->pubsub), KJ_OK);
    assert_int_equal(
        kj__delivery_new(fixture->shards, KJ_IO_AUTO, &fixture->counters, &fixture->delivery),
        KJ_OK);
    kj__events_init(&fixture->events,
                    &(struct kj__events_options){
                        .delivery = fixture->delivery,
                        .pubsub = fixture->pubsub,
                        .counters = &fixture->counters,
                        .model = fixture->model,
                        .topic = "events",
                        .subject_hierarchies = fixture->subject_hierarchies,
                        .node_prefix = fixture->node_prefix,
                        .renewal_threads = 2,
                        .dispatch = &fixture->dispatch,
                        .publish = &fixture->publish,
                        .authenticators = fixture->authenticators,
                        .authenticator_count = fixture->authenticator_count,
                        .audit = &fixture->audit,
                        .token_cookie = fixture->token_cookie,
                        .allowed_origins = fixture->origins[0] ? fixture->origins : NULL,
                        .limits = &fixture->limits,
                    });
    assert_int_equal(kj__delivery_start(fixture->delivery), KJ_OK);
    assert_int_equal(kj__events_start(&fixture->events), KJ_OK);
}

int tear_down(void **state)
{
    struct fixture *fixture = *state;
    kj__events_stop(&fixture->events, 100);
    kj__delivery_stop(fixture->delivery, 0);
    kj__events_fini(&fixture->events);
    kj__delivery_free(fixture->delivery);
    kj_pubsub_free(fixture->pubsub);
    free(fixture);
    return 0;
}

/* ---- clients ---- */

struct kj_session *prepare(struct fixture *fixture, const char *query, const char *const *headers,
                           struct kj__refusal *refusal)
{
    struct kj__fields fields;
    kj__fields_init(&fields, true);
    for (; headers && headers[0]; headers += 2) {
        kj__fields_add(&fields, headers[0], headers[1]);
    }
    struct kj_session *session = kj__events_prepare(
        &fixture->events,
        &(struct kj__handshake){.headers = &fields, .query = query, .remote_address = "127.0.0.1"},
        refusal);
    kj__fields_fini(&fields);
    return session;
}

int attach(struct kj_session *session)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(kj__connection_attach(&session->connection, pair[0], NULL));
    kj__connection_unref(&session->connection);
    return pair[1];
}

int connect_session(struct fixture *fixture, const char *query, const char *const *headers)
{
    struct kj__refusal refusal;
    struct kj_session *session = prepare(fixture, query, headers, &refusal);
    assert_non_null(session);
    return attach(session);
}

const char *const msgpack_headers[] = {"Accept", "application/msgpack", "Content-Type",
                                       "application/msgpack", NULL};

void read_exactly(int fd, uint8_t *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&waiting, 1, DEADLINE_MS), 1);
        ssize_t got = recv(fd, bytes + done, len - done, 0);
        assert_true(got > 0);
        done += (size_t)got;
    }
}

uint8_t read_frame(int fd, uint8_t payload[FRAME_MAX], size_t *len)
{
    uint8_t header[4];
    read_exactly(fd, header, 2);
    *len = header[1];
    if (*len == 126) {
        read_exactly(fd, header + 2, 2);
        *len = (size_t)header[2] << 8 | header[3];
    }
    assert_true(*len < FRAME_MAX);
    read_exactly(fd, payload, *len);
    payload[*len] = 0;
    return header[0];
}

struct kj_event *read_event(int fd)
{
    uint8_t payload[FRAME_MAX];
    size_t len;
    struct kj_event *event;
    uint8_t first = read_frame(fd, payload, &len);
    assert_true(first == 0x81 || first == 0x82);
    assert_int_equal(kj_event_decode(payload, len,
                                     first == 0x81 ? KJ_ENCODING_JSON : KJ_ENCODING_MSGPACK,
                                     &event),
                     KJ_OK);
    return event;
}

long read_number(int fd)
{
    struct kj_event *event = read_event(fd);
    long number = (long)json_integer_value(json_object_get(kj_event_entity(event), "n"));
    kj_event_unref(event);
    return number;
}

void send_text(int fd, const char *text)
{
    struct kj__buffer frame = {0};
    kj__frame_append(&frame, KJ__FRAME_CLIENT, KJ__FRAME_TEXT, (const uint8_t *)text, strlen(text));
    assert_int_equal(send(fd, frame.data, frame.len, 0), (ssize_t)frame.len);
    kj__buffer_fini(&frame);
}

void wait_for_counter(_Atomic uint64_t *counter, uint64_t wanted)
{
    for (int waited = 0; *counter != wanted; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

void send_config(struct fixture *fixture, int fd, const char *text)
{
    uint64_t before = fixture->counters.push_configs + fixture->counters.push_configs_bad;
    send_text(fd, text);
    for (int waited = 0;
         fixture->counters.push_configs + fixture->counters.push_configs_bad == before; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

enum kj_status publish(struct fixture *fixture, const char *identity, const char *type, int number)
{
    json_t *entity = json_pack("{s:i}", "n", number);
    struct kj_event *event;
    assert_int_equal(kj_event_new_untyped(identity, type, entity, &event), KJ_OK);
    enum kj_status status = kj__events_publish(&fixture->events, event);
    kj_event_unref(event);
    json_decref(entity);
    return status;
}

/* ---- a client that does not read ---- */

enum { LARGE = 400000 }; /* bytes, which no socket pair takes at once */

void read_large(int fd)
{
    static uint8_t bytes[LARGE];
    uint8_t header[10];
    size_t len = 0;
    read_exactly(fd, header, sizeof header);
    assert_int_equal(header[0], 0x81);
    assert_int_equal(header[1], 127);
    for (size_t i = 2; i < sizeof header; i++) {
        len = len << 8 | header[i];
    }
    assert_true(len <= sizeof bytes);
    read_exactly(fd, bytes, len);
}

void publish_large(struct fixture *fixture, int count)
{
    static char text[LARGE - 1000];
    memset(text, 'x', sizeof text - 1);
    json_t *entity = json_pack("{s:s}", "text", text);
    for (int i = 0; i < count; i++) {
        struct kj_event *event;
        assert_int_equal(kj_event_new_untyped("task", "create", entity, &event), KJ_OK);
        assert_int_equal(kj__events_publish(&fixture->events, event), KJ_OK);
        kj_event_unref(event);
    }
    json_decref(entity);
}
