/* profile_pages.c - the profiles that are a page: `chat` and `live`. What their pages speak is the
 * native protocol, which they ask for. */
#include "pages.h"
#include "serve_profiles.h"
#include "serve_settings.h"

enum { LIVE_WINDOW_MS = 100 };

static void prepare_chat(struct serve_settings *settings)
{
    settings->rooms.is_wanted = true;
    if (!settings->accounts.where) {
        settings->accounts.where = "memory";
    }
    if (!settings->messages.where) {
        settings->messages.where = "memory";
    }
}

static int start_chat(const struct profile_context *context, void **state)
{
    *state = NULL;
    return pages_add(context->command, context->server, &chat_pages);
}

const struct profile profile_chat = {
    .name = "chat",
    .summary = "a chat with accounts, rooms and private messages, its page at /; see pages.md",
    .prepare = prepare_chat,
    .start = start_chat,
};

static void prepare_live(struct serve_settings *settings)
{
    struct kj_native_options *native = &settings->rooms.native;
    settings->rooms.is_wanted = true;
    native->is_open = true;
    native->tells_nobody = true;
    if (native->batching.window_ms == 0) {
        native->batching.window_ms = LIVE_WINDOW_MS;
    }
}

static int start_live(const struct profile_context *context, void **state)
{
    *state = NULL;
    return pages_add(context->command, context->server, &live_pages);
}

const struct profile profile_live = {
    .name = "live",
    .summary = "a page of live comments at /, open to everybody; see pages.md",
    .prepare = prepare_live,
    .start = start_live,
};
