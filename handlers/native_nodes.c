/* native_nodes.c - what nodes that keep messages say to each other.
 *
 *   TOPIC.mail     {"what": "ask", "node", "session", "user"}: send the session what waits
 *                  {"what": "ack", "node", "session", "user", "ids"}: the user has these
 *   TOPIC.history  {"node", "id", "from", "op", "room" or "user", "body"}: keep this
 *
 * in msgpack, bodies and IDs as texts. What waits is sent as pushes to the session, with the IDs of
 * the messages. Threads: what comes is handled on threads of the backend of their own, which wait
 * for the disk.
 */
#include "handlers/native.h"

#include <inttypes.h>
#include <kujata/publication.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOPIC_MAX = 128,
    PAGE_BYTES = 64 * 1024,
    SESSIONS = 4096,     /* of other nodes that are sent what waits here, at a time */
    HISTORY_WRITERS = 4, /* threads, which share commits */
};

/* A session of another node, and what it was sent. */
struct remote {
    uint64_t session; /* 0: this place is free */
    int64_t last_mail;
};

struct native_nodes {
    struct kj_native *native;
    struct kj_pubsub *pubsub;
    struct kj_gateway *gateway;
    char mail_topic[TOPIC_MAX + 16], history_topic[TOPIC_MAX + 16];
    struct kj_subscription *mail, *history[HISTORY_WRITERS];
    struct remote remotes[SESSIONS]; /* by session; the mail subscription's thread alone */
};

/* ---- said ---- */

/* `value` is taken over; NULL is for want of memory. */
static void say_take(struct native_nodes *nodes, const char *topic, json_t *value)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct kj_publication *publication = NULL;
    enum kj_status status = value ? kj_value_encode(KJ_ENCODING_MSGPACK, value, &bytes, &len)
                                  : KJ_ENOMEM;
    if (!status) {
        status = kj_publication_new(
            &(struct kj_publication_options){
                .topic = topic, .data = bytes, .len = len, .encoding = KJ_ENCODING_MSGPACK},
            &publication);
    }
    if (!status) {
        status = kj_pubsub_publish(nodes->pubsub, publication);
    }
    atomic_fetch_add(&nodes->native->counts.failed, status != KJ_OK);
    kj_publication_unref(publication);
    free(bytes);
    json_decref(value);
}

static json_t *make_id(uint64_t id)
{
    char text[NATIVE_ID_SIZE];
    (void)snprintf(text, sizeof text, "%016" PRIx64, id);
    return json_string(text);
}

static json_t *make_word(const struct native_nodes *nodes, const char *what, uint64_t client,
                         const char *user)
{
    char session[KJ_CLIENT_ID_SIZE];
    kj_client_id_format(client, session);
    return json_pack("{s:s, s:I, s:s, s:s}", "what", what, "node",
                     (json_int_t)kj_gateway_node(nodes->gateway), "session", session, "user", user);
}

void native_nodes_ask(const struct kj_native *native, const struct kj_client *client)
{
    if (native->nodes && native->options.keeps_mailboxes) {
        atomic_fetch_add(&native->nodes->native->counts.asked, 1);
        say_take(native->nodes, native->nodes->mail_topic,
                 make_word(native->nodes, "ask", kj_client_id(client), kj_client_user(client)));
    }
}

void native_nodes_acknowledge(const struct kj_native *native, uint64_t client, const char *user,
                              const uint64_t *ids, size_t count)
{
    if (!native->nodes || count == 0) {
        return;
    }
    json_t *word = make_word(native->nodes, "ack", client, user);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, make_id(ids[i]));
    }
    if (json_object_set_new(word, "ids", list) != 0) {
        json_decref(word);
        word = NULL;
    }
    say_take(native->nodes, native->nodes->mail_topic, word);
}

void native_nodes_keep(const struct kj_native *native, const struct kj_message *message)
{
    if (native->nodes) {
        say_take(native->nodes, native->nodes->history_topic,
                 json_pack("{s:I, s:o, s:s, s:I, s:s, s:s%}", "node",
                           (json_int_t)kj_gateway_node(native->nodes->gateway), "id",
                           make_id(message->id), "from", message->from, "op",
                           (json_int_t)message->op, message->room ? "room" : "user",
                           message->room ? message->room : message->user, "body",
                           (const char *)message->body, message->body_len));
    }
}

/* ---- heard ---- */

static struct remote *place_of(struct native_nodes *nodes, uint64_t session)
{
    return &nodes->remotes[(session ^ session >> 24) % SESSIONS];
}

static bool send_message(struct native_nodes *nodes, const char *session,
                         const struct kj_message *message)
{
    return !kj_gateway_publish(nodes->gateway,
                               &(struct kj_push_options){.kind = KJ_TOPIC_SESSION,
                                                         .name = session,
                                                         .from = message->from,
                                                         .op = message->op,
                                                         .body = message->body,
                                                         .body_len = message->body_len,
                                                         .body_is_json = message->body_is_json,
                                                         .id = message->id},
                               NULL);
}

/* Sends what waits, as far as the client has acknowledged what it was sent before. */
static void send_page(struct native_nodes *nodes, uint64_t session, const char *user)
{
    char name[KJ_CLIENT_ID_SIZE];
    struct kj_messages_page *page = NULL;
    struct remote *remote = place_of(nodes, session);
    const struct kj_native_options *options = &nodes->native->options;
    size_t sent = 0;
    /* Faults are counted and logged there. */
    if ((remote->last_mail &&
         kj_messages_unread(options->messages, user, remote->last_mail, &sent)) ||
        sent > options->mailbox_window / 2 ||
        kj_messages_mailbox(options->messages, user, remote->last_mail,
                            options->mailbox_window - sent, PAGE_BYTES, &page)) {
        return;
    }
    kj_client_id_format(session, name);
    size_t count = 0;
    while (count < page->count && send_message(nodes, name, &page->items[count])) {
        remote->last_mail = page->items[count++].number;
    }
    atomic_fetch_add(&nodes->native->counts.sent, count);
    if (!page->has_more && count == page->count) {
        remote->session = 0;
    }
    kj_messages_page_free(page);
}

static void acknowledge(struct native_nodes *nodes, uint64_t session, const char *user,
                        const json_t *list)
{
    uint64_t ids[NATIVE_ACK_MAX];
    size_t count = 0;
    size_t size = json_array_size(list);
    struct kj_messages_page *removed;
    const struct kj_native_options *options = &nodes->native->options;
    for (size_t i = 0; i < size && count < NATIVE_ACK_MAX; i++) {
        count += native_read_id(json_array_get(list, i), &ids[count]);
    }
    if (kj_messages_acknowledge(options->messages, user, ids, count, &removed)) {
        return;
    }
    if (!options->tells_no_receipts) {
        native_tell_senders(nodes->gateway, user, removed);
    }
    /* Also where another client of the user was the first to acknowledge them. */
    if (place_of(nodes, session)->session == session) {
        send_page(nodes, session, user);
    }
    kj_messages_page_free(removed);
}

/* What another node has said, or NULL. */
static json_t *read_word(struct native_nodes *nodes, const struct kj_publication *publication)
{
    size_t len;
    json_t *word = NULL;
    const uint8_t *data = kj_publication_data(publication, &len);
    if (kj_value_decode(KJ_ENCODING_MSGPACK, data, len, &word, NULL) || !json_is_object(word) ||
        !json_is_integer(json_object_get(word, "node"))) {
        atomic_fetch_add(&nodes->native->counts.unreadable, 1);
        json_decref(word);
        return NULL;
    }
    if (json_integer_value(json_object_get(word, "node")) == kj_gateway_node(nodes->gateway)) {
        json_decref(word);
        return NULL;
    }
    return word;
}

static void on_mail(struct kj_publication *publication, void *ctx)
{
    struct native_nodes *nodes = ctx;
    uint64_t session;
    json_t *word = read_word(nodes, publication);
    if (!word) {
        return;
    }
    const char *what = json_string_value(json_object_get(word, "what"));
    const char *user = json_string_value(json_object_get(word, "user"));
    const char *name = json_string_value(json_object_get(word, "session"));
    if (!what || !kj_name_is_valid(user) || !name || !kj_client_id_parse(name, &session)) {
        atomic_fetch_add(&nodes->native->counts.unreadable, 1);
    } else if (strcmp(what, "ask") == 0) {
        *place_of(nodes, session) = (struct remote){.session = session};
        send_page(nodes, session, user);
    } else if (strcmp(what, "ack") == 0) {
        acknowledge(nodes, session, user, json_object_get(word, "ids"));
    }
    json_decref(word);
}

static void on_history(struct kj_publication *publication, void *ctx)
{
    struct native_nodes *nodes = ctx;
    json_t *word = read_word(nodes, publication);
    if (!word) {
        return;
    }
    struct kj_messages_receipt receipt;
    const json_t *body = json_object_get(word, "body");
    struct kj_message message = {
        .room = json_string_value(json_object_get(word, "room")),
        .user = json_string_value(json_object_get(word, "user")),
        .from = json_string_value(json_object_get(word, "from")),
        .op = json_integer_value(json_object_get(word, "op")),
        .body = (const uint8_t *)json_string_value(body),
        .body_len = json_string_length(body),
        .body_is_json = true,
    };
    bool is_whole = native_read_id(json_object_get(word, "id"), &message.id) &&
                    (message.room || message.user) && json_is_string(body);
    const struct kj_native_options *options = &nodes->native->options;
    if (is_whole && !(message.room ? options->keeps_rooms : options->keeps_conversations)) {
        json_decref(word); /* other nodes may keep more */
        return;
    }
    message.time_ms = kj_push_id_time_ms(message.id);
    const struct kj_messages_append append = {.to_history = true};
    enum kj_status status = is_whole ? kj_messages_append(nodes->native->options.messages, &message,
                                                          &append, &receipt)
                                     : KJ_EPARSE;
    atomic_fetch_add(&nodes->native->counts.kept, status == KJ_OK);
    atomic_fetch_add(&nodes->native->counts.unreadable, status == KJ_EPARSE || status == KJ_EINVAL);
    json_decref(word);
}

/* ---- joined and left ---- */

static enum kj_status subscribe(struct native_nodes *nodes)
{
    char group[KJ_CLIENT_ID_SIZE];
    const struct kj_native_options *options = &nodes->native->options;
    enum kj_status status = KJ_OK;
    if (options->keeps_mailboxes) {
        status = kj_pubsub_subscribe(nodes->pubsub, nodes->mail_topic, NULL, on_mail, nodes,
                                     &nodes->mail);
    }
    (void)snprintf(group, sizeof group, "node-%" PRIx32, kj_gateway_node(nodes->gateway));
    const struct kj_subscribe_options shared = {.group = group};
    for (int i = 0; i < HISTORY_WRITERS && !status; i++) {
        if (options->keeps_rooms || options->keeps_conversations) {
            status = kj_pubsub_subscribe(nodes->pubsub, nodes->history_topic, &shared, on_history,
                                         nodes, &nodes->history[i]);
        }
    }
    return status;
}

enum kj_status kj_native_join_nodes(struct kj_native *native, const struct kj_native_nodes *options)
{
    const char *topic = options->topic ? options->topic : "messages";
    if (native->nodes || !native->options.messages || strlen(topic) > TOPIC_MAX ||
        !kj_topic_is_valid(topic)) {
        return KJ_EINVAL;
    }
    struct native_nodes *nodes = calloc(1, sizeof *nodes);
    if (!nodes) {
        return KJ_ENOMEM;
    }
    nodes->native = native;
    nodes->pubsub = options->pubsub;
    nodes->gateway = options->gateway;
    (void)snprintf(nodes->mail_topic, sizeof nodes->mail_topic, "%s.mail", topic);
    (void)snprintf(nodes->history_topic, sizeof nodes->history_topic, "%s.history", topic);
    native->nodes = nodes;
    enum kj_status status = subscribe(nodes);
    if (status) {
        kj_native_leave_nodes(native);
    }
    return status;
}

void kj_native_leave_nodes(struct kj_native *native)
{
    struct native_nodes *nodes = native->nodes;
    if (nodes) {
        kj_pubsub_unsubscribe(nodes->pubsub, nodes->mail);
        for (int i = 0; i < HISTORY_WRITERS; i++) {
            kj_pubsub_unsubscribe(nodes->pubsub, nodes->history[i]);
        }
        native->nodes = NULL;
        free(nodes);
    }
}

void kj_native_counters(void *ctx, kj_counter_visit visit, void *visit_ctx)
{
    const struct kj_native *native = ctx;
    const struct native_counts *counts = &native->counts;
    const struct {
        const char *name, *help;
        const _Atomic uint64_t *value;
    } all[] = {
        {"messages_nodes_asked_total", "Logins that asked other nodes for what waits there.",
         &counts->asked},
        {"messages_nodes_sent_total", "Messages sent to clients of other nodes.", &counts->sent},
        {"messages_nodes_kept_total", "Messages of other nodes kept in histories.", &counts->kept},
        {"messages_nodes_unreadable_total", "Words of other nodes that are none.",
         &counts->unreadable},
        {"messages_nodes_failed_total", "Words to other nodes that were not published.",
         &counts->failed},
    };
    native_crowds_count(&native->crowds, visit, visit_ctx);
    for (size_t i = 0; native->options.messages && i < sizeof all / sizeof *all; i++) {
        visit(all[i].name, all[i].help, atomic_load(all[i].value), visit_ctx);
    }
}
