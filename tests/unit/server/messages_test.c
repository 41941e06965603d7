/* messages_test.c - messages that are kept on a whole server, by the public interface: what an
 * application publishes, what other nodes say, and whom clients may write to.
 *
 * Clients speak the native protocol over TCP: their requests are msgpack, filled up to one length.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <kujata/kujata.h>

enum { PACKET = 256, DEADLINE_S = 20 };

static const struct kj_identity_spec identities[] = {{.name = "task", .category = "tasks"}};
static const struct kj_relation_spec relations[] = {
    {.parent = "root", .child = "task", .operations = KJ_OP_ALL}};

struct node {
    struct kj_model *model;
    struct kj_pubsub *pubsub;
    struct kj_messages *messages;
    struct kj_presence_board *presence;
    struct kj_native *native;
    struct kj_server *server;
    struct kj_gateway *gateway;
};

static size_t packet_len(const uint8_t *data, size_t len, void *ctx)
{
    (void)data;
    (void)ctx;
    return len < PACKET ? 0 : PACKET;
}

static _Atomic bool is_slow; /* to say who exists */

static bool exists(const char *user, void *ctx)
{
    (void)ctx;
    while (is_slow) {
        sched_yield();
    }
    return strcmp(user, "nobody") != 0;
}

/* A token is a user's name. */
static enum kj_auth let_in(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)error;
    (void)ctx;
    char claim[64];
    const char *const claims[] = {claim};
    const char *token = kj_session_token(session);
    if (!token || !*token) {
        return KJ_AUTH_ACCEPT;
    }
    (void)snprintf(claim, sizeof claim, "sub=%s", token);
    return kj_session_set_claims(session, claims, 1) ? KJ_AUTH_REFUSE : KJ_AUTH_ACCEPT;
}

static int set_up(void **state)
{
    static const struct kj_session_authenticator authenticator = {.authenticate = let_in};
    static struct node node;
    const struct kj_model_spec spec = {
        .identities = identities, .identity_count = 1, .relations = relations, .relation_count = 1};
    node = (struct node){0};
    assert_int_equal(kj_model_new(&spec, &node.model, NULL), KJ_OK);
    assert_int_equal(kj_pubsub_local_new(NULL, &node.pubsub), KJ_OK);
    assert_int_equal(kj_messages_new(&(struct kj_messages_options){0}, &node.messages, NULL),
                     KJ_OK);
    assert_int_equal(
        kj_presence_new(&(struct kj_presence_options){.pubsub = node.pubsub}, &node.presence, NULL),
        KJ_OK);
    assert_int_equal(kj_native_new(&(struct kj_native_options){.is_open = true,
                                                               .messages = node.messages,
                                                               .keeps_mailboxes = true,
                                                               .keeps_rooms = true,
                                                               .user_exists = exists,
                                                               .presence = node.presence},
                                   &node.native),
                     KJ_OK);
    assert_int_equal(
        kj_server_new(&(struct kj_server_options){.listen = "127.0.0.1:0",
                                                  .model = node.model,
                                                  .pubsub = node.pubsub,
                                                  .session_authenticators = &authenticator,
                                                  .session_authenticator_count = 1},
                      &node.server, NULL),
        KJ_OK);
    struct kj_protocol protocol = kj_native_protocol(node.native);
    protocol.packet_len = packet_len;
    assert_int_equal(kj_server_listen(node.server,
                                      &(struct kj_stream_options){.listen = "127.0.0.1:0"},
                                      &protocol, NULL),
                     KJ_OK);
    node.gateway = kj_server_gateway(node.server);
    assert_int_equal(kj_presence_start(node.presence, node.gateway), KJ_OK);
    *state = &node;
    return 0;
}

static int tear_down(void **state)
{
    struct node *node = *state;
    kj_presence_stop(node->presence);
    kj_server_stop(node->server);
    kj_native_leave_nodes(node->native);
    kj_server_free(node->server);
    kj_native_free(node->native);
    kj_presence_free(node->presence);
    kj_messages_free(node->messages);
    kj_pubsub_free(node->pubsub);
    kj_model_free(node->model);
    return 0;
}

static void start(struct node *node)
{
    assert_int_equal(kj_server_start(node->server, NULL), KJ_OK);
}

/* ---- what an application publishes ---- */

static enum kj_status publish(struct node *node, const struct kj_push_options *push,
                              const char *key, struct kj_messages_receipt *receipt)
{
    const struct kj_messages_append append = {
        .to_mailbox = push->kind == KJ_TOPIC_USER, .to_history = true, .key = key};
    return kj_messages_publish(node->messages, node->gateway, push, &append, receipt, NULL);
}

static size_t unread(const struct node *node, const char *user)
{
    size_t count;
    assert_int_equal(kj_messages_unread(node->messages, user, 0, &count), KJ_OK);
    return count;
}

static void a_push_is_kept_and_published_under_one_id(void **state)
{
    struct node *node = *state;
    struct kj_messages_receipt first;
    struct kj_messages_receipt again;
    struct kj_messages_page *page;
    const struct kj_push_options push = {.kind = KJ_TOPIC_USER,
                                         .name = "bob",
                                         .from = "ann",
                                         .op = 5,
                                         .body = (const uint8_t *)"1",
                                         .body_len = 1,
                                         .body_is_json = true};
    start(node);
    assert_int_equal(publish(node, &push, "k", &first), KJ_OK);
    assert_int_equal(first.state, KJ_MESSAGE_NEW);
    assert_int_equal(publish(node, &push, "k", &again), KJ_OK);
    assert_int_equal(again.state, KJ_MESSAGE_WAITING);
    assert_int_equal(again.id, first.id);
    assert_int_equal(kj_server_counter(node->server, "gateway_published_total"), 2);
    assert_int_equal(kj_messages_mailbox(node->messages, "bob", 0, 10, 10, &page), KJ_OK);
    assert_int_equal(page->count, 1);
    assert_int_equal(page->items[0].id, first.id);
    assert_int_equal(page->items[0].time_ms, kj_push_id_time_ms(first.id));
    kj_messages_page_free(page);
    assert_int_equal(kj_messages_acknowledge(node->messages, "bob", &first.id, 1, NULL), KJ_OK);
    assert_int_equal(publish(node, &push, "k", &again), KJ_OK);
    assert_int_equal(again.state, KJ_MESSAGE_DELIVERED);
    assert_int_equal(kj_server_counter(node->server, "gateway_published_total"), 2);
    const struct kj_push_options all = {.kind = KJ_TOPIC_ALL, .body = (const uint8_t *)"1"};
    assert_int_equal(publish(node, &all, NULL, &again), KJ_EINVAL);
}

/* Its sender may ask again since the backend had refused it the first time. */
static void a_repeated_push_to_a_room_is_published_again(void **state)
{
    struct node *node = *state;
    struct kj_messages_receipt first;
    struct kj_messages_receipt again;
    struct kj_push_options push = {.kind = KJ_TOPIC_ROOM, .name = "r", .from = "ann"};
    start(node);
    assert_int_equal(publish(node, &push, "k", &first), KJ_OK);
    assert_int_equal(publish(node, &push, "k", &again), KJ_OK);
    assert_int_equal(again.state, KJ_MESSAGE_WAITING);
    assert_int_equal(again.id, first.id);
    assert_int_equal(kj_server_counter(node->server, "gateway_published_total"), 2);
    push.name = "another";
    assert_int_equal(publish(node, &push, "k", &again), KJ_OK);
    assert_int_equal(again.state, KJ_MESSAGE_DROPPED);
    assert_int_equal(kj_server_counter(node->server, "gateway_published_total"), 2);
}

static void what_is_in_a_mailbox_need_not_be_published_now(void **state)
{
    struct node *node = *state;
    struct kj_messages_receipt receipt;
    const struct kj_push_options to_user = {.kind = KJ_TOPIC_USER, .name = "bob"};
    const struct kj_push_options to_room = {.kind = KJ_TOPIC_ROOM, .name = "r", .from = "ann"};
    start(node);
    kj_server_stop(node->server);
    assert_int_equal(publish(node, &to_user, NULL, &receipt), KJ_OK);
    assert_int_equal(unread(node, "bob"), 1);
    assert_int_equal(publish(node, &to_room, NULL, &receipt), KJ_ECLOSED);
    assert_true(receipt.id != 0); /* the history has it */
}

/* ---- whom clients may write to ---- */

static int dial(const struct node *node)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(kj_server_stream_port(node->server, 0)),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    const struct timeval limit = {.tv_sec = DEADLINE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void ask_take(int fd, json_t *request)
{
    uint8_t packet[PACKET] = {0};
    uint8_t *bytes;
    size_t len;
    assert_int_equal(kj_value_encode(KJ_ENCODING_MSGPACK, request, &bytes, &len), KJ_OK);
    assert_true(len <= PACKET);
    memcpy(packet, bytes, len);
    free(bytes);
    json_decref(request);
    assert_int_equal(send(fd, packet, PACKET, MSG_NOSIGNAL), PACKET);
}

/* Until the answers have the text. */
static void expect(int fd, const char *text)
{
    char heard[8192];
    size_t len = 0;
    do {
        ssize_t got;
        do { /* a limit of time keeps it from being restarted */
            got = recv(fd, heard + len, sizeof heard - 1 - len, 0);
        } while (got < 0 && errno == EINTR);
        if (got <= 0) {
            fail_msg("\"%s\" is missing in: %.*s", text, (int)len, heard);
        }
        len += (size_t)got;
        heard[len] = '\0';
    } while (!strstr(heard, text));
}

static void a_user_that_does_not_exist_is_told(void **state)
{
    struct node *node = *state;
    start(node);
    int fd = dial(node);
    ask_take(fd, json_pack("{s:s, s:i, s:{s:s, s:i}}", "type", "SEND", "id", 1, "data", "user",
                           "nobody", "body", 1));
    expect(fd, "\"no_such_user\"");
    ask_take(fd, json_pack("{s:s, s:i, s:{s:s, s:i}}", "type", "SEND", "id", 2, "data", "user",
                           "bob", "body", 1));
    expect(fd, "\"stored\"");
    assert_int_equal(unread(node, "nobody"), 0);
    assert_int_equal(unread(node, "bob"), 1);
    close(fd);
}

/* More than may wait for one client: each is answered, and what is refused is not kept. */
static void a_client_that_asks_too_fast_is_told(void **state)
{
    enum { SENDS = 400 };
    struct node *node = *state;
    start(node);
    int fd = dial(node);
    is_slow = true;
    for (int i = 0; i < SENDS; i++) {
        ask_take(fd, json_pack("{s:s, s:i, s:{s:s, s:i}}", "type", "SEND", "id", i, "data", "user",
                               "bob", "body", i));
    }
    expect(fd, "\"busy\"");
    is_slow = false;
    uint64_t refused = kj_server_counter(node->server, "gateway_requests_refused_total");
    while (unread(node, "bob") + refused < SENDS) {
        refused = kj_server_counter(node->server, "gateway_requests_refused_total");
    }
    assert_int_equal(unread(node, "bob") + refused, SENDS);
    close(fd);
}

/* Or one of them would have all of its threads wait for other nodes. */
static void a_client_has_some_queries_under_way(void **state)
{
    enum { QUERIES = 9 };
    struct node *node = *state;
    start(node);
    int fd = dial(node);
    is_slow = true;
    ask_take(fd,
             json_pack("{s:s, s:{s:s, s:i}}", "type", "SEND", "data", "user", "bob", "body", 1));
    for (int i = 1; i <= QUERIES; i++) {
        ask_take(fd, json_pack("{s:s, s:i, s:{s:s, s:[s]}}", "type", "QUERY", "id", i, "data",
                               "what", "users", "users", "bob"));
    }
    expect(fd, "{\"data\":{\"code\":\"busy\",\"message\":\"try again\"},\"id\":9,");
    is_slow = false;
    expect(fd, "\"id\":8,\"type\":\"OK\"");
    ask_take(fd, json_pack("{s:s, s:i, s:{s:s, s:[s]}}", "type", "QUERY", "id", QUERIES + 1, "data",
                           "what", "users", "users", "bob"));
    expect(fd, "\"id\":10,\"type\":\"OK\"");
    close(fd);
}

/* Whoever has asked for the mailbox would wait for what does not come. */
static void a_mailbox_that_is_not_looked_at_is_told(void **state)
{
    enum { SENDS = 300 };
    struct node *node = *state;
    start(node);
    int fd = dial(node);
    ask_take(fd, json_pack("{s:s, s:{s:s}}", "type", "AUTH", "data", "token", "bob"));
    expect(fd, "\"user\":\"bob\"");
    ask_take(fd, json_pack("{s:s, s:{s:s}}", "type", "QUERY", "data", "what", "unread"));
    expect(fd, "\"unread\":0");
    is_slow = true;
    for (int i = 0; i < SENDS; i++) {
        ask_take(
            fd, json_pack("{s:s, s:{s:s, s:i}}", "type", "SEND", "data", "user", "ann", "body", i));
    }
    ask_take(fd, json_pack("{s:s, s:{s:s}}", "type", "QUERY", "data", "what", "mailbox"));
    expect(fd, "\"code\":\"mailbox\"");
    is_slow = false;
    close(fd);
}

/* ---- bodies that nest ---- */

static json_t *nested(int depth)
{
    json_t *value = json_array();
    for (int i = 1; i < depth; i++) {
        value = json_pack("[o]", value);
    }
    return value;
}

static void a_body_that_nests_too_deep_is_refused(void **state)
{
    struct node *node = *state;
    start(node);
    int fd = dial(node);
    ask_take(fd, json_pack("{s:s, s:{s:s, s:o}}", "type", "SEND", "data", "user", "bob", "body",
                           nested(61)));
    expect(fd, "deeper");
    ask_take(fd, json_pack("{s:s, s:{s:s, s:o}}", "type", "SEND", "data", "user", "bob", "body",
                           nested(60)));
    expect(fd, "\"stored\"");
    assert_int_equal(unread(node, "bob"), 1);
    close(fd);
}

/* Else nobody could read what is before and behind it. */
static void one_that_was_published_is_shown_as_bytes(void **state)
{
    enum { DEPTH = 61 };
    struct node *node = *state;
    struct kj_messages_receipt receipt;
    char body[2 * DEPTH + 1] = {0};
    memset(body, '[', DEPTH);
    memset(body + DEPTH, ']', DEPTH);
    start(node);
    for (size_t less = 0; less < 2; less++) {
        const struct kj_push_options push = {.kind = KJ_TOPIC_ROOM,
                                             .name = "r",
                                             .from = "ann",
                                             .body = (const uint8_t *)body + less,
                                             .body_len = 2 * (DEPTH - less),
                                             .body_is_json = true};
        assert_int_equal(publish(node, &push, NULL, &receipt), KJ_OK);
    }
    int fd = dial(node);
    ask_take(fd, json_pack("{s:s, s:{s:s}}", "type", "JOIN", "data", "room", "r"));
    ask_take(fd, json_pack("{s:s, s:{s:s, s:s, s:i}}", "type", "QUERY", "data", "what", "history",
                           "room", "r", "max", 1));
    expect(fd, "\"body\":[[");
    ask_take(fd, json_pack("{s:s, s:{s:s, s:s}}", "type", "QUERY", "data", "what", "history",
                           "room", "r"));
    expect(fd, "\"bytes\":\"W1tb");
    close(fd);
}

/* ---- what other nodes say ---- */

static uint64_t counted;

static void pick(const char *name, const char *help, uint64_t value, void *ctx)
{
    assert_non_null(help);
    if (strcmp(name, ctx) == 0) {
        counted = value;
    }
}

static uint64_t counter(const struct node *node, const char *name)
{
    counted = UINT64_MAX;
    kj_native_counters(node->native, pick, (void *)name);
    return counted;
}

static void wait_for(const struct node *node, const char *name, uint64_t wanted)
{
    time_t end = time(NULL) + DEADLINE_S;
    while (counter(node, name) < wanted && time(NULL) < end) {
        const struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    assert_int_equal(counter(node, name), wanted);
}

static void say(const struct node *node, const char *topic, const void *bytes, size_t len)
{
    struct kj_publication *publication;
    assert_int_equal(
        kj_publication_new(
            &(struct kj_publication_options){
                .topic = topic, .data = bytes, .len = len, .encoding = KJ_ENCODING_MSGPACK},
            &publication),
        KJ_OK);
    assert_int_equal(kj_pubsub_publish(node->pubsub, publication), KJ_OK);
    kj_publication_unref(publication);
}

static void say_take(const struct node *node, const char *topic, json_t *word)
{
    uint8_t *bytes;
    size_t len;
    assert_non_null(word);
    assert_int_equal(kj_value_encode(KJ_ENCODING_MSGPACK, word, &bytes, &len), KJ_OK);
    say(node, topic, bytes, len);
    free(bytes);
    json_decref(word);
}

static void nodes_are_joined_once_and_with_something_to_keep(void **state)
{
    struct node *node = *state;
    struct kj_native *plain;
    struct kj_native_nodes nodes = {.pubsub = node->pubsub, .gateway = node->gateway};
    assert_int_equal(kj_native_new(NULL, &plain), KJ_OK);
    assert_int_equal(kj_native_join_nodes(plain, &nodes), KJ_EINVAL);
    kj_native_free(plain);
    nodes.topic = "a.*";
    assert_int_equal(kj_native_join_nodes(node->native, &nodes), KJ_EINVAL);
    nodes.topic = NULL;
    assert_int_equal(kj_native_join_nodes(node->native, &nodes), KJ_OK);
    assert_int_equal(kj_native_join_nodes(node->native, &nodes), KJ_EINVAL);
}

static void what_other_nodes_say_is_checked(void **state)
{
    struct node *node = *state;
    struct kj_messages_receipt receipt;
    struct kj_messages_page *page;
    const struct kj_native_nodes nodes = {.pubsub = node->pubsub, .gateway = node->gateway};
    const struct kj_push_options push = {.kind = KJ_TOPIC_USER, .name = "bob"};
    assert_int_equal(kj_native_join_nodes(node->native, &nodes), KJ_OK);
    start(node);
    assert_int_equal(publish(node, &push, NULL, &receipt), KJ_OK);
    int other = kj_gateway_node(node->gateway) == 1 ? 2 : 1;
    char id[24];
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)receipt.id);

    say(node, "messages.mail", "\xc1", 1);
    say_take(node, "messages.mail", json_pack("[i]", 1));
    say_take(node, "messages.mail", json_pack("{s:s}", "what", "ask"));
    say_take(node, "messages.mail", json_pack("{s:s, s:i}", "what", "ask", "node", other));
    say_take(node, "messages.mail",
             json_pack("{s:s, s:i, s:s, s:s}", "what", "ask", "node", other, "user", "bob",
                       "session", "no session"));
    say_take(node, "messages.history", json_pack("{s:i, s:s}", "node", other, "id", id));
    say_take(node, "messages.history",
             json_pack("{s:i, s:s, s:s, s:s, s:s}", "node", other, "id", "x", "from", "ann", "room",
                       "r", "body", "1"));
    say_take(
        node, "messages.history",
        json_pack("{s:i, s:s, s:s, s:s}", "node", other, "id", id, "from", "ann", "body", "1"));
    wait_for(node, "messages_nodes_unreadable_total", 8);

    /* No conversations are kept here. */
    say_take(node, "messages.history",
             json_pack("{s:i, s:s, s:s, s:s, s:s}", "node", other, "id", id, "from", "ann", "user",
                       "bob", "body", "[1]"));
    say_take(node, "messages.history",
             json_pack("{s:i, s:s, s:s, s:s, s:s}", "node", other, "id", id, "from", "ann", "room",
                       "r", "body", "[1]"));
    wait_for(node, "messages_nodes_kept_total", 1);
    struct kj_history_query query = {.conversation = {.room = "r"}, .max = 10, .max_bytes = 100};
    assert_int_equal(kj_messages_history(node->messages, &query, &page), KJ_OK);
    assert_int_equal(page->count, 1);
    assert_int_equal(page->items[0].id, receipt.id);
    kj_messages_page_free(page);
    query.conversation = (struct kj_conversation){.users = {"ann", "bob"}};
    assert_int_equal(kj_messages_history(node->messages, &query, &page), KJ_OK);
    assert_int_equal(page->count, 0);
    kj_messages_page_free(page);

    say_take(node, "messages.mail",
             json_pack("{s:s, s:i, s:s, s:s}", "what", "ask", "node", other, "user", "bob",
                       "session", "1-1"));
    wait_for(node, "messages_nodes_sent_total", 1);
    say_take(node, "messages.mail",
             json_pack("{s:s, s:i, s:s, s:s, s:[s, s, i]}", "what", "ack", "node", other, "user",
                       "bob", "session", "1-1", "ids", "?", id, 1));
    say_take(node, "messages.mail", json_pack("[]"));
    wait_for(node, "messages_nodes_unreadable_total", 9);
    assert_int_equal(unread(node, "bob"), 0);
}

/* One of them may go before it has had all. */
static void two_sessions_of_a_user_are_each_sent_all(void **state)
{
    enum { MESSAGES = 60, WINDOW = 50 };
    struct node *node = *state;
    struct kj_messages_receipt receipt;
    const struct kj_native_nodes nodes = {.pubsub = node->pubsub, .gateway = node->gateway};
    const struct kj_push_options push = {.kind = KJ_TOPIC_USER, .name = "bob"};
    static const char *const sessions[] = {"1-1", "1-2"};
    json_t *ids = json_array();
    assert_int_equal(kj_native_join_nodes(node->native, &nodes), KJ_OK);
    start(node);
    for (int i = 0; i < MESSAGES; i++) {
        char id[24];
        assert_int_equal(publish(node, &push, NULL, &receipt), KJ_OK);
        (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)receipt.id);
        if (i < WINDOW) {
            json_array_append_new(ids, json_string(id));
        }
    }
    for (size_t i = 0; i < 2; i++) {
        say_take(node, "messages.mail",
                 json_pack("{s:s, s:i, s:s, s:s}", "what", "ask", "node", 1, "user", "bob",
                           "session", sessions[i]));
    }
    wait_for(node, "messages_nodes_sent_total", 2 * WINDOW);
    for (size_t i = 0; i < 2; i++) {
        say_take(node, "messages.mail",
                 json_pack("{s:s, s:i, s:s, s:s, s:O}", "what", "ack", "node", 1, "user", "bob",
                           "session", sessions[i], "ids", ids));
    }
    wait_for(node, "messages_nodes_sent_total", 2 * MESSAGES);
    json_decref(ids);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_push_is_kept_and_published_under_one_id),
        TEST(a_repeated_push_to_a_room_is_published_again),
        TEST(what_is_in_a_mailbox_need_not_be_published_now),
        TEST(a_user_that_does_not_exist_is_told),
        TEST(a_client_that_asks_too_fast_is_told),
        TEST(a_client_has_some_queries_under_way),
        TEST(a_mailbox_that_is_not_looked_at_is_told),
        TEST(a_body_that_nests_too_deep_is_refused),
        TEST(one_that_was_published_is_shown_as_bytes),
        TEST(nodes_are_joined_once_and_with_something_to_keep),
        TEST(what_other_nodes_say_is_checked),
        TEST(two_sessions_of_a_user_are_each_sent_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
