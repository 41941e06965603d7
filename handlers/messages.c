/* messages.c - opens and closes the message store, for kujata/messages.h. What it does is in
 * messages_append.c and messages_read.c. */
#include "handlers/messages.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    VERSION = 2,
    APPLICATION = 0x4b6a6d73,
    READERS_DEFAULT = 2,
    CACHE_BYTES = 16 << 20,
};

static const uint64_t memory_default = 256 << 20;

/* A step that was released is never changed. */
static const char *const steps[VERSION] = {
    "CREATE TABLE state(revision INTEGER NOT NULL);"
    "INSERT INTO state VALUES(0);"
    "CREATE TABLE mailboxes(user TEXT PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE mail(number INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL,"
    " id INTEGER NOT NULL, time INTEGER NOT NULL, sender TEXT NOT NULL, op INTEGER NOT NULL,"
    " isJson INTEGER NOT NULL, bytes INTEGER NOT NULL, expires INTEGER NOT NULL, body BLOB NOT "
    "NULL,"
    " UNIQUE(user, id));"
    "CREATE INDEX mail_user ON mail(user, number, expires);"
    "CREATE INDEX mail_expires ON mail(expires);"
    "CREATE TRIGGER mail_in AFTER INSERT ON mail BEGIN"
    " INSERT INTO mailboxes VALUES(new.user, 1, new.bytes) ON CONFLICT(user)"
    " DO UPDATE SET count = count + 1, bytes = bytes + new.bytes; END;"
    "CREATE TRIGGER mail_out AFTER DELETE ON mail BEGIN"
    " UPDATE mailboxes SET count = count - 1, bytes = bytes - old.bytes WHERE user = old.user;"
    " DELETE FROM mailboxes WHERE user = old.user AND count = 0; END;"
    "CREATE TABLE histories(conversation BLOB PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE history(number INTEGER PRIMARY KEY AUTOINCREMENT, conversation BLOB NOT NULL,"
    " id INTEGER NOT NULL, time INTEGER NOT NULL, sender TEXT NOT NULL, receiver TEXT NOT NULL,"
    " op INTEGER NOT NULL, isJson INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE(conversation, id));"
    "CREATE TRIGGER history_in AFTER INSERT ON history BEGIN"
    " INSERT INTO histories VALUES(new.conversation, 1) ON CONFLICT(conversation)"
    " DO UPDATE SET count = count + 1; END;"
    "CREATE TRIGGER history_out AFTER DELETE ON history BEGIN"
    " UPDATE histories SET count = count - 1 WHERE conversation = old.conversation;"
    " DELETE FROM histories WHERE conversation = old.conversation AND count = 0; END;"
    "CREATE TABLE keys(number INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT NOT NULL,"
    " key TEXT NOT NULL, id INTEGER NOT NULL, time INTEGER NOT NULL,"
    " isDelivered INTEGER NOT NULL, UNIQUE(sender, key));"
    "CREATE INDEX keys_id ON keys(id);",
    /* Not all come in the order of their times: clocks differ, and are set. */
    "CREATE INDEX history_time ON history(time);"
    "CREATE INDEX keys_time ON keys(time);",
};

static const struct kj__sqlite_versions versions = {
    .application = APPLICATION, .current = VERSION, .steps = steps};

/* ---- what all use ---- */

bool kj__messages_name_is_valid(const char *name)
{
    return name && *name && strnlen(name, KJ_MESSAGE_NAME_MAX + 1) <= KJ_MESSAGE_NAME_MAX;
}

int64_t kj__messages_now_ms(const struct kj_messages *messages)
{
    struct timespec now;
    if (messages->options.now_ms) {
        return messages->options.now_ms(messages->options.ctx);
    }
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t kj__messages_row_id(uint64_t id)
{
    return (int64_t)(id ^ (uint64_t)1 << 63);
}

uint64_t kj__messages_id(int64_t row_id)
{
    return (uint64_t)row_id ^ (uint64_t)1 << 63;
}

/* "r" and the room, or "u" and both users, in the order of their bytes. */
enum kj_status kj__conversation_key(const struct kj_conversation *conversation,
                                    struct kj__conversation_key *key)
{
    const char *first = conversation->users[0];
    const char *second = conversation->users[1];
    if (conversation->room) {
        if (!kj__messages_name_is_valid(conversation->room)) {
            return KJ_EINVAL;
        }
        key->len = (size_t)snprintf(key->bytes, sizeof key->bytes, "r%s", conversation->room);
        return KJ_OK;
    }
    if (!first || !second || !(*first || *second) ||
        (*first && !kj__messages_name_is_valid(first)) ||
        (*second && !kj__messages_name_is_valid(second))) {
        return KJ_EINVAL;
    }
    if (strcmp(first, second) > 0) {
        first = conversation->users[1];
        second = conversation->users[0];
    }
    key->len = (size_t)snprintf(key->bytes, sizeof key->bytes, "u%s", first) + 1;
    key->len += (size_t)snprintf(key->bytes + key->len, sizeof key->bytes - key->len, "%s", second);
    return KJ_OK;
}

enum kj_status kj__messages_read(struct kj_messages *messages, kj__messages_run run, void *ctx)
{
    if (messages->is_in_memory) {
        return kj__sqlite_write(&messages->writer, run, ctx);
    }
    struct kj__sqlite_connection *reader = kj__sqlite_pool_take(&messages->readers);
    enum kj_status status = run(reader, 0, ctx);
    kj__sqlite_pool_give(&messages->readers, reader);
    return status;
}

/* ---- opened and closed ---- */

static void free_parts(struct kj_messages *messages)
{
    kj__sqlite_pool_fini(&messages->readers);
    kj__sqlite_close(messages->write_connection); /* the last one empties the log into the file */
    free(messages->path);
    free(messages);
}

static void use_default(uint32_t *value, uint32_t fallback)
{
    if (*value == 0) {
        *value = fallback;
    }
}

static void use_defaults(struct kj_messages_options *options)
{
    enum { DAY_S = 86400, MONTH_S = 30 * DAY_S };
    use_default(&options->readers, READERS_DEFAULT);
    use_default(&options->mailbox_count, 1000);
    use_default(&options->mailbox_bytes, 4 << 20);
    use_default(&options->mailbox_age_s, MONTH_S);
    use_default(&options->history_count, 1000);
    use_default(&options->history_age_s, MONTH_S);
    use_default(&options->key_count, 100000);
    use_default(&options->key_age_s, DAY_S);
    if (!options->path && options->max_bytes == 0) {
        options->max_bytes = memory_default;
    }
}

static struct kj_store_sqlite_options sqlite_options_of(const struct kj_messages_options *options)
{
    return (struct kj_store_sqlite_options){
        .path = options->path,
        .busy_timeout_ms = options->busy_timeout_ms,
        .readers = options->readers,
        .cache_bytes = CACHE_BYTES,
        .max_bytes = options->max_bytes,
    };
}

static enum kj_status make_tables(struct kj__sqlite_connection *connection, struct kj_error *error)
{
    struct kj_error why = {0};
    enum kj_status status = kj__sqlite_run(connection, "BEGIN IMMEDIATE", NULL);
    if (!status) {
        status = kj__sqlite_migrate(connection, &versions, &why);
    }
    if (!status) {
        status = kj__sqlite_run(connection, "COMMIT", NULL);
    }
    if (status) {
        const char *text = status == KJ_ENOMEM ? kj_status_text(status)
                                               : sqlite3_errmsg(connection->db);
        kj_error_set(error, 0, "%s%s%s", *why.text ? "" : connection->path, *why.text ? "" : ": ",
                     *why.text ? why.text : text);
        (void)sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return status;
}

/* The tables first: readers keep what they know of them. */
static enum kj_status open_connections(struct kj_messages *messages, struct kj_error *error)
{
    struct kj_store_sqlite_options options = sqlite_options_of(&messages->options);
    options.path = messages->path;
    if (!messages->is_in_memory) {
        kj__sqlite_make_file(messages->path);
    }
    enum kj_status status = kj__sqlite_open(&options, &messages->numbers,
                                            &messages->write_connection, error);
    if (!status) {
        status = make_tables(messages->write_connection, error);
    }
    return status || messages->is_in_memory ? status
                                            : kj__sqlite_pool_open(&messages->readers, &options,
                                                                   &messages->numbers, NULL, error);
}

enum kj_status kj_messages_new(const struct kj_messages_options *options,
                               struct kj_messages **messages, struct kj_error *error)
{
    *messages = NULL;
    struct kj_store_sqlite_options file = sqlite_options_of(options);
    enum kj_status status = kj__sqlite_check_options(&file, error);
    if (status) {
        return status;
    }
    struct kj_messages *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    made->options = *options;
    use_defaults(&made->options);
    made->is_in_memory = options->path == NULL;
    made->numbers.flag = "--messages";
    kj__sqlite_pool_init(&made->readers);
    made->path = strdup(options->path ? options->path : ":memory:");
    made->options.path = made->path;
    status = made->path ? open_connections(made, error) : KJ_ENOMEM;
    if (!status) {
        status = kj__sqlite_writer_init(&made->writer, made->write_connection, NULL);
    }
    if (status) {
        free_parts(made);
        return status;
    }
    *messages = made;
    return KJ_OK;
}

void kj_messages_free(struct kj_messages *messages)
{
    if (messages) {
        kj__sqlite_writer_fini(&messages->writer);
        free_parts(messages);
    }
}

void kj_messages_counters(void *ctx, kj_counter_visit visit, void *visit_ctx)
{
    struct kj_messages *messages = ctx;
    const struct {
        const char *name, *help;
        const _Atomic uint64_t *value;
    } all[] = {
        {"messages_appended_total", "Messages that were kept.", &messages->appended},
        {"messages_repeated_total", "Messages that were kept already.", &messages->repeated},
        {"messages_acknowledged_total", "Messages acknowledged, out of mailboxes.",
         &messages->acknowledged},
        {"messages_dropped_total", "Messages dropped from mailboxes that were full.",
         &messages->dropped},
        {"messages_expired_total", "Messages dropped from mailboxes for their age.",
         &messages->expired},
        {"messages_history_removed_total", "Messages dropped from histories.", &messages->removed},
        {"messages_commits_total", "Commits, each of one change or more.",
         &messages->numbers.commits},
        {"messages_busy_total", "Times another process held the file for too long.",
         &messages->numbers.busy},
        {"messages_full_total", "Times the file had no room.", &messages->numbers.full},
        {"messages_failed_total", "Times the file could not be read or written, or is damaged.",
         &messages->numbers.failed},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        visit(all[i].name, all[i].help, atomic_load(all[i].value), visit_ctx);
    }
}
