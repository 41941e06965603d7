/* profile_goim.c - goim's protocol: /sub and TCP, and the HTTP of its logic. */
#include "serve_profiles.h"
#include "serve_settings.h"

#include <kujata/goim.h>
#include <stdlib.h>
#include <string.h>

static struct {
    bool trusts_mid;
    const char *domain, *path;
    uint32_t tcp_port, ws_port, wss_port;
} flags;

static void add_options(struct option_table *table)
{
#define PORT(flag, target, text)                                                                   \
    OPTION(flag, OPTION_NUMBER, target, "PORT", text), .minimum = 1, .maximum = UINT16_MAX
    const struct option rows[] = {
        {OPTION("--goim-path", OPTION_TEXT, &flags.path, "PATH",
                "where websockets connect; default /sub"),
         .needs = {"--profile goim"}},
        {OPTION("--goim-trust-mid", OPTION_SWITCH, &flags.trusts_mid, NULL,
                "with --gateway-open: a client is whom its mid names"),
         .needs = {"--profile goim", "--gateway-open|--profile live"}},
        {OPTION("--goim-domain", OPTION_TEXT, &flags.domain, "HOST",
                "that clients are told to connect to; default 127.0.0.1"),
         .needs = {"--profile goim"}},
        {PORT("--goim-tcp-port", &flags.tcp_port, "that clients are told; default of --tcp"),
         .needs = {"--profile goim"}},
        {PORT("--goim-ws-port", &flags.ws_port, "the same for websockets; default of --listen"),
         .needs = {"--profile goim"}},
        {PORT("--goim-wss-port", &flags.wss_port, "the same for websockets over TLS"),
         .needs = {"--profile goim"}},
    };
#undef PORT
    OPTIONS_ADD(table, "goim", rows);
}

/* As an address says it; 0 also where the system picks one. */
static uint16_t port_of(const char *listen)
{
    const char *colon = listen ? strrchr(listen, ':') : NULL;
    return colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

static void fill(const struct profile_context *context, struct kj_goim_options *options)
{
    const struct kj_native_options *common = &context->settings->rooms.native;
    const struct kj_server_options *server = &context->settings->server;
    uint16_t port = port_of(server->listen ? server->listen : ":8080");
    uint16_t tcp_port = context->stream_count ? port_of(context->streams[0].listen) : 0;
    *options = (struct kj_goim_options){
        .is_open = common->is_open,
        .trusts_mid = flags.trusts_mid,
        .batching = common->batching,
        .limits = common->limits,
        .presence = common->presence,
        .domain = flags.domain,
        .tcp_port = flags.tcp_port ? (uint16_t)flags.tcp_port : tcp_port,
        .ws_port = (uint16_t)flags.ws_port,
        .wss_port = (uint16_t)flags.wss_port,
    };
    if (!flags.ws_port && !server->tls_certificate) {
        options->ws_port = port;
    }
    if (!flags.wss_port && server->tls_certificate) {
        options->wss_port = port;
    }
}

static enum kj_status mount(const struct profile_context *context, struct kj_goim *goim,
                            struct kj_error *error)
{
    const struct kj_protocol protocol = kj_goim_protocol(goim);
    const struct kj_protocol stream_protocol = kj_goim_stream_protocol(goim);
    enum kj_status status = kj_server_mount(context->server, flags.path ? flags.path : "/sub",
                                            &protocol, error);
    for (size_t i = 0; !status && i < context->stream_count; i++) {
        status = kj_server_listen(context->server,
                                  &(struct kj_stream_options){.listen = context->streams[i].listen,
                                                              .tls = context->streams[i].tls},
                                  &stream_protocol, error);
    }
    return status ? status
                  : kj_goim_add_routes(goim, context->server,
                                       context->settings->server.api_listen != NULL, error);
}

static int start(const struct profile_context *context, void **state)
{
    struct kj_goim_options options;
    struct kj_goim *goim;
    struct kj_error error = {0};
    fill(context, &options);
    if (!options.is_open && context->settings->server.session_authenticator_count == 0) {
        return options_fail(EXIT_USAGE, context->command,
                            "--profile goim: nobody could come in (see --gateway-open, "
                            "--accounts, --auth-tokens and --jwt-alg)");
    }
    if (kj_goim_new(&options, &goim)) {
        return options_fail(EXIT_FAILURE, context->command, "no memory for --profile goim");
    }
    *state = goim;
    enum kj_status status = mount(context, goim, &error);
    if (!status) {
        return EXIT_SUCCESS;
    }
    return options_fail(status == KJ_ENOMEM ? EXIT_FAILURE : EXIT_USAGE, context->command,
                        "--profile goim: %s", error.text);
}

static void stop(void *state)
{
    kj_goim_free(state);
}

const struct profile profile_goim = {
    .name = "goim",
    .summary = "packets of goim 2 over websockets and TCP; see goim.md",
    .has_streams = true,
    .add_options = add_options,
    .start = start,
    .stop = stop,
};
