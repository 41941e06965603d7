/* main.c - the `kujata` program: finds the command and runs it. */
#include "commands.h"
#include "options.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char *const *argv);
    const char *help;
} commands[] = {
    {"serve", command_serve, "offer a model's resources over REST and push their changes"},
    {"spec", command_spec, "print an OpenAPI or AsyncAPI document of a model"},
    {"bench", command_bench, "load a server with sessions and events, and measure it"},
    {"sub", command_sub, "watch a server's events, one line each"},
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_usage(FILE *to)
{
    fprintf(to, "usage: kujata COMMAND [flags]\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    }
    fprintf(to, "kujata COMMAND --help lists the flags of one; --version prints the version.\n");
}

/* Who starts us may have closed these; what is opened next would get their numbers, and be written
 * what is meant for people. */
static bool keep_standard_descriptors(void)
{
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO) {
        fd = open("/dev/null", O_RDWR);
    }
    return fd >= 0 && close(fd) == 0;
}

int main(int argc, char **argv)
{
    if (!keep_standard_descriptors()) {
        return EXIT_FAILURE;
    }
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("kujata %s\n", KUJATA_VERSION);
        return EXIT_SUCCESS;
    }
    if (options_asks_for_help(argv[1]) || strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 2, argv + 2);
        }
    }
    fprintf(stderr, "kujata: %s is not a command (see kujata --help)\n", argv[1]);
    return EXIT_USAGE;
}
