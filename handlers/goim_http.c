/* goim_http.c - the HTTP of goim's logic: pushes and figures for the application's servers, where
 * to connect for clients. Every answer is a 200 with {"code", "message", "data"}. On HTTP workers.
 *
 * Figures are those of all nodes where there is a board of presence, else of the one that is asked.
 */
#include "handlers/goim.h"

#include <inttypes.h>
#include <kujata/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_STATUS = 200, TOP_MAX = 1000, TOPICS_AT_ONCE = 64, MS_PER_HEARTBEAT = 2 * 1000 };

/* ---- answers and parameters ---- */

/* `data` is taken over, and NULL where there is none. */
static void answer_take(struct kj_exchange *exchange, int code, const char *message, json_t *data)
{
    json_t *answer = json_pack("{s:i, s:s}", "code", code, "message", message);
    if (answer && data) {
        json_object_set(answer, "data", data);
    }
    json_decref(data);
    (void)kj_exchange_answer_json_take(exchange, ANSWER_STATUS, answer);
}

static void refuse(struct kj_exchange *exchange, const char *message)
{
    answer_take(exchange, GOIM_BAD_REQUEST, message, NULL);
}

/* An integer that may be missing; false for what is none. */
static bool read_number(const struct kj_exchange *exchange, const char *name, int32_t *number)
{
    const char *text = kj_exchange_parameter(exchange, name);
    char *end;
    *number = 0;
    if (!text) {
        return true;
    }
    long value = strtol(text, &end, 10);
    *number = (int32_t)value;
    return *text && !*end && *text != ' ' && value >= INT32_MIN && value <= INT32_MAX;
}

/* TYPE://ROOM, as goim names a room; false when one of them is missing or the name too long. */
static bool make_room(const char *type, const char *room, char name[KJ_NAME_MAX + 1])
{
    int len = type && *type && room ? snprintf(name, KJ_NAME_MAX + 1, "%s://%s", type, room) : -1;
    return len > 0 && len <= KJ_NAME_MAX && kj_name_is_valid(name);
}

/* ---- pushes ---- */

struct pushing {
    struct kj_goim *goim;
    struct kj_push_options options;
    size_t reached;
    enum kj_status status; /* the first that was not KJ_OK */
};

static bool begin_push(struct kj_exchange *exchange, void *ctx, enum kj_topic_kind kind,
                       struct pushing *pushing)
{
    int32_t op;
    if (!read_number(exchange, "operation", &op)) {
        refuse(exchange, "operation is no number");
        return false;
    }
    *pushing = (struct pushing){.goim = ctx, .options = {.kind = kind, .op = op}};
    pushing->options.body = kj_exchange_body(exchange, &pushing->options.body_len);
    return true;
}

static void push_to(const char *name, void *ctx)
{
    struct pushing *pushing = ctx;
    struct kj_push_receipt receipt;
    pushing->options.name = name;
    enum kj_status status = kj_gateway_publish(pushing->goim->gateway, &pushing->options, &receipt);
    pushing->reached += receipt.reached;
    pushing->status = pushing->status ? pushing->status : status;
}

static void end_push(struct kj_exchange *exchange, const struct pushing *pushing)
{
    if (pushing->status) {
        bool is_callers = pushing->status == KJ_EINVAL || pushing->status == KJ_ELIMIT;
        answer_take(exchange, is_callers ? GOIM_BAD_REQUEST : GOIM_FAILED,
                    kj_status_text(pushing->status), NULL);
    } else {
        answer_take(exchange, GOIM_OK, "",
                    json_pack("{s:I}", "reached", (json_int_t)pushing->reached));
    }
}

static void push_each(struct kj_exchange *exchange, void *ctx, enum kj_topic_kind kind,
                      const char *parameter)
{
    struct pushing pushing;
    if (!begin_push(exchange, ctx, kind, &pushing)) {
        return;
    }
    if (kj_exchange_parameters(exchange, parameter, push_to, &pushing) == 0) {
        refuse(exchange, "nobody to push to");
        return;
    }
    end_push(exchange, &pushing);
}

static void push_keys(struct kj_exchange *exchange, void *ctx)
{
    push_each(exchange, ctx, KJ_TOPIC_DEVICE, "keys");
}

static void push_mids(struct kj_exchange *exchange, void *ctx)
{
    push_each(exchange, ctx, KJ_TOPIC_USER, "mids");
}

static void push_room(struct kj_exchange *exchange, void *ctx)
{
    struct pushing pushing;
    char room[KJ_NAME_MAX + 1];
    if (!begin_push(exchange, ctx, KJ_TOPIC_ROOM, &pushing)) {
        return;
    }
    if (!make_room(kj_exchange_parameter(exchange, "type"), kj_exchange_parameter(exchange, "room"),
                   room) ||
        pushing.options.op == 0) {
        refuse(exchange, "operation, type and room are needed");
        return;
    }
    push_to(room, &pushing);
    end_push(exchange, &pushing);
}

static void push_all(struct kj_exchange *exchange, void *ctx)
{
    struct pushing pushing;
    int32_t speed; /* of the whole cluster in goim, of each node here */
    if (!begin_push(exchange, ctx, KJ_TOPIC_ALL, &pushing)) {
        return;
    }
    if (!read_number(exchange, "speed", &speed) || speed < 0 || pushing.options.op == 0) {
        refuse(exchange, "operation is needed, and speed is a number");
        return;
    }
    pushing.options.speed = (uint32_t)speed;
    push_to(NULL, &pushing);
    end_push(exchange, &pushing);
}

/* ---- figures ---- */

/* Puts one among those found so far, which are sorted; how many there are then. */
static size_t rank(struct kj_presence_room *rooms, size_t count, size_t max,
                   const struct kj_topic_count *topic)
{
    size_t at = count;
    while (at > 0 && rooms[at - 1].clients < topic->clients) {
        at--;
    }
    if (at == max) {
        return count;
    }
    size_t kept = count < max ? count : max - 1;
    memmove(&rooms[at + 1], &rooms[at], (kept - at) * sizeof *rooms);
    rooms[at].clients = topic->clients;
    memcpy(rooms[at].name, topic->name, sizeof topic->name);
    return kept + 1;
}

static size_t find_top(struct kj_gateway *gateway, const char *prefix,
                       struct kj_presence_room *rooms, size_t max)
{
    struct kj_topic_count topics[TOPICS_AT_ONCE];
    struct kj_topic_walk *walk = kj_topic_walk_new(gateway, KJ_TOPIC_ROOM);
    size_t count = 0;
    size_t got = 0;
    while (walk && (got = kj_topic_walk_next(walk, topics, TOPICS_AT_ONCE)) > 0) {
        for (size_t i = 0; i < got; i++) {
            if (strncmp(topics[i].name, prefix, strlen(prefix)) == 0) {
                count = rank(rooms, count, max, &topics[i]);
            }
        }
    }
    kj_topic_walk_free(walk);
    return count;
}

static json_t *list_top(const struct kj_goim *goim, const char *prefix, size_t limit)
{
    struct kj_presence_board *presence = goim->options.presence;
    struct kj_presence_room *rooms = calloc(limit, sizeof *rooms);
    json_t *list = rooms ? json_array() : NULL;
    size_t count = 0;
    if (list) {
        count = presence ? kj_presence_top(presence, prefix, rooms, limit)
                         : find_top(goim->gateway, prefix, rooms, limit);
    }
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list,
                              json_pack("{s:s, s:I}", "room_id", rooms[i].name + strlen(prefix),
                                        "count", (json_int_t)rooms[i].clients));
    }
    free(rooms);
    return list;
}

static void online_top(struct kj_exchange *exchange, void *ctx)
{
    const char *type = kj_exchange_parameter(exchange, "type");
    char prefix[KJ_NAME_MAX + 1];
    int32_t limit;
    int len = type && *type ? snprintf(prefix, sizeof prefix, "%s://", type) : -1;
    if (len < 0 || len > KJ_NAME_MAX || !read_number(exchange, "limit", &limit) || limit <= 0) {
        refuse(exchange, "type and limit are needed");
        return;
    }
    json_t *list = list_top(ctx, prefix, limit < TOP_MAX ? (size_t)limit : TOP_MAX);
    if (list) {
        answer_take(exchange, GOIM_OK, "", list);
    } else {
        answer_take(exchange, GOIM_FAILED, kj_status_text(KJ_ENOMEM), NULL);
    }
}

struct counting {
    struct kj_goim *goim;
    const char *type;
    json_t *rooms;
    bool is_bad;
};

static void count_room(const char *room, void *ctx)
{
    struct counting *counting = ctx;
    char name[KJ_NAME_MAX + 1];
    if (!make_room(counting->type, room, name)) {
        counting->is_bad = true;
        return;
    }
    uint64_t count = goim_count_room(counting->goim, counting->goim->gateway, name);
    json_object_set_new(counting->rooms, room, json_integer((json_int_t)count));
}

static void online_room(struct kj_exchange *exchange, void *ctx)
{
    struct counting counting = {
        .goim = ctx, .type = kj_exchange_parameter(exchange, "type"), .rooms = json_object()};
    if (kj_exchange_parameters(exchange, "rooms", count_room, &counting) == 0 || counting.is_bad) {
        json_decref(counting.rooms);
        refuse(exchange, "type and rooms are needed");
        return;
    }
    answer_take(exchange, GOIM_OK, "", counting.rooms);
}

static void online_total(struct kj_exchange *exchange, void *ctx)
{
    struct kj_goim *goim = ctx;
    struct kj_gateway_counts counts;
    struct kj_presence_totals totals;
    kj_gateway_count(goim->gateway, &counts);
    totals.clients = counts.clients;
    if (goim->options.presence) {
        kj_presence_totals(goim->options.presence, &totals);
    }
    answer_take(exchange, GOIM_OK, "",
                json_pack("{s:I, s:I}", "ip_count", (json_int_t)counts.addresses, "conn_count",
                          (json_int_t)totals.clients));
}

/* ---- for clients ---- */

static void nodes_weighted(struct kj_exchange *exchange, void *ctx)
{
    const struct kj_goim *goim = ctx;
    const struct kj_goim_options *options = &goim->options;
    json_t *data = json_pack("{s:s, s:i, s:i, s:i, s:I, s:i, s:[s], s:{s:i, s:i, s:f, s:f}}",
                             "domain", options->domain, "tcp_port", (int)options->tcp_port,
                             "ws_port", (int)options->ws_port, "wss_port", (int)options->wss_port,
                             "heartbeat", (json_int_t)(options->limits.idle_ms / MS_PER_HEARTBEAT),
                             "heartbeat_max", 2, "nodes", options->domain, "backoff", "max_delay",
                             300, "base_delay", 3, "factor", 1.8, "jitter", 0.3);
    answer_take(exchange, data ? GOIM_OK : GOIM_FAILED, data ? "" : kj_status_text(KJ_ENOMEM),
                data);
}

/* ---- added to a server ---- */

static const struct kj_route routes[] = {
    {KJ_LISTENER_PUBLIC, "GET", "/goim/nodes/weighted", nodes_weighted, NULL},
    {KJ_LISTENER_API, "POST", "/goim/push/keys", push_keys, NULL},
    {KJ_LISTENER_API, "POST", "/goim/push/mids", push_mids, NULL},
    {KJ_LISTENER_API, "POST", "/goim/push/room", push_room, NULL},
    {KJ_LISTENER_API, "POST", "/goim/push/all", push_all, NULL},
    {KJ_LISTENER_API, "GET", "/goim/online/top", online_top, NULL},
    {KJ_LISTENER_API, "GET", "/goim/online/room", online_room, NULL},
    {KJ_LISTENER_API, "GET", "/goim/online/total", online_total, NULL},
};

enum kj_status kj_goim_add_routes(struct kj_goim *goim, struct kj_server *server, bool has_api,
                                  struct kj_error *error)
{
    goim->gateway = kj_server_gateway(server);
    if (!goim->gateway) {
        kj_error_set(error, 0, "goim: its routes are added once it is mounted");
        return KJ_EINVAL;
    }
    enum kj_status status = KJ_OK;
    for (size_t i = 0; !status && i < sizeof routes / sizeof *routes; i++) {
        struct kj_route route = routes[i];
        route.ctx = goim;
        if (has_api || route.listener == KJ_LISTENER_PUBLIC) {
            status = kj_server_add_route(server, &route, error);
        }
    }
    return status;
}
