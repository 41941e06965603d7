/* encoding_test.c - content negotiation, and what both encodings share. */
#include "bytes.h"
#include "codec/encoding.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

struct row {
    const char *header;
    int http_status; /* 0: accepted */
    enum kj_encoding encoding;
    const char *text;
};

typedef enum kj_status negotiation(const char *header, enum kj_encoding *encoding, int *http_status,
                                   struct kj_error *error);

static void check_rows(negotiation *negotiate, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum kj_encoding encoding = KJ_ENCODING_JSON;
        int http_status = 0;
        struct kj_error error = {0};

        enum kj_status status = negotiate(rows[i].header, &encoding, &http_status, &error);

        assert_int_equal(status == KJ_OK, rows[i].http_status == 0);
        assert_int_equal(http_status, rows[i].http_status);
        if (rows[i].http_status) {
            assert_string_equal(error.text, rows[i].text);
        } else {
            assert_int_equal(encoding, rows[i].encoding);
        }
    }
}

static void content_type_chooses_the_read_encoding(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.header = NULL},
        {.header = ""},
        {.header = "application/json"},
        {.header = "Application/JSON; charset=UTF-8"},
        {.header = "application/json;"},
        {.header = " application/json ; a=\"x;\\\"y\" ; b = c"},
        {.header = "application/*"},
        {.header = "*/*"},
        {.header = "application/msgpack", .encoding = KJ_ENCODING_MSGPACK},
        {.header = "APPLICATION/MSGPACK;v=1", .encoding = KJ_ENCODING_MSGPACK},
        {.header = "application/xml",
         .http_status = 415,
         .text = "Cannot find any acceptable Content-Type media type in provided header: "
                 "application/xml"},
        {.header = "application/json; =",
         .http_status = 400,
         .text = "Invalid Content-Type header: mime: invalid media parameter"},
        {.header = "application/json; a=\"x",
         .http_status = 400,
         .text = "Invalid Content-Type header: mime: invalid media parameter"},
        {.header = ";;",
         .http_status = 400,
         .text = "Invalid Content-Type header: mime: no media type"},
        {.header = "a b",
         .http_status = 400,
         .text = "Invalid Content-Type header: mime: expected slash after first token"},
        {.header = "application/",
         .http_status = 400,
         .text = "Invalid Content-Type header: mime: expected token after slash"},
        {.header = "application/json, text/html",
         .http_status = 400,
         .text = "Invalid Content-Type header: mime: unexpected content after media subtype"},
    };
    check_rows(kj__negotiate_content_type, rows, LENGTH(rows));
}

static void accept_takes_the_first_known_item(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {.header = NULL},
        {.header = ""},
        {.header = "text/html, application/*"},
        {.header = "application/json, ;;"},
        {.header = "application/msgpack;q=0.1, application/json", .encoding = KJ_ENCODING_MSGPACK},
        {.header = "text/html,application/msgpack", .encoding = KJ_ENCODING_MSGPACK},
        {.header = "text/html",
         .http_status = 415,
         .text = "Cannot find any acceptable Accept media type in provided header: text/html"},
        {.header = ";;", .http_status = 400, .text = "Invalid Accept header: mime: no media type"},
        {.header = "text/html,,application/json",
         .http_status = 400,
         .text = "Invalid Accept header: mime: no media type"},
        {.header = "text/html,",
         .http_status = 400,
         .text = "Invalid Accept header: mime: no media type"},
    };
    check_rows(kj__negotiate_accept, rows, LENGTH(rows));
}

static void encodings_have_names(void **state)
{
    (void)state;
    enum kj_encoding encoding;

    assert_string_equal(kj_encoding_name(KJ_ENCODING_JSON), "application/json");
    assert_string_equal(kj_encoding_name(KJ_ENCODING_MSGPACK), "application/msgpack");
    assert_true(kj__encoding_from_name("application/msgpack", 19, &encoding));
    assert_int_equal(encoding, KJ_ENCODING_MSGPACK);
    assert_false(kj__encoding_from_name("application/xml", 15, &encoding));
    assert_false(kj__encoding_from_name("", 0, &encoding));
}

static void value_decode_names_the_encoding_in_its_errors(void **state)
{
    (void)state;
    json_t *value;
    struct kj_error error;

    assert_int_equal(
        kj__value_decode(KJ_ENCODING_JSON, (const uint8_t *)"{\"name\":\"a\"", 11, &value, &error),
        KJ_EPARSE);
    assert_string_equal(error.text, "unable to decode application/json: EOF");
    assert_int_equal(
        kj__value_decode(KJ_ENCODING_MSGPACK, (const uint8_t *)"\x81\xa4name", 6, &value, &error),
        KJ_EPARSE);
    assert_string_equal(error.text, "unable to decode application/msgpack: EOF");
}

static void statuses_have_texts(void **state)
{
    (void)state;
    assert_string_equal(kj_status_text(KJ_OK), "success");
    assert_string_equal(kj_status_text(KJ_EDISCONNECTED), "the broker is away");
    assert_string_equal(kj_status_text((enum kj_status) - 999), "unknown status");
}

static void error_set_keeps_to_one_bounded_line(void **state)
{
    (void)state;
    struct kj_error error;
    char long_text[2 * KJ_ERROR_TEXT_MAX];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';

    kj_error_set(NULL, 0, "nobody listens");
    kj_error_set(&error, 7, "a\nb\x7f%s", long_text);

    assert_int_equal(strlen(error.text), KJ_ERROR_TEXT_MAX - 1);
    assert_memory_equal(error.text, "a b xx", 6);
    assert_int_equal(error.position, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_type_chooses_the_read_encoding),
        cmocka_unit_test(accept_takes_the_first_known_item),
        cmocka_unit_test(encodings_have_names),
        cmocka_unit_test(value_decode_names_the_encoding_in_its_errors),
        cmocka_unit_test(statuses_have_texts),
        cmocka_unit_test(error_set_keeps_to_one_bounded_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
