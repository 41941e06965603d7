/* presence_book_test.c - what nodes report, put together: against a naive twin, at its bounds. */
#include "handlers/presence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { OWN = 1000, INTERVAL_MS = 100 };

struct state {
    struct presence_counters counters;
    struct presence_book book;
    uint64_t now_ms;
    struct presence_effect effect;
};

static int set_up_with(void **context, uint32_t nodes, uint32_t rooms)
{
    struct state *state = calloc(1, sizeof *state);
    const struct kj_presence_options options = {.nodes = nodes, .rooms = rooms};
    assert_true(presence_book_init(&state->book, &options, &state->counters));
    state->book.own = OWN;
    *context = state;
    return 0;
}

static int set_up(void **context)
{
    return set_up_with(context, 4, 100);
}

static int tear_down(void **context)
{
    struct state *state = *context;
    presence_book_fini(&state->book);
    free(state);
    return 0;
}

/* How a report is told apart: all rooms at once, or those that changed. */
enum how { CHANGES, WHOLE, FIRST, MIDDLE, LAST };

static enum kj_status report(struct state *state, uint32_t node, uint64_t sequence, enum how how,
                             const char *rooms)
{
    json_t *list = json_loads(rooms, 0, NULL);
    assert_non_null(list);
    const struct presence_report made = {.node = node,
                                         .sequence = sequence,
                                         .interval_ms = INTERVAL_MS,
                                         .clients = 10,
                                         .users = 5,
                                         .is_whole = how != CHANGES,
                                         .begins = how == WHOLE || how == FIRST,
                                         .ends = how == WHOLE || how == LAST,
                                         .rooms = list};
    enum kj_status status = presence_book_apply(&state->book, &made, state->now_ms, &state->effect);
    json_decref(list);
    return status;
}

static json_int_t total(struct state *state, const char *room)
{
    return json_integer_value(
        json_object_get(presence_book_part(&state->book, room)->totals, room));
}

static uint64_t room_count(struct state *state)
{
    struct kj_presence_totals totals = {0};
    presence_book_sum(&state->book, state->now_ms, &totals);
    return totals.rooms;
}

static void figures_of_nodes_are_summed_up_and_go_with_them(void **context)
{
    struct state *state = *context;
    assert_int_equal(report(state, 1, 1, WHOLE, "[\"a\",2,\"b\",3]"), KJ_OK);
    assert_true(state->effect.is_new);
    assert_int_equal(report(state, 2, 1, WHOLE, "[\"b\",4]"), KJ_OK);
    assert_int_equal(report(state, 1, 2, CHANGES, "[\"a\",0,\"c\",1]"), KJ_OK);
    assert_false(state->effect.is_new);
    assert_false(state->effect.is_short);
    assert_int_equal(total(state, "a"), 0);
    assert_int_equal(total(state, "b"), 7);
    assert_int_equal(total(state, "c"), 1);
    assert_int_equal(state->book.rooms, 3);
    presence_book_remove(&state->book, 1);
    presence_book_remove(&state->book, 1);
    assert_int_equal(total(state, "b"), 4);
    assert_int_equal(room_count(state), 1);
    assert_int_equal(state->book.rooms, 1);
}

static void a_node_that_misses_three_reports_is_gone(void **context)
{
    struct state *state = *context;
    report(state, 1, 1, WHOLE, "[\"a\",2]");
    state->now_ms = 50;
    report(state, 2, 1, WHOLE, "[\"a\",3]");
    presence_book_expire(&state->book, 3 * INTERVAL_MS - 1);
    assert_int_equal(total(state, "a"), 5);
    presence_book_expire(&state->book, 3 * INTERVAL_MS);
    assert_int_equal(total(state, "a"), 3);
    state->now_ms = 200;
    report(state, 2, 2, CHANGES, "[]");
    presence_book_expire(&state->book, 400);
    assert_int_equal(state->book.node_count, 1);
    presence_book_expire(&state->book, 200 + 3 * INTERVAL_MS);
    assert_int_equal(state->book.node_count, 0);
    assert_int_equal(state->book.rooms, 0);
    assert_int_equal(room_count(state), 0);
    assert_int_equal(state->counters.lost, 2);
}

static void a_whole_report_in_parts_counts_at_its_end(void **context)
{
    struct state *state = *context;
    report(state, 1, 1, WHOLE, "[\"old\",2]");
    report(state, 1, 2, FIRST, "[\"a\",1]");
    assert_int_equal(total(state, "old"), 2);
    assert_int_equal(total(state, "a"), 0);
    report(state, 1, 3, MIDDLE, "[\"b\",1]");
    report(state, 1, 4, LAST, "[\"c\",1]");
    assert_int_equal(total(state, "old"), 0);
    assert_int_equal(room_count(state), 3);
    assert_int_equal(state->book.rooms, 3);
}

static void what_was_missed_is_wanted_again(void **context)
{
    struct state *state = *context;
    report(state, 1, 1, WHOLE, "[\"a\",1]");
    report(state, 1, 4, CHANGES, "[\"b\",1]");
    assert_true(state->effect.is_short);
    assert_int_equal(state->counters.missed, 2);
    report(state, 1, 5, FIRST, "[\"c\",1]");
    assert_false(state->effect.is_short);
    report(state, 1, 7, LAST, "[\"d\",1]"); /* the middle is missing: it counts for nothing */
    assert_true(state->effect.is_short);
    assert_int_equal(total(state, "a"), 1);
    assert_int_equal(total(state, "d"), 0);
    assert_int_equal(state->book.rooms, 2);
    report(state, 1, 8, WHOLE, "[\"e\",1]");
    assert_false(state->effect.is_short);
    assert_int_equal(room_count(state), 1);
}

static void who_joins_in_the_middle_of_a_report_waits_for_the_next(void **context)
{
    struct state *state = *context;
    report(state, 1, 17, LAST, "[\"a\",1]");
    assert_true(state->effect.is_new);
    assert_true(state->effect.is_short);
    assert_int_equal(state->counters.missed, 0);
    assert_int_equal(total(state, "a"), 0);
}

static void what_comes_again_is_refused(void **context)
{
    struct state *state = *context;
    report(state, 1, 5, WHOLE, "[\"a\",1]");
    assert_int_equal(report(state, 1, 5, WHOLE, "[\"a\",9]"), KJ_EINVAL);
    assert_int_equal(report(state, 1, 4, WHOLE, "[\"a\",9]"), KJ_EINVAL);
    assert_int_equal(total(state, "a"), 1);
}

static void nodes_and_rooms_are_bounded(void **context)
{
    struct state *state = *context;
    char text[64];
    for (uint32_t node = 1; node <= 6; node++) {
        assert_int_equal(report(state, node, 1, WHOLE, "[]"), node <= 4 ? KJ_OK : KJ_ELIMIT);
    }
    assert_int_equal(state->counters.nodes_over_limit, 2);
    for (int i = 0; i < 150; i++) {
        (void)snprintf(text, sizeof text, "[\"room%d\",1]", i);
        report(state, (uint32_t)i % 4 + 1, (uint64_t)i / 4 + 2, CHANGES, text);
    }
    assert_int_equal(state->book.rooms, 100);
    assert_int_equal(room_count(state), 100);
    assert_int_equal(state->counters.rooms_over_limit, 50);
    report(state, 1, 100, WHOLE, "[]"); /* what it had makes room */
    report(state, 2, 100, CHANGES, "[\"new\",1]");
    assert_int_equal(total(state, "new"), 1);
}

static void the_largest_rooms_come_first(void **context)
{
    struct state *state = *context;
    struct kj_presence_room rooms[3];
    report(state, 1, 1, WHOLE, "[\"live://1\",5,\"live://2\",9,\"game://1\",7,\"live://3\",5]");
    report(state, 2, 1, WHOLE, "[\"live://3\",1,\"game://1\",3]");
    assert_int_equal(presence_book_top(&state->book, NULL, rooms, 3), 3);
    assert_string_equal(rooms[0].name, "game://1");
    assert_int_equal(rooms[0].clients, 10);
    assert_string_equal(rooms[1].name, "live://2");
    assert_string_equal(rooms[2].name, "live://3");
    assert_int_equal(presence_book_top(&state->book, "live://", rooms, 2), 2);
    assert_string_equal(rooms[1].name, "live://3");
    assert_int_equal(rooms[1].clients, 6);
    assert_int_equal(presence_book_top(&state->book, "nothing", rooms, 3), 0);
    assert_int_equal(presence_book_top(&state->book, NULL, rooms, 0), 0);
}

/* ---- looked at meanwhile ---- */

enum { MANY = 1000 };

struct looker {
    struct state *state;
    _Atomic bool is_over;
    _Atomic int looks, wrong;
};

/* Rooms of which one node has 1 and our own 2 whatever is changed; the others come and go. */
static void *look(void *argument)
{
    static const char *const rooms[] = {"room0", "room500", "room999"};
    struct looker *looker = argument;
    struct presence_book *book = &looker->state->book;
    while (!looker->is_over) {
        uint64_t clients[3] = {0};
        struct kj_presence_room top[2];
        presence_book_add_others(book, rooms, 3, clients);
        bool is_right = presence_book_top(book, "room500", top, 2) == 1 && top[0].clients == 3;
        looker->wrong += clients[0] != 1 || clients[1] != 1 || clients[2] != 1 || !is_right;
        looker->looks++;
    }
    return NULL;
}

static json_t *list_of_many(int extra, int count)
{
    char name[32];
    json_t *list = json_array();
    for (int i = 0; i < MANY + extra; i++) {
        (void)snprintf(name, sizeof name, i < MANY ? "room%d" : "other%d", i);
        json_array_append_new(list, json_string(name));
        json_array_append_new(list, json_integer(count));
    }
    return list;
}

static void take_many(struct state *state, int extra)
{
    json_t *list = list_of_many(extra, 2);
    json_t *rooms = json_object();
    json_t *changes = json_array();
    for (size_t i = 0; i < json_array_size(list); i += 2) {
        json_object_set(rooms, json_string_value(json_array_get(list, i)),
                        json_array_get(list, i + 1));
    }
    assert_int_equal(presence_book_take_own(&state->book, rooms, changes), KJ_OK);
    json_decref(changes);
    json_decref(list);
}

static void who_looks_meanwhile_finds_what_was_or_what_is(void **context)
{
    struct state *state = *context;
    struct looker looker = {.state = state};
    pthread_t thread;
    state->book.rooms_max = 10000;
    for (int turn = 0; turn < 100 || looker.looks < 20; turn++) {
        json_t *list = list_of_many(turn % 2 ? 0 : MANY, 1);
        char *text = json_dumps(list, 0);
        assert_int_equal(report(state, 1, (uint64_t)turn + 1, WHOLE, text), KJ_OK);
        take_many(state, turn % 2 ? MANY : 0);
        if (turn == 0) {
            assert_int_equal(pthread_create(&thread, NULL, look, &looker), 0);
        }
        free(text);
        json_decref(list);
    }
    looker.is_over = true;
    pthread_join(thread, NULL);
    assert_int_equal(looker.wrong, 0);
}

/* ---- against a twin ---- */

enum { NODES = 4, NAMES = 30 };

struct twin {
    int figures[NODES + 1][NAMES]; /* [0]: our own */
    uint64_t sequence[NODES + 1];
};

static json_t *list_of(const int *now, const int *before)
{
    char name[16];
    json_t *list = json_array();
    for (int i = 0; i < NAMES; i++) {
        if (before ? now[i] != before[i] : now[i] > 0) {
            (void)snprintf(name, sizeof name, "room%d", i);
            json_array_append_new(list, json_string(name));
            json_array_append_new(list, json_integer(now[i]));
        }
    }
    return list;
}

static void change(struct state *state, struct twin *twin, uint32_t node)
{
    int before[NAMES];
    memcpy(before, twin->figures[node], sizeof before);
    for (int i = rand() % 8; i > 0; i--) {
        twin->figures[node][rand() % NAMES] = rand() % 4;
    }
    bool is_whole = twin->sequence[node] == 0 || rand() % 5 == 0;
    json_t *list = list_of(twin->figures[node], is_whole ? NULL : before);
    char *text = json_dumps(list, 0);
    assert_int_equal(report(state, node, ++twin->sequence[node], is_whole ? WHOLE : CHANGES, text),
                     KJ_OK);
    free(text);
    json_decref(list);
}

static void change_own(struct state *state, struct twin *twin)
{
    char name[16];
    int before[NAMES];
    memcpy(before, twin->figures[0], sizeof before);
    json_t *rooms = json_object();
    json_t *changes = json_array();
    for (int i = 0; i < NAMES; i++) {
        twin->figures[0][i] = rand() % 3;
        if (twin->figures[0][i]) {
            (void)snprintf(name, sizeof name, "room%d", i);
            json_object_set_new(rooms, name, json_integer(twin->figures[0][i]));
        }
    }
    json_t *wanted = list_of(twin->figures[0], before);
    assert_int_equal(presence_book_take_own(&state->book, rooms, changes), KJ_OK);
    assert_int_equal(json_array_size(changes), json_array_size(wanted));
    json_decref(wanted);
    json_decref(changes);
}

static void compare(struct state *state, const struct twin *twin)
{
    char name[16];
    size_t rooms = 0;
    size_t kept = 0;
    for (int i = 0; i < NAMES; i++) {
        int sum = 0;
        for (int node = 0; node <= NODES; node++) {
            sum += twin->figures[node][i];
            kept += node > 0 && twin->figures[node][i] > 0;
        }
        (void)snprintf(name, sizeof name, "room%d", i);
        assert_int_equal(total(state, name), sum);
        rooms += sum > 0;
    }
    assert_int_equal(room_count(state), rooms);
    assert_int_equal(state->book.rooms, kept);
}

static void sums_are_those_of_a_naive_twin(void **context)
{
    struct state *state = *context;
    struct twin twin = {0};
    state->book.rooms_max = 10000;
    srand(4);
    for (int turn = 0; turn < 2000; turn++) {
        uint32_t node = (uint32_t)(rand() % (NODES + 1));
        if (node == 0) {
            change_own(state, &twin);
        } else if (rand() % 20 == 0) {
            presence_book_remove(&state->book, node);
            memset(twin.figures[node], 0, sizeof twin.figures[node]);
            twin.sequence[node] = 0;
        } else {
            change(state, &twin, node);
        }
        compare(state, &twin);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(figures_of_nodes_are_summed_up_and_go_with_them),
        TEST(a_node_that_misses_three_reports_is_gone),
        TEST(a_whole_report_in_parts_counts_at_its_end),
        TEST(what_was_missed_is_wanted_again),
        TEST(who_joins_in_the_middle_of_a_report_waits_for_the_next),
        TEST(what_comes_again_is_refused),
        TEST(nodes_and_rooms_are_bounded),
        TEST(the_largest_rooms_come_first),
        TEST(who_looks_meanwhile_finds_what_was_or_what_is),
        TEST(sums_are_those_of_a_naive_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
