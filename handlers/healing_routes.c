/* healing_routes.c - what was sent to a user, for the user; and what business code has to say. */
#include "handlers/healing.h"

#include <kujata/encoding.h>
#include <kujata/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_MAX_LEN = 256, PAGE_BYTES = 4 << 20 };

static void answer_message(struct kj_exchange *exchange, int status, const char *text)
{
    (void)kj_exchange_answer_json_take(exchange, status, json_pack("{s:s}", "message", text));
}

/* ---- the history of a user ---- */

/* Adds a message to the list it belongs to. One that is no JSON object is none of healing's. */
static bool add_message(json_t *history, const struct kj_message *kept)
{
    json_t *message = NULL;
    if (kj_value_decode(KJ_ENCODING_JSON, kept->body, kept->body_len, &message, NULL) ||
        !json_is_object(message)) {
        json_decref(message);
        return true;
    }
    json_t *list = json_object_get(history, kept->op == HEALING_FROM_SYSTEM ? "sys" : "usr");
    return json_object_set_new(message, "isSend", json_integer(1)) == 0 &&
           json_array_append_new(list, message) == 0;
}

/* The newest first. */
static json_t *make_history(const struct kj_messages_page *page)
{
    json_t *history = json_pack("{s:[], s:[], s:b}", "sys", "usr", "more",
                                page ? page->has_more : false);
    bool is_whole = history != NULL;
    for (size_t i = page ? page->count : 0; is_whole && i > 0; i--) {
        is_whole = add_message(history, &page->items[i - 1]);
    }
    if (!is_whole) {
        json_decref(history);
        return NULL;
    }
    return history;
}

/* A number of the query; false when it is not one from `low` to `high`. */
static bool read_number(const struct kj_exchange *exchange, const char *name, int base,
                        uint64_t low, uint64_t high, uint64_t *number)
{
    const char *text = kj_exchange_parameter(exchange, name);
    char *end = NULL;
    if (!text) {
        return true;
    }
    *number = strtoull(text, &end, base);
    return *text && strchr("+- ", *text) == NULL && *end == '\0' && *number >= low &&
           *number <= high;
}

static void answer_history(struct kj_exchange *exchange, void *ctx)
{
    struct kj_healing *healing = ctx;
    const struct kj_healing_options *options = &healing->options;
    char user[KJ_HEALING_USER_SIZE];
    uint64_t before = 0;
    uint64_t max = KJ_MESSAGES_PAGE_MAX;
    const char *cookie = options->cookie ? kj_exchange_cookie(exchange, options->cookie) : NULL;
    if (!healing_user_of(healing, cookie, NULL, user)) {
        atomic_fetch_add(&healing->counters.strangers, 1);
        answer_message(exchange, 401, "fail to authenticate");
        return;
    }
    if (!read_number(exchange, "before", 16, 1, UINT64_MAX, &before) ||
        !read_number(exchange, "max", 10, 1, KJ_MESSAGES_PAGE_MAX, &max)) {
        answer_message(exchange, 400, "before is the id of a message, max is 1 to 1000");
        return;
    }
    struct kj_messages_page *page = NULL;
    const struct kj_history_query query = {.conversation = {.users = {"", user}},
                                           .before = before,
                                           .max = (size_t)max,
                                           .max_bytes = PAGE_BYTES};
    if (options->messages && kj_messages_history(options->messages, &query, &page)) {
        answer_message(exchange, 500, "can not get data");
        return;
    }
    (void)kj_exchange_add_header(exchange, "Cache-Control", "no-store");
    (void)kj_exchange_answer_json_take(exchange, 200, make_history(page));
    kj_messages_page_free(page);
}

/* ---- business code ---- */

static void post(struct kj_exchange *exchange, struct kj_healing *healing,
                 enum kj_status (*send)(struct kj_healing *healing, struct kj_gateway *gateway,
                                        const json_t *message, enum kj_healing_state *state),
                 const char *wanted)
{
    static const struct {
        int status;
        const char *state;
    } answers[] = {
        [KJ_HEALING_OK] = {200, "ok"},
        [KJ_HEALING_NO_USER] = {404, "receiver is not exist"},
        [KJ_HEALING_OFFLINE] = {200, "receiver is offline"},
        [KJ_HEALING_FAILED] = {503, "Fail to storage data"},
    };
    enum kj_healing_state state;
    enum kj_status status = send(healing, kj_server_gateway(healing->server),
                                 kj_exchange_json(exchange), &state);
    if (status) {
        atomic_fetch_add(&healing->counters.refused, 1);
        kj_exchange_refuse(exchange, status == KJ_EINVAL ? 400 : 503, "%s",
                           status == KJ_EINVAL ? wanted : kj_status_text(status));
        return;
    }
    answer_message(exchange, answers[state].status, answers[state].state);
}

static void post_message(struct kj_exchange *exchange, void *ctx)
{
    post(exchange, ctx, kj_healing_send,
         "fromUser and toUser are numbers from 1 on, message is a text that is not empty");
}

static void post_system(struct kj_exchange *exchange, void *ctx)
{
    post(exchange, ctx, kj_healing_tell, "uid is a number from 1 on");
}

/* ---- added ---- */

static enum kj_status add(struct kj_server *server, const char *base, struct kj_route route,
                          struct kj_error *error)
{
    char path[PATH_MAX_LEN];
    int len = snprintf(path, sizeof path, "%s%s", base, route.path);
    if (len < 0 || (size_t)len >= sizeof path) {
        kj_error_set(error, 0, "healing: its path is too long");
        return KJ_EINVAL;
    }
    route.path = path;
    return kj_server_add_route(server, &route, error);
}

enum kj_status kj_healing_add_routes(struct kj_healing *healing, struct kj_server *server,
                                     const char *path, bool has_api, struct kj_error *error)
{
    if (!kj_server_gateway(server)) {
        kj_error_set(error, 0, "healing: nothing is mounted");
        return KJ_EINVAL;
    }
    healing->server = server;
    enum kj_status status = add(
        server, path,
        (struct kj_route){KJ_LISTENER_PUBLIC, "GET", "/history", answer_history, healing}, error);
    if (!status && has_api) {
        status = add(server, path,
                     (struct kj_route){KJ_LISTENER_API, "POST", "/message", post_message, healing},
                     error);
    }
    if (!status && has_api) {
        status = add(server, path,
                     (struct kj_route){KJ_LISTENER_API, "POST", "/system", post_system, healing},
                     error);
    }
    return status;
}
