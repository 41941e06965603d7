/* messages.h - what the files of the message store share; see kujata/messages.h.
 *
 * Writes go to one thread (store_sqlite_writer.h). Reads of a file take a connection from a pool;
 * what is in memory has one connection, so there they go to that thread, too.
 */
#ifndef KJ_HANDLERS_MESSAGES_H
#define KJ_HANDLERS_MESSAGES_H

#include "handlers/store_sqlite_pool.h"
#include "handlers/store_sqlite_version.h"
#include "handlers/store_sqlite_writer.h"

#include <kujata/messages.h>

struct kj_messages {
    struct kj_messages_options options; /* with its defaults */
    char *path;
    struct kj__sqlite_numbers numbers;
    _Atomic uint64_t appended, repeated, acknowledged, dropped, expired, removed;
    struct kj__sqlite_connection *write_connection;
    struct kj__sqlite_writer writer;
    bool is_in_memory;
    struct kj__sqlite_pool readers; /* of a file */
};

/* 1 to KJ_MESSAGE_NAME_MAX bytes. */
bool kj__messages_name_is_valid(const char *name);

int64_t kj__messages_now_ms(const struct kj_messages *messages);

/* Runs on a connection that nobody else uses, perhaps again after what it did was undone. */
typedef enum kj_status (*kj__messages_run)(struct kj__sqlite_connection *connection,
                                           int64_t revision, void *ctx);

/* Runs what only reads. */
enum kj_status kj__messages_read(struct kj_messages *messages, kj__messages_run run, void *ctx);

/* IDs are kept so that SQLite's signed integers compare as they do. */
int64_t kj__messages_row_id(uint64_t id);
uint64_t kj__messages_id(int64_t row_id);

/* The text that a room, or two users, are found by in the file. */
struct kj__conversation_key {
    char bytes[2 * KJ_MESSAGE_NAME_MAX + 3];
    size_t len;
};

/* KJ_EINVAL for a bad name. */
enum kj_status kj__conversation_key(const struct kj_conversation *conversation,
                                    struct kj__conversation_key *key);

/* ---- pages ---- */

struct kj_messages_page *kj__messages_page_new(void);

/* Copies a message to its end, as one block that begins with `from`. False without memory. */
bool kj__messages_page_add(struct kj_messages_page *page, const struct kj_message *message);

#endif
