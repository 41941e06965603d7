/* presence_test.c - nodes that tell each other who is there. */
#include "fixture.h"

#include <kujata/presence.h>

enum { NODES_MAX = 3, INTERVAL_MS = 250 };

struct node {
    struct fixture *fixture;
    struct kj_presence_board *board;
};

struct cluster {
    struct node nodes[NODES_MAX];
    size_t count;
};

static void add_node(struct cluster *cluster)
{
    struct node *node = &cluster->nodes[cluster->count++];
    void *state;
    set_up(&state);
    node->fixture = state;
    if (cluster->count > 1) {
        node->fixture->pubsub = cluster->nodes[0].fixture->pubsub;
        node->fixture->is_pubsub_borrowed = true;
    }
    start(node->fixture);
    const struct kj_presence_options options = {
        .pubsub = node->fixture->pubsub, .interval_ms = INTERVAL_MS, .timeout_ms = 20000};
    assert_int_equal(kj_presence_new(&options, &node->board, NULL), KJ_OK);
    assert_int_equal(kj_presence_start(node->board, node->fixture->gateway), KJ_OK);
}

static int set_up_cluster(void **state)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    add_node(cluster);
    add_node(cluster);
    *state = cluster;
    return 0;
}

static int tear_down_cluster(void **state)
{
    struct cluster *cluster = *state;
    while (cluster->count > 0) {
        struct node *node = &cluster->nodes[--cluster->count];
        void *fixture = node->fixture;
        kj_presence_stop(node->board);
        kj__gateway_stop(node->fixture->gateway);
        kj_presence_free(node->board);
        tear_down(&fixture);
    }
    free(cluster);
    return 0;
}

static void wait_for_totals(struct kj_presence_board *board, size_t nodes, uint64_t clients,
                            uint64_t rooms)
{
    struct kj_presence_totals totals;
    for (int waited = 0;; waited++) {
        kj_presence_totals(board, &totals);
        if (totals.nodes == nodes && totals.clients == clients && totals.rooms == rooms) {
            return;
        }
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

static uint64_t count_of(struct kj_presence_board *board, const char *room)
{
    uint64_t count;
    kj_presence_room_counts(board, &room, 1, &count);
    return count;
}

static void wait_for_count(struct kj_presence_board *board, const char *room, uint64_t wanted)
{
    for (int waited = 0; count_of(board, room) != wanted; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

struct looking {
    const char *name;
    uint64_t value;
    bool is_found;
};

static void look(const char *name, const char *help, uint64_t value, void *ctx)
{
    struct looking *looking = ctx;
    assert_true(*help);
    if (strcmp(name, looking->name) == 0) {
        looking->value = value;
        looking->is_found = true;
    }
}

static uint64_t counter_of(struct kj_presence_board *board, const char *wanted)
{
    struct looking looking = {.name = wanted};
    kj_presence_counters(board, look, &looking);
    assert_true(looking.is_found);
    return looking.value;
}

static void wait_for_counter(struct kj_presence_board *board, const char *name, uint64_t least)
{
    for (int waited = 0; counter_of(board, name) < least; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

static void every_node_knows_the_sums_of_all(void **state)
{
    struct cluster *cluster = *state;
    struct kj_presence_board *one = cluster->nodes[0].board;
    struct kj_presence_board *two = cluster->nodes[1].board;
    int here = connect_client(cluster->nodes[0].fixture);
    int there = connect_client(cluster->nodes[1].fixture);
    int also = connect_client(cluster->nodes[1].fixture);
    ask(here, "join live://1", "ok 0");
    ask(there, "join live://1", "ok 0");
    ask(also, "join live://1", "ok 0");
    ask(also, "join live://2", "ok 0");
    wait_for_totals(one, 2, 3, 2);
    wait_for_totals(two, 2, 3, 2);
    wait_for_count(one, "live://1", 3);
    assert_int_equal(count_of(one, "nowhere"), 0);
    struct kj_presence_room top[4];
    assert_int_equal(kj_presence_top(one, "live://", top, 4), 2);
    assert_string_equal(top[0].name, "live://1");
    assert_int_equal(top[0].clients, 3);
    ask(here, "leave live://1", "ok 0");
    assert_int_equal(count_of(one, "live://1"), 2); /* our own is as of now */
    wait_for_count(two, "live://1", 2);
    close(also);
    wait_for_totals(one, 2, 2, 1);
    assert_int_equal(counter_of(one, "presence_refused_total"), 0);
    assert_int_equal(counter_of(one, "presence_reports_missed_total"), 0);
    close(here);
    close(there);
}

static void who_comes_later_learns_all_and_a_goodbye_ends_a_node(void **state)
{
    struct cluster *cluster = *state;
    int fd = connect_client(cluster->nodes[0].fixture);
    ask(fd, "join r", "ok 0");
    wait_for_totals(cluster->nodes[1].board, 2, 1, 1);
    add_node(cluster);
    wait_for_totals(cluster->nodes[2].board, 3, 1, 1);
    wait_for_count(cluster->nodes[2].board, "r", 1);
    int gone = connect_client(cluster->nodes[2].fixture);
    ask(gone, "join r", "ok 0");
    wait_for_count(cluster->nodes[0].board, "r", 2);
    kj_presence_stop(cluster->nodes[2].board);
    wait_for_totals(cluster->nodes[0].board, 2, 1, 1);
    assert_int_equal(counter_of(cluster->nodes[0].board, "presence_nodes_lost_total"), 0);
    close(gone);
    close(fd);
}

static void large_nodes_report_in_parts(void **state)
{
    enum { CLIENTS = 3, ROOMS_OF_ONE = 900 };
    struct cluster *cluster = *state;
    int fds[CLIENTS];
    char text[64];
    cluster->nodes[0].fixture->mount->protocol.limits.rooms = ROOMS_OF_ONE;
    cluster->nodes[0].fixture->gateway->options.topics = CLIENTS * ROOMS_OF_ONE + 10;
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = connect_client(cluster->nodes[0].fixture);
        for (int room = 0; room < ROOMS_OF_ONE; room++) {
            (void)snprintf(text, sizeof text, "join %d/%d", i, room);
            ask(fds[i], text, "ok 0");
        }
    }
    wait_for_totals(cluster->nodes[1].board, 2, CLIENTS, CLIENTS * ROOMS_OF_ONE);
    add_node(cluster);
    wait_for_totals(cluster->nodes[2].board, 3, CLIENTS, CLIENTS * ROOMS_OF_ONE);
    for (int i = 0; i < CLIENTS; i++) {
        close(fds[i]);
    }
    wait_for_totals(cluster->nodes[2].board, 3, 0, 0);
    assert_int_equal(counter_of(cluster->nodes[2].board, "presence_rooms_current"), 0);
}

static void users_are_found_wherever_they_are(void **state)
{
    struct cluster *cluster = *state;
    const char *const users[] = {"ann", "bob", "eve"};
    uint64_t clients[3];
    int ann = connect_client(cluster->nodes[0].fixture);
    int bob = connect_client(cluster->nodes[1].fixture);
    int also = connect_client(cluster->nodes[0].fixture);
    wait_for_totals(cluster->nodes[0].board, 2, 3, 0);
    wait_for_totals(cluster->nodes[1].board, 2, 3, 0);
    ask(ann, "user ann phone", "ok 0");
    ask(bob, "user bob phone", "ok 0");
    ask(also, "user bob laptop", "ok 0");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(kj_presence_online(cluster->nodes[i].board, users, 3, clients), KJ_OK);
        assert_int_equal(clients[0], 1);
        assert_int_equal(clients[1], 2);
        assert_int_equal(clients[2], 0);
    }
    const char *const bad[] = {""};
    assert_int_equal(kj_presence_online(cluster->nodes[0].board, bad, 1, clients), KJ_EINVAL);
    assert_int_equal(kj_presence_online(cluster->nodes[0].board, users, 0, clients), KJ_OK);
    kj_presence_stop(cluster->nodes[1].board);
    kj_presence_stop(cluster->nodes[0].board);
    assert_int_equal(kj_presence_online(cluster->nodes[0].board, users, 2, clients), KJ_OK);
    assert_int_equal(clients[1], 1); /* its own */
    close(ann);
    close(bob);
    close(also);
}

static void members_are_paged_over_all_nodes(void **state)
{
    enum { CLIENTS = 7 };
    struct cluster *cluster = *state;
    struct kj_member all[CLIENTS + 1];
    struct kj_member part[2];
    int fds[CLIENTS];
    char text[32];
    wait_for_totals(cluster->nodes[0].board, 2, 0, 0);
    wait_for_totals(cluster->nodes[1].board, 2, 0, 0);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = connect_client(cluster->nodes[i % 2].fixture);
        (void)snprintf(text, sizeof text, "user u%d d", i);
        ask(fds[i], text, "ok 0");
        ask(fds[i], "join r", "ok 0");
    }
    struct kj_presence_page page = {.max = CLIENTS + 1, .members = all};
    assert_int_equal(kj_presence_members(cluster->nodes[0].board, "r", &page), KJ_OK);
    assert_int_equal(page.got, CLIENTS);
    assert_int_equal(page.count, CLIENTS);
    for (uint64_t skip = 0; skip < CLIENTS + 2; skip += 2) {
        struct kj_presence_page next = {.skip = skip, .max = 2, .members = part};
        assert_int_equal(kj_presence_members(cluster->nodes[1].board, "r", &next), KJ_OK);
        assert_int_equal(next.count, CLIENTS);
        assert_int_equal(next.got, skip >= CLIENTS ? 0 : CLIENTS - skip < 2 ? 1 : 2);
        for (size_t i = 0; i < next.got; i++) {
            assert_int_equal(part[i].client, all[skip + i].client);
            assert_string_equal(part[i].user, all[skip + i].user);
        }
    }
    page = (struct kj_presence_page){.max = KJ_PRESENCE_PAGE_MAX + 1, .members = all};
    assert_int_equal(kj_presence_members(cluster->nodes[0].board, "r", &page), KJ_ELIMIT);
    page.max = 0;
    assert_int_equal(kj_presence_members(cluster->nodes[0].board, "", &page), KJ_EINVAL);
    for (int i = 0; i < CLIENTS; i++) {
        close(fds[i]);
    }
}

/* ---- what others than nodes say ---- */

static void tell(struct cluster *cluster, const char *topic, enum kj_encoding encoding,
                 const char *json)
{
    struct kj_publication *publication;
    uint8_t *bytes;
    size_t len;
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    assert_int_equal(kj_value_encode(encoding, value, &bytes, &len), KJ_OK);
    assert_int_equal(kj_publication_new(
                         &(struct kj_publication_options){
                             .topic = topic, .encoding = encoding, .data = bytes, .len = len},
                         &publication),
                     KJ_OK);
    assert_int_equal(kj_pubsub_publish(cluster->nodes[0].fixture->pubsub, publication), KJ_OK);
    kj_publication_unref(publication);
    json_decref(value);
    free(bytes);
}

#define REPORT(node, sequence, rest)                                                               \
    "{\"version\":1,\"kind\":\"report\",\"node\":" node ",\"sequence\":" sequence                  \
    ",\"interval_ms\":60000,\"clients\":7,\"users\":3,\"whole\":true,\"begins\":true,"             \
    "\"ends\":true" rest "}"

static void what_is_no_report_is_refused_and_counted(void **state)
{
    struct cluster *cluster = *state;
    static const char *const bad[] = {
        "[]",
        "{}",
        "1",
        REPORT("1", "1", ""),
        REPORT("0", "1", ",\"rooms\":[]"),
        REPORT("16777216", "1", ",\"rooms\":[]"),
        REPORT("1", "0", ",\"rooms\":[]"),
        REPORT("\"1\"", "1", ",\"rooms\":[]"),
        REPORT("1", "1", ",\"rooms\":[\"a\"]"),
        REPORT("1", "1", ",\"rooms\":[\"\",1]"),
        REPORT("1", "1", ",\"rooms\":[\"a\",-1]"),
        REPORT("1", "1", ",\"rooms\":[\"a\",4294967296]"),
        REPORT("1", "1", ",\"rooms\":[1,\"a\"]"),
        "{\"version\":2,\"kind\":\"goodbye\",\"node\":1}",
        "{\"version\":1,\"kind\":\"hello\",\"node\":1}",
        "{\"version\":1,\"kind\":\"goodbye\"}",
    };
    enum { BAD = sizeof bad / sizeof *bad };
    wait_for_totals(cluster->nodes[0].board, 2, 0, 0);
    for (size_t i = 0; i < BAD; i++) {
        tell(cluster, "gateway.presence.report", KJ_ENCODING_MSGPACK, bad[i]);
    }
    tell(cluster, "gateway.presence.report", KJ_ENCODING_JSON, REPORT("1", "1", ",\"rooms\":[]"));
    wait_for_counter(cluster->nodes[0].board, "presence_refused_total", BAD + 1);
    assert_int_equal(counter_of(cluster->nodes[0].board, "presence_refused_total"), BAD + 1);
    wait_for_totals(cluster->nodes[0].board, 2, 0, 0);
}

static void a_node_that_does_not_answer_is_told_of(void **state)
{
    struct cluster *cluster = *state;
    struct kj_presence_board *board = cluster->nodes[0].board;
    const char *const users[] = {"ann"};
    uint64_t clients;
    struct kj_member members[4];
    struct kj_presence_page page = {.max = 4, .members = members};
    int fd = connect_client(cluster->nodes[0].fixture);
    ask(fd, "user ann d", "ok 0");
    ask(fd, "join r", "ok 0");
    tell(cluster, "gateway.presence.report", KJ_ENCODING_MSGPACK,
         REPORT("1", "1", ",\"rooms\":[\"r\",4]"));
    wait_for_totals(board, 3, 8, 1);
    wait_for_count(board, "r", 5);
    assert_int_equal(kj_presence_online(board, users, 1, &clients), KJ_ETIMEOUT);
    assert_int_equal(clients, 1);
    assert_int_equal(kj_presence_members(board, "r", &page), KJ_ETIMEOUT);
    assert_int_equal(page.got, 1);
    assert_int_equal(counter_of(board, "presence_questions_unanswered_total"), 2);
    tell(cluster, "gateway.presence.report", KJ_ENCODING_MSGPACK,
         "{\"version\":1,\"kind\":\"goodbye\",\"node\":1}");
    wait_for_totals(board, 2, 1, 1);
    close(fd);
}

static void foreign_questions_are_refused_and_counted(void **state)
{
    struct cluster *cluster = *state;
    char topic[64];
    uint32_t node = kj_gateway_node(cluster->nodes[0].fixture->gateway);
    (void)snprintf(topic, sizeof topic, "gateway.presence.node.%x", (unsigned)node);
    tell(cluster, topic, KJ_ENCODING_MSGPACK, "{\"version\":1,\"kind\":\"what\"}");
    tell(cluster, topic, KJ_ENCODING_MSGPACK, "[1]");
    tell(cluster, topic, KJ_ENCODING_MSGPACK,
         "{\"version\":1,\"kind\":\"online\",\"users\":[\"a\"]}"); /* nobody waits for it */
    wait_for_counter(cluster->nodes[0].board, "presence_refused_total", 3);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct kj_presence_board *board;
    struct kj_error error = {0};
    struct kj_pubsub *pubsub;
    assert_int_equal(kj_pubsub_local_new(NULL, &pubsub), KJ_OK);
    struct kj_presence_options options = {0};
    assert_int_equal(kj_presence_new(&options, &board, &error), KJ_EINVAL);
    assert_non_null(strstr(error.text, "pubsub"));
    options.pubsub = pubsub;
    options.interval_ms = 5;
    assert_int_equal(kj_presence_new(&options, &board, &error), KJ_EINVAL);
    options.interval_ms = 0;
    options.prefix = "a b";
    assert_int_equal(kj_presence_new(&options, &board, &error), KJ_EINVAL);
    assert_non_null(strstr(error.text, "prefix"));
    options.prefix = NULL;
    assert_int_equal(kj_presence_new(&options, &board, &error), KJ_OK);
    kj_presence_free(board);
    kj_presence_free(NULL);
    kj_pubsub_free(pubsub);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_cluster, tear_down_cluster)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_node_knows_the_sums_of_all),
        TEST(who_comes_later_learns_all_and_a_goodbye_ends_a_node),
        TEST(large_nodes_report_in_parts),
        TEST(users_are_found_wherever_they_are),
        TEST(members_are_paged_over_all_nodes),
        TEST(what_is_no_report_is_refused_and_counted),
        TEST(a_node_that_does_not_answer_is_told_of),
        TEST(foreign_questions_are_refused_and_counted),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
