/* options.c - see options.h. */
#include "options.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One parsing under way. */
struct parsing {
    const char *command;
    const struct option *options;
    size_t count;
    bool seen[OPTIONS_MAX]; /* by the option's place */
};

int options_fail(int exit_status, const char *command, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "kujata %s: %s\n", command, text);
    return exit_status;
}

bool options_asks_for_help(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

/* ---- values ---- */

static bool parse_number(const char *text, uint32_t minimum, uint32_t maximum, uint32_t *number)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < minimum || value > maximum) {
        return false;
    }
    *number = (uint32_t)value;
    return true;
}

bool options_is_address(const char *text)
{
    char host[INET6_ADDRSTRLEN];
    struct in6_addr address; /* has room for either */
    uint32_t port;
    const char *colon = strrchr(text, ':');
    bool is_ipv6 = *text == '[' && colon && colon[-1] == ']';
    const char *start = text + is_ipv6;
    size_t len = colon ? (size_t)(colon - start) - is_ipv6 : sizeof host;
    if (len >= sizeof host) {
        return false;
    }
    memcpy(host, start, len);
    host[len] = '\0';
    return inet_pton(is_ipv6 ? AF_INET6 : AF_INET, host, &address) == 1 &&
           parse_number(colon + 1, 0, 65535, &port);
}

static bool parse_choice(const struct option *option, const char *text)
{
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *(int *)option->target = i;
            return true;
        }
    }
    return false;
}

static bool add_to_list(const struct option *option, const char *text)
{
    struct text_list *list = option->target;
    if (*text == '\0' || list->count == TEXT_LIST_MAX) {
        return false;
    }
    list->items[list->count++] = text;
    return true;
}

static bool store_value(const struct option *option, const char *text)
{
    switch (option->kind) {
    case OPTION_TEXT:
        *(const char **)option->target = text;
        return *text != '\0';
    case OPTION_ADDRESS:
        *(const char **)option->target = text;
        return options_is_address(text);
    case OPTION_NUMBER:
        return parse_number(text, option->minimum, option->maximum, option->target);
    case OPTION_CHOICE:
        return parse_choice(option, text);
    case OPTION_LIST:
        return add_to_list(option, text);
    case OPTION_SWITCH:
        break;
    }
    *(bool *)option->target = true;
    return true;
}

/* What a value of the option looks like, for people. */
static void describe_value(const struct option *option, char *text, size_t size)
{
    switch (option->kind) {
    case OPTION_ADDRESS:
        snprintf(text, size, "ADDR:PORT, such as 127.0.0.1:8080 or [::1]:8080");
        break;
    case OPTION_NUMBER:
        snprintf(text, size, "a number from %u to %u", option->minimum, option->maximum);
        break;
    case OPTION_CHOICE:
        snprintf(text, size, "one of %s", option->value);
        break;
    case OPTION_LIST:
        snprintf(text, size, "%s, given at most %d times", option->value, TEXT_LIST_MAX);
        break;
    case OPTION_SWITCH:
    case OPTION_TEXT:
        snprintf(text, size, "%s", option->value);
        break;
    }
}

/* ---- arguments ---- */

static const char *shown_name(const struct option *option)
{
    return option->name ? option->name : option->value;
}

static const struct option *find_option(const struct parsing *parsing, const char *argument)
{
    size_t len = strcspn(argument, "=");
    bool is_flag = argument[0] == '-' && argument[1] != '\0';
    for (size_t i = 0; i < parsing->count; i++) {
        const struct option *option = &parsing->options[i];
        bool matches = is_flag
                           ? option->name && strlen(option->name) == len &&
                                 strncmp(option->name, argument, len) == 0
                           : !option->name && (option->kind == OPTION_LIST || !parsing->seen[i]);
        if (matches) {
            return option;
        }
    }
    return NULL;
}

static enum options_result wrong(const struct parsing *parsing, const char *name, const char *fault)
{
    options_fail(EXIT_USAGE, parsing->command, "%s %s (see kujata %s --help)", name, fault,
                 parsing->command);
    return OPTIONS_WRONG;
}

/* Reads the option at argv[*at] and moves *at behind it. */
static enum options_result parse_one(struct parsing *parsing, char *const *argv, int argc, int *at)
{
    const char *argument = argv[(*at)++];
    const struct option *option = find_option(parsing, argument);
    if (!option) {
        return wrong(parsing, argument,
                     *argument == '-' ? "is not a flag of this command" : "is not expected here");
    }
    const char *equals = option->name ? strchr(argument, '=') : NULL;
    const char *value = option->name ? NULL : argument;
    if (option->kind == OPTION_SWITCH) {
        if (equals) {
            return wrong(parsing, option->name, "takes no value");
        }
    } else if (equals) {
        value = equals + 1;
    } else if (option->name && *at < argc) {
        value = argv[(*at)++];
    }
    if (!value && option->kind != OPTION_SWITCH) {
        return wrong(parsing, option->name, "needs a value");
    }
    if (!store_value(option, value)) {
        char expected[256];
        describe_value(option, expected, sizeof expected);
        options_fail(EXIT_USAGE, parsing->command, "%s: \"%s\" is not %s", shown_name(option),
                     value, expected);
        return OPTIONS_WRONG;
    }
    parsing->seen[option - parsing->options] = true;
    return OPTIONS_OK;
}

/* ---- flags that would do nothing ---- */

/* `wanted` is as in a set: up to its colon, where it has one. */
static bool is_text(const char *text, const char *wanted)
{
    const char *colon = strchr(wanted, ':');
    return colon ? strncmp(text, wanted, (size_t)(colon - wanted) + 1) == 0
                 : strcmp(text, wanted) == 0;
}

static bool has_value(const struct option *option, const char *text)
{
    const struct text_list *list = option->target;
    switch (option->kind) {
    case OPTION_SWITCH:
        break;
    case OPTION_TEXT:
    case OPTION_ADDRESS:
        return is_text(*(const char **)option->target, text);
    case OPTION_NUMBER:
        return *(uint32_t *)option->target == strtoul(text, NULL, 10);
    case OPTION_CHOICE:
        return is_text(option->choices[*(int *)option->target], text);
    case OPTION_LIST:
        for (size_t i = 0; i < list->count; i++) {
            if (is_text(list->items[i], text)) {
                return true;
            }
        }
        return false;
    }
    return true;
}

static const struct option *find_shown(const struct parsing *parsing, const char *name)
{
    size_t i = 0;
    while (i < parsing->count && strcmp(shown_name(&parsing->options[i]), name) != 0) {
        i++;
    }
    assert(i < parsing->count);
    return &parsing->options[i];
}

/* One of a set, "--flag" or "--flag value". */
static bool is_given(const struct parsing *parsing, const char *one, size_t len)
{
    char name[64];
    char value[64] = "";
    assert(len < sizeof name);
    (void)snprintf(name, sizeof name, "%.*s", (int)len, one);
    char *blank = strchr(name, ' ');
    if (blank) {
        *blank = '\0';
        (void)snprintf(value, sizeof value, "%s", blank + 1);
    }
    const struct option *option = find_shown(parsing, name);
    return parsing->seen[option - parsing->options] && (!*value || has_value(option, value));
}

/* Where in the set the first that is given stands; NULL: none is. */
static const char *find_given(const struct parsing *parsing, const char *set)
{
    for (;;) {
        size_t len = strcspn(set, "|");
        if (is_given(parsing, set, len)) {
            return set;
        }
        if (!set[len]) {
            return NULL;
        }
        set += len + 1;
    }
}

/* "--a|--b|--c" as "--a, --b or --c". */
static void describe_set(const char *set, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    while (*set && used < size) {
        size_t len = strcspn(set, "|");
        const char *more = set[len] ? set + len + 1 : "";
        const char *join = !*more ? "" : strchr(more, '|') ? ", " : " or ";
        used += (size_t)snprintf(text + used, size - used, "%.*s%s", (int)len, set, join);
        set = more;
    }
}

static enum options_result check_use(const struct parsing *parsing, const struct option *option)
{
    char others[256];
    char fault[sizeof others + 32];
    for (size_t i = 0; i < OPTION_NEEDS_MAX && option->needs[i]; i++) {
        if (!find_given(parsing, option->needs[i])) {
            describe_set(option->needs[i], others, sizeof others);
            snprintf(fault, sizeof fault, "does nothing without %s", others);
            return wrong(parsing, option->name, fault);
        }
    }
    const char *given = option->not_with ? find_given(parsing, option->not_with) : NULL;
    if (given) {
        snprintf(fault, sizeof fault, "does nothing with %.*s", (int)strcspn(given, "|"), given);
        return wrong(parsing, option->name, fault);
    }
    return OPTIONS_OK;
}

static bool has_set(const struct option *option, const char *set)
{
    for (size_t i = 0; i < OPTION_NEEDS_MAX && option->needs[i]; i++) {
        if (strcmp(option->needs[i], set) == 0) {
            return true;
        }
    }
    return option->not_with && strcmp(option->not_with, set) == 0;
}

/* A line for the set with the flags of all the rows that have it, at the first of them. */
static void print_set(const struct parsing *parsing, const struct option *option, const char *word,
                      const char *set)
{
    char others[256];
    for (const struct option *before = parsing->options; before < option; before++) {
        if (has_set(before, set)) {
            return;
        }
    }
    describe_set(set, others, sizeof others);
    printf("  %s %s:", word, others);
    for (; option < parsing->options + parsing->count; option++) {
        if (has_set(option, set)) {
            printf(" %s", option->name);
        }
    }
    printf("\n");
}

static void print_sets(const struct parsing *parsing)
{
    bool has_heading = false;
    for (size_t i = 0; i < parsing->count; i++) {
        const struct option *option = &parsing->options[i];
        if (!has_heading && (option->needs[0] || option->not_with)) {
            printf("\nflags that need others, and do nothing otherwise:\n");
            has_heading = true;
        }
        for (size_t j = 0; j < OPTION_NEEDS_MAX && option->needs[j]; j++) {
            print_set(parsing, option, "with", option->needs[j]);
        }
        if (option->not_with) {
            print_set(parsing, option, "without", option->not_with);
        }
    }
}

/* ---- all of it ---- */

static void print_help(const struct parsing *parsing)
{
    printf("usage: kujata %s", parsing->command);
    for (size_t i = 0; i < parsing->count; i++) {
        const struct option *option = &parsing->options[i];
        if (option->required) {
            printf(" %s%s%s", option->name ? option->name : "", option->name ? " " : "",
                   option->value);
        }
    }
    printf(" [flags]\n");
    for (size_t i = 0; i < parsing->count; i++) {
        const struct option *option = &parsing->options[i];
        char left[96];
        if (option->heading) {
            printf("\n%s:\n", option->heading);
        }
        snprintf(left, sizeof left, "%s%s%s", option->name ? option->name : "",
                 option->name && option->value ? " " : "", option->value ? option->value : "");
        printf("  %-48s %s\n", left, option->help);
    }
    print_sets(parsing);
}

void options_add(struct option_table *table, const char *heading, const struct option *rows,
                 size_t count)
{
    assert(table->count + count <= OPTIONS_MAX);
    memcpy(table->rows + table->count, rows, count * sizeof *rows);
    table->rows[table->count].heading = heading;
    table->count += count;
}

enum options_result options_parse(const char *command, const struct option *options, size_t count,
                                  int argc, char *const *argv)
{
    assert(count <= OPTIONS_MAX);
    struct parsing parsing = {.command = command, .options = options, .count = count};
    for (int at = 0; at < argc;) {
        if (options_asks_for_help(argv[at])) {
            print_help(&parsing);
            return OPTIONS_HELP;
        }
        if (parse_one(&parsing, argv, argc, &at)) {
            return OPTIONS_WRONG;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (options[i].required && !parsing.seen[i]) {
            return wrong(&parsing, shown_name(&options[i]), "is required");
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (parsing.seen[i] && check_use(&parsing, &options[i])) {
            return OPTIONS_WRONG;
        }
    }
    return OPTIONS_OK;
}
