/* presence_report.c - see presence.h: this node's reports made, those of others read. */
#include "handlers/presence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PORTION = 256,           /* topics counted at once, with the gateway's lock held */
    WHOLE_EVERY = 24,        /* reports, lest something wrong stays for ever */
    CLIENTS_MAX = INT32_MAX, /* of a node, as far as others believe */
};

/* ---- values and publications ---- */

enum kj_status presence_publication_take(const struct kj_presence_board *board, uint32_t node,
                                         json_t *value, struct kj_publication **publication)
{
    char topic[1024];
    uint8_t *bytes = NULL;
    size_t len = 0;
    *publication = NULL;
    if (node) {
        (void)snprintf(topic, sizeof topic, "%s.node.%x", board->prefix, (unsigned)node);
    } else {
        (void)snprintf(topic, sizeof topic, "%s.report", board->prefix);
    }
    enum kj_status status = value ? kj_value_encode(KJ_ENCODING_MSGPACK, value, &bytes, &len)
                                  : KJ_ENOMEM;
    if (!status) {
        status = kj_publication_new(
            &(struct kj_publication_options){
                .topic = topic, .encoding = KJ_ENCODING_MSGPACK, .data = bytes, .len = len},
            publication);
    }
    free(bytes);
    json_decref(value);
    return status;
}

json_t *presence_value_of(const struct kj_publication *publication)
{
    size_t len;
    json_t *value = NULL;
    const uint8_t *bytes = kj_publication_data(publication, &len);
    if (len > PRESENCE_REPORT_MAX || kj_publication_encoding(publication) != KJ_ENCODING_MSGPACK ||
        kj_value_decode(KJ_ENCODING_MSGPACK, bytes, len, &value, NULL)) {
        return NULL;
    }
    return value;
}

bool presence_number(const json_t *value, const char *name, json_int_t low, json_int_t high,
                     json_int_t *number)
{
    const json_t *member = json_object_get(value, name);
    *number = json_integer_value(member);
    return json_is_integer(member) && *number >= low && *number <= high;
}

static enum kj_status publish_take(struct kj_presence_board *board, uint32_t node, json_t *value)
{
    struct kj_publication *publication;
    enum kj_status status = presence_publication_take(board, node, value, &publication);
    if (!status) {
        status = kj_pubsub_publish(board->options.pubsub, publication);
    }
    kj_publication_unref(publication);
    return status;
}

/* ---- this node's ---- */

/* What all parts of a report say. */
struct figures {
    struct kj_gateway_counts counts;
    bool is_whole;
};

static enum kj_status send_part(struct kj_presence_board *board, const struct figures *figures,
                                json_t *rooms, bool begins, bool ends)
{
    json_t *value = json_pack(
        "{s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:O}", "version", PRESENCE_VERSION,
        "kind", "report", "node", (json_int_t)kj_gateway_node(board->gateway), "sequence",
        (json_int_t)board->sequence + 1, "interval_ms", (json_int_t)board->options.interval_ms,
        "clients", (json_int_t)figures->counts.clients, "users", (json_int_t)figures->counts.users,
        "whole", figures->is_whole, "begins", begins, "ends", ends, "rooms", rooms);
    enum kj_status status = publish_take(board, 0, value);
    if (status) {
        atomic_fetch_add(&board->counters.failed, 1);
        atomic_store(&board->wants_whole, true);
    } else {
        board->sequence++;
        atomic_fetch_add(&board->counters.sent, 1);
    }
    return status;
}

/* Sends figures of rooms, NAME, COUNT, NAME, COUNT ..., in as many parts as it takes, one at
 * least. */
static void send_all(struct kj_presence_board *board, const struct figures *figures,
                     const json_t *rooms)
{
    size_t total = json_array_size(rooms);
    size_t at = 0;
    enum kj_status status = KJ_OK;
    do {
        bool begins = at == 0;
        json_t *part = json_array();
        for (; part && at < total && json_array_size(part) < (size_t)2 * PRESENCE_PART_ROOMS;
             at++) {
            json_array_append(part, json_array_get(rooms, at));
        }
        status = part ? send_part(board, figures, part, begins, at == total) : KJ_ENOMEM;
        json_decref(part);
    } while (!status && at < total);
}

/* The rooms of now with their counts; NULL when there is no memory. */
static json_t *count_rooms(struct kj_presence_board *board)
{
    struct kj_topic_walk *walk = kj_topic_walk_new(board->gateway, KJ_TOPIC_ROOM);
    struct kj_topic_count *topics = malloc(PORTION * sizeof *topics);
    json_t *rooms = walk && topics ? json_object() : NULL;
    size_t got;
    while (rooms && (got = kj_topic_walk_next(walk, topics, PORTION)) > 0) {
        for (size_t i = 0; i < got; i++) {
            if (json_object_size(rooms) >= PRESENCE_NODE_ROOMS) {
                atomic_fetch_add(&board->counters.rooms_over_limit, 1);
            } else {
                json_object_set_new(rooms, topics[i].name,
                                    json_integer((json_int_t)topics[i].clients));
            }
        }
    }
    free(topics);
    kj_topic_walk_free(walk);
    return rooms;
}

void presence_report(struct kj_presence_board *board)
{
    struct figures figures = {.is_whole = atomic_exchange(&board->wants_whole, false) ||
                                          board->since_whole >= WHOLE_EVERY};
    json_t *rooms = count_rooms(board);
    json_t *changes = json_array();
    if (!rooms || !changes) {
        atomic_store(&board->wants_whole, true);
        atomic_fetch_add(&board->counters.failed, 1);
        json_decref(rooms);
        json_decref(changes);
        return;
    }
    kj_gateway_count(board->gateway, &figures.counts);
    pthread_mutex_lock(&board->lock);
    enum kj_status status = presence_book_take_own(&board->book, rooms, changes);
    pthread_mutex_unlock(&board->lock);
    if (figures.is_whole || status) {
        figures.is_whole = true;
        json_decref(changes);
        changes = presence_book_list_own(&board->book); /* which only the reporter changes */
    }
    board->since_whole = figures.is_whole ? 0 : board->since_whole + 1;
    send_all(board, &figures, changes);
    json_decref(changes);
}

void presence_goodbye(struct kj_presence_board *board)
{
    if (publish_take(board, 0,
                     json_pack("{s:i, s:s, s:I}", "version", PRESENCE_VERSION, "kind", "goodbye",
                               "node", (json_int_t)kj_gateway_node(board->gateway)))) {
        atomic_fetch_add(&board->counters.failed, 1);
    }
}

/* ---- those of others ---- */

static bool are_rooms(const json_t *rooms)
{
    size_t size = json_array_size(rooms);
    if (!json_is_array(rooms) || size % 2 != 0 || size > (size_t)2 * PRESENCE_PART_ROOMS) {
        return false;
    }
    for (size_t i = 0; i < size; i += 2) {
        const json_t *name = json_array_get(rooms, i);
        const json_t *count = json_array_get(rooms, i + 1);
        const char *text = json_string_value(name);
        if (!text || strlen(text) != json_string_length(name) || !kj_name_is_valid(text) ||
            !json_is_integer(count) || json_integer_value(count) < 0 ||
            json_integer_value(count) > CLIENTS_MAX) {
            return false;
        }
    }
    return true;
}

static bool read_report(const json_t *value, uint32_t node, struct presence_report *report)
{
    json_int_t sequence;
    json_int_t interval_ms;
    json_int_t clients;
    json_int_t users;
    *report = (struct presence_report){.node = node,
                                       .is_whole = json_is_true(json_object_get(value, "whole")),
                                       .begins = json_is_true(json_object_get(value, "begins")),
                                       .ends = json_is_true(json_object_get(value, "ends")),
                                       .rooms = json_object_get(value, "rooms")};
    if (!presence_number(value, "sequence", 1, INT64_MAX, &sequence) ||
        !presence_number(value, "interval_ms", PRESENCE_INTERVAL_MIN_MS, PRESENCE_INTERVAL_MAX_MS,
                         &interval_ms) ||
        !presence_number(value, "clients", 0, CLIENTS_MAX, &clients) ||
        !presence_number(value, "users", 0, CLIENTS_MAX, &users) || !are_rooms(report->rooms)) {
        return false;
    }
    report->sequence = (uint64_t)sequence;
    report->interval_ms = (uint32_t)interval_ms;
    report->clients = (uint64_t)clients;
    report->users = (uint64_t)users;
    return true;
}

/* Has a node send all its rooms with its next report. */
static void ask_again(struct kj_presence_board *board, uint32_t node)
{
    json_t *value = json_pack("{s:i, s:s}", "version", PRESENCE_VERSION, "kind", "again");
    atomic_fetch_add(&board->counters.questions, 1);
    if (publish_take(board, node, value)) {
        atomic_fetch_add(&board->counters.unanswered, 1);
    }
}

static enum kj_status apply(struct kj_presence_board *board, const struct presence_report *report)
{
    struct presence_effect effect;
    atomic_fetch_add(&board->counters.received, 1);
    pthread_mutex_lock(&board->lock);
    enum kj_status status = presence_book_apply(&board->book, report, presence_now_ms(), &effect);
    if (effect.is_new) {
        pthread_cond_signal(&board->changed); /* it may be gone before the next report is due */
    }
    pthread_mutex_unlock(&board->lock);
    if (effect.is_new) {
        atomic_store(&board->wants_whole, true); /* it knows nothing of us */
    }
    /* While a report is under way, its other parts say the same. */
    if (effect.is_short && (report->ends || !report->is_whole)) {
        ask_again(board, report->node);
    }
    return status;
}

static enum kj_status take(struct kj_presence_board *board, const json_t *value)
{
    json_int_t version;
    json_int_t node;
    struct presence_report report;
    const char *kind = json_string_value(json_object_get(value, "kind"));
    if (!kind || !presence_number(value, "version", PRESENCE_VERSION, PRESENCE_VERSION, &version) ||
        !presence_number(value, "node", 1, PRESENCE_NODE_MAX, &node)) {
        return KJ_EPARSE;
    }
    if ((uint32_t)node == kj_gateway_node(board->gateway)) {
        return KJ_OK;
    }
    if (strcmp(kind, "goodbye") == 0) {
        pthread_mutex_lock(&board->lock);
        presence_book_remove(&board->book, (uint32_t)node);
        pthread_mutex_unlock(&board->lock);
        return KJ_OK;
    }
    if (strcmp(kind, "report") != 0 || !read_report(value, (uint32_t)node, &report)) {
        return KJ_EPARSE;
    }
    return apply(board, &report);
}

void presence_on_report(struct kj_publication *publication, void *ctx)
{
    struct kj_presence_board *board = ctx;
    json_t *value = presence_value_of(publication);
    enum kj_status status = value ? take(board, value) : KJ_EPARSE;
    json_decref(value);
    if (status == KJ_EPARSE || status == KJ_EINVAL) {
        atomic_fetch_add(&board->counters.refused, 1);
    }
    if (status && presence_may_log(board)) {
        kj_log(KJ_LOG_WARNING, "presence", "a report on %.200s was refused: %s%s",
               kj_publication_topic(publication), kj_status_text(status),
               status == KJ_ELIMIT ? " (see nodes, --presence-nodes)" : "");
    }
}
