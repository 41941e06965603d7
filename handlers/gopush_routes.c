/* gopush_routes.c - what servers push with go-push's forms, and how go-push is doing.
 *
 * A push is answered as go-push answers it, with 200 and nothing, whatever comes of it: what went
 * wrong is counted, and logged.
 */
#include "handlers/gopush.h"

#include <inttypes.h>
#include <kujata/log.h>
#include <kujata/route.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE_INTERVAL_S = 1 };

/* ---- what went wrong ---- */

/* One line a second is enough to act on; the counters have all of them. */
static void report(struct kj_gopush *gopush, const char *path, const char *fault)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t due = atomic_load(&gopush->next_line_s);
    if (now.tv_sec >= due &&
        atomic_compare_exchange_strong(&gopush->next_line_s, &due, now.tv_sec + LINE_INTERVAL_S)) {
        kj_log(KJ_LOG_WARNING, "gopush", "%s: %s; it was answered with 200, as go-push does", path,
               fault);
    }
}

static void refuse(struct kj_gopush *gopush, const char *path, const char *fault)
{
    atomic_fetch_add(&gopush->counters.refused, 1);
    report(gopush, path, fault);
}

/* ---- pushes ---- */

/* Where the items of a form go, and what counts them. */
struct destination {
    const char *path;
    enum kj_topic_kind kind;
    const char *name;
    _Atomic uint64_t *items, *failed;
};

static void publish(struct kj_gopush *gopush, const struct destination *to,
                    const struct gopush_item *items, size_t count)
{
    struct kj_gateway *gateway = kj_server_gateway(gopush->server);
    for (size_t i = 0; i < count; i++) {
        enum kj_status status = kj_gateway_publish(
            gateway,
            &(struct kj_push_options){.kind = to->kind,
                                      .name = to->name,
                                      .body = items[i].text,
                                      .body_len = items[i].len,
                                      .body_is_json = true},
            NULL);
        atomic_fetch_add(to->items, 1);
        if (status) {
            atomic_fetch_add(to->failed, 1);
            report(gopush, to->path, kj_status_text(status));
        }
    }
}

static void push_items(struct kj_exchange *exchange, struct kj_gopush *gopush,
                       const struct destination *to)
{
    const char *text = kj_exchange_form(exchange, "items");
    struct gopush_item *items = NULL;
    size_t count = 0;
    enum kj_status status = KJ_EPARSE;
    if (text) {
        status = gopush_items_cut((const uint8_t *)text, strlen(text), &items, &count);
    }
    if (status) {
        refuse(gopush, to->path,
               status == KJ_EPARSE ? "the field items is no list in JSON" : kj_status_text(status));
    }
    publish(gopush, to, items, count);
    free(items);
}

/* Every push ends here. KJ_ENOMEM ends as a 500 of the server's. */
static void answer_nothing(struct kj_exchange *exchange, struct kj_gopush *gopush)
{
    atomic_fetch_add(&gopush->counters.requests, 1);
    (void)kj_exchange_answer(exchange, 200, NULL, "", 0);
}

static void push_all(struct kj_exchange *exchange, void *ctx)
{
    struct kj_gopush *gopush = ctx;
    struct gopush_counters *counters = &gopush->counters;
    push_items(exchange, gopush,
               &(struct destination){"/push/all", KJ_TOPIC_ALL, NULL, &counters->all_items,
                                     &counters->all_failed});
    answer_nothing(exchange, gopush);
}

static void push_room(struct kj_exchange *exchange, void *ctx)
{
    struct kj_gopush *gopush = ctx;
    struct gopush_counters *counters = &gopush->counters;
    const char *room = kj_exchange_form(exchange, "room");
    if (kj_name_is_valid(room)) {
        push_items(exchange, gopush,
                   &(struct destination){"/push/room", KJ_TOPIC_ROOM, room, &counters->room_items,
                                         &counters->room_failed});
    } else {
        refuse(gopush, "/push/room", "the field room is no name of 1 to 128 bytes");
    }
    answer_nothing(exchange, gopush);
}

/* The text of a session's ID, of which go-push has the digits of one number. */
static bool read_session(const char *text, char name[KJ_CLIENT_ID_SIZE])
{
    uint64_t id;
    char *end = NULL;
    if (!text) {
        return false;
    }
    if (!kj_client_id_parse(text, &id)) {
        id = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || *end) {
            return false;
        }
    }
    kj_client_id_format(id, name);
    return true;
}

static void push_session(struct kj_exchange *exchange, void *ctx)
{
    struct kj_gopush *gopush = ctx;
    struct gopush_counters *counters = &gopush->counters;
    char name[KJ_CLIENT_ID_SIZE];
    if (read_session(kj_exchange_form(exchange, "conn"), name)) {
        push_items(exchange, gopush,
                   &(struct destination){"/push/conn", KJ_TOPIC_SESSION, name,
                                         &counters->session_items, &counters->session_failed});
    } else {
        refuse(gopush, "/push/conn", "the field conn is no session");
    }
    answer_nothing(exchange, gopush);
}

/* ---- /stats ---- */

static json_int_t read_counter(const struct kj_gopush *gopush, const char *name)
{
    return (json_int_t)kj_server_counter(gopush->server, name);
}

static json_int_t count_of(const _Atomic uint64_t *counter)
{
    return (json_int_t)atomic_load(counter);
}

/* What go-push's gateway says. */
static json_t *make_gateway_stats(const struct kj_gopush *gopush)
{
    const struct gopush_counters *counters = &gopush->counters;
    struct kj_gateway_counts counts;
    kj_gateway_count(kj_server_gateway(gopush->server), &counts);
    json_int_t dropped = read_counter(gopush, "events_dropped_queue_full_total") +
                         read_counter(gopush, "events_dropped_session_closing_total") +
                         read_counter(gopush, "events_dropped_no_memory_total");
    json_int_t undispatched = read_counter(gopush, "gateway_undecodable_total") +
                              read_counter(gopush, "gateway_unencodable_total");
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "onlineConnections",
        (json_int_t)counts.clients, "sendMessageTotal", read_counter(gopush, "frames_sent_total"),
        "sendMessageFail", dropped, "dispatchPending", (json_int_t)counts.jobs, "pushJobPending",
        (json_int_t)counts.frames, "dispatchFail", undispatched, "roomCount",
        (json_int_t)counts.rooms, "mergerPending", read_counter(gopush, "gateway_waiting_current"),
        "mergerRoomTotal", count_of(&counters->room_items), "mergerAllTotal",
        count_of(&counters->all_items), "mergerRoomFail", count_of(&counters->room_failed),
        "mergerAllFail", count_of(&counters->all_failed));
}

/* And its logic. */
static json_t *make_logic_stats(const struct kj_gopush *gopush)
{
    const struct gopush_counters *counters = &gopush->counters;
    json_int_t failed = count_of(&counters->room_failed) + count_of(&counters->all_failed) +
                        count_of(&counters->session_failed);
    return json_pack("{s:I, s:I, s:I}", "DispatchTotal", count_of(&counters->requests),
                     "DispatchFail", count_of(&counters->refused), "PushFail", failed);
}

static void answer_stats(struct kj_exchange *exchange, void *ctx)
{
    const struct kj_gopush *gopush = ctx;
    json_t *stats = make_gateway_stats(gopush);
    json_t *logic = make_logic_stats(gopush);
    if (!stats || !logic || json_object_update(stats, logic)) {
        json_decref(stats);
        stats = NULL;
    }
    json_decref(logic);
    (void)kj_exchange_answer_json_take(exchange, 200, stats);
}

/* ---- added ---- */

enum kj_status kj_gopush_add_routes(struct kj_gopush *gopush, struct kj_server *server,
                                    struct kj_error *error)
{
    const struct kj_route routes[] = {
        {KJ_LISTENER_API, "POST", "/push/all", push_all, gopush},
        {KJ_LISTENER_API, "POST", "/push/room", push_room, gopush},
        {KJ_LISTENER_API, "POST", "/push/conn", push_session, gopush},
        {KJ_LISTENER_API, "GET", "/stats", answer_stats, gopush},
    };
    if (!kj_server_gateway(server)) {
        kj_error_set(error, 0, "go-push: nothing is mounted that could be pushed to");
        return KJ_EINVAL;
    }
    enum kj_status status = KJ_OK;
    for (size_t i = 0; !status && i < sizeof routes / sizeof *routes; i++) {
        status = kj_server_add_route(server, &routes[i], error);
    }
    gopush->server = server;
    return status;
}
