/* event_test.c - events in both encodings, byte for byte, and what is refused. */
#include "bytes.h"
#include "codec/encoding.h"
#include "codec/event.h"

#include <pthread.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static const char create_hex[] =
    "85a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba6656e74697479c40e82a24944a131"
    "a46e616d65a26e31a86964656e74697479a46c697374a974696d657374616d70d7ff1d6f34545e70aabfa47479"
    "7065a6637265617465";
static const char create_json[] =
    "{\"encoding\":\"application/json\",\"entity\":{\"ID\":\"1\",\"name\":\"n1\"},\"identity\":"
    "\"list\",\"timestamp\":\"2020-03-17T10:47:27.123456789Z\",\"type\":\"create\"}";
static const char delete_hex[] =
    "85a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba6656e74697479c40e82a24944a131"
    "a46e616d65a26e31a86964656e74697479a46c697374a974696d657374616d70d6ff5e70aabfa474797065a664"
    "656c657465";
static const char error_hex[] =
    "85a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba6656e74697479c44486a4636f6465"
    "00a464617461c0ab6465736372697074696f6ea164a77375626a656374a7626168616d7574a57469746c65ab42"
    "61642072657175657374a57472616365a0a86964656e74697479a0a974696d657374616d70d7ff1d6f34545e70"
    "aabfa474797065a56572726f72";
enum { WHOLE_SECOND = 1584442047 };
static const int64_t stamp_ns = WHOLE_SECOND * INT64_C(1000000000) + 123456789;

static struct kj_event *decode_hex(const char *hex)
{
    size_t len;
    uint8_t *bytes = bytes_from_hex(hex, &len);
    struct kj_event *event;
    assert_int_equal(kj_event_decode(bytes, len, KJ_ENCODING_MSGPACK, &event), KJ_OK);
    free(bytes);
    return event;
}

static struct kj_event *decode_json(const char *json)
{
    struct kj_event *event;
    assert_int_equal(kj_event_decode((const uint8_t *)json, strlen(json), KJ_ENCODING_JSON, &event),
                     KJ_OK);
    return event;
}

static void assert_encodes(const struct kj_event *event, const char *json, const char *hex)
{
    uint8_t *bytes;
    size_t len;
    assert_int_equal(kj_event_encode(event, KJ_ENCODING_JSON, &bytes, &len), KJ_OK);
    assert_bytes_text(bytes, len, json);
    free(bytes);
    assert_int_equal(kj_event_encode(event, KJ_ENCODING_MSGPACK, &bytes, &len), KJ_OK);
    assert_bytes_hex(bytes, len, hex);
    free(bytes);
}

static void event_matches_the_vectors_from_msgpack(void **state)
{
    (void)state;
    struct kj_event *event = decode_hex(create_hex);

    assert_string_equal(kj_event_type(event), "create");
    assert_string_equal(kj_event_identity(event), "list");
    assert_true(kj_event_timestamp_ns(event) == stamp_ns);
    assert_encodes(event, create_json, create_hex);

    kj_event_unref(event);
}

static void event_matches_the_vectors_from_json(void **state)
{
    (void)state;
    struct kj_event *event = decode_json(create_json);

    assert_encodes(event, create_json, create_hex);

    kj_event_unref(event);
}

static void event_at_a_whole_second_has_a_short_time(void **state)
{
    (void)state;
    struct kj_event *event = decode_hex(delete_hex);

    assert_true(kj_event_timestamp_ns(event) == WHOLE_SECOND * INT64_C(1000000000));
    uint8_t *bytes;
    size_t len;
    assert_int_equal(kj_event_encode(event, KJ_ENCODING_MSGPACK, &bytes, &len), KJ_OK);

    assert_bytes_hex(bytes, len, delete_hex);
    free(bytes);
    kj_event_unref(event);
}

static void error_event_matches_the_vectors_when_made_here(void **state)
{
    (void)state;
    const char *const json =
        "{\"encoding\":\"application/json\",\"entity\":{\"description\":\"d\",\"subject\":"
        "\"bahamut\",\"title\":\"Bad request\"},\"identity\":\"\",\"timestamp\":"
        "\"2020-03-17T10:47:27.123456789Z\",\"type\":\"error\"}";
    static const char entity_json[] =
        "{\"description\":\"d\",\"subject\":\"bahamut\",\"title\":\"Bad request\"}";
    struct kj_event *from_json = decode_json(json);
    struct kj_event *from_msgpack = decode_hex(error_hex);
    struct kj__buffer entity, out;
    kj__buffer_init(&entity);
    kj__buffer_init(&out);
    kj__buffer_append_text(&entity, entity_json);
    struct kj_event *made;

    assert_int_equal(
        kj__event_new_take(KJ_EVENT_ERROR, "", stamp_ns, KJ_ENCODING_JSON, &entity, &made), KJ_OK);

    assert_int_equal(kj__event_encode_into(made, KJ_ENCODING_JSON, &out), KJ_OK);
    assert_bytes_text(out.data, out.len, json);
    out.len = 0;
    assert_int_equal(kj__event_encode_into(from_json, KJ_ENCODING_JSON, &out), KJ_OK);
    assert_bytes_text(out.data, out.len, json);
    out.len = 0;
    assert_int_equal(kj__event_encode_into(from_msgpack, KJ_ENCODING_MSGPACK, &out), KJ_OK);
    assert_bytes_hex(out.data, out.len, error_hex);
    kj__buffer_fini(&out);
    kj_event_unref(made);
    kj_event_unref(from_msgpack);
    kj_event_unref(from_json);
}

static void event_of_json_keeps_the_blanks_of_its_entity(void **state)
{
    (void)state;
    struct kj_event *event = decode_json(
        " { \"type\":\"create\", \"extra\" : [\"entity\", {}], \"entity\" : {\"ID\": \"2\", "
        "\"name\": \"j\"} ,\"identity\":\"list\",\"timestamp\":\"2026-11-21T01:33:09Z\","
        "\"encoding\":\"application/json\"} trailing \"entity\": 1");
    uint8_t *bytes;
    size_t len;

    assert_int_equal(kj_event_encode(event, KJ_ENCODING_JSON, &bytes, &len), KJ_OK);

    assert_bytes_text(bytes, len,
                      "{\"encoding\":\"application/json\",\"entity\":{\"ID\": \"2\", \"name\": "
                      "\"j\"},\"identity\":\"list\",\"timestamp\":\"2026-11-21T01:33:09Z\","
                      "\"type\":\"create\"}");
    free(bytes);
    kj_event_unref(event);
}

static void event_with_an_escaped_entity_key_is_written_again(void **state)
{
    (void)state;
    struct kj_event *event = decode_json(
        "{\"\\u0065ntity\":{\"b\": 1, \"a\": 2},\"type\":\"create\",\"identity\":\"x\","
        "\"encoding\":\"application/json\"}");
    size_t len;
    enum kj_encoding encoding;

    const uint8_t *entity = kj_event_entity_bytes(event, &len, &encoding);

    assert_bytes_text(entity, len, "{\"a\":2,\"b\":1}");
    assert_int_equal(encoding, KJ_ENCODING_JSON);
    kj_event_unref(event);
}

static void event_without_timestamp_has_the_zero_time(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"encoding\":\"application/json\",\"entity\":{},\"identity\":\"x\",\"type\":\"create\"}",
        "{\"encoding\":\"application/json\",\"entity\":{},\"identity\":\"x\",\"type\":\"create\","
        "\"timestamp\":null}",
        "{\"encoding\":\"application/json\",\"entity\":{},\"identity\":\"x\",\"type\":\"create\","
        "\"timestamp\":\"0001-01-01T00:00:00Z\"}",
    };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct kj_event *event = decode_json(texts[i]);

        assert_true(kj_event_timestamp_ns(event) == INT64_MIN);
        assert_encodes(
            event,
            "{\"encoding\":\"application/json\",\"entity\":{},\"identity\":\"x\","
            "\"timestamp\":null,\"type\":\"create\"}",
            "85a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba6656e74697479"
            "c40180a86964656e74697479a178a974696d657374616d70c0a474797065a6637265617465");
        kj_event_unref(event);
    }
}

static void event_timestamps_saturate(void **state)
{
    (void)state;
    struct kj_event *event = decode_json(
        "{\"encoding\":\"application/json\",\"entity\":{},\"identity\":\"x\",\"type\":\"create\","
        "\"timestamp\":\"5000-01-01T00:00:00Z\"}");

    assert_true(kj_event_timestamp_ns(event) == INT64_MAX);

    kj_event_unref(event);
}

static void events_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"encoding\":\"application/json\",\"identity\":\"x\",\"type\":\"create\"}",
        "{\"encoding\":\"application/json\",\"entity\":{},\"identity\":\"x\"}",
        "{\"encoding\":\"application/json\",\"entity\":{},\"identity\":\"x\",\"type\":\"\"}",
        "{\"encoding\":\"application/json\",\"entity\":{},\"identity\":\"x\",\"type\":1}",
        "{\"encoding\":\"application/"
        "json\",\"entity\":{},\"identity\":\"x\",\"type\":\"a\\u0000\"}",
        "{\"encoding\":\"application/json\",\"entity\":{},\"type\":\"create\"}",
        "{\"encoding\":\"application/"
        "msgpack\",\"entity\":{},\"identity\":\"x\",\"type\":\"create\"}",
        "{\"encoding\":\"text/html\",\"entity\":{},\"identity\":\"x\",\"type\":\"create\"}",
        "{\"entity\":{},\"identity\":\"x\",\"type\":\"create\"}",
        "{\"encoding\":\"application/json\",\"entity\":{},\"identity\":\"x\",\"type\":\"create\","
        "\"timestamp\":\"yesterday\"}",
        "{\"encoding\":\"application/json\",\"entity\":{},\"identity\":\"x\",\"type\":\"create\","
        "\"timestamp\":12}",
    };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct kj_event *event;
        assert_int_equal(
            kj_event_decode((const uint8_t *)texts[i], strlen(texts[i]), KJ_ENCODING_JSON, &event),
            KJ_EPARSE);
        assert_null(event);
    }
}

/* An event around the entity given as a whole msgpack item, all else being well. */
static enum kj_status decode_around(const char *entity_hex, struct kj_event **event)
{
    char hex[1024];
    (void)snprintf(hex, sizeof hex,
                   "84a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba6656e74697479%s"
                   "a86964656e74697479a178a474797065a6637265617465",
                   entity_hex);
    size_t len;
    uint8_t *bytes = bytes_from_hex(hex, &len);
    enum kj_status status = kj_event_decode(bytes, len, KJ_ENCODING_MSGPACK, event);
    free(bytes);
    return status;
}

static void msgpack_entities_are_checked_before_they_are_kept(void **state)
{
    (void)state;
    static const struct {
        const char *entity;
        enum kj_status status;
    } rows[] = {
        {"c40180", KJ_OK},         {"a180", KJ_OK}, /* str is tolerated */
        {"80", KJ_EPARSE},                          /* a nested map is not */
        {"c0", KJ_EPARSE},         {"c400", KJ_EPARSE}, {"c40181", KJ_EPARSE}, /* truncated */
        {"c4038101c0", KJ_EPARSE},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct kj_event *event;
        assert_int_equal(decode_around(rows[i].entity, &event), rows[i].status);
        kj_event_unref(event);
    }
}

static void deep_entities_are_over_the_limit(void **state)
{
    (void)state;
    struct kj__buffer entity;
    kj__buffer_init(&entity);
    kj__buffer_append_text(&entity, "c442");
    for (int i = 0; i < 66; i++) {
        kj__buffer_append_text(&entity, i < 65 ? "91" : "c0");
    }
    kj__buffer_append_byte(&entity, 0);
    struct kj_event *event;

    assert_int_equal(decode_around((const char *)entity.data, &event), KJ_ELIMIT);

    assert_null(event);
    kj__buffer_fini(&entity);
}

static void bytes_behind_an_entity_are_not_kept(void **state)
{
    (void)state;
    struct kj_event *event;
    size_t len;
    enum kj_encoding encoding;

    assert_int_equal(decode_around("c40380ffff", &event), KJ_OK);

    const uint8_t *entity = kj_event_entity_bytes(event, &len, &encoding);
    assert_bytes_hex(entity, len, "80");
    kj_event_unref(event);
}

static void untyped_events_hold_msgpack(void **state)
{
    (void)state;
    json_t *entity = json_pack("{s:s,s:i}", "name", "a", "ID", 300);
    struct kj_event *event;
    size_t len;
    enum kj_encoding encoding;

    assert_int_equal(kj_event_new_untyped("list", KJ_EVENT_UPDATE, entity, &event), KJ_OK);

    const uint8_t *bytes = kj_event_entity_bytes(event, &len, &encoding);
    assert_int_equal(encoding, KJ_ENCODING_MSGPACK);
    assert_bytes_hex(bytes, len, "82a24944d1012ca46e616d65a161");
    assert_true(kj_event_timestamp_ns(event) > stamp_ns);
    assert_true(json_equal((json_t *)(uintptr_t)kj_event_entity(event), entity));
    kj_event_unref(event);
    json_decref(entity);
}

static void events_are_about_objects(void **state)
{
    (void)state;
    struct kj_event *event;

    assert_int_equal(kj_event_new_untyped("list", KJ_EVENT_UPDATE, json_null(), &event), KJ_EINVAL);

    assert_null(event);
}

static void *read_entity(void *event)
{
    return (void *)(uintptr_t)kj_event_entity(event);
}

static void threads_share_one_decoded_entity(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct kj_event *event = decode_hex(create_hex);
        pthread_t threads[4];
        void *seen[LENGTH(threads)];

        for (size_t i = 0; i < LENGTH(threads); i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, read_entity, event), 0);
        }
        for (size_t i = 0; i < LENGTH(threads); i++) {
            pthread_join(threads[i], &seen[i]);
        }

        for (size_t i = 0; i < LENGTH(threads); i++) {
            assert_ptr_equal(seen[i], kj_event_entity(event));
        }
        assert_string_equal(json_string_value(json_object_get(seen[0], "name")), "n1");
        kj_event_unref(event);
    }
}

static void entity_that_cannot_be_decoded_is_null_every_time(void **state)
{
    (void)state;
    struct kj__buffer entity;
    kj__buffer_init(&entity);
    kj__buffer_append_text(&entity, "{");
    struct kj_event *event;
    assert_int_equal(kj__event_new_take("create", "x", 0, KJ_ENCODING_JSON, &entity, &event),
                     KJ_OK);

    assert_null(kj_event_entity(event));
    assert_null(kj_event_entity(kj_event_ref(event)));

    kj_event_unref(event);
    kj_event_unref(event);
    kj_event_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_matches_the_vectors_from_msgpack),
        cmocka_unit_test(event_matches_the_vectors_from_json),
        cmocka_unit_test(event_at_a_whole_second_has_a_short_time),
        cmocka_unit_test(error_event_matches_the_vectors_when_made_here),
        cmocka_unit_test(event_of_json_keeps_the_blanks_of_its_entity),
        cmocka_unit_test(event_with_an_escaped_entity_key_is_written_again),
        cmocka_unit_test(event_without_timestamp_has_the_zero_time),
        cmocka_unit_test(event_timestamps_saturate),
        cmocka_unit_test(events_that_are_none_are_refused),
        cmocka_unit_test(msgpack_entities_are_checked_before_they_are_kept),
        cmocka_unit_test(deep_entities_are_over_the_limit),
        cmocka_unit_test(bytes_behind_an_entity_are_not_kept),
        cmocka_unit_test(untyped_events_hold_msgpack),
        cmocka_unit_test(events_are_about_objects),
        cmocka_unit_test(threads_share_one_decoded_entity),
        cmocka_unit_test(entity_that_cannot_be_decoded_is_null_every_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
