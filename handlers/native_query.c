/* native_query.c - QUERY: which rooms a client is in, who is in one, who is online, and how many.
 *
 * With a board of presence it is of all nodes, and what other nodes must be asked for is asked on a
 * thread that may wait; else it is of this node.
 */
#include "handlers/native.h"

#include <kujata/presence.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_DEFAULT = 20,
    PAGE_MAX = 100,
    USERS_MAX = 100,
    QUERIES_MAX = 128, /* under way: other things wait for the same threads */
    CLIENT_QUERIES_MAX = 8,
};

/* ---- the client's rooms ---- */

static void add_room(const char *room, void *ctx)
{
    json_array_append_new(ctx, json_string(room));
}

/* How many clients each of the rooms has. */
static json_t *count_rooms(const struct native_request *request, const json_t *rooms)
{
    size_t count = json_array_size(rooms);
    struct kj_gateway *gateway = kj_client_gateway(request->client);
    const char **names = calloc(count + 1, sizeof *names);
    uint64_t *counts = calloc(count + 1, sizeof *counts);
    json_t *list = names && counts ? json_array() : NULL;
    for (size_t i = 0; list && i < count; i++) {
        names[i] = json_string_value(json_array_get(rooms, i));
        counts[i] = kj_gateway_member_count(gateway, KJ_TOPIC_ROOM, names[i]);
    }
    if (list && request->native->options.presence) {
        kj_presence_room_counts(request->native->options.presence, names, count, counts);
    }
    for (size_t i = 0; list && i < count; i++) {
        json_array_append_new(list, json_integer((json_int_t)counts[i]));
    }
    free(names);
    free(counts);
    return list;
}

static const struct native_fault *query_rooms(const struct native_request *request)
{
    json_t *rooms = json_array();
    kj_client_rooms(request->client, rooms ? add_room : NULL, rooms);
    json_t *counts = count_rooms(request, rooms);
    kj_native_answer_take(request->client, request->id,
                          json_pack("{s:o, s:o}", "rooms", rooms, "counts", counts));
    return NULL;
}

/* ---- how many are online ---- */

static const struct native_fault *query_online(const struct native_request *request)
{
    struct kj_gateway_counts own;
    struct kj_presence_totals totals;
    kj_gateway_count(kj_client_gateway(request->client), &own);
    totals = (struct kj_presence_totals){
        .nodes = 1, .clients = own.clients, .users = own.users, .rooms = own.rooms};
    if (request->native->options.presence) {
        kj_presence_totals(request->native->options.presence, &totals);
    }
    kj_native_answer_take(request->client, request->id,
                          json_pack("{s:I, s:I, s:I, s:I}", "nodes", (json_int_t)totals.nodes,
                                    "clients", (json_int_t)totals.clients, "users",
                                    (json_int_t)totals.users, "rooms", (json_int_t)totals.rooms));
    return NULL;
}

/* ---- what other nodes must be asked for ---- */

struct query {
    struct native_work work;
    struct kj_presence_board *board; /* NULL: of this node */
    json_t *asked;                   /* the request's data */
    char room[KJ_NAME_MAX + 1];
    size_t skip, max;
    json_t *answer; /* NULL: there is no memory */
};

static void query_fini(struct native_work *work)
{
    struct query *query = (struct query *)work;
    atomic_fetch_sub(&work->native->queries, 1);
    json_decref(query->asked);
    json_decref(query->answer);
}

static const struct native_fault *finish_query(struct kj_client *client, struct native_work *work)
{
    struct query *query = (struct query *)work;
    struct native_client *own = kj_client_data(client);
    own->queries--;
    if (!query->answer) {
        return &native_busy;
    }
    kj_native_answer_take(client, work->id, query->answer);
    query->answer = NULL;
    return NULL;
}

/* NULL when too many are under way, or there is no memory. */
static struct query *query_new(const struct native_request *request,
                               void (*find)(struct native_work *work))
{
    struct kj_native *native = request->native;
    const struct native_client *own = native_client_of(request->client);
    if (!own || own->queries >= CLIENT_QUERIES_MAX) {
        return NULL;
    }
    bool has_place = atomic_fetch_add(&native->queries, 1) < QUERIES_MAX;
    struct query *query = has_place ? calloc(1, sizeof *query) : NULL;
    if (!query) {
        atomic_fetch_sub(&native->queries, 1);
        return NULL;
    }
    query->work = (struct native_work){.native = native,
                                       .gateway = kj_client_gateway(request->client),
                                       .run = find,
                                       .finish = finish_query,
                                       .fini = query_fini};
    query->board = native->options.presence;
    query->asked = json_deep_copy(request->data);
    return query;
}

/* Takes over the query: what is of this node is found at once. */
static const struct native_fault *begin_take(const struct native_request *request,
                                             struct query *query)
{
    if (query->board) {
        struct native_client *own = kj_client_data(request->client);
        const struct native_fault *fault = native_work_take(request, &query->work);
        own->queries += fault == NULL;
        return fault;
    }
    query->work.run(&query->work);
    if (query->answer) {
        native_answer_take(request, json_incref(query->answer));
    }
    bool is_found = query->answer != NULL;
    query_fini(&query->work);
    free(query);
    return is_found ? NULL : &native_busy;
}

/* ---- who is in a room ---- */

static json_t *list_members(const struct kj_member *members, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++) {
        char id[KJ_CLIENT_ID_SIZE];
        kj_client_id_format(members[i].client, id);
        json_array_append_new(
            list, *members[i].user ? json_pack("{s:s, s:s}", "session", id, "user", members[i].user)
                                   : json_pack("{s:s}", "session", id));
    }
    return list;
}

static void find_members(struct native_work *work)
{
    struct query *query = (struct query *)work;
    struct kj_gateway *gateway = work->gateway;
    enum kj_status status = KJ_OK;
    struct kj_presence_page page = {.skip = query->skip,
                                    .max = query->max,
                                    .members = calloc(query->max + 1, sizeof *page.members)};
    if (!page.members) {
        return;
    }
    if (query->board) {
        status = kj_presence_members(query->board, query->room, &page);
    } else {
        page.got = kj_gateway_members(gateway, KJ_TOPIC_ROOM, query->room, query->skip,
                                      page.members, query->max);
        page.count = kj_gateway_member_count(gateway, KJ_TOPIC_ROOM, query->room);
    }
    if (!status || status == KJ_ETIMEOUT) {
        query->answer = json_pack(
            "{s:s, s:I, s:I, s:o, s:b}", "room", query->room, "node",
            (json_int_t)kj_gateway_node(gateway), "count", (json_int_t)page.count, "members",
            list_members(page.members, page.got), "complete", status == KJ_OK);
    }
    free(page.members);
}

static const struct native_fault *query_room(const struct native_request *request)
{
    static const struct native_fault bad = {"bad_request", "max is 0 to 100, skip 0 to 1000000"};
    const char *room = native_text_of(request, "room");
    size_t skip;
    size_t max;
    if (!kj_name_is_valid(room)) {
        return &native_no_room;
    }
    if (!native_number_of(request, "skip", 0, 1000000, &skip) ||
        !native_number_of(request, "max", PAGE_DEFAULT, PAGE_MAX, &max)) {
        return &bad;
    }
    if (!request->native->options.may_send_from_away && !kj_client_is_in(request->client, room)) {
        return &native_no_member;
    }
    struct query *query = query_new(request, find_members);
    if (!query) {
        return &native_busy;
    }
    memcpy(query->room, room, strlen(room) + 1); /* valid: not longer */
    query->skip = skip;
    query->max = max;
    return begin_take(request, query);
}

/* ---- who is online ---- */

static bool are_users(const json_t *users)
{
    if (!json_is_array(users) || json_array_size(users) > USERS_MAX) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(users); i++) {
        const json_t *user = json_array_get(users, i);
        const char *text = json_string_value(user);
        if (!text || strlen(text) != json_string_length(user) || !kj_name_is_valid(text)) {
            return false;
        }
    }
    return true;
}

static void find_users(struct native_work *work)
{
    struct query *query = (struct query *)work;
    const json_t *users = json_object_get(query->asked, "users");
    size_t count = json_array_size(users);
    const char *names[USERS_MAX];
    uint64_t clients[USERS_MAX] = {0};
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < count; i++) {
        names[i] = json_string_value(json_array_get(users, i));
        clients[i] = query->board ? 0
                                  : kj_gateway_member_count(work->gateway, KJ_TOPIC_USER, names[i]);
    }
    if (query->board) {
        status = kj_presence_online(query->board, names, count, clients);
    }
    json_t *online = status && status != KJ_ETIMEOUT ? NULL : json_array();
    for (size_t i = 0; online && i < count; i++) {
        if (clients[i] > 0) {
            json_array_append(online, json_array_get(users, i));
        }
    }
    if (online) {
        query->answer = json_pack("{s:o, s:b}", "online", online, "complete", status == KJ_OK);
    }
}

static const struct native_fault *query_users(const struct native_request *request)
{
    static const struct native_fault bad = {"bad_request", "users are at most 100 names"};
    if (!are_users(json_object_get(request->data, "users"))) {
        return &bad;
    }
    struct query *query = query_new(request, find_users);
    return query ? begin_take(request, query) : &native_busy;
}

/* ---- all of them ---- */

const struct native_fault *native_query(const struct native_request *request)
{
    static const struct native_fault unknown = {"bad_request",
                                                "what is rooms, room, users, online, unread, "
                                                "mailbox or history"};
    static const struct {
        const char *what;
        const struct native_fault *(*answer)(const struct native_request *request);
    } queries[] = {
        {"rooms", query_rooms},
        {"room", query_room},
        {"users", query_users},
        {"online", query_online},
        {"unread", native_query_unread},
        {"mailbox", native_query_mailbox},
        {"history", native_query_history},
    };
    const char *what = native_text_of(request, "what");
    for (size_t i = 0; what && i < sizeof queries / sizeof *queries; i++) {
        if (strcmp(what, queries[i].what) == 0) {
            return queries[i].answer(request);
        }
    }
    return &unknown;
}
