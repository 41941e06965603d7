/* messages.h - messages that are kept: a mailbox for each user, and what was said.
 *
 * A *mailbox* has the messages to a user that none of the user's clients has acknowledged, in the
 * order in which they came. A *history* has those of a room, or of two users with each other, in
 * the order of their IDs. Both are bounded; what is dropped for that is counted.
 *
 * They are kept in a SQLite file, or in memory as long as the store lives. A message that
 * kj_messages_append has taken survives the process and a loss of power; messages of several
 * threads share one commit. docs/messages.md says what is kept where.
 *
 * Threads: every call may be made on any thread, and may wait for the disk: so not on a shard.
 */
#ifndef KUJATA_MESSAGES_H
#define KUJATA_MESSAGES_H

#include <kujata/counter.h>
#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj_messages;
struct kj_gateway;
struct kj_push_options;
struct kj_push_receipt;

enum {
    KJ_MESSAGE_NAME_MAX = 128,        /* bytes of a user, room or key: no NUL */
    KJ_MESSAGE_BODY_MAX = 256 * 1024, /* bytes */
    KJ_MESSAGES_PAGE_MAX = 1000,
    KJ_MESSAGES_PAGE_BYTES_MAX = 4 << 20, /* of bodies; one message passes always */
};

/* Zero means the default given. Where a number is kept, the oldest go. */
struct kj_messages_options {
    const char *path;         /* of the file, which is made where there is none; NULL: in memory */
    uint32_t busy_timeout_ms; /* to wait for another process that holds the file; 2,000 */
    uint32_t readers;         /* pages of the file read at once, 1 to 64; 2 */
    uint64_t max_bytes;       /* of the file: as the disk has room; in memory: 256 MiB */
    uint32_t mailbox_count;   /* messages of one mailbox; 1,000 */
    uint32_t mailbox_bytes;   /* of their bodies; 4 MiB */
    uint32_t mailbox_age_s;   /* 30 days */
    uint32_t history_count;   /* messages of one room, or of two users; 1,000 */
    uint32_t history_age_s;   /* 30 days */
    uint32_t key_count;       /* of all senders together; 100,000 */
    uint32_t key_age_s;       /* one day */

    /* The time, in ms since 1970; NULL: the clock's. */
    int64_t (*now_ms)(void *ctx);
    void *ctx;
};

/* Opens the file and brings its tables up to date. KJ_EINVAL for an option, KJ_EUNSUPPORTED for a
 * file of a later version, KJ_EPARSE for one that holds something else, KJ_ETIMEOUT, KJ_EFULL or
 * KJ_EIO where the medium fails, with `error` naming the file; KJ_ENOMEM. */
enum kj_status kj_messages_new(const struct kj_messages_options *options,
                               struct kj_messages **messages, struct kj_error *error);

/* No other call may be running. NULL is fine. */
void kj_messages_free(struct kj_messages *messages);

/* Besides what is said of each call, they return KJ_EINVAL for a name, an ID of 0 or a page without
 * room, and KJ_ETIMEOUT (another process holds the file), KJ_EFULL (no room), KJ_EIO or KJ_ENOMEM,
 * each counted and, but for the last, logged: then nothing has changed. */

/* Strings and bytes are borrowed; of a page, they are its own. */
struct kj_message {
    uint64_t id;      /* unlike that of any other message; the push's */
    const char *room; /* NULL: it is to a user */
    const char *user; /* who it is to; NULL with a room */
    const char *from; /* who sent it; "" (or NULL): nobody in particular */
    int64_t op;       /* as in kujata/gateway.h, as are the next */
    int64_t time_ms;
    const uint8_t *body;
    size_t body_len;
    bool body_is_json;
    int64_t number; /* of a mailbox: grows with each message that came; of no meaning for append */
};

struct kj_messages_append {
    bool to_mailbox; /* of `user` */
    bool to_history;
    const char *key; /* the sender's own name for the message; NULL: it has none */
    uint32_t ttl_s;  /* it waits no longer; 0, and at most: mailbox_age_s */
};

enum kj_message_state {
    KJ_MESSAGE_NEW = 0,   /* it was not there */
    KJ_MESSAGE_WAITING,   /* it was, and is in the mailbox; without one, in the history */
    KJ_MESSAGE_DELIVERED, /* it was, and was acknowledged since */
    KJ_MESSAGE_DROPPED,   /* it was, and was dropped since, unread */
};

struct kj_messages_receipt {
    uint64_t id; /* that of the first, where the sender has used the key already */
    enum kj_message_state state;
};

/* Keeps a message. One whose ID is there, or whose sender has used its key, is not kept again. A
 * key is remembered for key_age_s; one of nobody in particular is none.
 * KJ_ELIMIT for a body that is too large, or larger than a mailbox. */
enum kj_status kj_messages_append(struct kj_messages *messages, const struct kj_message *message,
                                  const struct kj_messages_append *append,
                                  struct kj_messages_receipt *receipt);

struct kj_messages_page {
    struct kj_message *items;
    size_t count;
    bool has_more; /* in the direction asked for */
};

/* NULL is fine. */
void kj_messages_page_free(struct kj_messages_page *page);

/* ---- mailboxes ---- */

/* At most `max` messages and, if there are several, `max_bytes` of bodies, the oldest first, of
 * those whose number is greater than `after`. *page is the caller's. */
enum kj_status kj_messages_mailbox(struct kj_messages *messages, const char *user, int64_t after,
                                   size_t max, size_t max_bytes, struct kj_messages_page **page);

/* How many there are; with `until` not 0, of those whose number is at most that. */
enum kj_status kj_messages_unread(struct kj_messages *messages, const char *user, int64_t until,
                                  size_t *count);

/* Says that the user has them. Those taken out of the mailbox come as a page without bodies: who
 * sent them may want to know. At most KJ_MESSAGES_PAGE_MAX IDs: else KJ_ELIMIT. *removed is the
 * caller's; `removed` may be NULL. */
enum kj_status kj_messages_acknowledge(struct kj_messages *messages, const char *user,
                                       const uint64_t *ids, size_t count,
                                       struct kj_messages_page **removed);

/* The same for all whose ID is at most that; how many there were (may be NULL). */
enum kj_status kj_messages_acknowledge_until(struct kj_messages *messages, const char *user,
                                             uint64_t id, size_t *count);

/* ---- histories ---- */

/* A room, or two users in either order; of whom one may be "", for nobody in particular. */
struct kj_conversation {
    const char *room;
    const char *users[2];
};

struct kj_history_query {
    struct kj_conversation conversation;
    uint64_t before, after; /* IDs, which need not be there; 0: none. One of them at most */
    size_t max, max_bytes;
};

/* A page, the oldest first: of what follows `after`, of what leads to `before`, or the latest. */
enum kj_status kj_messages_history(struct kj_messages *messages,
                                   const struct kj_history_query *query,
                                   struct kj_messages_page **page);

/* ---- with a gateway ---- */

/* Keeps a push to a room or a user, and then publishes it. One that was kept before is published
 * again only while it waits in a mailbox or, without one, is in the history: its sender may have
 * asked again since nobody had heard of it.
 * As kj_messages_append and kj_gateway_publish: but what is in a mailbox is KJ_OK, published or
 * not, since it comes with the user's next login; then *published (may be NULL) is empty. */
enum kj_status kj_messages_publish(struct kj_messages *messages, struct kj_gateway *gateway,
                                   const struct kj_push_options *push,
                                   const struct kj_messages_append *append,
                                   struct kj_messages_receipt *receipt,
                                   struct kj_push_receipt *published);

/* What such a store counts; a kj_counter_source's function, its ctx the store. */
void kj_messages_counters(void *messages, kj_counter_visit visit, void *ctx);

#endif
