/* native_history.c - messages that were kept, as items, and QUERY history. */
#include "handlers/native.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_DEFAULT = 20, PAGE_MAX = 100, PAGE_BYTES = 64 * 1024, ID_DIGITS = 16 };

/* ---- items ---- */

bool native_read_id(const json_t *text, uint64_t *id)
{
    const char *digits = json_string_value(text);
    *id = 0;
    if (!digits || json_string_length(text) != ID_DIGITS ||
        strspn(digits, "0123456789abcdef") != ID_DIGITS) {
        return false;
    }
    *id = strtoull(digits, NULL, 16);
    return *id != 0;
}

static bool add(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

/* What is no JSON, whatever was said of it, or nests too deep, is shown as bytes. */
static bool add_body(json_t *item, const struct kj_message *message)
{
    json_t *body = message->body_is_json ? native_read_body(message->body, message->body_len)
                                         : NULL;
    return body ? add(item, "body", body)
                : add(item, "bytes", native_make_bytes(message->body, message->body_len));
}

static json_t *make_item(const struct kj_message *message)
{
    char id[NATIVE_ID_SIZE];
    (void)snprintf(id, sizeof id, "%016" PRIx64, message->id);
    json_t *item = json_pack("{s:s, s:I}", "id", id, "ts", (json_int_t)message->time_ms);
    bool is_whole = item && add_body(item, message);
    if (is_whole && *message->from) {
        is_whole = add(item, "from", json_string(message->from));
    }
    if (is_whole && message->user) {
        is_whole = add(item, "to", json_string(message->user));
    }
    if (is_whole && message->op != 0) {
        is_whole = add(item, "op", json_integer(message->op));
    }
    if (!is_whole) {
        json_decref(item);
        return NULL;
    }
    return item;
}

json_t *native_make_items(const struct kj_messages_page *page)
{
    json_t *items = json_array();
    for (size_t i = 0; items && i < page->count; i++) {
        if (json_array_append_new(items, make_item(&page->items[i])) != 0) {
            json_decref(items);
            return NULL;
        }
    }
    return items;
}

/* ---- QUERY history ---- */

struct looking {
    struct native_work work;
    char name[KJ_NAME_MAX + 1];
    bool is_room;
    uint64_t before, after;
    size_t max;
    struct kj_messages_page *page;
};

static void run(struct native_work *work)
{
    struct looking *looking = (struct looking *)work;
    const struct kj_history_query query = {
        .conversation = {.room = looking->is_room ? looking->name : NULL,
                         .users = {work->user, looking->name}},
        .before = looking->before,
        .after = looking->after,
        .max = looking->max,
        .max_bytes = PAGE_BYTES,
    };
    work->status = kj_messages_history(work->native->options.messages, &query, &looking->page);
}

static const struct native_fault *finish(struct kj_client *client, struct native_work *work)
{
    struct looking *looking = (struct looking *)work;
    if (!work->status) {
        json_t *items = native_make_items(looking->page);
        const struct native_request request = {.client = client, .id = work->id};
        native_answer_take(&request, json_pack("{s:s, s:o, s:b}",
                                               looking->is_room ? "room" : "user", looking->name,
                                               "items", items, "more", looking->page->has_more));
    }
    return native_fault_of(work->status);
}

static void fini(struct native_work *work)
{
    kj_messages_page_free(((struct looking *)work)->page);
}

/* Whose history it is, and whether it may be read. */
static const struct native_fault *check(const struct native_request *request, const char *room,
                                        const char *user)
{
    static const struct native_fault nowhere = {"bad_request", "history is of a room or a user"};
    static const struct native_fault off = {"off", "no such history is kept"};
    static const struct native_fault nobody = {"forbidden", "only users have conversations"};
    const struct kj_native_options *options = &request->native->options;
    if ((room && user) || !kj_name_is_valid(room ? room : user)) {
        return &nowhere;
    }
    if (!options->messages || !(room ? options->keeps_rooms : options->keeps_conversations)) {
        return &off;
    }
    if (user) {
        return kj_client_user(request->client) ? NULL : &nobody;
    }
    return options->may_send_from_away || kj_client_is_in(request->client, room)
               ? NULL
               : &native_no_member;
}

static const struct native_fault *read_page(const struct native_request *request,
                                            struct looking *looking)
{
    static const struct native_fault bad = {
        "bad_request", "before or after is the id of a message, max is 1 to 100"};
    const json_t *before = json_object_get(request->data, "before");
    const json_t *after = json_object_get(request->data, "after");
    if ((before && after) || (before && !native_read_id(before, &looking->before)) ||
        (after && !native_read_id(after, &looking->after)) ||
        !native_number_of(request, "max", PAGE_DEFAULT, PAGE_MAX, &looking->max) ||
        looking->max == 0) {
        return &bad;
    }
    return NULL;
}

const struct native_fault *native_query_history(const struct native_request *request)
{
    const char *room = native_text_of(request, "room");
    const char *user = native_text_of(request, "user");
    const struct native_fault *fault = check(request, room, user);
    if (fault) {
        return fault;
    }
    struct looking *looking = calloc(1, sizeof *looking);
    if (!looking) {
        return &native_busy;
    }
    looking->work = (struct native_work){.run = run, .finish = finish, .fini = fini};
    looking->is_room = room != NULL;
    const char *name = room ? room : user;
    memcpy(looking->name, name, strlen(name) + 1); /* valid: not longer */
    fault = read_page(request, looking);
    if (fault) {
        free(looking);
        return fault;
    }
    return native_work_take(request, &looking->work);
}
