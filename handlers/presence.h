/* presence.h - what the files of the presence share.
 *
 * Figures of rooms are objects of jansson, a name with its count: its tables hash with a seed of
 * their own, so that whoever names rooms cannot make them slow.
 *
 * Threads: the reporter makes this node's reports; the backend's bring those of others and their
 * questions; anybody asks. Who changes the book has the board's `lock`, perhaps for long. Who only
 * looks, which may be a shard, has the book's own, and that is let go of every few hundred rooms.
 */
#ifndef KJ_HANDLERS_PRESENCE_H
#define KJ_HANDLERS_PRESENCE_H

#include <jansson.h>
#include <kujata/log.h>
#include <kujata/presence.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    PRESENCE_VERSION = 1,
    PRESENCE_PART_ROOMS = 1000,    /* of one report; as many again make the next */
    PRESENCE_NODE_ROOMS = 262144,  /* of one node */
    PRESENCE_REPORT_MAX = 1 << 18, /* bytes */
    PRESENCE_MISSED = 3,           /* reports, and a node is gone */
    PRESENCE_BOOK_PARTS = 64,      /* so that a table of rooms that grows does so in a moment */
    PRESENCE_NODE_MAX = 0xffffff,
    PRESENCE_INTERVAL_MIN_MS = 10,
    PRESENCE_INTERVAL_MAX_MS = 60000,
};

#define PRESENCE_COUNTER_MAP(X)                                                                    \
    X(sent, "presence_reports_sent_total", "Reports of this node's figures, in parts.")            \
    X(failed, "presence_reports_failed_total", "Reports the backend did not take.")                \
    X(received, "presence_reports_received_total", "Reports of other nodes.")                      \
    X(refused, "presence_refused_total",                                                           \
      "Messages on the topics of presence that are no report, goodbye or question.")               \
    X(missed, "presence_reports_missed_total", "Reports of other nodes that did not arrive.")      \
    X(lost, "presence_nodes_lost_total", "Nodes that went without a goodbye.")                     \
    X(nodes_over_limit, "presence_nodes_over_limit_total",                                         \
      "Reports of a node refused since there are too many nodes.")                                 \
    X(rooms_over_limit, "presence_rooms_over_limit_total",                                         \
      "Figures of a room refused since there are too many.")                                       \
    X(questions, "presence_questions_total", "Questions to other nodes.")                          \
    X(unanswered, "presence_questions_unanswered_total",                                           \
      "Questions another node did not answer in time, or not well.")                               \
    X(answers, "presence_answers_total", "Questions of other nodes answered.")                     \
    X(unsent, "presence_answers_failed_total", "Answers that could not be sent.")

struct presence_counters {
#define PRESENCE_COUNTER_MEMBER(member, name, help) _Atomic uint64_t member;
    PRESENCE_COUNTER_MAP(PRESENCE_COUNTER_MEMBER)
#undef PRESENCE_COUNTER_MEMBER
};

/* ---- presence_book.c: the figures of all nodes ---- */

/* One report, read: everything but `rooms` is within its bounds. */
struct presence_report {
    uint32_t node;
    uint64_t sequence; /* counts the reports of the node, from 1 */
    uint32_t interval_ms;
    uint64_t clients, users;
    bool is_whole;       /* of all rooms, not only of those that changed */
    bool begins, ends;   /* a whole report */
    const json_t *rooms; /* NAME, COUNT, NAME, COUNT ... */
};

struct presence_node {
    uint32_t id;
    uint64_t sequence;
    uint64_t expires_ms;
    uint64_t clients, users;
    json_t *rooms;
    json_t *coming; /* of a whole report under way; NULL: none */
    bool is_sound;  /* nothing was missed since the last whole report */
};

/* Some of the rooms, by a hash of their names. */
struct presence_part {
    json_t *own;    /* figures of the last report of our own */
    json_t *totals; /* of all nodes */
};

struct presence_book {
    struct presence_counters *counters;
    uint32_t own; /* the node it belongs to */
    size_t nodes_max, rooms_max;
    pthread_rwlock_t lock;       /* guards what follows, but for the rooms of nodes, which are the
                                  * business of who changes the book alone */
    struct presence_node *nodes; /* others, by ID */
    size_t node_count;
    size_t rooms; /* figures kept of other nodes */
    struct presence_part parts[PRESENCE_BOOK_PARTS];
};

/* What became of a report. */
struct presence_effect {
    bool is_new;   /* the node was not known */
    bool is_short; /* what was missed is wanted again */
};

/* False when there is no memory; fini is due in any case. */
bool presence_book_init(struct presence_book *book, const struct kj_presence_options *options,
                        struct presence_counters *counters);
void presence_book_fini(struct presence_book *book);

/* ---- one at a time: these change it ---- */

enum kj_status presence_book_apply(struct presence_book *book, const struct presence_report *report,
                                   uint64_t now_ms, struct presence_effect *effect);
void presence_book_remove(struct presence_book *book, uint32_t node);

/* Forgets the nodes that were not heard of for too long. */
void presence_book_expire(struct presence_book *book, uint64_t now_ms);

/* When the first of them will be forgotten; UINT64_MAX: there is none. */
uint64_t presence_book_expiry(const struct presence_book *book);

/* Takes over our own figures; those that changed are added to `changes`, as in a report. */
enum kj_status presence_book_take_own(struct presence_book *book, json_t *rooms, json_t *changes);

/* All of our own figures, as in a report; NULL when there is no memory. */
json_t *presence_book_list_own(const struct presence_book *book);

/* ---- anybody: these wait no longer than for a few hundred rooms ---- */

/* Adds other nodes, with what they have, and sets the number of rooms of all. */
void presence_book_sum(struct presence_book *book, uint64_t now_ms,
                       struct kj_presence_totals *totals);

/* Adds what other nodes have in each room. */
void presence_book_add_others(struct presence_book *book, const char *const *rooms, size_t count,
                              uint64_t *clients);

size_t presence_book_top(struct presence_book *book, const char *prefix,
                         struct kj_presence_room *rooms, size_t max);

/* The figures a room is among. */
const struct presence_part *presence_book_part(const struct presence_book *book, const char *room);

/* ---- all ---- */

struct kj_presence_board {
    struct kj_presence_options options;
    char *prefix;
    struct kj_gateway *gateway; /* since the start */
    struct presence_counters counters;
    struct kj_subscription *reports, *questions;
    pthread_t reporter;
    bool has_reporter;
    uint64_t sequence;    /* the reporter's */
    unsigned since_whole; /* the reporter's: reports since the last whole one */
    uint64_t lost_told;   /* the reporter's: nodes lost that were logged */
    _Atomic bool wants_whole;
    _Atomic bool is_stopped;
    _Atomic uint64_t logged_ms;

    pthread_mutex_t lock; /* also the turn of who changes the book */
    pthread_cond_t changed;
    bool is_stopping; /* guarded by lock */
    struct presence_book book;
};

uint64_t presence_now_ms(void); /* of a clock that only goes forward */

/* Whether a line may be logged: one in ten seconds. */
bool presence_may_log(struct kj_presence_board *board);

/* ---- presence_report.c ---- */

/* Makes a publication of a value, which is taken over and may be NULL; `node` 0: for all, as a
 * report. */
enum kj_status presence_publication_take(const struct kj_presence_board *board, uint32_t node,
                                         json_t *value, struct kj_publication **publication);

/* The value in a publication; NULL when there is none. */
json_t *presence_value_of(const struct kj_publication *publication);

/* An integer member of a value; false when it is none from `low` to `high`. */
bool presence_number(const json_t *value, const char *name, json_int_t low, json_int_t high,
                     json_int_t *number);

/* The reporter: tells the figures of now. */
void presence_report(struct kj_presence_board *board);
void presence_goodbye(struct kj_presence_board *board);

/* The handler of the reports' subscription; `ctx` is the board. */
void presence_on_report(struct kj_publication *publication, void *ctx);

/* ---- presence_ask.c ---- */

/* The same of that of questions to this node. */
void presence_on_question(struct kj_publication *publication, void *ctx);

#endif
