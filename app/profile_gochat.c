/* profile_gochat.c - `kujata serve --profile gochat`: its websocket, its routes, and with --tcp its
 * packets. */
#include "serve_profiles.h"
#include "serve_settings.h"

#include <kujata/gochat.h>
#include <stdlib.h>

static struct {
    const char *path; /* NULL: /ws */
    uint32_t told_members, ping_ms, stream_idle_ms;
} flags;

static void add_options(struct option_table *table)
{
    const struct option rows[] = {
        {OPTION("--gochat-path", OPTION_TEXT, &flags.path, "PATH",
                "where clients of gochat connect; default /ws"),
         .needs = {"--profile gochat"}},
        {OPTION("--gochat-told-members", OPTION_NUMBER, &flags.told_members, "N",
                "a room of so many hears who is in it; default 100"),
         .minimum = 1, .maximum = 1000, .needs = {"--profile gochat"}},
        {OPTION("--gochat-ping-ms", OPTION_NUMBER, &flags.ping_ms, "MS",
                "between two pings on TCP; default 54000"),
         .minimum = 10, .maximum = UINT32_MAX, .needs = {"--profile gochat", "--tcp|--tcp-tls"}},
        {OPTION("--gochat-tcp-idle-ms", OPTION_NUMBER, &flags.stream_idle_ms, "MS",
                "without a packet of the client's on TCP; default 86400000"),
         .minimum = 2, .maximum = UINT32_MAX, .needs = {"--profile gochat", "--tcp|--tcp-tls"}},
    };
    OPTIONS_ADD(table, "the profile gochat", rows);
}

static enum kj_status listen_all(const struct profile_context *context, struct kj_gochat *gochat,
                                 struct kj_error *error)
{
    const struct kj_protocol protocol = kj_gochat_stream(gochat);
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < context->stream_count && !status; i++) {
        const struct kj_stream_options stream = {.listen = context->streams[i].listen,
                                                 .tls = context->streams[i].tls};
        status = kj_server_listen(context->server, &stream, &protocol, error);
    }
    return status;
}

static int start(const struct profile_context *context, void **state)
{
    const struct kj_native_options *shared = &context->settings->rooms.native;
    const struct kj_gochat_options options = {.accounts = context->accounts,
                                              .presence = shared->presence,
                                              .told_members = flags.told_members,
                                              .ping_ms = flags.ping_ms,
                                              .stream_idle_ms = flags.stream_idle_ms,
                                              .limits = shared->limits};
    struct kj_gochat *gochat = NULL;
    struct kj_error error = {0};
    if (!context->accounts) {
        return options_fail(EXIT_USAGE, context->command,
                            "--profile gochat needs users: give --accounts memory or sqlite:PATH");
    }
    if (kj_gochat_new(&options, &gochat)) {
        return options_fail(EXIT_FAILURE, context->command, "no memory for --profile gochat");
    }
    *state = gochat;
    const struct kj_protocol protocol = kj_gochat_protocol(gochat);
    enum kj_status status = kj_server_mount(context->server, flags.path ? flags.path : "/ws",
                                            &protocol, &error);
    status = status ? status : listen_all(context, gochat, &error);
    status = status ? status : kj_gochat_add_routes(gochat, context->server, &error);
    if (!status) {
        return EXIT_SUCCESS;
    }
    return options_fail(status == KJ_ENOMEM ? EXIT_FAILURE : EXIT_USAGE, context->command,
                        "--profile gochat: %s (see --gochat-path and --tcp)", error.text);
}

static void stop(void *state)
{
    kj_gochat_free(state);
}

const struct profile profile_gochat = {
    .name = "gochat",
    .summary = "clients of gochat, its pages' HTTP, and TCP; see gochat.md",
    .has_streams = true,
    .add_options = add_options,
    .start = start,
    .stop = stop,
    .read_counters = kj_gochat_counters,
};
