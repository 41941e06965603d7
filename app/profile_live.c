/* profile_live.c - the page of live comments of examples/live, and what it speaks: Kujata's own
 * protocol, open to everybody, with the comments of a moment in one message. */
#include "pages.h"
#include "serve_profiles.h"
#include "serve_settings.h"

#include <kujata/native.h>

enum { WINDOW_MS = 100 };

static int start(const struct profile_context *context, void **state)
{
    struct kj_native *native = NULL;
    struct rooms_settings rooms = context->settings->rooms;
    rooms.native.is_open = true;
    rooms.native.tells_nobody = true;
    if (rooms.native.batching.window_ms == 0) {
        rooms.native.batching.window_ms = WINDOW_MS;
    }
    int exit_status = rooms_make(context->command, &rooms, context->server, &native);
    *state = native;
    return exit_status ? exit_status : pages_add(context->command, context->server, &live_pages);
}

static void stop(void *state)
{
    kj_native_free(state);
}

const struct profile profile_live = {
    .name = "live",
    .summary = "a page of live comments at /, open to everybody; see pages.md",
    .start = start,
    .stop = stop,
};
