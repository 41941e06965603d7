/* kinds_test.c - values in msgpack whose members are known to be texts, times and bytes. */
#include "bytes.h"
#include "codec/event.h"
#include "codec/json.h"
#include "codec/msgpack.h"

static enum kj__member_kind kind_of(const void *ctx, const char *member)
{
    static const struct {
        const char *name;
        enum kj__member_kind kind;
    } members[] = {
        {"blob", KJ__MEMBER_BYTES}, {"blobs", KJ__MEMBER_LIST_OF_BYTES},
        {"date", KJ__MEMBER_TIME},  {"dates", KJ__MEMBER_LIST_OF_TIMES},
        {"name", KJ__MEMBER_TEXT},  {"names", KJ__MEMBER_LIST_OF_TEXTS},
    };
    (void)ctx;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (strcmp(members[i].name, member) == 0) {
            return members[i].kind;
        }
    }
    return KJ__MEMBER_PLAIN;
}

static const struct kj__member_kinds kinds = {.kind_of = kind_of};

static void assert_encodes(const char *json, const char *hex)
{
    json_t *value = json_loads(json, 0, NULL);
    struct kj__buffer out;
    assert_non_null(value);
    kj__buffer_init(&out);
    assert_int_equal(kj__msgpack_encode(value, &kinds, &out), hex ? KJ_OK : KJ_EINVAL);
    assert_bytes_hex(out.data, out.len, hex ? hex : "");
    kj__buffer_fini(&out);
    json_decref(value);
}

static void bytes_are_written_as_bin(void **state)
{
    (void)state;
    assert_encodes("{\"blob\":\"AQID\"}", "81a4626c6f62c403010203");
    assert_encodes("{\"blob\":\"AQ==\"}", "81a4626c6f62c40101");
    assert_encodes("{\"blob\":\"\"}", "81a4626c6f62c400");
    assert_encodes("{\"blob\":null}", "81a4626c6f62c0");
    assert_encodes("{\"blobs\":[\"AQID\",null]}", "81a5626c6f627392c403010203c0");
    assert_encodes("{\"blobs\":null}", "81a5626c6f6273c0");
    assert_encodes("{\"x\":{\"blob\":\"AQID\"}}", "81a17881a4626c6f62a441514944");
}

static void bytes_that_are_none_are_refused(void **state)
{
    (void)state;
    assert_encodes("{\"blob\":\"AQI\"}", NULL);
    assert_encodes("{\"blob\":\"!!!!\"}", NULL);
    assert_encodes("{\"blob\":12}", NULL);
    assert_encodes("{\"blobs\":\"AQID\"}", NULL);
    assert_encodes("{\"blobs\":[\"!!!!\"]}", NULL);
}

static void assert_converts(const char *json, const char *hex)
{
    struct kj__buffer out;
    kj__buffer_init(&out);
    assert_int_equal(kj__json_to_msgpack_as((const uint8_t *)json, strlen(json), &kinds, &out),
                     KJ_OK);
    assert_bytes_hex(out.data, out.len, hex);
    kj__buffer_fini(&out);
}

static void json_of_another_gets_its_times_and_bytes(void **state)
{
    (void)state;
    assert_converts("{\"date\":\"2021-03-04T05:06:07Z\"}", "81a464617465d6ff60406abf");
    assert_converts("{\"date\":\"2021-03-04T07:06:07.123456789+02:00\"}",
                    "81a464617465d7ff1d6f345460406abf");
    assert_converts("{\"date\":\"0001-01-01T00:00:00Z\"}", "81a464617465c0");
    assert_converts("{\"date\":null}", "81a464617465c0");
    assert_converts("{\"dates\":[\"2021-03-04T05:06:07Z\",null]}",
                    "81a5646174657392d6ff60406abfc0");
    assert_converts("{\"blob\":\"AQID\"}", "81a4626c6f62c403010203");
    assert_converts("{\"blobs\":[\"AQID\"]}", "81a5626c6f627391c403010203");
    /* The rest goes as before: naturals unsigned, times under other names as text. */
    assert_converts("{\"n\":300,\"x\":\"AQID\"}", "82a16ecd012ca178a441514944");
    assert_converts("{\"x\":{\"date\":\"2021-03-04T05:06:07Z\"}}",
                    "81a17881a464617465b4323032312d30332d30345430353a30363a30375a");
}

static void json_of_another_is_converted_where_it_is_not_of_its_kind(void **state)
{
    (void)state;
    assert_converts("{\"date\":\"yesterday\"}", "81a464617465a9796573746572646179");
    assert_converts("{\"date\":12}", "81a4646174650c");
    assert_converts("{\"dates\":\"2021\"}", "81a56461746573a432303231");
    assert_converts("{\"dates\":[1,[2]]}", "81a56461746573920191"
                                           "02");
    assert_converts("{\"blob\":\"!!!!\"}", "81a4626c6f62a421212121");
    assert_converts("{\"blob\":\"AQI\"}", "81a4626c6f62a3415149");
    assert_converts("{\"blob\":{\"a\":1}}", "81a4626c6f6281a16101");
    assert_converts("[\"AQID\"]", "91a441514944");
}

static void assert_decodes(const char *hex, const char *json)
{
    size_t len;
    uint8_t *bytes = bytes_from_hex(hex, &len);
    json_t *value;
    struct kj__buffer out;
    kj__buffer_init(&out);
    assert_int_equal(kj__msgpack_decode_as(bytes, len, &kinds, &value, NULL), KJ_OK);
    assert_int_equal(kj__json_encode(value, &out), KJ_OK);
    assert_bytes_text(out.data, out.len, json);
    kj__buffer_fini(&out);
    json_decref(value);
    free(bytes);
}

static void texts_may_be_bin_and_bytes_may_be_str(void **state)
{
    (void)state;
    assert_decodes("81a46e616d65c40161", "{\"name\":\"a\"}");
    assert_decodes("81a46e616d65a161", "{\"name\":\"a\"}");
    assert_decodes("81a56e616d657392c40161a162", "{\"names\":[\"a\",\"b\"]}");
    assert_decodes("81a4626c6f62c403010203", "{\"blob\":\"AQID\"}");
    assert_decodes("81a4626c6f62a3010203", "{\"blob\":\"AQID\"}");
    assert_decodes("81a5626c6f627392a3010203c403010203", "{\"blobs\":[\"AQID\",\"AQID\"]}");
    assert_decodes("81c404626c6f62a101", "{\"blob\":\"AQ==\"}");
    /* What has no kind goes as before, and so does what lies deeper. */
    assert_decodes("81a178c403010203", "{\"x\":\"AQID\"}");
    assert_decodes("81a17881a46e616d65c40161", "{\"x\":{\"name\":\"YQ==\"}}");
    assert_decodes("81a464617465d6ff60406abf", "{\"date\":\"2021-03-04T05:06:07Z\"}");
    assert_decodes("c40161", "\"YQ==\"");
}

static void a_name_longer_than_any_attribute_has_no_kind(void **state)
{
    (void)state;
    struct kj__buffer map, json;
    char name[200];
    json_t *value;
    memset(name, 'n', sizeof name);
    kj__buffer_init(&map);
    kj__buffer_init(&json);
    kj__msgpack_put_map(&map, 1);
    kj__msgpack_put_text(&map, name, sizeof name);
    kj__msgpack_put_bin(&map, (const uint8_t *)"a", 1);
    assert_int_equal(kj__msgpack_decode_as(map.data, map.len, &kinds, &value, NULL), KJ_OK);
    assert_int_equal(json_object_size(value), 1);
    json_decref(value);
    kj__buffer_fini(&json);
    kj__buffer_fini(&map);
}

/* The vectors' event, with a time and bytes added to its entity. */
static const char event_json[] =
    "{\"encoding\":\"application/json\",\"entity\":{\"ID\":\"1\",\"blob\":\"AQID\",\"date\":"
    "\"2020-03-17T18:47:27Z\",\"name\":\"n1\"},\"identity\":\"list\",\"timestamp\":"
    "\"2020-03-17T10:47:27.123456789Z\",\"type\":\"create\"}";
static const char event_hex[] =
    "85a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba6656e74697479c423"
    "84a24944a131a4626c6f62c403010203a464617465d6ff5e711b3fa46e616d65a26e31"
    "a86964656e74697479a46c697374a974696d657374616d70d7ff1d6f34545e70aabfa474797065a6637265617465";

static void event_of_either_encoding_reaches_the_other_with_times_and_bytes(void **state)
{
    (void)state;
    struct kj_event *from_json, *from_msgpack;
    struct kj__buffer out;
    size_t len;
    uint8_t *bytes = bytes_from_hex(event_hex, &len);
    kj__buffer_init(&out);
    assert_int_equal(kj_event_decode((const uint8_t *)event_json, sizeof event_json - 1,
                                     KJ_ENCODING_JSON, &from_json),
                     KJ_OK);
    assert_int_equal(kj_event_decode(bytes, len, KJ_ENCODING_MSGPACK, &from_msgpack), KJ_OK);

    assert_int_equal(kj__event_encode_as(from_json, KJ_ENCODING_MSGPACK, &kinds, &out), KJ_OK);
    assert_bytes_hex(out.data, out.len, event_hex);
    out.len = 0;
    assert_int_equal(kj__event_encode_as(from_msgpack, KJ_ENCODING_JSON, &kinds, &out), KJ_OK);
    assert_bytes_text(out.data, out.len, event_json);
    out.len = 0;
    assert_int_equal(kj__event_encode_as(from_msgpack, KJ_ENCODING_MSGPACK, &kinds, &out), KJ_OK);
    assert_bytes_hex(out.data, out.len, event_hex);

    kj_event_unref(from_msgpack);
    kj_event_unref(from_json);
    kj__buffer_fini(&out);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_written_as_bin),
        cmocka_unit_test(bytes_that_are_none_are_refused),
        cmocka_unit_test(json_of_another_gets_its_times_and_bytes),
        cmocka_unit_test(json_of_another_is_converted_where_it_is_not_of_its_kind),
        cmocka_unit_test(texts_may_be_bin_and_bytes_may_be_str),
        cmocka_unit_test(a_name_longer_than_any_attribute_has_no_kind),
        cmocka_unit_test(event_of_either_encoding_reaches_the_other_with_times_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
