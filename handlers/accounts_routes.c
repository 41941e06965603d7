/* accounts_routes.c - accounts over HTTP: routes of the public listener, JSON both ways.
 *
 * Runs on HTTP workers. How many of them hash at once, or wait for that, is bounded.
 */
#include "handlers/accounts.h"

#include <kujata/route.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_SIZE = 16, UNAVAILABLE_RETRY_S = 5 };

static size_t end_sessions(void *server, uint64_t credential)
{
    return kj_server_end_sessions(server, credential);
}

void kj_accounts_attach(struct kj_accounts *accounts, struct kj_server *server)
{
    accounts->server = server;
    accounts->end_sessions = end_sessions;
}

/* ---- what was asked ---- */

/* A member that is a text without NUL; else NULL. */
static const char *text_of(struct kj_exchange *exchange, const char *name)
{
    const json_t *value = json_object_get(kj_exchange_json(exchange), name);
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static struct kj_account_credentials credentials_of(struct kj_exchange *exchange)
{
    return (struct kj_account_credentials){
        .name = text_of(exchange, "name"),
        .password = text_of(exchange, "password"),
        .address = kj_exchange_remote_address(exchange),
    };
}

static const char *token_of(struct kj_exchange *exchange)
{
    const char *token = kj_exchange_token(exchange);
    return token ? token : text_of(exchange, "token");
}

/* ---- what is answered ---- */

static void add_retry(struct kj_exchange *exchange, uint32_t seconds)
{
    char number[NUMBER_SIZE];
    (void)snprintf(number, sizeof number, "%u", seconds);
    (void)kj_exchange_add_header(exchange, "Retry-After", number);
}

/* Whatever went wrong; `error` says what is wrong with a name or password. */
static void refuse(struct kj_exchange *exchange, enum kj_status status, uint32_t retry_after_s,
                   const struct kj_error *error)
{
    switch (status) {
    case KJ_EINVAL:
        kj_exchange_refuse(exchange, 400, "%s", error->text);
        break;
    case KJ_EREFUSED:
        kj_exchange_refuse(exchange, 401, "wrong name or password");
        break;
    case KJ_ENOTFOUND:
        (void)kj_exchange_add_header(exchange, "WWW-Authenticate", "Bearer");
        kj_exchange_refuse(exchange, 401, "this token is not known, or no longer");
        break;
    case KJ_ECLOSED:
        kj_exchange_refuse(exchange, 403, "no more accounts are made here");
        break;
    case KJ_EEXIST:
        kj_exchange_refuse(exchange, 409, "this name is taken");
        break;
    case KJ_ELIMIT:
        add_retry(exchange, retry_after_s);
        kj_exchange_refuse(exchange, 429, "too many attempts: wait %u s", retry_after_s);
        break;
    case KJ_EFULL:
        add_retry(exchange, retry_after_s);
        kj_exchange_refuse(exchange, 503, "too many logins at once: try again");
        break;
    default:
        add_retry(exchange, UNAVAILABLE_RETRY_S);
        kj_exchange_refuse(exchange, 503, "accounts cannot be looked at now");
        break;
    }
}

static json_t *make_answer(const struct kj_account *account, int64_t expires_ms)
{
    return json_pack("{s:I, s:s, s:I}", "id", (json_int_t)account->id, "name", account->name,
                     "expires", (json_int_t)expires_ms);
}

static void answer_grant(struct kj_exchange *exchange, int status, struct kj_account_grant *grant)
{
    json_t *answer = make_answer(&grant->account, grant->expires_ms);
    if (answer) {
        json_object_set_new(answer, "token", json_string(grant->token));
    }
    sodium_memzero(grant->token, sizeof grant->token);
    (void)kj_exchange_add_header(exchange, "Cache-Control", "no-store");
    (void)kj_exchange_answer_json_take(exchange, status, answer);
}

/* ---- routes ---- */

static void serve_register(struct kj_exchange *exchange, void *ctx)
{
    struct kj_account_grant grant;
    struct kj_error error = {0};
    const struct kj_account_credentials credentials = credentials_of(exchange);
    enum kj_status status = kj_accounts_register(ctx, &credentials, &grant, &error);
    if (status) {
        refuse(exchange, status, grant.retry_after_s, &error);
    } else {
        answer_grant(exchange, 201, &grant);
    }
}

static void serve_login(struct kj_exchange *exchange, void *ctx)
{
    struct kj_account_grant grant;
    const struct kj_account_credentials credentials = credentials_of(exchange);
    if (!credentials.name || !credentials.password) {
        kj_exchange_refuse(exchange, 400, "a login is JSON with the texts name and password");
        return;
    }
    enum kj_status status = kj_accounts_login(ctx, &credentials, &grant);
    if (status) {
        refuse(exchange, status, grant.retry_after_s, NULL);
    } else {
        answer_grant(exchange, 200, &grant);
    }
}

static void serve_check(struct kj_exchange *exchange, void *ctx)
{
    struct kj_account account;
    int64_t expires_ms;
    enum kj_status status = kj_accounts_check(ctx, token_of(exchange), &account, &expires_ms);
    if (status) {
        refuse(exchange, status, 0, NULL);
    } else {
        (void)kj_exchange_add_header(exchange, "Cache-Control", "no-store");
        (void)kj_exchange_answer_json_take(exchange, 200, make_answer(&account, expires_ms));
    }
}

static void serve_logout(struct kj_exchange *exchange, void *ctx)
{
    enum kj_status status = kj_accounts_logout(ctx, token_of(exchange));
    if (status) {
        refuse(exchange, status, 0, NULL);
    } else {
        (void)kj_exchange_answer(exchange, 204, NULL, NULL, 0);
    }
}

static void serve_password(struct kj_exchange *exchange, void *ctx)
{
    uint32_t retry_after_s;
    struct kj_error error = {0};
    const struct kj_account_credentials credentials = credentials_of(exchange);
    enum kj_status status = kj_accounts_change_password(ctx, token_of(exchange), &credentials,
                                                        text_of(exchange, "newPassword"),
                                                        &retry_after_s, &error);
    if (status) {
        refuse(exchange, status, retry_after_s, &error);
    } else {
        (void)kj_exchange_answer(exchange, 204, NULL, NULL, 0);
    }
}

enum kj_status kj_accounts_add_routes(struct kj_accounts *accounts, struct kj_server *server,
                                      struct kj_error *error)
{
    const struct kj_route routes[] = {
        {KJ_LISTENER_PUBLIC, "POST", "/v1/accounts/register", serve_register, accounts},
        {KJ_LISTENER_PUBLIC, "POST", "/v1/accounts/login", serve_login, accounts},
        {KJ_LISTENER_PUBLIC, "POST", "/v1/accounts/check", serve_check, accounts},
        {KJ_LISTENER_PUBLIC, "POST", "/v1/accounts/logout", serve_logout, accounts},
        {KJ_LISTENER_PUBLIC, "POST", "/v1/accounts/password", serve_password, accounts},
    };
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < sizeof routes / sizeof *routes && !status; i++) {
        status = kj_server_add_route(server, &routes[i], error);
    }
    kj_accounts_attach(accounts, server);
    return status;
}
