/* profile_native.c - Kujata's own protocol of rooms, as `kujata serve --gateway` mounts it. */
#include "serve_profiles.h"
#include "serve_settings.h"

#include <kujata/native.h>

static int start(const struct profile_context *context, void **state)
{
    struct kj_native *native = NULL;
    int exit_status = rooms_make(context->command, &context->settings->rooms, context->server,
                                 &native);
    *state = native;
    if (exit_status) {
        return exit_status;
    }
    counters_add(&context->settings->counters,
                 (struct kj_counter_source){kj_native_counters, native});
    const struct kj_native_nodes nodes = {.pubsub = context->settings->server.pubsub,
                                          .gateway = kj_server_gateway(context->server)};
    return messages_join(context->command, &context->settings->messages, native,
                         &context->settings->rooms.native, &nodes);
}

static void stop(void *state)
{
    kj_native_free(state);
}

const struct profile profile_native = {
    .name = "native",
    .summary = "clients in rooms, as --gateway; see rooms.md",
    .start = start,
    .stop = stop,
};
