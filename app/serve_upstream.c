/* serve_upstream.c - see serve_upstream.h. */
#include "serve_upstream.h"

#include "serve_needs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_SIZE = 8192 };

void upstream_add_options(struct upstream_settings *settings, struct option_table *table)
{
    struct kj_upstream_options *options = &settings->options;
    const struct option rows[] = {
        {OPTION("--upstream", OPTION_TEXT, &options->url, "URL",
                "asked for requests of rooms' clients that are not known; see rooms.md"),
         .needs = {WITH_NATIVE}},
        {OPTION("--upstream-token-file", OPTION_TEXT, &settings->token_file, "FILE",
                "shown to it as Authorization: Bearer"),
         .needs = {"--upstream"}},
        {OPTION("--upstream-timeout-ms", OPTION_NUMBER, &options->timeout_ms, "MS",
                "for one answer; default 2000"),
         .minimum = 1, .maximum = 600000, .needs = {"--upstream"}},
        {OPTION("--upstream-calls", OPTION_NUMBER, &options->calls, "N",
                "waiting and under way; default 16"),
         .minimum = 1, .maximum = 65536, .needs = {"--upstream"}},
        {OPTION("--upstream-answer-bytes", OPTION_NUMBER, &options->answer_bytes, "BYTES",
                "of one answer; default 65536"),
         .minimum = 1, .maximum = 1 << 26, .needs = {"--upstream"}},
    };
    OPTIONS_ADD(table, "upstream", rows);
}

/* The first line of a file. */
static int read_token(const char *command, const char *path, char token[TOKEN_SIZE])
{
    FILE *file = fopen(path, "re");
    if (!file || !fgets(token, TOKEN_SIZE, file)) {
        int exit_status = options_fail(EXIT_USAGE, command, "--upstream-token-file: %s: %s", path,
                                       file ? "there is no line in it" : strerror(errno));
        if (file) {
            fclose(file);
        }
        return exit_status;
    }
    fclose(file);
    token[strcspn(token, "\r\n")] = '\0';
    return EXIT_SUCCESS;
}

int upstream_make(const char *command, const struct upstream_settings *settings,
                  struct kj_upstream **upstream)
{
    char token[TOKEN_SIZE];
    struct kj_error error = {0};
    struct kj_upstream_options options = settings->options;
    if (!options.url) {
        return EXIT_SUCCESS;
    }
    if (settings->token_file) {
        int exit_status = read_token(command, settings->token_file, token);
        if (exit_status) {
            return exit_status;
        }
        options.token = token;
    }
    enum kj_status status = kj_upstream_new(&options, upstream, &error);
    return status
               ? options_fail(status == KJ_EINVAL ? EXIT_USAGE : EXIT_FAILURE, command,
                              "--upstream: %s", *error.text ? error.text : kj_status_text(status))
               : EXIT_SUCCESS;
}
