/* serve_messages.c - see serve_messages.h. */
#include "serve_messages.h"

#include "serve_needs.h"

#include <stdlib.h>
#include <string.h>

static const char scheme[] = "sqlite:";

enum history { HISTORY_ALL = 0, HISTORY_ROOMS, HISTORY_USERS, HISTORY_NONE };

static const char *const history_names[] = {
    [HISTORY_ALL] = "all",
    [HISTORY_ROOMS] = "rooms",
    [HISTORY_USERS] = "users",
    [HISTORY_NONE] = "none",
    NULL,
};

void messages_add_options(struct messages_settings *settings, struct kj_native_options *native,
                          struct option_table *table)
{
    struct kj_messages_options *limits = &settings->options;
#define NUMBER(flag, target, high, unit, text)                                                     \
    OPTION(flag, OPTION_NUMBER, target, unit, text), .minimum = 1, .maximum = (high)
    const struct option rows[] = {
        {OPTION("--messages", OPTION_TEXT, &settings->where, "memory|sqlite:PATH",
                "keep what clients of --gateway send; default: not kept; see messages.md"),
         .needs = {WITH_KEEPING}},
        {NUMBER("--messages-busy-ms", &limits->busy_timeout_ms, INT32_MAX, "MS",
                "to wait for another process that holds the file; default 2000"),
         .needs = {"--messages sqlite:PATH"}},
        {NUMBER("--messages-max-megabytes", &settings->max_megabytes, UINT32_MAX, "N",
                "of the file; default: as the disk has room; in memory 256"),
         .needs = {WITH_MESSAGES}},
        {OPTION("--messages-topic", OPTION_TEXT, &settings->topic, "NAME",
                "that nodes tell each other of messages under; default messages"),
         .needs = {WITH_MESSAGES}},
        {OPTION("--mailbox-off", OPTION_SWITCH, &settings->has_no_mailboxes, NULL,
                "users have no mailboxes"),
         .needs = {WITH_MESSAGES}},
        {OPTION("--mailbox-no-receipts", OPTION_SWITCH, &native->tells_no_receipts, NULL,
                "who sent a message is not told that it was acknowledged"),
         .needs = {WITH_MESSAGES}, .not_with = "--mailbox-off"},
        {NUMBER("--mailbox-window", &native->mailbox_window, KJ_MESSAGES_PAGE_MAX, "N",
                "messages of a mailbox sent before they are acknowledged; default 50"),
         .needs = {WITH_MESSAGES}, .not_with = "--mailbox-off"},
        {NUMBER("--mailbox-limit-messages", &limits->mailbox_count, INT32_MAX, "N",
                "of one mailbox; default 1000"),
         .needs = {WITH_MESSAGES}},
        {NUMBER("--mailbox-limit-bytes", &limits->mailbox_bytes, UINT32_MAX, "BYTES",
                "the same; default 4194304"),
         .needs = {WITH_MESSAGES}},
        {NUMBER("--mailbox-limit-age-s", &limits->mailbox_age_s, UINT32_MAX, "S",
                "a message waits so long; default 2592000, 30 days"),
         .needs = {WITH_MESSAGES}},
        {OPTION("--history", OPTION_CHOICE, &settings->history, "all|rooms|users|none",
                "whose history is kept; default all"),
         .choices = history_names, .needs = {WITH_MESSAGES}},
        {NUMBER("--history-limit-messages", &limits->history_count, INT32_MAX, "N",
                "of one room, or two users; default 1000"),
         .needs = {WITH_MESSAGES}, .not_with = "--history none"},
        {NUMBER("--history-limit-age-s", &limits->history_age_s, UINT32_MAX, "S",
                "the same; default 2592000, 30 days"),
         .needs = {WITH_MESSAGES}, .not_with = "--history none"},
    };
#undef NUMBER
    OPTIONS_ADD(table, "messages", rows);
}

static bool keeps_rooms(const struct messages_settings *settings)
{
    return settings->history == HISTORY_ALL || settings->history == HISTORY_ROOMS;
}

int messages_make(const char *command, const struct messages_settings *settings,
                  struct kj_native_options *native, struct counter_sources *counters,
                  struct kj_messages **messages)
{
    struct kj_error error = {0};
    struct kj_messages_options options = settings->options;
    const char *where = settings->where;
    if (!where) {
        return EXIT_SUCCESS;
    }
    options.max_bytes = (uint64_t)settings->max_megabytes << 20;
    if (strncmp(where, scheme, strlen(scheme)) == 0) {
        options.path = where + strlen(scheme);
    } else if (strcmp(where, "memory") != 0) {
        return options_fail(EXIT_USAGE, command,
                            "--messages: \"%s\" is neither memory nor sqlite:PATH", where);
    }
    enum kj_status status = kj_messages_new(&options, messages, &error);
    if (status) {
        return options_fail(status == KJ_EINVAL ? EXIT_USAGE : EXIT_FAILURE, command,
                            "--messages: %s", *error.text ? error.text : kj_status_text(status));
    }
    native->messages = *messages;
    native->keeps_mailboxes = !settings->has_no_mailboxes;
    native->keeps_rooms = keeps_rooms(settings);
    native->keeps_conversations = settings->history == HISTORY_ALL ||
                                  settings->history == HISTORY_USERS;
    counters_add(counters, (struct kj_counter_source){kj_messages_counters, *messages});
    return EXIT_SUCCESS;
}

int messages_join(const char *command, struct messages_settings *settings, struct kj_native *native,
                  const struct kj_native_options *options, const struct kj_native_nodes *nodes)
{
    if (!options->messages) {
        return EXIT_SUCCESS;
    }
    struct kj_native_nodes own = *nodes;
    own.topic = settings->topic;
    settings->native = native;
    enum kj_status status = options->is_alone ? KJ_OK : kj_native_join_nodes(native, &own);
    return status ? options_fail(status == KJ_EINVAL ? EXIT_USAGE : EXIT_FAILURE, command,
                                 "--messages-topic: %s", kj_status_text(status))
                  : EXIT_SUCCESS;
}

void messages_leave(struct messages_settings *settings)
{
    if (settings->native) {
        kj_native_leave_nodes(settings->native);
    }
}

static enum kj_status publish(struct kj_gateway *gateway, const struct kj_push_options *push,
                              uint32_t ttl_s, struct kj_push_receipt *receipt, void *ctx)
{
    const struct messages_settings *settings = ctx;
    const struct kj_messages_append append = {
        .to_mailbox = push->kind == KJ_TOPIC_USER && ttl_s && !settings->has_no_mailboxes,
        .to_history = push->kind == KJ_TOPIC_ROOM && keeps_rooms(settings),
        .ttl_s = ttl_s};
    if (ttl_s && !append.to_mailbox) {
        return KJ_EUNSUPPORTED; /* nothing waits for who is away but a user */
    }
    if (!append.to_mailbox && !append.to_history) {
        return kj_gateway_publish(gateway, push, receipt);
    }
    struct kj_messages_receipt kept;
    enum kj_status status = kj_native_publish(settings->native, gateway, push, &append, &kept,
                                              receipt);
    receipt->id = kept.id;
    return status;
}

struct kj_push_api_options messages_push_options(struct messages_settings *settings)
{
    return settings->native ? (struct kj_push_api_options){.publish = publish, .ctx = settings}
                            : (struct kj_push_api_options){0};
}
