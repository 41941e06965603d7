/* presence_ask.c - see presence.h: what is asked of other nodes, and what they ask. */
#include "handlers/presence.h"

#include <stdlib.h>
#include <string.h>

/* ---- this node's answers ---- */

static json_t *count_clients(struct kj_gateway *gateway, const json_t *users)
{
    json_t *counts = json_array();
    for (size_t i = 0; counts && i < json_array_size(users); i++) {
        const char *user = json_string_value(json_array_get(users, i));
        size_t count = user ? kj_gateway_member_count(gateway, KJ_TOPIC_USER, user) : 0;
        json_array_append_new(counts, json_integer((json_int_t)count));
    }
    return json_pack("{s:o}", "clients", counts);
}

static json_t *list_members(struct kj_gateway *gateway, const char *room, size_t skip, size_t max)
{
    struct kj_member *members = calloc(max + 1, sizeof *members);
    json_t *list = members ? json_array() : NULL;
    size_t got = list && max > 0
                     ? kj_gateway_members(gateway, KJ_TOPIC_ROOM, room, skip, members, max)
                     : 0;
    for (size_t i = 0; i < got; i++) {
        json_array_append_new(list,
                              json_pack("[I, s]", (json_int_t)members[i].client, members[i].user));
    }
    free(members);
    return json_pack("{s:I, s:o}", "count",
                     (json_int_t)kj_gateway_member_count(gateway, KJ_TOPIC_ROOM, room), "members",
                     list);
}

/* NULL: the question is none. */
static json_t *answer(struct kj_gateway *gateway, const json_t *question)
{
    json_int_t version;
    json_int_t skip;
    json_int_t max;
    const char *kind = json_string_value(json_object_get(question, "kind"));
    const json_t *users = json_object_get(question, "users");
    const char *room = json_string_value(json_object_get(question, "room"));
    if (!kind ||
        !presence_number(question, "version", PRESENCE_VERSION, PRESENCE_VERSION, &version)) {
        return NULL;
    }
    if (strcmp(kind, "online") == 0 && json_is_array(users) &&
        json_array_size(users) <= KJ_PRESENCE_USERS_MAX) {
        return count_clients(gateway, users);
    }
    if (strcmp(kind, "members") == 0 && kj_name_is_valid(room) &&
        presence_number(question, "skip", 0, INT32_MAX, &skip) &&
        presence_number(question, "max", 0, KJ_PRESENCE_PAGE_MAX, &max)) {
        return list_members(gateway, room, (size_t)skip, (size_t)max);
    }
    return NULL;
}

static enum kj_status reply_take(struct kj_presence_board *board,
                                 struct kj_publication *publication, json_t *value)
{
    struct kj_publication *reply;
    enum kj_status status = presence_publication_take(board, 0, value, &reply);
    if (!status) {
        status = kj_publication_reply(publication, reply);
    }
    kj_publication_unref(reply);
    return status;
}

void presence_on_question(struct kj_publication *publication, void *ctx)
{
    struct kj_presence_board *board = ctx;
    json_t *question = presence_value_of(publication);
    const char *kind = json_string_value(json_object_get(question, "kind"));
    json_t *value = NULL;
    if (kj_publication_wants_reply(publication)) {
        value = answer(board->gateway, question);
    }
    if (value) {
        bool is_sent = !reply_take(board, publication, value);
        atomic_fetch_add(is_sent ? &board->counters.answers : &board->counters.unsent, 1);
    } else if (kind && strcmp(kind, "again") == 0) {
        atomic_store(&board->wants_whole, true);
    } else {
        atomic_fetch_add(&board->counters.refused, 1);
    }
    json_decref(question);
}

/* ---- questions to others: each its own, answered until all are ---- */

struct round;

struct question {
    struct round *round;
    uint32_t node;
    json_t *value;  /* what is asked; NULL: nothing */
    json_t *answer; /* NULL: none came */
    uint64_t count; /* of members */
};

struct round {
    struct kj_presence_board *board;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    size_t waiting; /* guarded by lock */
    size_t count;
    struct question *questions;
};

static void add_question(struct round *round, uint32_t node)
{
    round->questions[round->count++] = (struct question){.round = round, .node = node};
}

/* Of all nodes that are known, this one included, by ID; lock of the book held. */
static void list_nodes(struct round *round)
{
    const struct presence_book *book = &round->board->book;
    uint64_t now_ms = presence_now_ms();
    size_t others = atomic_load(&round->board->is_stopped) ? 0 : book->node_count;
    size_t i = 0;
    for (bool has_own = false; i < others || !has_own;) {
        if (!has_own && (i == others || book->nodes[i].id > book->own)) {
            add_question(round, book->own);
            has_own = true;
        } else if (book->nodes[i++].expires_ms > now_ms) {
            add_question(round, book->nodes[i - 1].id);
        }
    }
}

static enum kj_status round_init(struct round *round, struct kj_presence_board *board)
{
    *round = (struct round){.board = board};
    pthread_mutex_init(&round->lock, NULL);
    pthread_cond_init(&round->answered, NULL);
    pthread_rwlock_rdlock(&board->book.lock);
    round->questions = calloc(board->book.node_count + 1, sizeof *round->questions);
    if (round->questions) {
        list_nodes(round);
    }
    pthread_rwlock_unlock(&board->book.lock);
    return round->questions ? KJ_OK : KJ_ENOMEM;
}

static void round_fini(struct round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        json_decref(round->questions[i].value);
        json_decref(round->questions[i].answer);
    }
    free(round->questions);
    pthread_cond_destroy(&round->answered);
    pthread_mutex_destroy(&round->lock);
}

static void on_reply(enum kj_status status, struct kj_publication *reply, void *ctx)
{
    struct question *question = ctx;
    struct round *round = question->round;
    json_t *value = !status && reply ? presence_value_of(reply) : NULL;
    pthread_mutex_lock(&round->lock);
    question->answer = value;
    if (--round->waiting == 0) {
        pthread_cond_signal(&round->answered);
    }
    pthread_mutex_unlock(&round->lock);
}

static enum kj_status send_question(struct kj_presence_board *board, struct question *question)
{
    const struct kj_request_options options = {.mode = KJ_RESPONSE_PUBLICATION,
                                               .timeout_ms = board->options.timeout_ms,
                                               .on_reply = on_reply,
                                               .ctx = question};
    struct kj_publication *publication;
    enum kj_status status = presence_publication_take(board, question->node,
                                                      json_incref(question->value), &publication);
    if (!status) {
        status = kj_pubsub_request(board->options.pubsub, publication, &options);
    }
    kj_publication_unref(publication);
    return status;
}

/* Asks another node, without waiting; lock of the round held, but while it is asked. */
static void ask_other(struct round *round, struct question *question)
{
    atomic_fetch_add(&round->board->counters.questions, 1);
    round->waiting++;
    pthread_mutex_unlock(&round->lock);
    enum kj_status status = send_question(round->board, question);
    pthread_mutex_lock(&round->lock);
    round->waiting -= status != KJ_OK;
}

/* Asks all that have a question and waits. Every request ends, at the latest when its time is
 * over, so this does. */
static void round_ask(struct round *round)
{
    struct kj_presence_board *board = round->board;
    pthread_mutex_lock(&round->lock);
    for (size_t i = 0; i < round->count; i++) {
        struct question *question = &round->questions[i];
        json_decref(question->answer);
        question->answer = NULL;
        if (question->value && question->node == board->book.own) {
            question->answer = answer(board->gateway, question->value);
        } else if (question->value) {
            ask_other(round, question);
        }
    }
    while (round->waiting > 0) {
        pthread_cond_wait(&round->answered, &round->lock);
    }
    pthread_mutex_unlock(&round->lock);
}

static enum kj_status note_unanswered(struct round *round)
{
    atomic_fetch_add(&round->board->counters.unanswered, 1);
    return KJ_ETIMEOUT;
}

/* ---- users ---- */

static json_t *make_online(const char *const *users, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++) {
        json_array_append_new(list, json_string(users[i]));
    }
    return json_pack("{s:i, s:s, s:o}", "version", PRESENCE_VERSION, "kind", "online", "users",
                     list);
}

static bool add_clients(const json_t *answer, uint64_t *clients, size_t count)
{
    const json_t *list = json_object_get(answer, "clients");
    if (json_array_size(list) != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        json_int_t number = json_integer_value(json_array_get(list, i));
        clients[i] += number > 0 && number <= INT32_MAX ? (uint64_t)number : 0;
    }
    return true;
}

static enum kj_status check_users(const char *const *users, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!kj_name_is_valid(users[i])) {
            return KJ_EINVAL;
        }
    }
    return count > KJ_PRESENCE_USERS_MAX ? KJ_ELIMIT : KJ_OK;
}

enum kj_status kj_presence_online(struct kj_presence_board *board, const char *const *users,
                                  size_t count, uint64_t *clients)
{
    struct round round;
    enum kj_status status = check_users(users, count);
    if (status || count == 0) {
        return status;
    }
    status = round_init(&round, board);
    json_t *value = make_online(users, count);
    memset(clients, 0, count * sizeof *clients);
    for (size_t i = 0; i < round.count; i++) {
        round.questions[i].value = json_incref(value);
    }
    round_ask(&round);
    for (size_t i = 0; i < round.count; i++) {
        if (!add_clients(round.questions[i].answer, clients, count)) {
            status = note_unanswered(&round);
        }
    }
    json_decref(value);
    round_fini(&round);
    return status;
}

/* ---- members ---- */

static json_t *make_members(const char *room, uint64_t skip, size_t max)
{
    return json_pack("{s:i, s:s, s:s, s:I, s:I}", "version", PRESENCE_VERSION, "kind", "members",
                     "room", room, "skip", (json_int_t)skip, "max", (json_int_t)max);
}

/* Adds what an answer has, up to `max`. */
static bool add_members(struct kj_presence_page *page, const json_t *answer, size_t max)
{
    const json_t *list = json_object_get(answer, "members");
    for (size_t i = 0; i < json_array_size(list) && i < max; i++) {
        const json_t *item = json_array_get(list, i);
        const json_t *client = json_array_get(item, 0);
        const char *user = json_string_value(json_array_get(item, 1));
        if (!json_is_integer(client) || !user || (*user && !kj_name_is_valid(user))) {
            return false;
        }
        struct kj_member *member = &page->members[page->got++];
        member->client = (uint64_t)json_integer_value(client);
        memcpy(member->user, user, strlen(user) + 1); /* valid: not longer */
    }
    return json_is_array(list);
}

/* Asks each how many members it has. */
static enum kj_status count_members(struct round *round, const char *room)
{
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < round->count; i++) {
        round->questions[i].value = make_members(room, 0, 0);
    }
    round_ask(round);
    for (size_t i = 0; i < round->count; i++) {
        struct question *question = &round->questions[i];
        json_int_t count;
        json_decref(question->value);
        question->value = NULL;
        if (presence_number(question->answer, "count", 0, INT32_MAX, &count)) {
            question->count = (uint64_t)count;
        } else {
            status = note_unanswered(round);
        }
    }
    return status;
}

/* Asks for a node's part of the page, given the members of the nodes in front of it. */
static void ask_part(struct question *question, const char *room,
                     const struct kj_presence_page *page, uint64_t before)
{
    uint64_t end = page->skip + page->max;
    uint64_t skip = page->skip > before ? page->skip - before : 0;
    uint64_t last = end < before ? 0 : end - before;
    last = last < question->count ? last : question->count;
    question->count = last > skip ? last - skip : 0;
    if (question->count > 0) {
        question->value = make_members(room, skip, (size_t)question->count);
    }
}

/* Fills the page, now that the counts are known. */
static enum kj_status fill(struct round *round, const char *room, struct kj_presence_page *page)
{
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < round->count; i++) {
        uint64_t before = page->count;
        page->count += round->questions[i].count;
        ask_part(&round->questions[i], room, page, before);
    }
    round_ask(round);
    for (size_t i = 0; i < round->count; i++) {
        const struct question *question = &round->questions[i];
        if (question->count > 0 && !add_members(page, question->answer, (size_t)question->count)) {
            status = note_unanswered(round);
        }
    }
    return status;
}

enum kj_status kj_presence_members(struct kj_presence_board *board, const char *room,
                                   struct kj_presence_page *page)
{
    struct round round;
    page->got = 0;
    page->count = 0;
    if (!kj_name_is_valid(room)) {
        return KJ_EINVAL;
    }
    if (page->max > KJ_PRESENCE_PAGE_MAX || page->skip > INT32_MAX) {
        return KJ_ELIMIT;
    }
    enum kj_status status = round_init(&round, board);
    enum kj_status counted = status ? status : count_members(&round, room);
    enum kj_status filled = status ? status : fill(&round, room, page);
    round_fini(&round);
    return counted ? counted : filled;
}
