/* serve_api.c - see serve_api.h. */
#include "serve_api.h"

#include "serve_needs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_FILE_BYTES_MAX = 64 * 1024 };

void api_add_options(struct api_settings *settings, struct kj_server_options *server,
                     struct option_table *table)
{
    const struct option rows[] = {
        {OPTION("--api", OPTION_ADDRESS, &server->api_listen, "ADDR:PORT",
                "where an application's own servers ask; default: nowhere"),
         .needs = {WITH_CLIENTS}},
        {OPTION("--api-key", OPTION_LIST, &settings->keys, "KEY",
                "they show one of these, as Authorization: Bearer; repeatable"),
         .needs = {"--api"}},
        {OPTION("--api-key-file", OPTION_TEXT, &settings->key_file, "FILE",
                "the same, one key a line; # begins a comment"),
         .needs = {"--api"}},
        {OPTION("--api-open", OPTION_SWITCH, &server->api_open, NULL,
                "who reaches the API needs no key"),
         .needs = {"--api"}},
    };
    OPTIONS_ADD(table, "the API", rows);
}

/* The whole file as a text; NULL after a line on stderr. */
static char *read_file(const char *command, const char *path)
{
    char *text = malloc(KEY_FILE_BYTES_MAX + 1);
    FILE *file = text ? fopen(path, "re") : NULL;
    if (!file) {
        (void)options_fail(EXIT_USAGE, command, "--api-key-file: %s: %s", path, strerror(errno));
        free(text);
        return NULL;
    }
    size_t len = fread(text, 1, KEY_FILE_BYTES_MAX + 1, file);
    bool is_whole = !ferror(file) && len <= KEY_FILE_BYTES_MAX;
    fclose(file);
    if (!is_whole || memchr(text, 0, len)) {
        (void)options_fail(EXIT_USAGE, command, "--api-key-file: %s is no text of at most %d bytes",
                           path, KEY_FILE_BYTES_MAX);
        free(text);
        return NULL;
    }
    text[len] = '\0';
    return text;
}

/* Ends a line, without the blanks around it. */
static char *trim(char *line)
{
    line += strspn(line, " \t\r");
    size_t len = strlen(line);
    while (len > 0 && strchr(" \t\r", line[len - 1])) {
        line[--len] = '\0';
    }
    return line;
}

static int read_key_file(const char *command, struct api_settings *settings)
{
    struct text_list *keys = &settings->keys;
    size_t before = keys->count;
    settings->key_text = read_file(command, settings->key_file);
    if (!settings->key_text) {
        return EXIT_USAGE;
    }
    char *rest;
    for (char *line = strtok_r(settings->key_text, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        line = trim(line);
        if (*line == '#' || !*line) {
            continue;
        }
        if (keys->count == TEXT_LIST_MAX) {
            return options_fail(EXIT_USAGE, command, "--api-key-file: more than %d keys in all",
                                TEXT_LIST_MAX);
        }
        keys->items[keys->count++] = line;
    }
    return keys->count > before ? 0
                                : options_fail(EXIT_USAGE, command, "--api-key-file: %s has no key",
                                               settings->key_file);
}

int api_read_keys(const char *command, struct api_settings *settings,
                  struct kj_server_options *server)
{
    int exit_status = settings->key_file ? read_key_file(command, settings) : 0;
    server->api_keys = settings->keys.items;
    return exit_status;
}

int api_make(const char *command, const struct kj_push_api_options *options,
             struct kj_server *server, struct kj_push_api **api)
{
    struct kj_error error = {0};
    if (kj_push_api_new(options, api)) {
        return options_fail(EXIT_FAILURE, command, "no memory for --api");
    }
    return kj_push_api_add_routes(*api, server, &error)
               ? options_fail(EXIT_FAILURE, command, "--api: %s", error.text)
               : EXIT_SUCCESS;
}

void api_free_keys(struct api_settings *settings)
{
    free(settings->key_text);
    settings->key_text = NULL;
}
