/* conversion_test.c - events born in one encoding, seen by sessions of the other. */
#include "fixture.h"

#include "unit/codec/bytes.h"

static const struct kj_attribute_spec attributes[] = {
    {.name = "blob", .type = KJ_TYPE_BYTES},
    {.name = "dates", .type = KJ_TYPE_LIST, .items = KJ_TYPE_TIME},
    {.name = "due", .type = KJ_TYPE_TIME},
    {.name = "name"},
    {.name = "secret", .secret = true},
};

static int set_up_with_model(void **state)
{
    struct kj_identity_spec identity = {.name = "thing",
                                        .category = "things",
                                        .attributes = attributes,
                                        .attribute_count = sizeof attributes / sizeof *attributes};
    struct kj_model_spec spec = {.identities = &identity, .identity_count = 1};
    set_up(state);
    struct fixture *fixture = *state;
    assert_int_equal(kj_model_new(&spec, &fixture->model, NULL), KJ_OK);
    start(fixture);
    return 0;
}

static int tear_down_with_model(void **state)
{
    struct kj_model *model = ((struct fixture *)*state)->model;
    tear_down(state);
    kj_model_free(model);
    return 0;
}

/* As another node would, with a time that no session is younger than. */
static void publish_bytes(struct fixture *fixture, enum kj_encoding encoding, const void *bytes,
                          size_t len)
{
    struct kj_publication *publication;
    struct kj_publication_options options = {
        .topic = "events", .data = bytes, .len = len, .encoding = encoding};
    assert_int_equal(kj_publication_new(&options, &publication), KJ_OK);
    assert_int_equal(kj_pubsub_publish(fixture->pubsub, publication), KJ_OK);
    kj_publication_unref(publication);
}

static void publish_json(struct fixture *fixture, const char *identity, const char *entity)
{
    char text[1024];
    int len = snprintf(text, sizeof text,
                       "{\"encoding\":\"application/json\",\"entity\":%s,\"identity\":\"%s\","
                       "\"timestamp\":\"2200-01-01T00:00:00Z\",\"type\":\"create\"}",
                       entity, identity);
    publish_bytes(fixture, KJ_ENCODING_JSON, text, (size_t)len);
}

static void assert_entity_hex(int fd, const char *hex)
{
    struct kj_event *event = read_event(fd);
    size_t len;
    enum kj_encoding encoding;
    const uint8_t *bytes = kj_event_entity_bytes(event, &len, &encoding);
    assert_int_equal(encoding, KJ_ENCODING_MSGPACK);
    assert_bytes_hex(bytes, len, hex);
    kj_event_unref(event);
}

static void assert_entity_text(int fd, const char *text)
{
    struct kj_event *event = read_event(fd);
    size_t len;
    enum kj_encoding encoding;
    const uint8_t *bytes = kj_event_entity_bytes(event, &len, &encoding);
    assert_int_equal(encoding, KJ_ENCODING_JSON);
    assert_bytes_text(bytes, len, text);
    kj_event_unref(event);
}

static const char entity_json[] =
    "{\"ID\":\"1\",\"blob\":\"AQID\",\"dates\":[\"2021-03-04T05:06:07Z\",null],"
    "\"due\":\"2021-03-04T05:06:07.123456789Z\",\"name\":\"2021-03-04T05:06:07Z\"}";
static const char entity_hex[] = "85a24944a131a4626c6f62c403010203a5646174657392d6ff60406abfc0"
                                 "a3647565d7ff1d6f345460406abfa46e616d65"
                                 "b4323032312d30332d30345430353a30363a30375a";

static void an_event_born_in_json_has_times_and_bytes_in_msgpack(void **state)
{
    struct fixture *fixture = *state;
    int json = connect_session(fixture, "", NULL);
    int msgpack = connect_session(fixture, "", msgpack_headers);

    publish_json(fixture, "thing", entity_json);

    assert_entity_hex(msgpack, entity_hex);
    assert_entity_text(json, entity_json);
    close(json);
    close(msgpack);
}

static void an_event_born_in_msgpack_has_texts_in_json(void **state)
{
    struct fixture *fixture = *state;
    int json = connect_session(fixture, "", NULL);
    int msgpack = connect_session(fixture, "", msgpack_headers);
    char hex[1024];
    size_t len;
    (void)snprintf(
        hex, sizeof hex,
        "85a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba6656e74697479c4%02zx"
        "%sa86964656e74697479a57468696e67a974696d657374616d70c70cff00000000"
        "00000001b0a94a00a474797065a6637265617465",
        strlen(entity_hex) / 2, entity_hex);
    uint8_t *bytes = bytes_from_hex(hex, &len);

    publish_bytes(fixture, KJ_ENCODING_MSGPACK, bytes, len);

    assert_entity_text(json, entity_json);
    assert_entity_hex(msgpack, entity_hex);
    free(bytes);
    close(json);
    close(msgpack);
}

static void what_the_model_does_not_know_is_converted_as_it_stands(void **state)
{
    struct fixture *fixture = *state;
    int msgpack = connect_session(fixture, "", msgpack_headers);

    publish_json(fixture, "other", "{\"blob\":\"AQID\",\"n\":300}");
    assert_entity_hex(msgpack, "82a4626c6f62a441514944a16ecd012c");

    publish_json(fixture, "thing", "{\"due\":\"soon\",\"n\":300}");
    assert_entity_hex(msgpack, "82a3647565a4736f6f6ea16ecd012c");
    close(msgpack);
}

/* What an application pushes itself goes the same way. */
static void a_pushed_event_has_its_times_and_no_secrets(void **state)
{
    struct fixture *fixture = *state;
    int json = connect_session(fixture, "", NULL);
    int msgpack = connect_session(fixture, "", msgpack_headers);
    json_t *entity = json_pack("{s:s,s:s,s:s}", "due", "2021-03-04T05:06:07Z", "secret", "s",
                               "name", "n");
    struct kj_event *event;
    assert_int_equal(kj_event_new_untyped("thing", KJ_EVENT_UPDATE, entity, &event), KJ_OK);

    assert_int_equal(kj__events_publish(&fixture->events, event), KJ_OK);

    assert_entity_hex(msgpack, "83a3647565d6ff60406abfa46e616d65a16ea6736563726574a0");
    assert_entity_text(json, "{\"due\":\"2021-03-04T05:06:07Z\",\"name\":\"n\",\"secret\":\"\"}");
    kj_event_unref(event);
    json_decref(entity);
    close(json);
    close(msgpack);
}

static void a_pushed_event_of_an_unknown_identity_stays_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    int msgpack = connect_session(fixture, "", msgpack_headers);
    json_t *entity = json_pack("{s:s}", "secret", "s");
    struct kj_event *event;
    assert_int_equal(kj_event_new_untyped("other", KJ_EVENT_UPDATE, entity, &event), KJ_OK);

    assert_int_equal(kj__events_publish(&fixture->events, event), KJ_OK);

    assert_entity_hex(msgpack, "81a6736563726574a173");
    kj_event_unref(event);
    json_decref(entity);
    close(msgpack);
}

/* Also what goes to one session alone. */
static void an_event_for_one_session_has_its_times_and_no_secrets(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    struct kj_session *session = prepare(fixture, "", msgpack_headers, &refusal);
    assert_non_null(session);
    kj_session_ref(session);
    int msgpack = attach(session);
    struct kj_event *event;
    static const char text[] =
        "{\"encoding\":\"application/json\",\"entity\":{\"due\":\"2021-03-04T05:06:07Z\","
        "\"secret\":\"s\"},\"identity\":\"thing\",\"timestamp\":\"2200-01-01T00:00:00Z\","
        "\"type\":\"update\"}";
    assert_int_equal(
        kj_event_decode((const uint8_t *)text, sizeof text - 1, KJ_ENCODING_JSON, &event), KJ_OK);

    enum kj_status status = kj_session_push(session, event);
    for (int waited = 0; status == KJ_ECLOSED; waited++) { /* it has not started */
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
        status = kj_session_push(session, event);
    }
    assert_int_equal(status, KJ_OK);

    assert_entity_hex(msgpack, "82a3647565d6ff60406abfa6736563726574a0");
    kj_event_unref(event);
    kj_session_unref(session);
    close(msgpack);
}

#define WITH_MODEL(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, set_up_with_model, tear_down_with_model)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MODEL(an_event_born_in_json_has_times_and_bytes_in_msgpack),
        WITH_MODEL(an_event_born_in_msgpack_has_texts_in_json),
        WITH_MODEL(what_the_model_does_not_know_is_converted_as_it_stands),
        WITH_MODEL(a_pushed_event_has_its_times_and_no_secrets),
        WITH_MODEL(a_pushed_event_of_an_unknown_identity_stays_as_it_is),
        WITH_MODEL(an_event_for_one_session_has_its_times_and_no_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
