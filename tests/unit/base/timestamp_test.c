/* timestamp_test.c - RFC 3339 text to time and back. */
#include "base/timestamp.h"
#include "check.h"

static void timestamp_reads_and_writes_rfc_3339(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
        uint32_t nanoseconds;
        const char *written; /* NULL: as read */
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0, 0, NULL},
        {"2020-03-17T10:47:27.123456789Z", 1584442047, 123456789, NULL},
        {"2021-03-04T05:06:07.100Z", 1614834367, 100000000, "2021-03-04T05:06:07.1Z"},
        {"2021-03-04T05:06:07+02:00", 1614827167, 0, "2021-03-04T03:06:07Z"},
        {"2021-03-04T05:06:07-00:30", 1614836167, 0, "2021-03-04T05:36:07Z"},
        {"1960-01-01T00:00:00Z", -315619200, 0, NULL},
        {"2000-02-29T23:59:59.000000001Z", 951868799, 1, NULL},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800), 0, NULL},
        {"9999-12-31T23:59:59Z", INT64_C(253402300799), 0, NULL},
        {"5000-01-01T00:00:00.0000000019Z", INT64_C(95617584000), 1,
         "5000-01-01T00:00:00.000000001Z"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct kj__timestamp timestamp;
        char text[KJ__TIMESTAMP_TEXT_SIZE];
        const char *written = rows[i].written ? rows[i].written : rows[i].text;

        assert_true(kj__timestamp_parse(rows[i].text, strlen(rows[i].text), &timestamp));

        assert_true(timestamp.seconds == rows[i].seconds);
        assert_int_equal(timestamp.nanoseconds, rows[i].nanoseconds);
        assert_int_equal(kj__timestamp_format(timestamp, text), strlen(written));
        assert_string_equal(text, written);
    }
}

static void timestamp_refuses_other_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "yesterday",
        "2021-03-04",
        "2021-03-04T05:06:07",
        "2021-03-04t05:06:07Z",
        "2021-03-04T05:06:07z",
        "2021-03-04 05:06:07Z",
        "2021-02-29T05:06:07Z",
        "1900-02-29T05:06:07Z",
        "2021-13-04T05:06:07Z",
        "2021-00-04T05:06:07Z",
        "2021-03-00T05:06:07Z",
        "2021-03-04T24:06:07Z",
        "2021-03-04T05:60:07Z",
        "2021-03-04T05:06:60Z",
        "2021-03-04T05:06:07.Z",
        "2021-03-04T05:06:07+0200",
        "2021-03-04T05:06:07+02:00x",
        "2021-03-04T05:06:07Z ",
        "12021-03-04T05:06:07Z",
        "-021-03-04T05:06:07Z",
    };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct kj__timestamp timestamp;
        assert_false(kj__timestamp_parse(texts[i], strlen(texts[i]), &timestamp));
    }
}

static void timestamp_has_no_text_outside_four_digit_years(void **state)
{
    (void)state;
    static const int64_t seconds[] = {INT64_MIN, INT64_MAX, INT64_C(253402300800),
                                      INT64_C(-62167219201)};
    for (size_t i = 0; i < LENGTH(seconds); i++) {
        char text[KJ__TIMESTAMP_TEXT_SIZE] = "x";
        struct kj__timestamp timestamp = {.seconds = seconds[i]};

        assert_int_equal(kj__timestamp_format(timestamp, text), 0);

        assert_string_equal(text, "");
    }
}

static void timestamp_survives_the_way_there_and_back(void **state)
{
    (void)state;
    srand(5);
    for (int i = 0; i < 50000; i++) {
        struct kj__timestamp first = {.seconds = (int64_t)rand() * 140 - INT64_C(62167219200),
                                      .nanoseconds = (uint32_t)rand() % 1000000000};
        struct kj__timestamp second;
        char text[KJ__TIMESTAMP_TEXT_SIZE];

        size_t len = kj__timestamp_format(first, text);

        assert_true(kj__timestamp_parse(text, len, &second));
        assert_true(first.seconds == second.seconds);
        assert_int_equal(first.nanoseconds, second.nanoseconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timestamp_reads_and_writes_rfc_3339),
        cmocka_unit_test(timestamp_refuses_other_texts),
        cmocka_unit_test(timestamp_has_no_text_outside_four_digit_years),
        cmocka_unit_test(timestamp_survives_the_way_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
