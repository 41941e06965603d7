/* profile_healing.c - `kujata serve --profile healing`: its websocket, its history, and with --api
 * what business code sends. */
#include "serve_profiles.h"
#include "serve_settings.h"

#include <kujata/healing.h>
#include <kujata/log.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *path;   /* NULL: /api/ws */
    const char *cookie; /* NULL: none */
} flags;

static void add_options(struct option_table *table)
{
    const struct option rows[] = {
        {OPTION("--healing-path", OPTION_TEXT, &flags.path, "PATH",
                "where clients of healing connect; default /api/ws")},
        {OPTION("--user-cookie", OPTION_TEXT, &flags.cookie, "NAME",
                "the cookie whose value is believed to be a client's user: for trials")},
    };
    OPTIONS_ADD(table, "the profile healing", rows);
}

static int start(const struct profile_context *context, void **state)
{
    const struct serve_settings *settings = context->settings;
    const struct kj_native_options *shared = &settings->rooms.native;
    const struct kj_healing_options options = {.cookie = flags.cookie,
                                               .messages = shared->messages,
                                               .is_alone = shared->is_alone,
                                               .limits = shared->limits};
    const char *path = flags.path ? flags.path : "/api/ws";
    struct kj_healing *healing = NULL;
    struct kj_error error = {0};
    if (kj_healing_new(&options, &healing)) {
        return options_fail(EXIT_FAILURE, context->command, "no memory for --profile healing");
    }
    *state = healing;
    const struct kj_protocol protocol = kj_healing_protocol(healing);
    enum kj_status status = kj_server_mount(context->server, path, &protocol, &error);
    if (!status) {
        status = kj_healing_add_routes(healing, context->server, path,
                                       settings->server.api_listen != NULL, &error);
    }
    if (status) {
        return options_fail(status == KJ_ENOMEM ? EXIT_FAILURE : EXIT_USAGE, context->command,
                            "--profile healing: %s (see --healing-path, --user-cookie and "
                            "--auth-cookie)",
                            error.text);
    }
    if (flags.cookie) {
        kj_log(KJ_LOG_WARNING, "healing",
               "whoever sends the cookie %s is believed to be the user it names (--user-cookie)",
               flags.cookie);
    }
    return EXIT_SUCCESS;
}

static void stop(void *state)
{
    kj_healing_free(state);
}

const struct profile profile_healing = {
    .name = "healing",
    .summary = "clients of healing2021's chat, user to user; see healing.md",
    .add_options = add_options,
    .start = start,
    .stop = stop,
    .read_counters = kj_healing_counters,
};
