/* error_array_test.c - the error array in both encodings, byte for byte. */
#include "bytes.h"
#include "codec/error_array.h"

static void assert_array(const json_t *array, const char *json, const char *msgpack_hex)
{
    struct kj__buffer out;
    kj__buffer_init(&out);
    assert_int_equal(kj__error_array_encode(array, KJ_ENCODING_JSON, &out), KJ_OK);
    assert_bytes_text(out.data, out.len, json);
    out.len = 0;
    assert_int_equal(kj__error_array_encode(array, KJ_ENCODING_MSGPACK, &out), KJ_OK);
    assert_bytes_hex(out.data, out.len, msgpack_hex);
    kj__buffer_fini(&out);
}

static void error_array_matches_the_422_vector(void **state)
{
    (void)state;
    json_t *array = json_array();
    json_t *data = json_pack("{s:s}", "attribute", "name");
    const struct kj_api_error error = {.code = 422,
                                       .title = "Validation Error",
                                       .description = "d",
                                       .subject = "elemental",
                                       .data = data};

    assert_int_equal(kj__error_array_add(array, &error, "unknown"), KJ_OK);

    assert_int_equal(kj__error_array_status(array), 422);
    assert_array(array,
                 "[{\"code\":422,\"data\":{\"attribute\":\"name\"},\"description\":\"d\","
                 "\"subject\":\"elemental\",\"title\":\"Validation Error\",\"trace\":\"unknown\"}]",
                 "9186a4636f6465d101a6a46461746181a9617474726962757465a46e616d65ab64657363726970"
                 "74696f6ea164a77375626a656374a9656c656d656e74616ca57469746c65b056616c6964617469"
                 "6f6e204572726f72a57472616365a7756e6b6e6f776e");
    json_decref(data);
    json_decref(array);
}

static void error_array_matches_the_trace_of_several_errors(void **state)
{
    (void)state;
    json_t *array = json_array();
    json_t *data = json_pack("{s:i,s:s,s:b,s:f}", "n", 12, "k", "v", "b", 1, "f", 1.5);
    const struct kj_api_error first = {
        .code = 409, .title = "First", .description = "first error", .subject = "bahamut-bench"};
    const struct kj_api_error second = {.code = 403,
                                        .title = "Second",
                                        .description = "second error",
                                        .subject = "bahamut-bench",
                                        .data = data};

    assert_int_equal(kj__error_array_add(array, &first, "unknown"), KJ_OK);
    assert_int_equal(kj__error_array_add(array, &second, "unknown"), KJ_OK);

    assert_int_equal(kj__error_array_status(array), 409);
    assert_array(
        array,
        "[{\"code\":409,\"description\":\"first error\",\"subject\":\"bahamut-bench\",\"title\":"
        "\"First\",\"trace\":\"unknown\"},{\"code\":403,\"data\":{\"b\":true,\"f\":1.5,\"k\":"
        "\"v\",\"n\":12},\"description\":\"second error\",\"subject\":\"bahamut-bench\","
        "\"title\":\"Second\",\"trace\":\"unknown\"}]",
        "9286a4636f6465d10199a464617461c0ab6465736372697074696f6eab6669727374206572726f72"
        "a77375626a656374ad626168616d75742d62656e6368a57469746c65a54669727374a57472616365"
        "a7756e6b6e6f776e86a4636f6465d10193a46461746184a162c3a166cb3ff8000000000000a16ba1"
        "76a16e0cab6465736372697074696f6eac7365636f6e64206572726f72a77375626a656374ad6261"
        "68616d75742d62656e6368a57469746c65a65365636f6e64a57472616365a7756e6b6e6f776e");
    json_decref(data);
    json_decref(array);
}

static void error_without_code_leaves_it_out_of_json_only(void **state)
{
    (void)state;
    const struct kj_api_error error = {
        .title = "Bad request", .description = "d", .subject = "bahamut"};
    struct kj__buffer out;
    kj__buffer_init(&out);

    assert_int_equal(kj__error_encode(&error, KJ_ENCODING_JSON, &out), KJ_OK);
    assert_bytes_text(out.data, out.len,
                      "{\"description\":\"d\",\"subject\":\"bahamut\",\"title\":\"Bad request\"}");
    out.len = 0;
    assert_int_equal(kj__error_encode(&error, KJ_ENCODING_MSGPACK, &out), KJ_OK);

    assert_bytes_hex(out.data, out.len,
                     "86a4636f646500a464617461c0ab6465736372697074696f6ea164a77375626a656374a76261"
                     "68616d7574a57469746c65ab4261642072657175657374a57472616365a0");
    kj__buffer_fini(&out);
}

static void error_texts_default_and_are_mended(void **state)
{
    (void)state;
    json_t *array = json_array();
    const struct kj_api_error error = {.code = 400, .description = "a\xff\n"};

    assert_int_equal(kj__error_array_add(array, &error, NULL), KJ_OK);

    const json_t *element = json_array_get(array, 0);
    assert_string_equal(json_string_value(json_object_get(element, "description")),
                        "a\xef\xbf\xbd\n");
    assert_string_equal(json_string_value(json_object_get(element, "subject")), "kujata");
    json_decref(array);
}

static void error_array_without_a_code_is_a_500(void **state)
{
    (void)state;
    json_t *array = json_array();
    const struct kj_api_error error = {.title = "t"};

    assert_int_equal(kj__error_array_status(array), 500);
    assert_int_equal(kj__error_array_add(array, &error, NULL), KJ_OK);
    assert_int_equal(kj__error_array_status(array), 500);

    json_decref(array);
}

static void error_texts_are_cut_between_characters(void **state)
{
    (void)state;
    char text[2 * KJ_ERROR_TEXT_MAX] = {0};
    struct kj_error error;
    for (size_t i = 0; i + 2 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa9", 2);
    }
    kj_error_set(&error, 7, "%s", text);
    assert_int_equal(strlen(error.text), KJ_ERROR_TEXT_MAX - 2);
    kj_error_set(&error, 7, "a%s", text);
    assert_int_equal(strlen(error.text), KJ_ERROR_TEXT_MAX - 1);
    assert_int_equal(error.position, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_array_matches_the_422_vector),
        cmocka_unit_test(error_array_matches_the_trace_of_several_errors),
        cmocka_unit_test(error_without_code_leaves_it_out_of_json_only),
        cmocka_unit_test(error_texts_default_and_are_mended),
        cmocka_unit_test(error_array_without_a_code_is_a_500),
        cmocka_unit_test(error_texts_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
