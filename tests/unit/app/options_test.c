/* options_test.c - command lines that are taken, and flags that would do nothing. */
#include "check.h"
#include "options.h"

static const char *const modes[] = {"auto", "on", "off", NULL};

struct settings {
    bool light;
    const char *store, *color, *shade;
    uint32_t events, bytes;
    int mode;
    struct text_list profiles;
};

/* Parses the words up to the NULL. */
static enum options_result parse(struct settings *settings, const char *const *words)
{
    const struct option rows[] = {
        {OPTION("--light", OPTION_SWITCH, &settings->light, NULL, "on")},
        {OPTION("--store", OPTION_TEXT, &settings->store, "memory|sqlite:PATH", "where")},
        {OPTION("--events", OPTION_NUMBER, &settings->events, "N", "kept"), .maximum = 100},
        {OPTION("--mode", OPTION_CHOICE, &settings->mode, "auto|on|off", "how"), .choices = modes},
        {OPTION("--profile", OPTION_LIST, &settings->profiles, "NAME", "what")},
        {OPTION("--color", OPTION_TEXT, &settings->color, "NAME", "of it"),
         .needs = {"--light|--profile lamp|--mode on", "--store sqlite:PATH"},
         .not_with = "--mode off"},
        {OPTION("--shade", OPTION_TEXT, &settings->shade, "NAME", "of it"), .needs = {"--color"}},
        {OPTION("--bytes", OPTION_NUMBER, &settings->bytes, "N", "kept"), .maximum = 100,
         .not_with = "--events 0"},
    };
    int count = 0;
    *settings = (struct settings){.events = 1};
    while (words[count]) {
        count++;
    }
    return options_parse("test", rows, sizeof rows / sizeof *rows, count, (char *const *)words);
}

static bool is_taken(const char *const *words)
{
    struct settings settings;
    return parse(&settings, words) == OPTIONS_OK;
}

#define TAKEN(...) is_taken((const char *const[]){__VA_ARGS__, NULL})

static void a_flag_needs_one_of_each_set(void **state)
{
    (void)state;
    assert_true(TAKEN("--light", "--store", "sqlite:x"));
    assert_false(TAKEN("--color", "red"));
    assert_false(TAKEN("--color", "red", "--light"));
    assert_false(TAKEN("--color", "red", "--store", "sqlite:x"));
    assert_true(TAKEN("--color", "red", "--light", "--store", "sqlite:x"));
    assert_true(TAKEN("--light", "--store=sqlite:x", "--color=red"));
}

static void where_a_value_is_meant_another_does_not_count(void **state)
{
    (void)state;
    assert_false(TAKEN("--color", "red", "--light", "--store", "memory"));
    assert_false(TAKEN("--color", "red", "--store", "sqlite:x", "--profile", "lamps"));
    assert_true(
        TAKEN("--color", "red", "--store", "sqlite:x", "--profile", "x", "--profile", "lamp"));
    assert_true(TAKEN("--color", "red", "--store", "sqlite:x", "--mode", "on"));
    assert_false(TAKEN("--color", "red", "--store", "sqlite:x", "--mode", "auto"));
}

static void what_is_needed_may_need_others_itself(void **state)
{
    (void)state;
    assert_false(TAKEN("--shade", "dark"));
    assert_false(TAKEN("--shade", "dark", "--color", "red"));
    assert_true(TAKEN("--shade", "dark", "--color", "red", "--light", "--store", "sqlite:x"));
}

static void a_flag_is_refused_beside_what_makes_it_useless(void **state)
{
    (void)state;
    assert_false(TAKEN("--color", "red", "--light", "--store", "sqlite:x", "--mode", "off"));
    assert_true(TAKEN("--bytes", "7"));
    assert_true(TAKEN("--bytes", "7", "--events", "10"));
    assert_false(TAKEN("--bytes", "7", "--events", "0"));
    assert_false(TAKEN("--events", "00", "--bytes", "7"));
}

static void flags_that_are_not_given_need_nothing(void **state)
{
    (void)state;
    struct settings settings;
    assert_int_equal(parse(&settings, (const char *const[]){"--mode", "off", NULL}), OPTIONS_OK);
    assert_int_equal(settings.mode, 2);
    assert_null(settings.color);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flag_needs_one_of_each_set),
        cmocka_unit_test(where_a_value_is_meant_another_does_not_count),
        cmocka_unit_test(what_is_needed_may_need_others_itself),
        cmocka_unit_test(a_flag_is_refused_beside_what_makes_it_useless),
        cmocka_unit_test(flags_that_are_not_given_need_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
