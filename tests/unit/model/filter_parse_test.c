/* filter_parse_test.c - texts of filters: what they mean, what is wrong with them, their bounds. */
#include "make.h"

#include "model/filter.h"

#include <stdio.h>
#include <stdlib.h>

static struct kj_filter *parse(const char *text)
{
    struct kj_filter *filter;
    struct kj_error error = {{0}, 0};
    enum kj_status status = kj__filter_parse(text, strlen(text), KJ__FILTER_FULL, &filter, &error);
    if (status) {
        print_error("%s: %s\n", text, error.text);
    }
    assert_int_equal(status, KJ_OK);
    return filter;
}

static void assert_canonical(const char *text, const char *canonical)
{
    size_t len;
    struct kj_filter *filter = parse(text);
    assert_string_equal(kj__filter_text(filter, &len), canonical);
    assert_int_equal(len, strlen(canonical));
    struct kj_filter *again = parse(canonical);
    assert_string_equal(kj__filter_text(again, &len), canonical);
    assert_int_equal(kj__filter_hash(filter), kj__filter_hash(again));
    kj_filter_unref(filter);
    kj_filter_unref(again);
}

static void filter_has_a_canonical_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical;
    } rows[] = {
        {"a==b", "\"a\" == \"b\""},
        {"  a\t==\n\"b\" ", "\"a\" == \"b\""},
        {"(((a == 'b')))", "\"a\" == \"b\""},
        {"\"a\"==\"@sys:image=nginx\"", "\"a\" == \"@sys:image=nginx\""},
        {"\"==\"==\"==\"", "\"==\" == \"==\""},
        {"@sys:usr == $x", "\"@sys:usr\" == \"$x\""},
        {"a != 'say \"hi\"'", "\"a\" != \"say \\\"hi\\\"\""},
        {"a == \"it's\"", "\"a\" == \"it's\""},
        {"a == \"say \\\"hi\\\"\"", "\"a\" == \"say \\\"hi\\\"\""},
        {"a == '\\d+\\.x'", "\"a\" == \"\\d+\\.x\""},
        {"a == b\\ c\\\"d", "\"a\" == \"b c\\\"d\""},
        {"a == b\\", "\"a\" == b\\\\"},
        {"a == \\x\\(\\\\", "\"a\" == \\\\x\\(\\\\"},
        {"a == x=!y", "\"a\" == \"x=!y\""},
        {"a<3", "\"a\" < 3"},
        {"a <= -3.50", "\"a\" <= -3.50"},
        {"a>1e3", "\"a\" > 1e3"},
        {"a >= 007", "\"a\" >= 007"},
        {"a == inf", "\"a\" == \"inf\""},
        {"a == TRUE and b == False", "\"a\" == true and \"b\" == false"},
        {"a == 'true'", "\"a\" == \"true\""},
        {"a == date(2021-03-04)", "\"a\" == date(\"2021-03-04T00:00:00Z\")"},
        {"a == date( \"2021-03-04 05:06\" )", "\"a\" == date(\"2021-03-04T05:06:00Z\")"},
        {"a > date('2021-03-04T05:06:07.5+02:00')", "\"a\" > date(\"2021-03-04T03:06:07.5Z\")"},
        {"a > now()", "\"a\" > now(\"0ns\")"},
        {"a > now(\"-1h30m\")", "\"a\" > now(\"-5400000000000ns\")"},
        {"a < now(1.5s)", "\"a\" < now(\"1500000000ns\")"},
        {"a == date and b == now", "\"a\" == \"date\" and \"b\" == \"now\""},
        {"a in [x, \"y\", 3, true]", "\"a\" in [\"x\", \"y\", 3, true]"},
        {"a not in x", "\"a\" not in [\"x\"]"},
        {"a NOT  CONTAINS [x,,y,]", "\"a\" not contains [\"x\", \"y\"]"},
        {"a contains []", "\"a\" contains []"},
        {"a == [x]", "\"a\" == [\"x\"]"},
        {"a matches \"^re:\"", "\"a\" matches [\"^re:\"]"},
        {"a exists and b not exists", "\"a\" exists and \"b\" not exists"},
        {"a == 1 and b == 2 and c == 3", "\"a\" == 1 and \"b\" == 2 and \"c\" == 3"},
        {"(a == 1 and (b == 2)) and c == 3", "\"a\" == 1 and \"b\" == 2 and \"c\" == 3"},
        {"a == 1 or b == 2 and c == 3", "(\"a\" == 1 or \"b\" == 2) and \"c\" == 3"},
        {"a == 1 and b == 2 or c == 3", "(\"a\" == 1 and \"b\" == 2) or \"c\" == 3"},
        {"a == 1 or (b == 2 and c == 3)", "\"a\" == 1 or (\"b\" == 2 and \"c\" == 3)"},
        {"((a == 1) and (b == 2))", "\"a\" == 1 and \"b\" == 2"},
        {"\"a.b\" == '\xc3\xa9'", "\"a.b\" == \"\xc3\xa9\""},
        {"a == x\\\xc3\xa9", "\"a\" == \"x\xc3\xa9\""},
        /* Let pass, as bahamut does. */
        {"((a == 1", "\"a\" == 1"},
        {"a == 1))", "\"a\" == 1"},
        {"a == 1 and", "\"a\" == 1"},
        {"(a == 1 or ) and b == 2 or", "\"a\" == 1 and \"b\" == 2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_canonical(rows[i].text, rows[i].canonical);
    }
}

static void filter_names_the_fault_and_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
        size_t position;
    } rows[] = {
        {"", "invalid start of expression. found EOF", 0},
        {"  ", "invalid start of expression. found EOF", 2},
        {"and a == 1", "invalid start of expression. found and", 0},
        {"not a == 1", "invalid start of expression. found not", 0},
        {"()", "invalid start of expression. found )", 1},
        {"a == 1 and (", "invalid start of expression. found EOF", 12},
        {"a == 1 and or b == 1", "invalid start of expression. found or", 11},
        {"[a] == 1", "invalid start of expression. found [", 0},
        {"\xc3\xa9 == 1", "invalid start of expression. found \xc3\xa9", 0},
        {"name ==", "invalid value. found EOF", 7},
        {"name == )", "invalid value. found )", 8},
        {"name == and", "invalid value. found and", 8},
        {"name == [[x]]", "invalid value. found [", 9},
        {"name < [1]", "invalid value. found [", 7},
        {"name == &", "invalid value. found &", 8},
        {"name in [a", "invalid end of array. found EOF", 10},
        {"name in [a)", "invalid end of array. found )", 10},
        {"name",
         "invalid operator. found EOF instead of (==, !=, <, <=, >, >=, contains, in, matches, "
         "exists)",
         4},
        {"name = x",
         "invalid operator. found = instead of (==, !=, <, <=, >, >=, contains, in, matches, "
         "exists)",
         5},
        {"name not == x", "invalid usage of operator NOT before ==", 9},
        {"name not matches x", "invalid usage of operator NOT before matches", 9},
        {"a == 1 && b == 2", "invalid keyword after a == 1. found &", 7},
        {"a == 1 b == 2", "invalid keyword after a == 1. found b", 7},
        {"(a == 1) b == 2", "invalid keyword after (a == 1). found b", 9},
        {"a == 1) and b == 2", "invalid keyword after the last parenthese. found and", 8},
        {"a == b c", "missing parenthese to protect value: b c", 7},
        {"a == b \"c\"", "missing quote before the value: b", 7},
        {"\"key == chris", "missing quote after key == chris", 0},
        {"key == 'chris", "missing quote after chris", 7},
        {"$key == 1", "could not start a parameter with $. Found $key", 0},
        {"a == 1 and \"$k\" == 1", "could not start a parameter with $. Found \"$k\"", 11},
        {"a == date(tomorrow)", "unable to parse date format tomorrow", 10},
        {"a == date(2021-02-30)", "unable to parse date format 2021-02-30", 10},
        {"a == date('0000-01-01T00:00:00+01:00')",
         "unable to parse date format 0000-01-01T00:00:00+01:00", 11},
        {"a == date(", "missing parenthese after date", 5},
        {"a == now((1h))", "missing parenthese after now", 5},
        {"a == now(\"-1x\")", "unable to parse duration -1x", 10},
        {"a == now(1)", "unable to parse duration 1", 9},
        {"a == now(.s)", "unable to parse duration .s", 9},
        {"a == now(-)", "unable to parse duration -", 9},
        {"a == now(99999999h)", "unable to parse duration 99999999h", 9},
        {"a matches \"(\"", "invalid pattern. missing ): (", 10},
        {"a matches [x, '\\1']", "invalid pattern. invalid escape sequence: \\1", 10},
        {"a matches now()", "invalid pattern. found a time", 10},
        {"a == \"\xff\"", "the filter is not UTF-8 text", 6},
        {"a == \"\xc3", "the filter is not UTF-8 text", 7},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kj_filter *filter = (void *)1;
        struct kj_error error = {{0}, 0};
        const char *text = rows[i].text;
        assert_int_equal(kj__filter_parse(text, strlen(text), KJ__FILTER_FULL, &filter, &error),
                         KJ_EPARSE);
        assert_null(filter);
        assert_string_equal(error.text, rows[i].reason);
        assert_int_equal(error.position, rows[i].position);
        assert_int_equal(kj__filter_parse(text, strlen(text), KJ__FILTER_FULL, &filter, NULL),
                         KJ_EPARSE);
    }
}

static void filter_refuses_nul(void **state)
{
    (void)state;
    struct kj_filter *filter;
    assert_int_equal(kj__filter_parse("a == \"\0\"", 8, KJ__FILTER_FULL, &filter, NULL), KJ_EPARSE);
}

/* `count` times `part`, in brackets of text. */
static char *repeat(const char *before, const char *part, size_t count, const char *after)
{
    size_t size = strlen(before) + count * strlen(part) + strlen(after) + 1;
    char *text = calloc(1, size);
    assert_non_null(text);
    char *at = stpcpy(text, before);
    for (size_t i = 0; i < count; i++) {
        at = stpcpy(at, part);
    }
    (void)stpcpy(at, after);
    return text;
}

static void assert_bound(const char *before, const char *part, size_t most, const char *after)
{
    for (size_t more = 0; more < 2; more++) {
        struct kj_filter *filter;
        struct kj_error error = {{0}, 0};
        char *text = repeat(before, part, most + more, after);
        assert_int_equal(kj__filter_parse(text, strlen(text), KJ__FILTER_FULL, &filter, &error),
                         more ? KJ_ELIMIT : KJ_OK);
        assert_true((error.text[0] != '\0') == (more != 0));
        kj_filter_unref(filter);
        free(text);
    }
}

static void filter_is_bounded_in_every_direction(void **state)
{
    (void)state;
    assert_bound("a == \"", "x", KJ__FILTER_TEXT_MAX - sizeof "a == \"\"" + 1, "\"");
    assert_bound("", "(", KJ__FILTER_DEPTH_MAX, "a == 1");
    assert_bound("a==1", " or a==1 and a==1", KJ__FILTER_DEPTH_MAX / 2, "");
    assert_bound("a==1", " or a==1", KJ__FILTER_COMPARISONS_MAX - 1, "");
    assert_bound("a in [", "x,", KJ__FILTER_LIST_MAX, "]");
    assert_bound("a matches [", "x,", KJ__FILTER_PATTERNS_MAX, "]");
    assert_bound("a matches \"", "x", KJ__FILTER_PATTERN_MAX, "\"");
}

static void filter_survives_any_depth_of_parentheses(void **state)
{
    (void)state;
    struct kj_filter *filter;
    struct kj_error error;
    size_t len = (size_t)1 << 20;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, '(', len);
    assert_int_equal(kj__filter_parse(text, len, KJ__FILTER_FULL, &filter, &error), KJ_ELIMIT);
    assert_int_equal(kj__filter_parse(text, KJ__FILTER_TEXT_MAX, KJ__FILTER_FULL, &filter, &error),
                     KJ_ELIMIT);
    assert_int_equal(error.position, KJ__FILTER_DEPTH_MAX);
    free(text);
}

static void filter_refuses_a_pattern_that_grows_when_compiled(void **state)
{
    (void)state;
    struct kj_filter *filter;
    struct kj_error error = {{0}, 0};
    const char text[] = "a matches \"\\pL{100}\"";
    assert_int_equal(kj__filter_parse(text, sizeof text - 1, KJ__FILTER_FULL, &filter, &error),
                     KJ_ELIMIT);
    assert_int_equal(error.position, 10);
    assert_non_null(strstr(error.text, "invalid pattern. "));
}

static void filter_of_a_push_config_has_fewer_comparators(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
    } rows[] = {
        {"a < 1", "<"},
        {"a <= 1", "<="},
        {"a > 1", ">"},
        {"a >= 1", ">="},
        {"a contains [1]", "CONTAINS"},
        {"a not contains [1]", "NOT CONTAINS"},
        {"a in [1]", "IN"},
        {"a not in [1]", "NOT IN"},
    };
    struct kj_filter *filter;
    struct kj_error error;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char reason[100];
        (void)snprintf(reason, sizeof reason, "unsupported comparator: %s", rows[i].name);
        assert_int_equal(
            kj__filter_parse(rows[i].text, strlen(rows[i].text), KJ__FILTER_PUSH, &filter, &error),
            KJ_EUNSUPPORTED);
        assert_string_equal(error.text, reason);
        assert_int_equal(error.position, 2);
    }
    const char text[] = "a == 1 and b != 2 or c matches [x] and (d exists or e not exists)";
    assert_int_equal(kj__filter_parse_push(text, sizeof text - 1, &filter, &error), KJ_OK);
    kj_filter_unref(filter);
}

static void filter_of_a_push_config_fails_with_the_text_bahamut_sends(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"name ==",
         "unable to parse identity filters: elemental: unable to parse filter \"name ==\": invalid "
         "value. found EOF"},
        {"name contains [\"x\"]",
         "unable to parse identity filters: elemental: unable to parse filter \"name contains "
         "[\\\"x\\\"]\": unsupported comparator: CONTAINS"},
        {"a\n\x01\\ \xc3\xa9",
         "unable to parse identity filters: elemental: unable to parse filter "
         "\"a\\n\\x01\\\\ \xc3\xa9\": invalid operator. found   instead of (==, !=, <, <=, >, "
         ">=, contains, in, matches, exists)"},
    };
    struct kj_filter *filter;
    struct kj_error error;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_not_equal(kj__filter_parse_push(rows[i][0], strlen(rows[i][0]), &filter, &error),
                             KJ_OK);
        assert_null(filter);
        assert_string_equal(error.text, rows[i][1]);
    }
    char *text = repeat("a == \"", "x", 1000, "\" or");
    text[strlen(text) - 2] = '<';
    assert_int_equal(kj__filter_parse_push(text, strlen(text), &filter, &error), KJ_EPARSE);
    assert_non_null(strstr(error.text, "x...\": invalid keyword after"));
    assert_int_equal(error.position, 1008);
    free(text);
}

static void filter_says_what_it_holds(void **state)
{
    (void)state;
    struct kj_filter *plain = parse("a == 1");
    struct kj_filter *patterns = parse("a matches [x, y] or b > now('-1h')");
    assert_in_range(kj__filter_size(plain), 100, 1000);
    assert_in_range(kj__filter_size(patterns), 2 * 65536, 2 * 65536 + 2000);
    assert_false(kj__filter_is_relative(plain));
    assert_true(kj__filter_is_relative(patterns));
    assert_ptr_equal(kj_filter_ref(plain), plain);
    kj_filter_unref(plain);
    kj_filter_unref(plain);
    kj_filter_unref(patterns);
    kj_filter_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter_has_a_canonical_text),
        cmocka_unit_test(filter_names_the_fault_and_its_place),
        cmocka_unit_test(filter_refuses_nul),
        cmocka_unit_test(filter_is_bounded_in_every_direction),
        cmocka_unit_test(filter_survives_any_depth_of_parentheses),
        cmocka_unit_test(filter_refuses_a_pattern_that_grows_when_compiled),
        cmocka_unit_test(filter_of_a_push_config_has_fewer_comparators),
        cmocka_unit_test(filter_of_a_push_config_fails_with_the_text_bahamut_sends),
        cmocka_unit_test(filter_says_what_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
