/* presence.c - see kujata/presence.h: its life, and what is known without asking. */
#include "handlers/presence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MS_PER_S = 1000,
    NS_PER_MS = 1000000,
    PREFIX_MAX = 512,
    LOG_EVERY_MS = 10000,
    NODES_MAX = 65536,
};

uint64_t presence_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * MS_PER_S + (uint64_t)now.tv_nsec / NS_PER_MS;
}

bool presence_may_log(struct kj_presence_board *board)
{
    uint64_t now_ms = presence_now_ms();
    uint64_t last = atomic_load(&board->logged_ms);
    return (last == 0 || now_ms - last >= LOG_EVERY_MS) &&
           atomic_compare_exchange_strong(&board->logged_ms, &last, now_ms);
}

/* ---- life ---- */

static void use_default(uint32_t *value, uint32_t fallback)
{
    if (*value == 0) {
        *value = fallback;
    }
}

static enum kj_status check(const struct kj_presence_options *options, struct kj_error *error)
{
    char topic[PREFIX_MAX + 16];
    const char *fault = NULL;
    if (!options->pubsub) {
        fault = "pubsub is required";
    } else if (options->interval_ms < PRESENCE_INTERVAL_MIN_MS ||
               options->interval_ms > PRESENCE_INTERVAL_MAX_MS) {
        fault = "interval_ms is 10 to 60000";
    } else if (options->nodes > NODES_MAX) {
        fault = "nodes is at most 65536";
    } else if (snprintf(topic, sizeof topic, "%s.report", options->prefix) >= PREFIX_MAX ||
               !kj_topic_is_valid(topic)) {
        fault = "prefix is no topic";
    }
    if (fault && error) {
        kj_error_set(error, 0, "presence: %s", fault);
    }
    return fault ? KJ_EINVAL : KJ_OK;
}

static void init_lock(struct kj_presence_board *board)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&board->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&board->lock, NULL);
}

enum kj_status kj_presence_new(const struct kj_presence_options *options,
                               struct kj_presence_board **board, struct kj_error *error)
{
    *board = NULL;
    struct kj_presence_options own = *options;
    own.prefix = own.prefix ? own.prefix : "gateway.presence";
    use_default(&own.interval_ms, 5000);
    use_default(&own.timeout_ms, 1000);
    use_default(&own.nodes, 256);
    use_default(&own.rooms, 524288);
    enum kj_status status = check(&own, error);
    if (status) {
        return status;
    }
    struct kj_presence_board *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    made->options = own;
    init_lock(made);
    made->prefix = strdup(own.prefix);
    if (!presence_book_init(&made->book, &own, &made->counters) || !made->prefix) {
        kj_presence_free(made);
        return KJ_ENOMEM;
    }
    made->options.prefix = made->prefix;
    *board = made;
    return KJ_OK;
}

static struct timespec time_of(uint64_t deadline_ms)
{
    return (struct timespec){.tv_sec = (time_t)(deadline_ms / MS_PER_S),
                             .tv_nsec = (long)(deadline_ms % MS_PER_S) * NS_PER_MS};
}

static void log_lost(struct kj_presence_board *board)
{
    uint64_t lost = atomic_load(&board->counters.lost);
    if (lost > board->lost_told && presence_may_log(board)) {
        kj_log(KJ_LOG_WARNING, "presence",
               "nodes that went without a goodbye, as %d of their reports are missing: %llu",
               PRESENCE_MISSED, (unsigned long long)(lost - board->lost_told));
        board->lost_told = lost;
    }
}

static void *run_reporter(void *argument)
{
    struct kj_presence_board *board = argument;
    uint64_t next_ms = presence_now_ms();
    pthread_mutex_lock(&board->lock);
    while (!board->is_stopping) {
        uint64_t now_ms = presence_now_ms();
        presence_book_expire(&board->book, now_ms);
        if (now_ms < next_ms) {
            uint64_t expiry_ms = presence_book_expiry(&board->book);
            struct timespec until = time_of(expiry_ms < next_ms ? expiry_ms : next_ms);
            pthread_cond_timedwait(&board->changed, &board->lock, &until);
            continue;
        }
        next_ms = now_ms + board->options.interval_ms;
        pthread_mutex_unlock(&board->lock);
        log_lost(board);
        presence_report(board);
        pthread_mutex_lock(&board->lock);
    }
    pthread_mutex_unlock(&board->lock);
    return NULL;
}

static enum kj_status subscribe(struct kj_presence_board *board)
{
    char topic[PREFIX_MAX + 16];
    /* On a thread of its own, since the book of a large cluster takes a moment. */
    (void)snprintf(topic, sizeof topic, "%s.report", board->prefix);
    enum kj_status status = kj_pubsub_subscribe(board->options.pubsub, topic, NULL,
                                                presence_on_report, board, &board->reports);
    if (!status) {
        (void)snprintf(topic, sizeof topic, "%s.node.%x", board->prefix, (unsigned)board->book.own);
        status = kj_pubsub_subscribe(board->options.pubsub, topic,
                                     &(struct kj_subscribe_options){.shares_thread = true},
                                     presence_on_question, board, &board->questions);
    }
    return status;
}

enum kj_status kj_presence_start(struct kj_presence_board *board, struct kj_gateway *gateway)
{
    board->gateway = gateway;
    board->book.own = kj_gateway_node(gateway);
    atomic_store(&board->wants_whole, true);
    enum kj_status status = subscribe(board);
    if (!status) {
        board->has_reporter = pthread_create(&board->reporter, NULL, run_reporter, board) == 0;
        status = board->has_reporter ? KJ_OK : KJ_ENOMEM;
    }
    return status;
}

void kj_presence_stop(struct kj_presence_board *board)
{
    if (!board || atomic_exchange(&board->is_stopped, true)) {
        return;
    }
    pthread_mutex_lock(&board->lock);
    board->is_stopping = true;
    pthread_cond_signal(&board->changed);
    pthread_mutex_unlock(&board->lock);
    if (board->has_reporter) {
        pthread_join(board->reporter, NULL);
        presence_goodbye(board);
    }
    kj_pubsub_unsubscribe(board->options.pubsub, board->reports);
    kj_pubsub_unsubscribe(board->options.pubsub, board->questions);
}

uint32_t kj_presence_interval_ms(const struct kj_presence_board *board)
{
    return board->options.interval_ms;
}

void kj_presence_free(struct kj_presence_board *board)
{
    if (!board) {
        return;
    }
    kj_presence_stop(board);
    presence_book_fini(&board->book);
    pthread_cond_destroy(&board->changed);
    pthread_mutex_destroy(&board->lock);
    free(board->prefix);
    free(board);
}

/* ---- figures ---- */

void kj_presence_totals(struct kj_presence_board *board, struct kj_presence_totals *totals)
{
    struct kj_gateway_counts own;
    kj_gateway_count(board->gateway, &own);
    *totals = (struct kj_presence_totals){.nodes = 1, .clients = own.clients, .users = own.users};
    presence_book_sum(&board->book, presence_now_ms(), totals);
}

void kj_presence_room_counts(struct kj_presence_board *board, const char *const *rooms,
                             size_t count, uint64_t *clients)
{
    for (size_t i = 0; i < count; i++) {
        clients[i] = kj_gateway_member_count(board->gateway, KJ_TOPIC_ROOM, rooms[i]);
    }
    presence_book_add_others(&board->book, rooms, count, clients);
}

size_t kj_presence_top(struct kj_presence_board *board, const char *prefix,
                       struct kj_presence_room *rooms, size_t max)
{
    return presence_book_top(&board->book, prefix, rooms, max);
}

void kj_presence_counters(void *ctx, kj_counter_visit visit, void *visit_ctx)
{
    struct kj_presence_board *board = ctx;
#define PRESENCE_COUNTER_VISIT(member, name, help)                                                 \
    visit(name, help, atomic_load(&board->counters.member), visit_ctx);
    PRESENCE_COUNTER_MAP(PRESENCE_COUNTER_VISIT)
#undef PRESENCE_COUNTER_VISIT
    pthread_rwlock_rdlock(&board->book.lock);
    uint64_t nodes = board->book.node_count + 1;
    uint64_t rooms = board->book.rooms;
    pthread_rwlock_unlock(&board->book.lock);
    visit("presence_nodes_current", "Nodes of the cluster that are known, this one included.",
          nodes, visit_ctx);
    visit("presence_rooms_current", "Figures of rooms of other nodes kept.", rooms, visit_ctx);
}
