/* serve_accounts.c - see serve_accounts.h. */
#include "serve_accounts.h"

#include "serve_needs.h"

#include <stdlib.h>
#include <string.h>

static const char sqlite_prefix[] = "sqlite:";

void accounts_add_options(struct accounts_settings *settings, struct option_table *table)
{
    struct kj_accounts_options *options = &settings->options;
#define NUMBER(flag, member, most, unit, text)                                                     \
    OPTION(flag, OPTION_NUMBER, &options->member, unit, text), .minimum = 1, .maximum = (most)
    const struct option rows[] = {
        {OPTION("--accounts", OPTION_TEXT, &settings->where, "memory|sqlite:PATH",
                "users with passwords, and routes to register and log in; see accounts.md")},
        {OPTION("--account-closed", OPTION_SWITCH, &options->is_closed, NULL,
                "nobody registers: those there are log in"),
         .needs = {WITH_ACCOUNTS}},
        {OPTION("--account-one-login", OPTION_SWITCH, &options->one_login, NULL,
                "a login ends the others of its account"),
         .needs = {WITH_ACCOUNTS}},
        {NUMBER("--account-tokens", tokens_per_account, KJ_ACCOUNT_TOKENS_MAX, "N",
                "of one account; default 16, then the oldest ends"),
         .needs = {WITH_ACCOUNTS}},
        {NUMBER("--account-token-s", token_lifetime_s, UINT32_MAX, "SECONDS",
                "a token is good; default 2592000"),
         .needs = {WITH_ACCOUNTS}},
        {NUMBER("--account-limit", accounts, UINT32_MAX, "N", "accounts; default 1000000"),
         .needs = {WITH_ACCOUNTS}},
        {NUMBER("--account-limit-failures", failed_logins, 10000, "N",
                "wrong logins of a name from an address, at once; default 5"),
         .needs = {WITH_ACCOUNTS}},
        {NUMBER("--account-failure-s", failure_wait_s, 86400, "SECONDS",
                "to wait for one more; default 60"),
         .needs = {WITH_ACCOUNTS}},
        {NUMBER("--account-limit-registrations", registrations, UINT32_MAX, "N",
                "of an address, at once; default 60, and one more each minute"),
         .needs = {WITH_ACCOUNTS}},
        {NUMBER("--account-hash-passes", hash_passes, 100, "N", "of argon2id; default 2"),
         .needs = {WITH_ACCOUNTS}},
        {OPTION("--account-hash-kib", OPTION_NUMBER, &options->hash_memory_kib, "KIB",
                "of memory for each; default 65536"),
         .minimum = 8192, .maximum = 4194304, .needs = {WITH_ACCOUNTS}},
        {NUMBER("--account-hashes", hashes_at_once, UINT32_MAX, "N",
                "passwords hashed at once; default 2"),
         .needs = {WITH_ACCOUNTS}},
        {NUMBER("--account-hashes-waiting", hashes_waiting, UINT32_MAX, "N",
                "to be hashed next; default 8; beyond: 503"),
         .needs = {WITH_ACCOUNTS}},
    };
#undef NUMBER
    OPTIONS_ADD(table, "accounts", rows);
}

int accounts_make(const char *command, struct accounts_settings *settings, bool others_follow,
                  struct kj_accounts **accounts)
{
    struct kj_error error = {0};
    size_t prefix = strlen(sqlite_prefix);
    if (!settings->where) {
        return EXIT_SUCCESS;
    }
    if (strncmp(settings->where, sqlite_prefix, prefix) == 0 && settings->where[prefix]) {
        settings->options.path = settings->where + prefix;
    } else if (strcmp(settings->where, "memory") != 0) {
        return options_fail(EXIT_USAGE, command,
                            "--accounts: \"%s\" is neither memory nor sqlite:PATH",
                            settings->where);
    }
    settings->options.others_follow = others_follow;
    enum kj_status status = kj_accounts_new(&settings->options, accounts, &error);
    return status ? options_fail(status == KJ_EINVAL ? EXIT_USAGE : EXIT_FAILURE, command,
                                 "--accounts: %s", error.text)
                  : EXIT_SUCCESS;
}

int accounts_serve(const char *command, struct kj_accounts *accounts, struct kj_server *server)
{
    struct kj_error error = {0};
    return accounts && kj_accounts_add_routes(accounts, server, &error)
               ? options_fail(EXIT_FAILURE, command, "--accounts: %s", error.text)
               : EXIT_SUCCESS;
}
