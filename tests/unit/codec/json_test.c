/* json_test.c - JSON text: what is refused before parsing, and the bytes that are written. */
#include "bytes.h"
#include "codec/json.h"
#include "codec/json_scan.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static enum kj_status decode(const char *text, json_t **value, struct kj_error *error)
{
    size_t len = strlen(text);
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, text, len);
    enum kj_status status = kj__json_decode(exact, len, value, error);
    free(exact);
    return status;
}

static char *nested(size_t depth)
{
    char *text = malloc(2 * depth + 1);
    assert_non_null(text);
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    text[2 * depth] = '\0';
    return text;
}

static void json_decode_reads_the_first_value_and_ignores_the_rest(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value;
    } rows[] = {
        {" \t\r\n{\"b\":1,\"a\":[true,null]} trailing", "{\"a\":[true,null],\"b\":1}"},
        {"{}]", "{}"},
        {"{\"name\":\"a\"}{\"name\":\"b\"}", "{\"name\":\"a\"}"},
        {"12 13", "12"},
        {"12,", "12"},
        {"\"[[[\\\"\"]", "\"[[[\\\"\""},
        {"null", "null"},
        {"\"a\\u0000b\"", "\"a\\u0000b\""},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        json_t *value;
        struct kj__buffer out;
        kj__buffer_init(&out);

        assert_int_equal(decode(rows[i].text, &value, NULL), KJ_OK);

        assert_int_equal(kj__json_encode(value, &out), KJ_OK);
        assert_bytes_text(out.data, out.len, rows[i].value);
        json_decref(value);
        kj__buffer_fini(&out);
    }
}

static void json_decode_refuses_what_is_no_json(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "hello",
        "{not json",
        "{not json}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{'a':1}",
        "[1 2]",
        "[1,]",
        "]",
        ",",
        "{\"a\"=1}",
        "\"\\ud83d\"",
        "\"a\\x\"",
        "1e400",
        "[1}",
        "\xef\xbb\xbf{}",
        "{\"a\":1,\"a\":2}",
        "{\"\\u0000\":1}",
        "\"\xff\"",
        "--9223372036854775809",
        "0123",
        "99999999999999999999x",
    };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        json_t *value;
        struct kj_error error = {0};

        assert_int_equal(decode(texts[i], &value, &error), KJ_EPARSE);

        assert_null(value);
        assert_string_not_equal(error.text, "");
        assert_null(strchr(error.text, '\n'));
    }
}

static void json_decode_says_eof_of_what_is_cut_off(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "  ", "{\"name\":\"a\"", "[", "\"abc", "[[]"};
    for (size_t i = 0; i < LENGTH(texts); i++) {
        json_t *value;
        struct kj_error error;

        assert_int_equal(decode(texts[i], &value, &error), KJ_EPARSE);

        assert_string_equal(error.text, "EOF");
    }
}

static void json_decode_names_a_fault_that_comes_before_the_end(void **state)
{
    (void)state;
    json_t *value;
    struct kj_error error;

    assert_int_equal(decode("{not json", &value, &error), KJ_EPARSE);

    assert_string_equal(error.text, "json decode error [pos 4]: string or '}' expected near 'not'");
    assert_null(value);
}

static void json_decode_limits_nesting_to_64(void **state)
{
    (void)state;
    char *allowed = nested(KJ__NESTING_MAX);
    char *refused = nested(KJ__NESTING_MAX + 1);
    json_t *value;

    assert_int_equal(decode(allowed, &value, NULL), KJ_OK);
    json_decref(value);
    assert_int_equal(decode(refused, &value, NULL), KJ_ELIMIT);
    assert_null(value);

    free(allowed);
    free(refused);
}

static void json_decode_does_not_count_brackets_in_strings(void **state)
{
    (void)state;
    json_t *value;
    char text[300];
    char brackets[200];
    memset(brackets, '[', sizeof brackets);
    (void)snprintf(text, sizeof text, "{\"name\":\"\\\"%.*s\"}", (int)sizeof brackets, brackets);

    assert_int_equal(decode(text, &value, NULL), KJ_OK);

    json_decref(value);
}

static void json_decode_widens_integers_that_do_not_fit(void **state)
{
    (void)state;
    json_t *value;

    assert_int_equal(decode("[9223372036854775807,9223372036854775808,\"9223372036854775808\","
                            "-9223372036854775808,1234567890123456789e0,-9223372036854775809]",
                            &value, NULL),
                     KJ_OK);

    assert_true(json_integer_value(json_array_get(value, 0)) == INT64_MAX);
    assert_true(json_real_value(json_array_get(value, 1)) == 0x1p63);
    assert_string_equal(json_string_value(json_array_get(value, 2)), "9223372036854775808");
    assert_true(json_integer_value(json_array_get(value, 3)) == INT64_MIN);
    assert_true(json_is_real(json_array_get(value, 4)));
    assert_true(json_real_value(json_array_get(value, 5)) == -0x1p63);
    json_decref(value);
}

static const struct {
    const char *bytes, *json;
} strings[] = {
    // clang-format off
    {"01", "\\u0001"},
    {"02", "\\u0002"},
    {"03", "\\u0003"},
    {"04", "\\u0004"},
    {"05", "\\u0005"},
    {"06", "\\u0006"},
    {"07", "\\u0007"},
    {"08", "\\b"},
    {"09", "\\t"},
    {"0a", "\\n"},
    {"0b", "\\u000b"},
    {"0c", "\\f"},
    {"0d", "\\r"},
    {"0e", "\\u000e"},
    {"0f", "\\u000f"},
    {"10", "\\u0010"},
    {"11", "\\u0011"},
    {"12", "\\u0012"},
    {"13", "\\u0013"},
    {"14", "\\u0014"},
    {"15", "\\u0015"},
    {"16", "\\u0016"},
    {"17", "\\u0017"},
    {"18", "\\u0018"},
    {"19", "\\u0019"},
    {"1a", "\\u001a"},
    {"1b", "\\u001b"},
    {"1c", "\\u001c"},
    {"1d", "\\u001d"},
    {"1e", "\\u001e"},
    {"1f", "\\u001f"},
    {"22", "\\\""},
    {"26", "\\u0026"},
    {"27", "'"},
    {"2f", "/"},
    {"3c", "\\u003c"},
    {"3e", "\\u003e"},
    {"5c", "\\\\"},
    {"7f", "\x7f"},
    {"c280", "\xc2\x80"},
    {"c3a9", "\xc3\xa9"},
    {"e280a8", "\\u2028"},
    {"e280a9", "\\u2029"},
    {"efbbbf", "\xef\xbb\xbf"},
    {"f09f9880", "\xf0\x9f\x98\x80"},
    {"ff", "\\uFFFD"},
    {"c3", "\\uFFFD"},
    {"eda080", "\\uFFFD\\uFFFD\\uFFFD"},
    {"f4908080", "\\uFFFD\\uFFFD\\uFFFD\\uFFFD"},
    {"610062", "a\\u0000b"},
    // clang-format on
};

static void json_strings_are_escaped_as_go_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(strings); i++) {
        size_t len;
        uint8_t *bytes = bytes_from_hex(strings[i].bytes, &len);
        struct kj__buffer out;
        kj__buffer_init(&out);
        char wanted[64];
        (void)snprintf(wanted, sizeof wanted, "\"%s\"", strings[i].json);

        kj__json_encode_string((const char *)bytes, len, &out);

        assert_bytes_text(out.data, out.len, wanted);
        kj__buffer_fini(&out);
        free(bytes);
    }
}

static void json_floats_look_like_go_floats(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-2.0, "-2.0"},
        {0.1, "0.1"},
        {100.5, "100.5"},
        {1e15, "1000000000000000.0"},
        {0x1p52 - 1, "4503599627370495.0"},
        {0x1p52, "4503599627370496"}, /* no room for a fraction, so Go shows none */
        {1e20, "100000000000000000000"},
        {1e21, "1e+21"},
        {1.5e300, "1.5e+300"},
        {1e-6, "0.000001"},
        {1.25e-5, "0.0000125"},
        {9.99e-7, "9.99e-07"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {1.0 / 3.0, "0.3333333333333333"},
        {123456789.125, "123456789.125"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct kj__buffer out;
        kj__buffer_init(&out);

        kj__json_encode_float(rows[i].value, &out);

        assert_bytes_text(out.data, out.len, rows[i].text);
        kj__buffer_fini(&out);
    }
}

static void json_floats_read_back_as_the_same_double(void **state)
{
    (void)state;
    srand(1);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = 0;
        for (int j = 0; j < 8; j++) {
            bits = bits << 8 | (uint64_t)(rand() & 0xff);
        }
        double value;
        memcpy(&value, &bits, sizeof value);
        struct kj__buffer out;
        kj__buffer_init(&out);

        kj__json_encode_float(value, &out);

        kj__buffer_append_byte(&out, 0);
        if (strcmp((const char *)out.data, "null") != 0) {
            assert_true(strtod((const char *)out.data, NULL) == value);
        }
        kj__buffer_fini(&out);
    }
}

static void json_encode_refuses_what_nests_too_deep(void **state)
{
    (void)state;
    json_t *value = json_array();
    for (int i = 0; i < KJ__NESTING_MAX; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, value);
        value = outer;
    }
    struct kj__buffer out;
    kj__buffer_init(&out);

    assert_int_equal(kj__json_encode(value, &out), KJ_ELIMIT);
    assert_int_equal(out.len, 0);
    assert_int_equal(kj__json_encode(json_array_get(value, 0), &out), KJ_OK);

    assert_int_equal(out.len, 2 * KJ__NESTING_MAX);
    kj__buffer_fini(&out);
    json_decref(value);
}

static void json_encode_sorts_many_keys(void **state)
{
    (void)state;
    json_t *value = json_object();
    struct kj__buffer out, wanted;
    kj__buffer_init(&out);
    kj__buffer_init(&wanted);
    for (int i = 99; i >= 0; i--) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%02d", i);
        json_object_set_new(value, key, json_pack("{s:i,s:i}", "b", i, "a", 0));
    }
    for (int i = 0; i < 100; i++) {
        kj__buffer_printf(&wanted, "%s\"k%02d\":{\"a\":0,\"b\":%d}", i ? "," : "{", i, i);
    }
    kj__buffer_append(&wanted, "}", 2);

    assert_int_equal(kj__json_encode(value, &out), KJ_OK);

    assert_bytes_text(out.data, out.len, (const char *)wanted.data);
    kj__buffer_fini(&wanted);
    kj__buffer_fini(&out);
    json_decref(value);
}

static void json_find_member_stops_at_the_end_of_the_object(void **state)
{
    (void)state;
    static const char text[] = " {\"a\" : [1, {\"entity\":0}] , \"b\":\"entity\"} ,\"entity\":junk";
    const uint8_t *bytes = (const uint8_t *)text;
    struct kj__json_span span;

    assert_false(kj__json_find_member(bytes, strlen(text), "entity", &span));
    assert_true(kj__json_find_member(bytes, strlen(text), "b", &span));

    assert_bytes_text(bytes + span.start, span.end - span.start, "\"entity\"");
    assert_false(kj__json_find_member((const uint8_t *)"{}", 2, "entity", &span));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_decode_reads_the_first_value_and_ignores_the_rest),
        cmocka_unit_test(json_decode_refuses_what_is_no_json),
        cmocka_unit_test(json_decode_says_eof_of_what_is_cut_off),
        cmocka_unit_test(json_decode_names_a_fault_that_comes_before_the_end),
        cmocka_unit_test(json_decode_limits_nesting_to_64),
        cmocka_unit_test(json_decode_does_not_count_brackets_in_strings),
        cmocka_unit_test(json_decode_widens_integers_that_do_not_fit),
        cmocka_unit_test(json_strings_are_escaped_as_go_does),
        cmocka_unit_test(json_floats_look_like_go_floats),
        cmocka_unit_test(json_floats_read_back_as_the_same_double),
        cmocka_unit_test(json_encode_refuses_what_nests_too_deep),
        cmocka_unit_test(json_encode_sorts_many_keys),
        cmocka_unit_test(json_find_member_stops_at_the_end_of_the_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
