/* base64_test.c - bytes as text and back; the vectors are those of RFC 4648. */
#include "bytes.h"
#include "codec/base64.h"

static const struct {
    const char *bytes, *text;
} vectors[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/"},
};

static void texts_and_bytes_are_those_of_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        size_t len = strlen(vectors[i].text);
        struct kj__buffer text, bytes;
        kj__buffer_init(&text);
        kj__buffer_init(&bytes);
        kj__base64_encode((const uint8_t *)vectors[i].bytes, strlen(vectors[i].bytes), &text);
        assert_bytes_text(text.data, text.len, vectors[i].text);
        assert_true(kj__base64_decode(vectors[i].text, len, &bytes));
        assert_bytes_text(bytes.data, bytes.len, vectors[i].bytes);
        assert_int_equal(kj__base64_decoded_len(vectors[i].text, len), bytes.len);
        kj__buffer_fini(&bytes);
        kj__buffer_fini(&text);
    }
}

static void bits_behind_the_last_byte_are_ignored(void **state)
{
    (void)state;
    struct kj__buffer bytes;
    kj__buffer_init(&bytes);
    assert_true(kj__base64_decode("Zh==", 4, &bytes));
    assert_bytes_text(bytes.data, bytes.len, "f");
    kj__buffer_fini(&bytes);
}

static void whatever_else_is_refused_and_adds_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"Z",    "Zg",    "Zg=",  "Zg==Zg==", "=g==", "Z===", "====",
                                        "Zm9 ", "Zm9\n", "Zm-_", "Zm=v",     "=AAA", "Zm9vZ"};
    struct kj__buffer bytes;
    kj__buffer_init(&bytes);
    kj__buffer_append_text(&bytes, "kept");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_false(kj__base64_decode(texts[i], strlen(texts[i]), &bytes));
        assert_bytes_text(bytes.data, bytes.len, "kept");
    }
    assert_false(kj__base64_decode("AA\0A", 4, &bytes));
    assert_false(kj__base64_decode("Zm9\xc3", 4, &bytes));
    kj__buffer_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_bytes_are_those_of_the_rfc),
        cmocka_unit_test(bits_behind_the_last_byte_are_ignored),
        cmocka_unit_test(whatever_else_is_refused_and_adds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
