/* profile_healing.c - `kujata serve --profile healing`: its websocket, its history, and with --api
 * what business code sends. */
#include "serve_needs.h"
#include "serve_profiles.h"
#include "serve_settings.h"

#include <inttypes.h>
#include <kujata/accounts.h>
#include <kujata/healing.h>
#include <kujata/log.h>
#include <kujata/presence.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *path;         /* NULL: /api/ws */
    const char *user_cookie;  /* NULL: none */
    const char *token_cookie; /* NULL: none */
} flags;

static void add_options(struct option_table *table)
{
    const struct option rows[] = {
        {OPTION("--healing-path", OPTION_TEXT, &flags.path, "PATH",
                "where clients of healing connect; default /api/ws"),
         .needs = {"--profile healing"}},
        {OPTION("--healing-cookie", OPTION_TEXT, &flags.token_cookie, "NAME",
                "the cookie that has the token of a user of --accounts"),
         .needs = {"--profile healing", WITH_ACCOUNTS}},
        {OPTION("--user-cookie", OPTION_TEXT, &flags.user_cookie, "NAME",
                "the cookie whose value is believed to be a client's user: for trials"),
         .needs = {"--profile healing"}},
    };
    OPTIONS_ADD(table, "the profile healing", rows);
}

/* What healing asks. */
struct parts {
    struct kj_healing *healing;
    struct kj_accounts *accounts;       /* NULL: none */
    struct kj_presence_board *presence; /* NULL: none */
};

static bool user_of(const char *cookie, struct kj_session *session, char user[KJ_HEALING_USER_SIZE],
                    void *ctx)
{
    const struct parts *parts = ctx;
    struct kj_account account;
    if (session ? kj_accounts_admit(parts->accounts, cookie, session, &account)
                : kj_accounts_check(parts->accounts, cookie, &account, NULL)) {
        return false;
    }
    return snprintf(user, KJ_HEALING_USER_SIZE, "%" PRId64, account.id) < KJ_HEALING_USER_SIZE;
}

static bool find(const struct parts *parts, const char *user, struct kj_account *account)
{
    return kj_accounts_find_id(parts->accounts, strtoll(user, NULL, 10), account) == KJ_OK;
}

static bool user_exists(const char *user, void *ctx)
{
    struct kj_account account;
    return find(ctx, user, &account);
}

static bool name_of(const char *user, char name[KJ_HEALING_NAME_SIZE], void *ctx)
{
    struct kj_account account;
    return find(ctx, user, &account) &&
           snprintf(name, KJ_HEALING_NAME_SIZE, "%s", account.name) < KJ_HEALING_NAME_SIZE;
}

static bool is_elsewhere(const char *user, void *ctx)
{
    const struct parts *parts = ctx;
    uint64_t clients = 0;
    /* A node that does not answer in time has none. */
    (void)kj_presence_online(parts->presence, &user, 1, &clients);
    return clients > 0;
}

static struct kj_healing_options make_options(const struct profile_context *context,
                                              struct parts *parts)
{
    const struct kj_native_options *shared = &context->settings->rooms.native;
    struct kj_healing_options options = {.cookie = flags.user_cookie,
                                         .messages = shared->messages,
                                         .is_alone = shared->is_alone,
                                         .limits = shared->limits,
                                         .ctx = parts};
    parts->accounts = context->accounts;
    parts->presence = shared->presence;
    if (flags.token_cookie) {
        options.cookie = flags.token_cookie;
        options.user_of = user_of;
        options.user_exists = user_exists;
        options.name_of = name_of;
    }
    if (parts->presence && !options.is_alone) {
        options.is_elsewhere = is_elsewhere;
    }
    return options;
}

static enum kj_status mount(const struct profile_context *context, struct kj_healing *healing,
                            struct kj_error *error)
{
    const char *path = flags.path ? flags.path : "/api/ws";
    const struct kj_protocol protocol = kj_healing_protocol(healing);
    enum kj_status status = kj_server_mount(context->server, path, &protocol, error);
    return status ? status
                  : kj_healing_add_routes(healing, context->server, path,
                                          context->settings->server.api_listen != NULL, error);
}

static int start(const struct profile_context *context, void **state)
{
    struct kj_error error = {0};
    if (flags.user_cookie && flags.token_cookie) {
        return options_fail(EXIT_USAGE, context->command,
                            "--healing-cookie and --user-cookie: one of them says who clients are");
    }
    struct parts *parts = calloc(1, sizeof *parts);
    *state = parts;
    if (parts) {
        const struct kj_healing_options options = make_options(context, parts);
        (void)kj_healing_new(&options, &parts->healing);
    }
    if (!parts || !parts->healing) {
        return options_fail(EXIT_FAILURE, context->command, "no memory for --profile healing");
    }
    enum kj_status status = mount(context, parts->healing, &error);
    if (status) {
        return options_fail(status == KJ_ENOMEM ? EXIT_FAILURE : EXIT_USAGE, context->command,
                            "--profile healing: %s (see --healing-path, --healing-cookie, "
                            "--user-cookie and --auth-cookie)",
                            error.text);
    }
    if (flags.user_cookie) {
        kj_log(KJ_LOG_WARNING, "healing",
               "whoever sends the cookie %s is believed to be the user it names (--user-cookie)",
               flags.user_cookie);
    }
    return EXIT_SUCCESS;
}

static void stop(void *state)
{
    struct parts *parts = state;
    kj_healing_free(parts->healing);
    free(parts);
}

static void read_counters(void *state, kj_counter_visit visit, void *ctx)
{
    const struct parts *parts = state;
    kj_healing_counters(parts->healing, visit, ctx);
}

const struct profile profile_healing = {
    .name = "healing",
    .summary = "clients of healing2021's chat, user to user; see healing.md",
    .add_options = add_options,
    .start = start,
    .stop = stop,
    .read_counters = read_counters,
};
