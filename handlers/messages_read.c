/* messages_read.c - pages of the message store. */
#include "handlers/messages.h"

#include <stdlib.h>
#include <string.h>

enum { MS_PER_S = 1000 };

/* ---- pages ---- */

struct page {
    struct kj_messages_page page;
    size_t capacity;
};

struct kj_messages_page *kj__messages_page_new(void)
{
    struct page *page = calloc(1, sizeof *page);
    return page ? &page->page : NULL;
}

void kj_messages_page_free(struct kj_messages_page *page)
{
    if (page) {
        for (size_t i = 0; i < page->count; i++) {
            free((char *)page->items[i].from);
        }
        free(page->items);
        free(page);
    }
}

/* Puts a text behind the others, and returns where. */
static const char *put_text(char **at, const char *text)
{
    const char *start = *at;
    if (!text) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    memcpy(*at, text, size);
    *at += size;
    return start;
}

static bool make_room(struct page *page)
{
    enum { FIRST_CAPACITY = 16 };
    if (page->page.count < page->capacity) {
        return true;
    }
    size_t capacity = page->capacity ? 2 * page->capacity : FIRST_CAPACITY;
    void *grown = realloc(page->page.items, capacity * sizeof *page->page.items);
    if (grown) {
        page->page.items = grown;
        page->capacity = capacity;
    }
    return grown != NULL;
}

bool kj__messages_page_add(struct kj_messages_page *page, const struct kj_message *message)
{
    size_t size = strlen(message->from) + 1 + (message->user ? strlen(message->user) + 1 : 0) +
                  (message->room ? strlen(message->room) + 1 : 0) + message->body_len;
    if (!make_room((struct page *)page)) {
        return false;
    }
    char *at = malloc(size);
    if (!at) {
        return false;
    }
    struct kj_message *copy = &page->items[page->count++];
    *copy = *message;
    copy->from = put_text(&at, message->from);
    copy->user = put_text(&at, message->user);
    copy->room = put_text(&at, message->room);
    copy->body = (const uint8_t *)at;
    if (message->body_len > 0) {
        memcpy(at, message->body, message->body_len);
    }
    return true;
}

static void reverse(struct kj_messages_page *page)
{
    for (size_t i = 0; 2 * i + 1 < page->count; i++) {
        struct kj_message item = page->items[i];
        page->items[i] = page->items[page->count - 1 - i];
        page->items[page->count - 1 - i] = item;
    }
}

/* ---- rows ---- */

/* A question whose rows are number, id, time, sender, op, isJson, body and, but in mailboxes,
 * receiver. */
struct reading {
    const char *sql;
    struct kj__sqlite_values values;
    const char *user; /* NULL: the row says */
    const char *room;
    size_t max, max_bytes;
    struct kj_messages_page *page;
};

static struct kj_message message_of(const struct reading *reading, sqlite3_stmt *statement)
{
    struct kj_message message = {
        .number = sqlite3_column_int64(statement, 0),
        .id = kj__messages_id(sqlite3_column_int64(statement, 1)),
        .time_ms = sqlite3_column_int64(statement, 2),
        .from = (const char *)sqlite3_column_text(statement, 3),
        .op = sqlite3_column_int64(statement, 4),
        .body_is_json = sqlite3_column_int(statement, 5),
        .body = sqlite3_column_blob(statement, 6),
        .body_len = (size_t)sqlite3_column_bytes(statement, 6),
        .user = reading->user,
        .room = reading->room,
    };
    if (!reading->user && !reading->room) {
        message.user = (const char *)sqlite3_column_text(statement, 7);
    }
    return message;
}

/* Rows until the page is full. One message passes whatever its size. */
static enum kj_status fill(struct kj__sqlite_connection *connection, struct reading *reading,
                           sqlite3_stmt *statement)
{
    struct kj_messages_page *page = reading->page;
    size_t bytes = 0;
    bool has_row = true;
    enum kj_status status = KJ_OK;
    while (!status && has_row && !page->has_more) {
        status = kj__sqlite_step(connection, statement, &has_row);
        if (!has_row) {
            continue;
        }
        struct kj_message message = message_of(reading, statement);
        if (page->count == reading->max ||
            (page->count > 0 && message.body_len > reading->max_bytes - bytes)) {
            page->has_more = true;
        } else if (!message.from || (message.body_len > 0 && !message.body) ||
                   !kj__messages_page_add(page, &message)) {
            status = KJ_ENOMEM;
        } else {
            bytes += message.body_len < reading->max_bytes - bytes ? message.body_len
                                                                   : reading->max_bytes - bytes;
        }
    }
    return status;
}

static enum kj_status run_reading(struct kj__sqlite_connection *connection, int64_t revision,
                                  void *ctx)
{
    (void)revision;
    struct reading *reading = ctx;
    sqlite3_stmt *statement = NULL;
    kj_messages_page_free(reading->page);
    reading->page = kj__messages_page_new();
    enum kj_status status = reading->page ? kj__sqlite_start(connection, reading->sql,
                                                             &reading->values, &statement)
                                          : KJ_ENOMEM;
    if (!status) {
        status = fill(connection, reading, statement);
    }
    kj__sqlite_release(connection, statement);
    return status;
}

static enum kj_status read_page(struct kj_messages *messages, struct reading *reading,
                                struct kj_messages_page **page)
{
    enum kj_status status = kj__messages_read(messages, run_reading, reading);
    kj__sqlite_values_fini(&reading->values);
    if (status) {
        kj_messages_page_free(reading->page);
    } else {
        *page = reading->page;
    }
    return status;
}

static bool is_page(size_t max, size_t max_bytes)
{
    return max > 0 && max <= KJ_MESSAGES_PAGE_MAX && max_bytes > 0 &&
           max_bytes <= KJ_MESSAGES_PAGE_BYTES_MAX;
}

/* ---- mailboxes ---- */

enum kj_status kj_messages_mailbox(struct kj_messages *messages, const char *user, int64_t after,
                                   size_t max, size_t max_bytes, struct kj_messages_page **page)
{
    struct reading reading = {
        .sql = "SELECT number, id, time, sender, op, isJson, body FROM mail"
               " WHERE user = ?1 AND number > ?2 AND expires >= ?3 ORDER BY number LIMIT ?4",
        .user = user,
        .max = max,
        .max_bytes = max_bytes};
    *page = NULL;
    if (!kj__messages_name_is_valid(user) || !is_page(max, max_bytes)) {
        return KJ_EINVAL;
    }
    kj__sqlite_add_text(&reading.values, user, strlen(user));
    kj__sqlite_add_integer(&reading.values, after);
    kj__sqlite_add_integer(&reading.values, kj__messages_now_ms(messages));
    kj__sqlite_add_integer(&reading.values, (int64_t)max + 1);
    return read_page(messages, &reading, page);
}

struct counting {
    struct kj__sqlite_values values;
    int64_t count;
};

static enum kj_status run_counting(struct kj__sqlite_connection *connection, int64_t revision,
                                   void *ctx)
{
    (void)revision;
    struct counting *counting = ctx;
    return kj__sqlite_ask(
        connection, "SELECT count(*) FROM mail WHERE user = ?1 AND number <= ?2 AND expires >= ?3",
        &counting->values, &counting->count, NULL);
}

enum kj_status kj_messages_unread(struct kj_messages *messages, const char *user, int64_t until,
                                  size_t *count)
{
    struct counting counting = {.count = 0};
    *count = 0;
    if (!kj__messages_name_is_valid(user)) {
        return KJ_EINVAL;
    }
    kj__sqlite_add_text(&counting.values, user, strlen(user));
    kj__sqlite_add_integer(&counting.values, until ? until : INT64_MAX);
    kj__sqlite_add_integer(&counting.values, kj__messages_now_ms(messages));
    enum kj_status status = kj__messages_read(messages, run_counting, &counting);
    kj__sqlite_values_fini(&counting.values);
    *count = status ? 0 : (size_t)counting.count;
    return status;
}

/* ---- histories ---- */

enum kj_status kj_messages_history(struct kj_messages *messages,
                                   const struct kj_history_query *query,
                                   struct kj_messages_page **page)
{
    struct kj__conversation_key key;
    struct reading reading = {
        .sql = query->after
                   ? "SELECT number, id, time, sender, op, isJson, body, receiver FROM history"
                     " WHERE conversation = ?1 AND id > ?2 AND time >= ?3 ORDER BY id LIMIT ?4"
                   : "SELECT number, id, time, sender, op, isJson, body, receiver FROM history"
                     " WHERE conversation = ?1 AND id <= ?2 AND time >= ?3"
                     " ORDER BY id DESC LIMIT ?4",
        .room = query->conversation.room,
        .max = query->max,
        .max_bytes = query->max_bytes};
    *page = NULL;
    enum kj_status status = kj__conversation_key(&query->conversation, &key);
    if (status || !is_page(query->max, query->max_bytes) || (query->before && query->after)) {
        return KJ_EINVAL;
    }
    /* Without `before`, what wraps around is the greatest ID. */
    uint64_t bound = query->after ? query->after : query->before - 1;
    kj__sqlite_add_bytes(&reading.values, key.bytes, key.len);
    kj__sqlite_add_integer(&reading.values, kj__messages_row_id(bound));
    kj__sqlite_add_integer(&reading.values,
                           kj__messages_now_ms(messages) -
                               (int64_t)messages->options.history_age_s * MS_PER_S);
    kj__sqlite_add_integer(&reading.values, (int64_t)query->max + 1);
    status = read_page(messages, &reading, page);
    if (!status && !query->after) {
        reverse(*page);
    }
    return status;
}
