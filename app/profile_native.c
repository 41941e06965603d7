/* profile_native.c - Kujata's own protocol of rooms, as `kujata serve --gateway` mounts it. */
#include "serve_profiles.h"
#include "serve_settings.h"

#include <kujata/native.h>
#include <kujata/upstream.h>
#include <stdlib.h>

struct native_parts {
    struct kj_native *native;
    struct kj_upstream *upstream; /* NULL: not asked for */
};

static int make(const struct profile_context *context, struct native_parts *parts)
{
    struct serve_settings *settings = context->settings;
    int exit_status = upstream_make(context->command, &settings->upstream, &parts->upstream);
    if (exit_status) {
        return exit_status;
    }
    if (parts->upstream) {
        settings->rooms.native.on_request = kj_upstream_serve;
        settings->rooms.native.request_ctx = parts->upstream;
        counters_add(&settings->counters,
                     (struct kj_counter_source){kj_upstream_counters, parts->upstream});
    }
    exit_status = rooms_make(context->command, &settings->rooms, context->server, &parts->native);
    if (exit_status) {
        return exit_status;
    }
    counters_add(&settings->counters,
                 (struct kj_counter_source){kj_native_counters, parts->native});
    const struct kj_native_nodes nodes = {.pubsub = settings->server.pubsub,
                                          .gateway = kj_server_gateway(context->server)};
    return messages_join(context->command, &settings->messages, parts->native,
                         &settings->rooms.native, &nodes);
}

static int start(const struct profile_context *context, void **state)
{
    struct native_parts *parts = calloc(1, sizeof *parts);
    *state = parts;
    return parts ? make(context, parts)
                 : options_fail(EXIT_FAILURE, context->command, "no memory for --gateway");
}

static void stop(void *state)
{
    struct native_parts *parts = state;
    kj_native_free(parts->native);
    kj_upstream_free(parts->upstream);
    free(parts);
}

const struct profile profile_native = {
    .name = "native",
    .summary = "clients in rooms, as --gateway; see rooms.md",
    .start = start,
    .stop = stop,
};
