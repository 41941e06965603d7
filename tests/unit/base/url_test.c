/* url_test.c - percent escapes and query strings. */
#include "base/url.h"
#include "check.h"

static void url_decode_resolves_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool plus_is_blank;
        const char *decoded; /* NULL: refused */
    } rows[] = {
        {"", false, ""},
        {"abc", false, "abc"},
        {"%41%62%63", false, "Abc"},
        {"a+b", false, "a+b"},
        {"a+b%2B", true, "a b+"},
        {"%2f%2F", false, "//"},
        {"%C3%A9", false, "\xc3\xa9"},
        {"%", false, NULL},
        {"%4", false, NULL},
        {"%4g", false, NULL},
        {"%g4", false, NULL},
        {"a%00b", false, NULL},
        {"%%41", false, NULL},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char out[32];
        size_t len = strlen(rows[i].text);

        long used = kj__url_decode(rows[i].text, len, rows[i].plus_is_blank, out);

        assert_int_equal(kj__url_is_well_escaped(rows[i].text), rows[i].decoded != NULL);
        if (rows[i].decoded) {
            assert_int_equal(used, strlen(rows[i].decoded));
            assert_string_equal(out, rows[i].decoded);
        } else {
            assert_int_equal(used, -1);
        }
    }
}

static void url_query_becomes_pairs(void **state)
{
    (void)state;
    struct kj__fields fields;
    kj__fields_init(&fields, false);

    assert_true(kj__url_parse_query("q=name%20%3D%3D+1&q=2&&flag&bad=%zz&=x&e=", &fields));

    assert_string_equal(kj__fields_get(&fields, "q"), "name == 1");
    assert_string_equal(kj__fields_get(&fields, "flag"), "");
    assert_string_equal(kj__fields_get(&fields, "e"), "");
    assert_string_equal(kj__fields_get(&fields, ""), "x");
    assert_null(kj__fields_get(&fields, "bad"));
    kj__fields_fini(&fields);
}

static void url_query_may_be_empty(void **state)
{
    (void)state;
    struct kj__fields fields;
    kj__fields_init(&fields, false);

    assert_true(kj__url_parse_query("", &fields));
    assert_true(kj__url_parse_query("&&&", &fields));

    assert_int_equal(fields.text.len, 0);
    kj__fields_fini(&fields);
}

static void url_pairs_are_all_good_or_none(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        enum kj__url_outcome outcome;
    } rows[] = {
        {"", 0, KJ__URL_FINE},
        {"a=1&b=2", 7, KJ__URL_FINE},
        {"&&a&&", 5, KJ__URL_FINE},
        {"a=%4", 4, KJ__URL_BAD},
        {"%=1", 3, KJ__URL_BAD},
        {"a=%00", 5, KJ__URL_BAD},
        {"a=\0b", 4, KJ__URL_BAD},
        {"a=%C3", 5, KJ__URL_BAD},
        {"a=\xff", 3, KJ__URL_BAD},
        {"a=%C3&b=%A9", 11, KJ__URL_BAD},
        {"a&b&c&d", 7, KJ__URL_TOO_MANY},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct kj__fields fields;
        kj__fields_init(&fields, false);
        assert_int_equal(kj__url_parse_pairs(rows[i].text, rows[i].len, 3, &fields),
                         rows[i].outcome);
        kj__fields_fini(&fields);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_decode_resolves_escapes),
        cmocka_unit_test(url_query_becomes_pairs),
        cmocka_unit_test(url_query_may_be_empty),
        cmocka_unit_test(url_pairs_are_all_good_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
