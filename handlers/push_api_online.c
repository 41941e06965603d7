/* push_api_online.c - who is there, on this node, and what it has counted. */
#include "handlers/push_api.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_DEFAULT = 100, PAGE_MAX = 1000 };

/* ---- one topic ---- */

struct page {
    size_t skip, max;
};

/* A number of the query; what it was where it is not given. False for something else. */
static bool read_number(const struct kj_exchange *exchange, const char *name, size_t *number)
{
    const char *text = kj_exchange_parameter(exchange, name);
    if (!text) {
        return true;
    }
    size_t len = strspn(text, "0123456789");
    *number = strtoul(text, NULL, 10);
    return len > 0 && len < 10 && !text[len];
}

static json_t *describe(const struct kj_member *member)
{
    char id[KJ_CLIENT_ID_SIZE];
    kj_client_id_format(member->client, id);
    json_t *told = json_pack("{s:s}", "session", id);
    if (told && member->user[0] && json_object_set_new(told, "user", json_string(member->user))) {
        json_decref(told);
        return NULL;
    }
    return told;
}

static json_t *list_members(struct kj_gateway *gateway, enum kj_topic_kind kind, const char *name,
                            const struct page *page)
{
    json_t *list = json_array();
    struct kj_member *members = calloc(page->max, sizeof *members);
    size_t count = members && list
                       ? kj_gateway_members(gateway, kind, name, page->skip, members, page->max)
                       : 0;
    bool is_whole = members && list;
    for (size_t i = 0; is_whole && i < count; i++) {
        is_whole = json_array_append_new(list, describe(&members[i])) == 0;
    }
    free(members);
    if (!is_whole) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static void answer_members(struct kj_exchange *exchange, struct kj_gateway *gateway,
                           enum kj_topic_kind kind, const char *name)
{
    struct page page = {.skip = 0, .max = PAGE_DEFAULT};
    if (!kj_name_is_valid(name)) {
        kj_exchange_refuse(exchange, 400, "this is no name");
        return;
    }
    if (!read_number(exchange, "skip", &page.skip) || !read_number(exchange, "max", &page.max) ||
        page.max == 0 || page.max > PAGE_MAX) {
        kj_exchange_refuse(exchange, 400, "skip is a number, and max one from 1 to %d", PAGE_MAX);
        return;
    }
    push_answer_take(exchange, 200,
                     json_pack("{s:s, s:I, s:I, s:o}", kind == KJ_TOPIC_ROOM ? "room" : "user",
                               name, "node", (json_int_t)kj_gateway_node(gateway), "sessions",
                               (json_int_t)kj_gateway_member_count(gateway, kind, name), "members",
                               list_members(gateway, kind, name, &page)));
}

static json_t *tell_counts(struct kj_gateway *gateway)
{
    struct kj_gateway_counts counts;
    kj_gateway_count(gateway, &counts);
    return json_pack("{s:I, s:I, s:I, s:I}", "node", (json_int_t)kj_gateway_node(gateway),
                     "sessions", (json_int_t)counts.clients, "users", (json_int_t)counts.users,
                     "rooms", (json_int_t)counts.rooms);
}

void push_handle_online(struct kj_exchange *exchange, void *ctx)
{
    struct kj_gateway *gateway;
    if (!push_begin(ctx, exchange, &gateway, NULL)) {
        return;
    }
    const char *room = kj_exchange_parameter(exchange, "room");
    const char *user = kj_exchange_parameter(exchange, "user");
    if (room && user) {
        kj_exchange_refuse(exchange, 400, "either a room or a user");
    } else if (room) {
        answer_members(exchange, gateway, KJ_TOPIC_ROOM, room);
    } else if (user) {
        answer_members(exchange, gateway, KJ_TOPIC_USER, user);
    } else {
        push_answer_take(exchange, 200, tell_counts(gateway));
    }
}

/* ---- many at once ---- */

/* Puts how many sessions each of a list has into `told`, under the list's name. */
static bool count_many(const struct kj_push_api *api, struct kj_gateway *gateway,
                       const json_t *body, enum kj_topic_kind kind, json_t *told,
                       struct push_fault *fault)
{
    const char *member = kind == KJ_TOPIC_ROOM ? "rooms" : "users";
    const json_t *list = json_object_get(body, member);
    json_t *counts = list ? json_object() : NULL;
    const char *name;
    json_t *value;
    if (!list) {
        return true;
    }
    if (!counts || json_object_set_new(told, member, counts)) {
        return push_fail_with(fault, KJ_ENOMEM);
    }
    if (!push_read_names(api, list, kind, counts, fault)) {
        return false;
    }
    json_object_foreach(counts, name, value)
    {
        json_t *count = json_integer((json_int_t)kj_gateway_member_count(gateway, kind, name));
        if (json_object_set_new(counts, name, count)) {
            return push_fail_with(fault, KJ_ENOMEM);
        }
    }
    return true;
}

void push_handle_online_many(struct kj_exchange *exchange, void *ctx)
{
    static const char *const members[] = {"users", "rooms", NULL};
    const struct kj_push_api *api = ctx;
    struct kj_gateway *gateway;
    const json_t *body;
    struct push_fault fault = {.status = 0};
    if (!push_begin(api, exchange, &gateway, &body)) {
        return;
    }
    json_t *told = json_pack("{s:I}", "node", (json_int_t)kj_gateway_node(gateway));
    if (!told) {
        (void)push_fail_with(&fault, KJ_ENOMEM);
    } else if (json_object_size(body) == 0) {
        (void)push_fail(&fault, 400, "\"users\" or \"rooms\" is needed");
    } else if (push_check_members(body, members, &fault) &&
               count_many(api, gateway, body, KJ_TOPIC_USER, told, &fault) &&
               count_many(api, gateway, body, KJ_TOPIC_ROOM, told, &fault)) {
        push_answer_take(exchange, 200, told);
        return;
    }
    json_decref(told);
    push_refuse(exchange, &fault);
}

/* ---- numbers ---- */

static void add_counter(const char *name, uint64_t value, void *ctx)
{
    /* Without memory one is missing. */
    (void)json_object_set_new(ctx, name, json_integer((json_int_t)value));
}

void push_handle_stats(struct kj_exchange *exchange, void *ctx)
{
    const struct kj_push_api *api = ctx;
    struct kj_gateway *gateway;
    if (!push_begin(api, exchange, &gateway, NULL)) {
        return;
    }
    json_t *told = tell_counts(gateway);
    json_t *counters = json_object();
    if (!told || !counters || json_object_set(told, "counters", counters)) {
        json_decref(told);
        told = NULL;
    } else {
        kj_server_counters(api->server, add_counter, counters);
    }
    json_decref(counters);
    push_answer_take(exchange, 200, told);
}
