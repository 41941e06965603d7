/* messages_append.c - what changes the message store: messages come, and are acknowledged.
 *
 * The runs here are on the writer's thread, perhaps twice: they begin with their results empty.
 */
#include "handlers/messages.h"

#include <string.h>

enum {
    SWEEP_MAX = 8,   /* old rows looked at with each message that comes */
    SWEEPS_MAX = 64, /* for one that finds no room */
    MS_PER_S = 1000
};

/* ---- messages that come ---- */

struct appending {
    const struct kj_messages *messages;
    const struct kj_message *message;
    const struct kj_messages_append *append;
    struct kj__conversation_key conversation;
    const char *from; /* never NULL */
    int64_t now_ms;
    struct kj_messages_receipt receipt;
    uint64_t dropped, expired, removed;
};

/* Runs a statement that says what it did by a row. */
static enum kj_status did(struct kj__sqlite_connection *connection, const char *sql,
                          struct kj__sqlite_values *values, bool *done)
{
    int64_t ignored;
    enum kj_status status = kj__sqlite_ask(connection, sql, values, &ignored, done);
    kj__sqlite_values_fini(values);
    return status;
}

static int add_name(struct kj__sqlite_values *values, const char *name)
{
    return kj__sqlite_add_text(values, name, strlen(name));
}

/* Whether the message of an ID is where this one would be, or what became of it. */
static enum kj_status find_state(struct kj__sqlite_connection *connection,
                                 struct appending *appending, bool is_delivered)
{
    struct kj__sqlite_values values = {0};
    bool is_there = false;
    bool is_mail = appending->append->to_mailbox;
    if (is_delivered || !(is_mail || appending->append->to_history)) {
        appending->receipt.state = is_delivered ? KJ_MESSAGE_DELIVERED : KJ_MESSAGE_WAITING;
        return KJ_OK;
    }
    if (is_mail) {
        add_name(&values, appending->message->user);
    } else {
        kj__sqlite_add_bytes(&values, appending->conversation.bytes, appending->conversation.len);
    }
    kj__sqlite_add_integer(&values, kj__messages_row_id(appending->receipt.id));
    enum kj_status status = did(connection,
                                is_mail ? "SELECT 1 FROM mail WHERE user = ?1 AND id = ?2"
                                        : "SELECT 1 FROM history WHERE conversation = ?1"
                                          " AND id = ?2",
                                &values, &is_there);
    appending->receipt.state = is_there ? KJ_MESSAGE_WAITING : KJ_MESSAGE_DROPPED;
    return status;
}

static bool has_key(const struct appending *appending)
{
    return appending->append->key && *appending->from;
}

/* *found when the sender has used the key; then the receipt has its state. */
static enum kj_status find_key(struct kj__sqlite_connection *connection,
                               struct appending *appending, bool *found)
{
    struct kj__sqlite_values values = {0};
    sqlite3_stmt *statement;
    const struct kj_messages_options *options = &appending->messages->options;
    add_name(&values, appending->from);
    add_name(&values, appending->append->key);
    kj__sqlite_add_integer(&values, appending->now_ms - (int64_t)options->key_age_s * MS_PER_S);
    enum kj_status status = kj__sqlite_start(
        connection,
        "SELECT id, isDelivered FROM keys WHERE sender = ?1 AND key = ?2 AND time >= ?3", &values,
        &statement);
    bool is_delivered = false;
    if (!status) {
        status = kj__sqlite_step(connection, statement, found);
    }
    if (*found) {
        appending->receipt.id = kj__messages_id(sqlite3_column_int64(statement, 0));
        is_delivered = sqlite3_column_int(statement, 1);
    }
    kj__sqlite_release(connection, statement);
    kj__sqlite_values_fini(&values);
    return !status && *found ? find_state(connection, appending, is_delivered) : status;
}

static enum kj_status put_key(struct kj__sqlite_connection *connection,
                              const struct appending *appending)
{
    struct kj__sqlite_values values = {0};
    add_name(&values, appending->from);
    add_name(&values, appending->append->key);
    kj__sqlite_add_integer(&values, kj__messages_row_id(appending->message->id));
    kj__sqlite_add_integer(&values, appending->now_ms);
    enum kj_status status = kj__sqlite_run(
        connection,
        "INSERT OR REPLACE INTO keys(sender, key, id, time, isDelivered) VALUES(?1, ?2, ?3, ?4, 0)",
        &values);
    kj__sqlite_values_fini(&values);
    return status;
}

static void add_content(struct kj__sqlite_values *values, const struct appending *appending)
{
    const struct kj_message *message = appending->message;
    kj__sqlite_add_integer(values, kj__messages_row_id(message->id));
    kj__sqlite_add_integer(values, message->time_ms);
    add_name(values, appending->from);
    kj__sqlite_add_integer(values, message->op);
    kj__sqlite_add_integer(values, message->body_is_json);
    kj__sqlite_add_bytes(values, message->body, message->body_len);
}

static enum kj_status put_into_mailbox(struct kj__sqlite_connection *connection,
                                       const struct appending *appending, bool *is_new)
{
    struct kj__sqlite_values values = {0};
    uint32_t age_s = appending->messages->options.mailbox_age_s;
    uint32_t ttl_s = appending->append->ttl_s;
    add_name(&values, appending->message->user);
    add_content(&values, appending);
    kj__sqlite_add_integer(
        &values, appending->now_ms + (int64_t)(ttl_s && ttl_s < age_s ? ttl_s : age_s) * MS_PER_S);
    return did(connection,
               "INSERT INTO mail(user, id, time, sender, op, isJson, body, bytes, expires)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, length(?7), ?8)"
               " ON CONFLICT DO NOTHING RETURNING 1",
               &values, is_new);
}

static enum kj_status put_into_history(struct kj__sqlite_connection *connection,
                                       const struct appending *appending, bool *is_new)
{
    struct kj__sqlite_values values = {0};
    const struct kj__conversation_key *key = &appending->conversation;
    kj__sqlite_add_bytes(&values, key->bytes, key->len);
    add_content(&values, appending);
    add_name(&values, appending->message->user ? appending->message->user : "");
    return did(connection,
               "INSERT INTO history(conversation, id, time, sender, op, isJson, body, receiver)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING RETURNING 1",
               &values, is_new);
}

/* Runs a statement that drops one row until it finds none; counts. */
static enum kj_status drop_all(struct kj__sqlite_connection *connection, const char *sql,
                               const struct kj__sqlite_values *values, uint64_t *count)
{
    bool found = true;
    enum kj_status status = KJ_OK;
    while (!status && found) {
        int64_t ignored;
        status = kj__sqlite_ask(connection, sql, values, &ignored, &found);
        *count += !status && found;
    }
    return status;
}

static enum kj_status trim_mailbox(struct kj__sqlite_connection *connection,
                                   struct appending *appending)
{
    struct kj__sqlite_values values = {0};
    add_name(&values, appending->message->user);
    kj__sqlite_add_integer(&values, appending->messages->options.mailbox_count);
    kj__sqlite_add_integer(&values, appending->messages->options.mailbox_bytes);
    enum kj_status status = drop_all(
        connection,
        "DELETE FROM mail WHERE number ="
        " (SELECT number FROM mail WHERE user = ?1 ORDER BY number LIMIT 1) AND EXISTS"
        " (SELECT 1 FROM mailboxes WHERE user = ?1 AND (count > ?2 OR bytes > ?3)) RETURNING 1",
        &values, &appending->dropped);
    kj__sqlite_values_fini(&values);
    return status;
}

static enum kj_status trim_history(struct kj__sqlite_connection *connection,
                                   struct appending *appending)
{
    struct kj__sqlite_values values = {0};
    const struct kj__conversation_key *key = &appending->conversation;
    kj__sqlite_add_bytes(&values, key->bytes, key->len);
    kj__sqlite_add_integer(&values, appending->messages->options.history_count);
    enum kj_status status = drop_all(
        connection,
        "DELETE FROM history WHERE number ="
        " (SELECT number FROM history WHERE conversation = ?1 ORDER BY id LIMIT 1) AND EXISTS"
        " (SELECT 1 FROM histories WHERE conversation = ?1 AND count > ?2) RETURNING 1",
        &values, &appending->removed);
    kj__sqlite_values_fini(&values);
    return status;
}

/* Looks at the oldest rows of all, so that a file does not grow by what nobody asks for. */
static enum kj_status sweep(struct kj__sqlite_connection *connection, struct appending *appending)
{
    const struct kj_messages_options *options = &appending->messages->options;
    const struct {
        const char *sql;
        uint32_t age_s;
        uint64_t *count;
    } tables[] = {
        {"DELETE FROM mail WHERE number IN (SELECT number FROM mail WHERE expires < ?1"
         " ORDER BY expires LIMIT ?2) RETURNING 1",
         0, &appending->expired},
        {"DELETE FROM history WHERE number IN (SELECT number FROM history WHERE time < ?1"
         " ORDER BY time LIMIT ?2) RETURNING 1",
         options->history_age_s, &appending->removed},
        {"DELETE FROM keys WHERE number IN (SELECT number FROM keys WHERE time < ?1"
         " ORDER BY time LIMIT ?2) RETURNING 1",
         options->key_age_s, NULL},
        {"DELETE FROM keys WHERE number IN (SELECT number FROM keys"
         " WHERE number <= (SELECT max(number) FROM keys) - ?3 ORDER BY number LIMIT ?2)"
         " RETURNING 1",
         0, NULL},
    };
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && !status; i++) {
        struct kj__sqlite_values values = {0};
        sqlite3_stmt *statement;
        bool has_row = true;
        kj__sqlite_add_integer(&values, appending->now_ms - (int64_t)tables[i].age_s * MS_PER_S);
        kj__sqlite_add_integer(&values, SWEEP_MAX);
        kj__sqlite_add_integer(&values, options->key_count);
        status = kj__sqlite_start(connection, tables[i].sql, &values, &statement);
        while (!status && has_row) {
            status = kj__sqlite_step(connection, statement, &has_row);
            if (tables[i].count) {
                *tables[i].count += has_row;
            }
        }
        kj__sqlite_release(connection, statement);
        kj__sqlite_values_fini(&values);
    }
    return status;
}

static enum kj_status put(struct kj__sqlite_connection *connection, struct appending *appending)
{
    bool is_in_mailbox = false;
    bool is_in_history = false;
    const struct kj_messages_append *append = appending->append;
    enum kj_status status = KJ_OK;
    if (append->to_mailbox) {
        status = put_into_mailbox(connection, appending, &is_in_mailbox);
    }
    if (!status && append->to_history) {
        status = put_into_history(connection, appending, &is_in_history);
    }
    if (!status && !is_in_mailbox && !is_in_history && (append->to_mailbox || append->to_history)) {
        appending->receipt.state = KJ_MESSAGE_WAITING;
        return KJ_OK;
    }
    if (!status && has_key(appending)) {
        status = put_key(connection, appending);
    }
    if (!status && is_in_mailbox) {
        status = trim_mailbox(connection, appending);
    }
    if (!status && is_in_history) {
        status = trim_history(connection, appending);
    }
    return status ? status : sweep(connection, appending);
}

static enum kj_status run_append(struct kj__sqlite_connection *connection, int64_t revision,
                                 void *ctx)
{
    (void)revision;
    struct appending *appending = ctx;
    bool is_used = false;
    appending->receipt = (struct kj_messages_receipt){.id = appending->message->id};
    appending->dropped = appending->expired = appending->removed = 0;
    enum kj_status status = has_key(appending) ? find_key(connection, appending, &is_used) : KJ_OK;
    return status || is_used ? status : put(connection, appending);
}

static enum kj_status run_sweep(struct kj__sqlite_connection *connection, int64_t revision,
                                void *ctx)
{
    (void)revision;
    struct appending *appending = ctx;
    appending->expired = appending->removed = 0;
    return sweep(connection, appending);
}

/* Old rows go with those that come, so where these find no room the old ones go first. */
static enum kj_status run_with_room(struct kj_messages *messages, struct appending *appending)
{
    enum kj_status status = kj__sqlite_write(&messages->writer, run_append, appending);
    for (int i = 0; i < SWEEPS_MAX && status == KJ_EFULL; i++) {
        struct appending old = *appending;
        if (kj__sqlite_write(&messages->writer, run_sweep, &old) ||
            old.expired + old.removed == 0) {
            break;
        }
        atomic_fetch_add(&messages->expired, old.expired);
        atomic_fetch_add(&messages->removed, old.removed);
        status = kj__sqlite_write(&messages->writer, run_append, appending);
    }
    return status;
}

static bool is_sound(const struct kj_message *message, const struct kj_messages_append *append)
{
    bool has_from = message->from && *message->from;
    return message->id != 0 && (message->body || message->body_len == 0) &&
           (!has_from || kj__messages_name_is_valid(message->from)) &&
           (!message->user || kj__messages_name_is_valid(message->user)) &&
           (!append->to_mailbox || message->user) &&
           (!append->key || kj__messages_name_is_valid(append->key));
}

enum kj_status kj_messages_append(struct kj_messages *messages, const struct kj_message *message,
                                  const struct kj_messages_append *append,
                                  struct kj_messages_receipt *receipt)
{
    struct appending appending = {.messages = messages,
                                  .message = message,
                                  .append = append,
                                  .from = message->from ? message->from : "",
                                  .now_ms = kj__messages_now_ms(messages)};
    *receipt = (struct kj_messages_receipt){0};
    if (!is_sound(message, append)) {
        return KJ_EINVAL;
    }
    if (message->body_len > KJ_MESSAGE_BODY_MAX ||
        (append->to_mailbox && message->body_len > messages->options.mailbox_bytes)) {
        return KJ_ELIMIT;
    }
    const struct kj_conversation conversation = {
        .room = message->room, .users = {appending.from, message->user ? message->user : ""}};
    enum kj_status status = append->to_history
                                ? kj__conversation_key(&conversation, &appending.conversation)
                                : KJ_OK;
    if (!status) {
        status = run_with_room(messages, &appending);
    }
    if (!status) {
        bool is_new = appending.receipt.state == KJ_MESSAGE_NEW;
        *receipt = appending.receipt;
        atomic_fetch_add(is_new ? &messages->appended : &messages->repeated, 1);
        atomic_fetch_add(&messages->dropped, appending.dropped);
        atomic_fetch_add(&messages->expired, appending.expired);
        atomic_fetch_add(&messages->removed, appending.removed);
    }
    return status;
}

/* ---- messages that are acknowledged ---- */

struct acknowledging {
    const char *user;
    const uint64_t *ids;
    size_t count;
    struct kj_messages_page *removed;
};

static enum kj_status set_delivered(struct kj__sqlite_connection *connection, uint64_t id)
{
    struct kj__sqlite_values values = {0};
    kj__sqlite_add_integer(&values, kj__messages_row_id(id));
    enum kj_status status = kj__sqlite_run(
        connection, "UPDATE keys SET isDelivered = 1 WHERE id = ?1", &values);
    kj__sqlite_values_fini(&values);
    return status;
}

static enum kj_status take_out(struct kj__sqlite_connection *connection,
                               struct acknowledging *acknowledging, uint64_t id)
{
    struct kj__sqlite_values values = {0};
    sqlite3_stmt *statement;
    bool has_row = true;
    bool found = false;
    add_name(&values, acknowledging->user);
    kj__sqlite_add_integer(&values, kj__messages_row_id(id));
    enum kj_status status = kj__sqlite_start(
        connection, "DELETE FROM mail WHERE user = ?1 AND id = ?2 RETURNING time, sender, op",
        &values, &statement);
    while (!status && has_row) {
        status = kj__sqlite_step(connection, statement, &has_row);
        if (has_row) {
            const struct kj_message message = {
                .id = id,
                .user = acknowledging->user,
                .time_ms = sqlite3_column_int64(statement, 0),
                .from = (const char *)sqlite3_column_text(statement, 1),
                .op = sqlite3_column_int64(statement, 2),
            };
            found = true;
            if (!message.from || !kj__messages_page_add(acknowledging->removed, &message)) {
                status = KJ_ENOMEM;
            }
        }
    }
    kj__sqlite_release(connection, statement);
    kj__sqlite_values_fini(&values);
    return !status && found ? set_delivered(connection, id) : status;
}

static enum kj_status run_acknowledge(struct kj__sqlite_connection *connection, int64_t revision,
                                      void *ctx)
{
    (void)revision;
    struct acknowledging *acknowledging = ctx;
    kj_messages_page_free(acknowledging->removed);
    acknowledging->removed = kj__messages_page_new();
    enum kj_status status = acknowledging->removed ? KJ_OK : KJ_ENOMEM;
    for (size_t i = 0; i < acknowledging->count && !status; i++) {
        status = take_out(connection, acknowledging, acknowledging->ids[i]);
    }
    return status;
}

enum kj_status kj_messages_acknowledge(struct kj_messages *messages, const char *user,
                                       const uint64_t *ids, size_t count,
                                       struct kj_messages_page **removed)
{
    struct acknowledging acknowledging = {.user = user, .ids = ids, .count = count};
    if (removed) {
        *removed = NULL;
    }
    if (!kj__messages_name_is_valid(user)) {
        return KJ_EINVAL;
    }
    if (count > KJ_MESSAGES_PAGE_MAX) {
        return KJ_ELIMIT;
    }
    enum kj_status status = kj__sqlite_write(&messages->writer, run_acknowledge, &acknowledging);
    if (!status) {
        atomic_fetch_add(&messages->acknowledged, acknowledging.removed->count);
    }
    if (!status && removed) {
        *removed = acknowledging.removed;
    } else {
        kj_messages_page_free(acknowledging.removed);
    }
    return status;
}

struct acknowledging_until {
    const char *user;
    uint64_t id;
    uint64_t count;
};

static enum kj_status run_acknowledge_until(struct kj__sqlite_connection *connection,
                                            int64_t revision, void *ctx)
{
    (void)revision;
    struct acknowledging_until *until = ctx;
    struct kj__sqlite_values values = {0};
    until->count = 0;
    add_name(&values, until->user);
    kj__sqlite_add_integer(&values, kj__messages_row_id(until->id));
    enum kj_status status = kj__sqlite_run(connection,
                                           "UPDATE keys SET isDelivered = 1 WHERE id IN"
                                           " (SELECT id FROM mail WHERE user = ?1 AND id <= ?2)",
                                           &values);
    if (!status) {
        status = kj__sqlite_run(connection, "DELETE FROM mail WHERE user = ?1 AND id <= ?2",
                                &values);
        until->count = (uint64_t)sqlite3_changes(connection->db);
    }
    kj__sqlite_values_fini(&values);
    return status;
}

enum kj_status kj_messages_acknowledge_until(struct kj_messages *messages, const char *user,
                                             uint64_t id, size_t *count)
{
    struct acknowledging_until until = {.user = user, .id = id};
    if (count) {
        *count = 0;
    }
    if (!kj__messages_name_is_valid(user) || id == 0) {
        return KJ_EINVAL;
    }
    enum kj_status status = kj__sqlite_write(&messages->writer, run_acknowledge_until, &until);
    if (!status) {
        atomic_fetch_add(&messages->acknowledged, until.count);
        if (count) {
            *count = (size_t)until.count;
        }
    }
    return status;
}
