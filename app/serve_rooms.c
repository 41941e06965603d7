/* serve_rooms.c - see serve_rooms.h. */
#include "serve_rooms.h"

#include "serve_needs.h"

#include <stdlib.h>

static const char *const users_names[] = {
    [KJ_USER_MANY] = "many",
    [KJ_USER_ONE_PER_DEVICE] = "device",
    [KJ_USER_ONE] = "one",
    NULL,
};

void rooms_add_options(struct rooms_settings *settings, struct kj_server_options *server,
                       struct option_table *table)
{
    struct kj_native_options *native = &settings->native;
#define NUMBER(flag, target, low, unit, text)                                                      \
    OPTION(flag, OPTION_NUMBER, target, unit, text), .minimum = (low), .maximum = UINT32_MAX
    const struct option rows[] = {
        {OPTION("--gateway", OPTION_SWITCH, &settings->is_wanted, NULL,
                "clients in rooms, over websockets; see rooms.md")},
        {OPTION("--gateway-path", OPTION_TEXT, &settings->path, "PATH",
                "where they connect; default /connect"),
         .needs = {WITH_NATIVE}},
        {OPTION("--gateway-open", OPTION_SWITCH, &native->is_open, NULL,
                "who shows no token is let in, as nobody in particular"),
         .needs = {WITH_OPEN}},
        {OPTION("--gateway-users", OPTION_CHOICE, &settings->users, "many|device|one",
                "clients of one user; default many"),
         .choices = users_names, .needs = {WITH_NATIVE}},
        {OPTION("--gateway-from-away", OPTION_SWITCH, &native->may_send_from_away, NULL,
                "to send to a room nobody need be in it"),
         .needs = {WITH_NATIVE}},
        {OPTION("--gateway-quiet", OPTION_SWITCH, &native->tells_nobody, NULL,
                "rooms are not told who comes and goes"),
         .needs = {WITH_NATIVE}},
        {NUMBER("--gateway-told", &native->told_members, 1, "N",
                "members up to which a room is told who; more are told how many; default 100"),
         .needs = {WITH_NATIVE}, .not_with = "--gateway-quiet|--profile live"},
        {NUMBER("--gateway-summary-ms", &native->summary_ms, 1, "MS",
                "between two summaries of who came and went; default 1000"),
         .needs = {WITH_NATIVE}, .not_with = "--gateway-quiet|--profile live"},
        {NUMBER("--gateway-batch-ms", &native->batching.window_ms, 1, "MS",
                "messages to a room within this time go out as one; default off"),
         .needs = {WITH_OPEN}},
        {NUMBER("--gateway-linger-ms", &server->gateway_linger_ms, 1, "MS",
                "a room is heard on after its last client left; default 5000"),
         .needs = {WITH_CLIENTS}},
        {OPTION("--gateway-topic", OPTION_TEXT, &server->gateway_prefix, "NAME",
                "that rooms travel under between nodes; default gateway"),
         .needs = {WITH_CLIENTS "|--accounts"}},
        {OPTION("--gateway-threads", OPTION_NUMBER, &server->gateway_threads, "N",
                "that look at tokens and wait for disks for clients; default 8"),
         .minimum = 1, .maximum = 256, .needs = {WITH_CLIENTS}},
        {NUMBER("--gateway-limit-rooms", &native->limits.rooms, 1, "N",
                "of one client; default 32"),
         .needs = {WITH_ROOMS}},
        {NUMBER("--gateway-limit-topics", &server->gateway_topics, 1, "N",
                "rooms and users of this node; default 262144"),
         .needs = {WITH_CLIENTS}},
        {NUMBER("--gateway-limit-message-bytes", &native->limits.message_bytes, 1, "BYTES",
                "of a client's message; default 65536"),
         .needs = {WITH_CLIENTS}},
        {NUMBER("--gateway-limit-queue-bytes", &native->limits.queue_bytes, 1, "BYTES",
                "waiting for one client; default 262144"),
         .needs = {WITH_CLIENTS}},
        {NUMBER("--gateway-limit-queue-messages", &native->limits.queue_messages, 1, "N",
                "the same; default 1024"),
         .needs = {WITH_CLIENTS}},
        {NUMBER("--gateway-limit-idle-ms", &native->limits.idle_ms, 2, "MS",
                "without a frame of the client's; default 60000"),
         .needs = {WITH_CLIENTS}},
        {NUMBER("--gateway-limit-handshake-ms", &native->limits.handshake_ms, 1, "MS",
                "to be let in; default 5000"),
         .needs = {WITH_CLIENTS}},
        {NUMBER("--gateway-limit-rate", &native->limits.messages_per_second, 1, "N",
                "messages a second of one client; default: no limit"),
         .needs = {WITH_CLIENTS}},
        {NUMBER("--gateway-limit-burst", &native->limits.messages_burst, 1, "N",
                "of them at once; default twice --gateway-limit-rate"),
         .needs = {"--gateway-limit-rate"}},
        {NUMBER("--gateway-limit-excess", &native->limits.messages_excess, 1, "N",
                "of them refused before it is closed; default 100"),
         .needs = {"--gateway-limit-rate"}},
    };
#undef NUMBER
    OPTIONS_ADD(table, "rooms", rows);
}

int rooms_make(const char *command, struct rooms_settings *settings, struct kj_server *server,
               struct kj_native **native)
{
    struct kj_error error = {0};
    settings->native.user_policy = (enum kj_user_policy)settings->users;
    if (kj_native_new(&settings->native, native)) {
        return options_fail(EXIT_FAILURE, command, "no memory for --gateway");
    }
    const struct kj_protocol protocol = kj_native_protocol(*native);
    enum kj_status status = kj_server_mount(server, settings->path ? settings->path : "/connect",
                                            &protocol, &error);
    if (!status) {
        return EXIT_SUCCESS;
    }
    return options_fail(status == KJ_ENOMEM ? EXIT_FAILURE : EXIT_USAGE, command,
                        "--gateway: %s (see --gateway-path, --gateway-open, --accounts, "
                        "--auth-tokens and --jwt-alg)",
                        error.text);
}
