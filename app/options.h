/* options.h - a table of flags, and the one parser that reads it.
 *
 * Flags are written `--flag value` or `--flag=value`. The first fault ends the parsing with one
 * line on stderr that names the flag. A flag that would do nothing is such a fault: its row says
 * which others it needs, and beside which it is of no use.
 */
#ifndef KUJATA_APP_OPTIONS_H
#define KUJATA_APP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXIT_USAGE = 2, TEXT_LIST_MAX = 256, OPTION_NEEDS_MAX = 2 };

/* Values of a flag that may be given more than once. */
struct text_list {
    const char *items[TEXT_LIST_MAX + 1]; /* NULL at the end */
    size_t count;
};

enum option_kind {
    OPTION_SWITCH = 0, /* bool; takes no value */
    OPTION_TEXT,       /* const char *; not empty */
    OPTION_ADDRESS,    /* const char *; ADDR:PORT, or [ADDR]:PORT for IPv6 */
    OPTION_NUMBER,     /* uint32_t within minimum and maximum */
    OPTION_CHOICE,     /* int: the index of the value in choices */
    OPTION_LIST,       /* struct text_list */
};

struct option {
    const char *name; /* with its dashes; NULL: a positional argument */
    enum option_kind kind;
    void *target; /* of the type the kind names */
    const char *value;
    const char *help;
    bool required;
    uint32_t minimum, maximum;
    const char *const *choices; /* NULL at the end */
    const char *heading;        /* in the help, above this row; NULL: none */
    /* Flags without which this one does nothing: one of each set must be given. A set is written
     * "--flag|--flag value|--flag scheme:...": of the second this value counts alone, of the third
     * each that begins with the scheme. A positional argument goes by its `value`. */
    const char *needs[OPTION_NEEDS_MAX];
    const char *not_with; /* a set; beside any of it this flag does nothing */
};

/* What every row says; the rest follows by name where the kind needs it. */
#define OPTION(name_, kind_, target_, value_, help_)                                               \
    .name = (name_), .kind = (kind_), .target = (target_), .value = (value_), .help = (help_)

enum { OPTIONS_MAX = 256 };

/* Rows that are put together from groups. */
struct option_table {
    struct option rows[OPTIONS_MAX];
    size_t count;
};

/* Adds copies of the rows, the first with this heading (NULL: none). */
void options_add(struct option_table *table, const char *heading, const struct option *rows,
                 size_t count);
#define OPTIONS_ADD(table, heading, rows)                                                          \
    options_add((table), (heading), (rows), sizeof(rows) / sizeof *(rows))

enum options_result { OPTIONS_OK, OPTIONS_HELP, OPTIONS_WRONG };

/* Fills the targets. After OPTIONS_HELP the table has been printed on stdout, after
 * OPTIONS_WRONG the fault on stderr. Values are borrowed from argv. */
enum options_result options_parse(const char *command, const struct option *options, size_t count,
                                  int argc, char *const *argv);

/* Whether it is --help, or -h. */
bool options_asks_for_help(const char *argument);

/* Whether it is ADDR:PORT, or [ADDR]:PORT. */
bool options_is_address(const char *text);

/* One line on stderr, "kujata COMMAND: ...", and the exit status to return. */
__attribute__((format(printf, 3, 4))) int options_fail(int exit_status, const char *command,
                                                       const char *format, ...);

#endif
