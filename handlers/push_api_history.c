/* push_api_history.c - what was said, looked up by an application's own servers. */
#include "handlers/native.h"
#include "handlers/push_api.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_DEFAULT = 20, PAGE_MAX = 1000, PAGE_BYTES = 1 << 20 };

/* The ID of a message; what it was where it is not given. False for something else. */
static bool read_id(const struct kj_exchange *exchange, const char *name, uint64_t *id)
{
    const char *text = kj_exchange_parameter(exchange, name);
    json_t *value = text ? json_string(text) : NULL;
    bool is_good = !text || native_read_id(value, id);
    json_decref(value);
    return is_good;
}

static bool read_max(const struct kj_exchange *exchange, size_t *max)
{
    const char *text = kj_exchange_parameter(exchange, "max");
    size_t len = text ? strspn(text, "0123456789") : 0;
    *max = text ? strtoul(text, NULL, 10) : PAGE_DEFAULT;
    return !text || (len > 0 && len < 10 && !text[len] && *max > 0 && *max <= PAGE_MAX);
}

static bool read_query(const struct kj_exchange *exchange, struct kj_history_query *query,
                       struct push_fault *fault)
{
    const char *room = kj_exchange_parameter(exchange, "room");
    const char *user = kj_exchange_parameter(exchange, "user");
    const char *with = kj_exchange_parameter(exchange, "with");
    *query = (struct kj_history_query){
        .conversation = {.room = room, .users = {user, with ? with : ""}}, .max_bytes = PAGE_BYTES};
    if (!room == !user || (room && with) || !kj_name_is_valid(room ? room : user) ||
        (with && *with && !kj_name_is_valid(with))) {
        return push_fail(fault, 400, "either a room, or a user and whom it is with");
    }
    if (!read_id(exchange, "before", &query->before) ||
        !read_id(exchange, "after", &query->after) || (query->before && query->after)) {
        return push_fail(fault, 400, "before or after is the id of a message");
    }
    return read_max(exchange, &query->max) ||
           push_fail(fault, 400, "max is a number from 1 to %d", PAGE_MAX);
}

void push_handle_history(struct kj_exchange *exchange, void *ctx)
{
    const struct kj_push_api *api = ctx;
    struct kj_history_query query;
    struct kj_messages_page *page = NULL;
    struct push_fault fault = {.status = 0};
    bool is_good = read_query(exchange, &query, &fault);
    if (is_good) {
        enum kj_status status = kj_messages_history(api->options.messages, &query, &page);
        is_good = !status || push_fail(&fault, 503, "%s", kj_status_text(status));
    }
    if (is_good) {
        push_answer_take(
            exchange, 200,
            json_pack("{s:o, s:b}", "items", native_make_items(page), "more", (int)page->has_more));
    } else {
        push_refuse(exchange, &fault);
    }
    kj_messages_page_free(page);
}
