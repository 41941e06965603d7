/* serve_presence.c - see serve_presence.h. */
#include "serve_presence.h"

#include "serve_needs.h"

#include <stdio.h>
#include <stdlib.h>

enum { PRESENCE_AUTO = 0, PRESENCE_ON, PRESENCE_OFF };

static const char *const mode_names[] = {
    [PRESENCE_AUTO] = "auto",
    [PRESENCE_ON] = "on",
    [PRESENCE_OFF] = "off",
    NULL,
};

void presence_add_options(struct presence_settings *settings, struct option_table *table)
{
    struct kj_presence_options *options = &settings->options;
    const struct option rows[] = {
        {OPTION("--presence", OPTION_CHOICE, &settings->mode, "auto|on|off",
                "nodes tell each other who is there; default auto: with a broker"),
         .choices = mode_names, .needs = {WITH_CLIENTS}},
        {OPTION("--presence-interval-ms", OPTION_NUMBER, &options->interval_ms, "MS",
                "between two reports; a node that misses three is gone; default 5000"),
         .minimum = 10, .maximum = 60000, .needs = {WITH_CLIENTS, "--presence on|" WITH_BROKER},
         .not_with = "--presence off"},
        {OPTION("--presence-timeout-ms", OPTION_NUMBER, &options->timeout_ms, "MS",
                "for the answers of other nodes; default 1000"),
         .minimum = 1, .maximum = 60000, .needs = {WITH_CLIENTS, "--presence on|" WITH_BROKER},
         .not_with = "--presence off"},
        {OPTION("--presence-nodes", OPTION_NUMBER, &options->nodes, "N",
                "others that are known; default 256"),
         .minimum = 1, .maximum = 65536, .needs = {WITH_CLIENTS, "--presence on|" WITH_BROKER},
         .not_with = "--presence off"},
        {OPTION("--presence-rooms", OPTION_NUMBER, &options->rooms, "N",
                "figures of rooms of other nodes kept; default 524288"),
         .minimum = 1, .maximum = UINT32_MAX, .needs = {WITH_CLIENTS, "--presence on|" WITH_BROKER},
         .not_with = "--presence off"},
    };
    OPTIONS_ADD(table, "presence", rows);
}

int presence_make(const char *command, const struct presence_settings *settings,
                  struct kj_pubsub *pubsub, const char *prefix, bool is_cluster,
                  struct kj_presence_board **board)
{
    char topic[512];
    struct kj_error error = {0};
    struct kj_presence_options options = settings->options;
    if (settings->mode == PRESENCE_OFF || (settings->mode == PRESENCE_AUTO && !is_cluster)) {
        return EXIT_SUCCESS;
    }
    (void)snprintf(topic, sizeof topic, "%s.presence", prefix ? prefix : "gateway");
    options.prefix = topic;
    options.pubsub = pubsub;
    enum kj_status status = kj_presence_new(&options, board, &error);
    return status
               ? options_fail(status == KJ_EINVAL ? EXIT_USAGE : EXIT_FAILURE, command,
                              "--presence: %s", *error.text ? error.text : kj_status_text(status))
               : EXIT_SUCCESS;
}

int presence_start(const char *command, struct kj_presence_board *board, struct kj_server *server)
{
    struct kj_gateway *gateway = kj_server_gateway(server);
    if (!board || !gateway) {
        return EXIT_SUCCESS;
    }
    enum kj_status status = kj_presence_start(board, gateway);
    return status ? options_fail(EXIT_FAILURE, command, "--presence: %s", kj_status_text(status))
                  : EXIT_SUCCESS;
}
