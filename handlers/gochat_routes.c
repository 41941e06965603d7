/* gochat_routes.c - what gochat's pages ask over HTTP: always a 200, with a code that says how it
 * went. On HTTP workers, which may wait. */
#include "handlers/gochat.h"

#include <kujata/route.h>
#include <stdlib.h>
#include <string.h>

enum { CODE_OK = 0, CODE_FAULT = 1, CODE_SESSION = 40000 };

/* ---- answers ---- */

/* `data` is taken over; NULL: null. */
static void answer_take(struct kj_exchange *exchange, int code, const char *message, json_t *data)
{
    (void)kj_exchange_answer_json_take(
        exchange, 200,
        json_pack("{s:i, s:s, s:o?}", "code", code, "message", message, "data", data));
}

static void answer_ok(struct kj_exchange *exchange)
{
    answer_take(exchange, CODE_OK, "ok", NULL);
}

static void refuse(struct kj_exchange *exchange, struct kj_gochat *gochat, int code,
                   const char *message)
{
    atomic_fetch_add(&gochat->counters.refused, 1);
    answer_take(exchange, code, message, NULL);
}

/* ---- what was asked ---- */

static const char *text_of(struct kj_exchange *exchange, const char *name)
{
    const json_t *value = json_object_get(kj_exchange_json(exchange), name);
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

/* 0: it has none. */
static int64_t room_of(struct kj_exchange *exchange)
{
    const json_t *value = json_object_get(kj_exchange_json(exchange), "roomId");
    json_int_t room = json_integer_value(value);
    return room > 0 ? room : 0;
}

/* Whose token the body has; else it is answered. */
static bool find_asker(struct kj_exchange *exchange, struct kj_gochat *gochat,
                       struct kj_account *asker)
{
    switch (
        kj_accounts_check(gochat->options.accounts, text_of(exchange, "authToken"), asker, NULL)) {
    case KJ_OK:
        return true;
    case KJ_ENOTFOUND:
        refuse(exchange, gochat, CODE_SESSION, "Session error");
        return false;
    default:
        refuse(exchange, gochat, CODE_FAULT, "accounts cannot be looked at now");
        return false;
    }
}

/* ---- /user ---- */

static void answer_grant(struct kj_exchange *exchange, struct kj_gochat *gochat,
                         enum kj_status status, const char *token, const char *fault)
{
    if (status == KJ_OK) {
        (void)kj_exchange_add_header(exchange, "Cache-Control", "no-store");
        answer_take(exchange, CODE_OK, "ok", json_string(token));
        return;
    }
    if (status == KJ_ELIMIT) {
        fault = "too many attempts, wait a minute !";
    } else if (status == KJ_EFULL) {
        fault = "too many logins at once, try again !";
    } else if (status == KJ_EIO || status == KJ_ENOMEM) {
        fault = "accounts cannot be looked at now";
    } else if (status == KJ_ECLOSED) {
        fault = "no more users are registered here !";
    }
    refuse(exchange, gochat, CODE_FAULT, fault);
}

static struct kj_account_credentials credentials_of(struct kj_exchange *exchange)
{
    return (struct kj_account_credentials){
        .name = text_of(exchange, "userName"),
        .password = text_of(exchange, "passWord"),
        .address = kj_exchange_remote_address(exchange),
    };
}

static void serve_register(struct kj_exchange *exchange, void *ctx)
{
    struct kj_gochat *gochat = ctx;
    struct kj_account_grant grant;
    struct kj_error error = {0};
    const struct kj_account_credentials credentials = credentials_of(exchange);
    enum kj_status status = kj_accounts_register(gochat->options.accounts, &credentials, &grant,
                                                 &error);
    answer_grant(exchange, gochat, status, grant.token,
                 status == KJ_EINVAL ? error.text
                                     : "this user name already have , please login !!!");
}

static void serve_login(struct kj_exchange *exchange, void *ctx)
{
    struct kj_gochat *gochat = ctx;
    struct kj_account_grant grant;
    const struct kj_account_credentials credentials = credentials_of(exchange);
    enum kj_status status = kj_accounts_login(gochat->options.accounts, &credentials, &grant);
    answer_grant(exchange, gochat, status, grant.token, "no this user or password error!");
}

static void serve_check(struct kj_exchange *exchange, void *ctx)
{
    struct kj_account asker;
    if (find_asker(exchange, ctx, &asker)) {
        answer_take(
            exchange, CODE_OK, "ok",
            json_pack("{s:I, s:s}", "userId", (json_int_t)asker.id, "userName", asker.name));
    }
}

static void serve_logout(struct kj_exchange *exchange, void *ctx)
{
    struct kj_gochat *gochat = ctx;
    struct kj_account asker;
    if (!find_asker(exchange, gochat, &asker)) {
        return;
    }
    if (kj_accounts_logout(gochat->options.accounts, text_of(exchange, "authToken"))) {
        refuse(exchange, gochat, CODE_FAULT, "logout fail!");
    } else {
        answer_take(exchange, CODE_OK, "logout ok!", NULL);
    }
}

/* ---- /push ---- */

static void send_message(struct kj_exchange *exchange, struct kj_gochat *gochat,
                         const struct gochat_message *message)
{
    switch (gochat_send(gochat, kj_server_gateway(gochat->server), message)) {
    case KJ_OK:
        answer_ok(exchange);
        break;
    case KJ_ELIMIT:
        refuse(exchange, gochat, CODE_FAULT, "the message is too long");
        break;
    default:
        refuse(exchange, gochat, CODE_FAULT, "the message was not sent, try again");
        break;
    }
}

/* A user's number in digits. */
static bool find_receiver(struct kj_exchange *exchange, struct kj_gochat *gochat,
                          struct kj_account *receiver)
{
    const char *text = text_of(exchange, "toUserId");
    char *end = NULL;
    long long id = text ? strtoll(text, &end, 10) : 0;
    return id > 0 && !*end && !kj_accounts_find_id(gochat->options.accounts, id, receiver);
}

static void push_user(struct kj_exchange *exchange, void *ctx)
{
    struct kj_gochat *gochat = ctx;
    struct kj_account asker;
    struct kj_account receiver;
    const char *text = text_of(exchange, "msg");
    if (!find_asker(exchange, gochat, &asker)) {
        return;
    }
    if (!text || !*text || !find_receiver(exchange, gochat, &receiver)) {
        refuse(exchange, gochat, CODE_FAULT, "msg and the toUserId of a user are needed");
        return;
    }
    send_message(exchange, gochat,
                 &(struct gochat_message){.op = KJ_GOCHAT_OP_USER,
                                          .from_id = asker.id,
                                          .from = asker.name,
                                          .to_id = receiver.id,
                                          .to = receiver.name,
                                          .room = room_of(exchange),
                                          .text = text});
}

static void push_room(struct kj_exchange *exchange, void *ctx)
{
    struct kj_gochat *gochat = ctx;
    struct kj_account asker;
    const char *text = text_of(exchange, "msg");
    int64_t room = room_of(exchange);
    if (!find_asker(exchange, gochat, &asker)) {
        return;
    }
    if (!text || !*text || room == 0) {
        refuse(exchange, gochat, CODE_FAULT, "msg and roomId are needed");
        return;
    }
    send_message(exchange, gochat,
                 &(struct gochat_message){.op = KJ_GOCHAT_OP_ROOM,
                                          .from_id = asker.id,
                                          .from = asker.name,
                                          .to = "",
                                          .room = room,
                                          .text = text});
}

static void query(struct kj_exchange *exchange, struct kj_gochat *gochat,
                  enum kj_status (*ask)(struct kj_gochat *gochat, struct kj_gateway *gateway,
                                        int64_t room, const char *asker),
                  const char *fault)
{
    struct kj_account asker;
    int64_t room = room_of(exchange);
    if (!find_asker(exchange, gochat, &asker)) {
        return;
    }
    atomic_fetch_add(&gochat->counters.queries, 1);
    if (room == 0 || ask(gochat, kj_server_gateway(gochat->server), room, asker.name)) {
        refuse(exchange, gochat, CODE_FAULT, room ? fault : "roomId is needed");
    } else {
        answer_ok(exchange);
    }
}

static void query_count(struct kj_exchange *exchange, void *ctx)
{
    query(exchange, ctx, gochat_tell_count, "rpc get room count fail!");
}

static void query_info(struct kj_exchange *exchange, void *ctx)
{
    query(exchange, ctx, gochat_tell_info, "rpc get room info fail!");
}

static void answer_other(struct kj_exchange *exchange, void *ctx)
{
    refuse(exchange, ctx, CODE_FAULT, "please check request url !");
}

/* ---- added ---- */

enum kj_status kj_gochat_add_routes(struct kj_gochat *gochat, struct kj_server *server,
                                    struct kj_error *error)
{
    const struct kj_route routes[] = {
        {KJ_LISTENER_PUBLIC, "POST", "/user/register", serve_register, gochat},
        {KJ_LISTENER_PUBLIC, "POST", "/user/login", serve_login, gochat},
        {KJ_LISTENER_PUBLIC, "POST", "/user/checkAuth", serve_check, gochat},
        {KJ_LISTENER_PUBLIC, "POST", "/user/logout", serve_logout, gochat},
        {KJ_LISTENER_PUBLIC, "POST", "/user/*", answer_other, gochat},
        {KJ_LISTENER_PUBLIC, "POST", "/push/push", push_user, gochat},
        {KJ_LISTENER_PUBLIC, "POST", "/push/pushRoom", push_room, gochat},
        {KJ_LISTENER_PUBLIC, "POST", "/push/count", query_count, gochat},
        {KJ_LISTENER_PUBLIC, "POST", "/push/getRoomInfo", query_info, gochat},
        {KJ_LISTENER_PUBLIC, "POST", "/push/*", answer_other, gochat},
    };
    if (!kj_server_gateway(server)) {
        kj_error_set(error, 0, "gochat: nothing is mounted that could be pushed to");
        return KJ_EINVAL;
    }
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < sizeof routes / sizeof *routes && !status; i++) {
        status = kj_server_add_route(server, &routes[i], error);
    }
    gochat->server = server;
    return status;
}
