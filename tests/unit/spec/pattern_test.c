/* pattern_test.c - which patterns other tools may read as we do. */
#include "unit/spec/model.h"

#include "spec/parts.h"

static void patterns_that_mean_the_same_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        bool is_common;
    } rows[] = {
        {"", true},
        {"abc", true},
        {"^[a-z]+$", true},
        {"^[^a-z-]*$", true},
        {"a|b", true},
        {"(ab)+c?", true},
        {"a{2}b{2,}c{2,5}", true},
        {"\\.\\*", true},
        {"^(a|^b)$", true},
        {"a.c", true},
        {"[a", false},
        {"[]a]", false},
        {"[^]a]", false},
        {"[[:alpha:]]", false},
        {"[\\d]", false},
        {"\\w", false},
        {"a\\<", false},
        {"a+?", false},
        {"a**", false},
        {"*a", false},
        {"(*a)", false},
        {"a|*", false},
        {"^*", false},
        {"a{,3}", false},
        {"a{x", false},
        {"a}", false},
        {"a]", false},
        {"()", false},
        {"(?a)", false},
        {"[\303\244]", false},
        {"\\", false},
        {"\303\244", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (kj__spec_pattern_is_common(rows[i].pattern) != rows[i].is_common) {
            fail_msg("%s", rows[i].pattern);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_that_mean_the_same_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
