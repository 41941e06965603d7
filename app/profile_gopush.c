/* profile_gopush.c - `kujata serve --profile go-push`: its websocket, and with --api its routes. */
#include "serve_profiles.h"
#include "serve_settings.h"

#include <kujata/gopush.h>
#include <stdlib.h>

static struct {
    const char *path; /* NULL: /connect */
    bool tells_session;
    uint32_t batch_items; /* 0: the default */
} flags;

static void add_options(struct option_table *table)
{
    const struct option rows[] = {
        {OPTION("--gopush-path", OPTION_TEXT, &flags.path, "PATH",
                "where clients of go-push connect; default /connect"),
         .needs = {"--profile go-push"}},
        {OPTION("--gopush-welcome", OPTION_SWITCH, &flags.tells_session, NULL,
                "they are told their session, which /push/conn takes"),
         .needs = {"--profile go-push"}},
        {OPTION("--gopush-batch-items", OPTION_NUMBER, &flags.batch_items, "N",
                "of one message to them; default 100"),
         .minimum = 1, .maximum = 1000, .needs = {"--profile go-push"}},
    };
    OPTIONS_ADD(table, "the profile go-push", rows);
}

static int start(const struct profile_context *context, void **state)
{
    const struct kj_native_options *shared = &context->settings->rooms.native;
    struct kj_gopush_options options = {.is_open = shared->is_open,
                                        .tells_session = flags.tells_session,
                                        .batching = shared->batching,
                                        .limits = shared->limits};
    struct kj_gopush *gopush = NULL;
    struct kj_error error = {0};
    options.batching.items = flags.batch_items;
    if (kj_gopush_new(&options, &gopush)) {
        return options_fail(EXIT_FAILURE, context->command, "no memory for --profile go-push");
    }
    *state = gopush;
    const struct kj_protocol protocol = kj_gopush_protocol(gopush);
    enum kj_status status = kj_server_mount(context->server, flags.path ? flags.path : "/connect",
                                            &protocol, &error);
    if (!status && context->settings->server.api_listen) {
        status = kj_gopush_add_routes(gopush, context->server, &error);
    }
    if (!status) {
        return EXIT_SUCCESS;
    }
    return options_fail(status == KJ_ENOMEM ? EXIT_FAILURE : EXIT_USAGE, context->command,
                        "--profile go-push: %s (see --gopush-path, --gateway-open, --accounts and "
                        "--auth-tokens)",
                        error.text);
}

static void stop(void *state)
{
    kj_gopush_free(state);
}

const struct profile profile_gopush = {
    .name = "go-push",
    .summary = "clients of go-push, and its HTTP forms with --api; see go-push.md",
    .add_options = add_options,
    .start = start,
    .stop = stop,
    .read_counters = kj_gopush_counters,
};
