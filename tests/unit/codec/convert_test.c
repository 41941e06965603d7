/* convert_test.c - entities from one encoding to the other, as bahamut converts them. */
#include "bytes.h"
#include "codec/json.h"
#include "codec/msgpack.h"

#include <pthread.h>

/* What a JSON session sees of a msgpack value; NULL where the event is dropped. */
static const struct {
    const char *msgpack, *json;
} to_json[] = {
    // clang-format off
    {"00", "0"},
    {"7f", "127"},
    {"cc80", "128"},
    {"ccff", "255"},
    {"cdffff", "65535"},
    {"ceffffffff", "4294967295"},
    {"cfffffffffffffffff", "18446744073709551615"},
    {"ff", "-1"},
    {"e0", "-32"},
    {"d080", "-128"},
    {"d18000", "-32768"},
    {"d280000000", "-2147483648"},
    {"d38000000000000000", "-9223372036854775808"},
    {"cb3ff0000000000000", "1.0"},
    {"cb3ff8000000000000", "1.5"},
    {"cb3fb999999999999a", "0.1"},
    {"cb444b1ae4d6e2ef50", "1e+21"},
    {"cb4415af1d78b58c40", "100000000000000000000"},
    {"cb430c6bf526340000", "1000000000000000.0"},
    {"cb3e7ad7f29abcaf48", "1e-07"},
    {"cb3eb0c6f7a0b5ed8d", "0.000001"},
    {"cb7fefffffffffffff", "1.7976931348623157e+308"},
    {"cb0000000000000001", "5e-324"},
    {"cb8000000000000000", "-0.0"},
    {"cb7ff8000000000000", "null"},
    {"cb7ff0000000000000", "null"},
    {"ca3f800000", "1.0"},
    {"ca3dcccccd", "0.10000000149011612"},
    {"ca4b800001", "16777218.0"},
    {"c0", "null"},
    {"c2", "false"},
    {"c3", "true"},
    {"a0", "\"\""},
    {"a3612f62", "\"a/b\""},
    {"d90161", "\"a\""},
    {"a53c263e2722", "\"\\u003c\\u0026\\u003e'\\\"\""},
    {"c403010203", "\"AQID\""},
    {"c400", "\"\""},
    {"90", "[]"},
    {"9301c0a161", "[1,null,\"a\"]"},
    {"80", "{}"},
    {"82a16201a16102", "{\"a\":2,\"b\":1}"},
    {"81c4016101", "{\"a\":1}"},
    {"8101a178", NULL},
    {"81c3a178", NULL},
    {"d6ff60406abf", "\"2021-03-04T05:06:07Z\""},
    {"d7ff1d6f345460406abf", "\"2021-03-04T05:06:07.123456789Z\""},
    {"c70cff00000000ffffffffed300880", "\"1960-01-01T00:00:00Z\""},
    {"d40561", "null"},
    {"c70305616263", "null"},
    {"a1ff", "\"\\uFFFD\""},
    {"a4f09f9880", "\"\xf0\x9f\x98\x80\""},
    // clang-format on
};

/* What a msgpack session sees of a JSON value. */
static const struct {
    const char *json, *msgpack;
} to_msgpack[] = {
    // clang-format off
    {"0", "00"},
    {"1", "01"},
    {"-1", "ff"},
    {"127", "7f"},
    {"128", "cc80"},
    {"255", "ccff"},
    {"256", "cd0100"},
    {"65535", "cdffff"},
    {"65536", "ce00010000"},
    {"4294967295", "ceffffffff"},
    {"4294967296", "cf0000000100000000"},
    {"9223372036854775807", "cf7fffffffffffffff"},
    {"18446744073709551616", "cb43f0000000000000"},
    {"-9223372036854775808", "d38000000000000000"},
    {"-32", "e0"},
    {"-33", "d0df"},
    {"-128", "d080"},
    {"-129", "d1ff7f"},
    {"1.0", "cb3ff0000000000000"},
    {"1.5", "cb3ff8000000000000"},
    {"0.1", "cb3fb999999999999a"},
    {"1e3", "cb408f400000000000"},
    {"1E-2", "cb3f847ae147ae147b"},
    {"1e400", NULL},
    {"-0", "00"},
    {"-0.0", "cb8000000000000000"},
    {"123456789012345678901234567890", "cb45f8ee90ff6c373e"},
    {"\"\"", "a0"},
    {"\"a\"", "a161"},
    {"\"\\u00e9\\n\"", "a3c3a90a"},
    {"\"\\ud83d\\ude00\"", "a4f09f9880"},
    {"\"\\ud83d\"", NULL},
    {"\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"",
     "bf78787878787878787878787878787878787878787878787878787878787878"},
    {"\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"",
     "d9207878787878787878787878787878787878787878787878787878787878787878"},
    {"true", "c3"},
    {"false", "c2"},
    {"null", "c0"},
    {"[]", "90"},
    {"[1,null,\"a\"]", "9301c0a161"},
    {"{}", "80"},
    {"{\"b\":1,\"a\":2}", "82a16102a16201"},
    {"\"2021-03-04T05:06:07Z\"", "b4323032312d30332d30345430353a30363a30375a"},
    {"\"AQID\"", "a441514944"},
    {"{\"1\":2}", "81a13102"},
    // clang-format on
};

#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* Converts {"v": value}, as the values were observed. */
static enum kj_status convert_member(const char *msgpack, struct kj__buffer *json)
{
    struct kj__buffer map;
    kj__buffer_init(&map);
    kj__msgpack_put_map(&map, 1);
    kj__msgpack_put_text(&map, "v", 1);
    size_t len;
    uint8_t *value = bytes_from_hex(msgpack, &len);
    kj__buffer_append(&map, value, len);
    enum kj_status status = kj__msgpack_to_json(map.data, map.len, json);
    free(value);
    kj__buffer_fini(&map);
    return status;
}

static void msgpack_values_become_the_json_of_bahamut(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(to_json); i++) {
        struct kj__buffer json;
        kj__buffer_init(&json);

        enum kj_status status = convert_member(to_json[i].msgpack, &json);

        if (to_json[i].json) {
            char wanted[256];
            (void)snprintf(wanted, sizeof wanted, "{\"v\":%s}", to_json[i].json);
            assert_int_equal(status, KJ_OK);
            assert_bytes_text(json.data, json.len, wanted);
        } else {
            assert_int_equal(status, KJ_EPARSE);
            assert_int_equal(json.len, 0);
        }
        kj__buffer_fini(&json);
    }
}

static void json_values_become_the_msgpack_of_bahamut(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(to_msgpack); i++) {
        struct kj__buffer out;
        kj__buffer_init(&out);

        enum kj_status status = kj__json_to_msgpack((const uint8_t *)to_msgpack[i].json,
                                                    strlen(to_msgpack[i].json), &out);

        if (to_msgpack[i].msgpack) {
            assert_int_equal(status, KJ_OK);
            assert_bytes_hex(out.data, out.len, to_msgpack[i].msgpack);
        } else {
            assert_int_equal(status, KJ_EPARSE);
            assert_int_equal(out.len, 0);
        }
        kj__buffer_fini(&out);
    }
}

/* Here we differ from bahamut: a JSON value holds no integer beyond int64_t, so it becomes a
 * float where bahamut keeps an unsigned integer or drops the event. */
static void json_integers_that_do_not_fit_become_floats(void **state)
{
    (void)state;
    static const char text[] =
        "[9223372036854775808,18446744073709551615,-9223372036854775809,\"9223372036854775808\"]";
    struct kj__buffer out;
    kj__buffer_init(&out);

    enum kj_status status = kj__json_to_msgpack((const uint8_t *)text, strlen(text), &out);

    assert_int_equal(status, KJ_OK);
    assert_bytes_hex(out.data, out.len,
                     "94cb43e0000000000000cb43f0000000000000cbc3e0000000000000"
                     "b339323233333732303336383534373735383038");
    kj__buffer_fini(&out);
}

/* Here, too: bahamut takes the last of them. */
static void duplicate_keys_are_refused_in_both_directions(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":1,\"a\":2}";
    static const uint8_t bytes[] = {0x82, 0xa1, 'a', 1, 0xa1, 'a', 2};
    struct kj__buffer out;
    kj__buffer_init(&out);

    assert_int_equal(kj__json_to_msgpack((const uint8_t *)text, strlen(text), &out), KJ_EPARSE);
    assert_int_equal(kj__msgpack_to_json(bytes, sizeof bytes, &out), KJ_EPARSE);

    assert_int_equal(out.len, 0);
    kj__buffer_fini(&out);
}

static void forty_nested_arrays_convert(void **state)
{
    (void)state;
    uint8_t nested[41];
    memset(nested, 0x91, 40);
    nested[40] = 0xc0;
    struct kj__buffer json;
    kj__buffer_init(&json);

    enum kj_status status = kj__msgpack_to_json(nested, sizeof nested, &json);

    assert_int_equal(status, KJ_OK);
    assert_int_equal(json.len, 40 + 4 + 40);
    kj__buffer_fini(&json);
}

static void unsorted_maps_come_out_sorted_at_every_level(void **state)
{
    (void)state;
    size_t len;
    uint8_t *bytes = bytes_from_hex("83a162"         /* b: */
                                    "82a17a01a17902" /* {z: 1, y: 2} */
                                    "a16193010203"   /* a: [1, 2, 3] */
                                    "a2616100",      /* aa: 0 */
                                    &len);
    struct kj__buffer json;
    kj__buffer_init(&json);

    assert_int_equal(kj__msgpack_to_json(bytes, len, &json), KJ_OK);

    assert_bytes_text(json.data, json.len, "{\"a\":[1,2,3],\"aa\":0,\"b\":{\"y\":2,\"z\":1}}");
    kj__buffer_fini(&json);
    free(bytes);
}

static void *convert_deepest(void *ok)
{
    uint8_t nested[KJ__NESTING_MAX + 1];
    struct kj__buffer json, msgpack;
    kj__buffer_init(&json);
    kj__buffer_init(&msgpack);
    memset(nested, 0x91, KJ__NESTING_MAX);
    nested[KJ__NESTING_MAX] = 0xc0;
    *(bool *)ok = !kj__msgpack_to_json(nested, sizeof nested, &json) &&
                  !kj__json_to_msgpack(json.data, json.len, &msgpack) &&
                  msgpack.len == sizeof nested && memcmp(msgpack.data, nested, sizeof nested) == 0;
    kj__buffer_fini(&msgpack);
    kj__buffer_fini(&json);
    return NULL;
}

static void deepest_values_fit_the_stack_of_an_http_worker(void **state)
{
    (void)state;
    pthread_attr_t attributes;
    pthread_t thread;
    bool ok = false;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, (size_t)100 * 1024), 0);

    assert_int_equal(pthread_create(&thread, &attributes, convert_deepest, &ok), 0);
    pthread_join(thread, NULL);

    assert_true(ok);
    pthread_attr_destroy(&attributes);
}

static void failed_conversions_leave_the_output_as_it_was(void **state)
{
    (void)state;
    struct kj__buffer out;
    kj__buffer_init(&out);
    kj__buffer_append_text(&out, "kept");

    assert_int_equal(kj__msgpack_to_json((const uint8_t *)"\x91", 1, &out), KJ_EPARSE);
    assert_int_equal(kj__json_to_msgpack((const uint8_t *)"[", 1, &out), KJ_EPARSE);

    assert_bytes_text(out.data, out.len, "kept");
    kj__buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(msgpack_values_become_the_json_of_bahamut),
        cmocka_unit_test(json_values_become_the_msgpack_of_bahamut),
        cmocka_unit_test(json_integers_that_do_not_fit_become_floats),
        cmocka_unit_test(duplicate_keys_are_refused_in_both_directions),
        cmocka_unit_test(forty_nested_arrays_convert),
        cmocka_unit_test(unsorted_maps_come_out_sorted_at_every_level),
        cmocka_unit_test(deepest_values_fit_the_stack_of_an_http_worker),
        cmocka_unit_test(failed_conversions_leave_the_output_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
