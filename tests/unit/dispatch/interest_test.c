/* interest_test.c - what sessions ask for: each different wish once, and what it says of events. */
#include "dispatch/interest.h"

#include "dispatch/message.h"
#include "fixture.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

enum { SHARDS = 2 };

/* ---- the table alone ---- */

struct table {
    struct kj__counters counters;
    struct kj__interests interests;
};

static int set_up_table(void **state)
{
    struct table *table = calloc(1, sizeof *table);
    kj__interests_init(&table->interests, SHARDS, &table->counters);
    *state = table;
    return 0;
}

static int tear_down_table(void **state)
{
    struct table *table = *state;
    assert_int_equal(table->counters.interests, 0);
    assert_int_equal(table->interests.by_key.count, 0);
    kj__interests_fini(&table->interests);
    free(table);
    return 0;
}

static enum kj_status ask(struct table *table, const char *text, struct kj__interest **interest,
                          struct kj_error *error)
{
    struct kj_push_config *config;
    *error = (struct kj_error){{0}, 0};
    assert_int_equal(
        kj_push_config_decode((uint8_t *)text, strlen(text), KJ_ENCODING_JSON, &config, error),
        KJ_OK);
    return kj__interests_get_take(&table->interests, config, interest, error);
}

static struct kj__interest *get(struct table *table, const char *text)
{
    struct kj__interest *interest;
    struct kj_error error;
    assert_int_equal(ask(table, text, &interest, &error), KJ_OK);
    assert_non_null(interest);
    return interest;
}

static void equal_wishes_are_one_interest(void **state)
{
    static const char *const groups[][4] = {
        {"{}", "{\"identities\":{}}", "{\"identities\":null}",
         "{\"parameters\":{\"a\":[\"b\"]},\"identities\":{}}"},
        {"{\"identities\":{\"a\":null,\"b\":[]}}", "{\"identities\":{\"b\":null,\"a\":[]}}",
         "{\"identities\":{\"b\":[],\"a\":null},\"parameters\":{\"q\":[\"1\"]}}",
         "{\"filters\":{},\"identities\":{\"a\":[],\"b\":[]}}"},
        {"{\"identities\":{\"a\":[\"create\",\"delete\"]}}",
         "{\"identities\":{\"a\":[\"delete\",\"create\"]}}",
         "{\"identities\":{\"a\":[\"delete\",\"create\",\"delete\"]}}",
         "{\"identities\":{\"a\":[\"create\",\"create\",\"delete\"]}}"},
        {"{\"identities\":{\"a\":null},\"filters\":{\"a\":\"x == 1 and y != 'z'\"}}",
         "{\"identities\":{\"a\":null},\"filters\":{\"a\":\"  x==1   and y !=\\\"z\\\" \"}}",
         "{\"identities\":{\"a\":null},\"filters\":{\"a\":\"((x == 1) AND (y != z))\"}}",
         "{\"identities\":{\"a\":[]},\"filters\":{\"a\":\"(x == 1 and\\ty != z)\"}}"},
    };
    struct table *table = *state;
    struct kj__interest *made[LENGTH(groups)][4];
    for (size_t i = 0; i < LENGTH(groups); i++) {
        for (size_t j = 0; j < 4; j++) {
            made[i][j] = get(table, groups[i][j]);
            assert_ptr_equal(made[i][j], made[i][0]);
        }
        assert_int_equal(table->counters.interests, i + 1);
    }
    for (size_t i = 0; i < LENGTH(groups); i++) {
        for (size_t j = 0; j < 4; j++) {
            kj__interest_unref(made[i][j]);
        }
    }
}

static void hostile_names_do_not_collide(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"identities\":{\"\":null}}",
        "{\"identities\":{\"\":[\"\"]}}",
        "{\"identities\":{\"a\":null}}",
        "{\"identities\":{\"a\":[\"\"]}}",
        "{\"identities\":{\"a\":[\"b\"]}}",
        "{\"identities\":{\"at1:b\":null}}",
        "{\"identities\":{\"a\":[\"bt1:c\"]}}",
        "{\"identities\":{\"a\":[\"b\",\"c\"]}}",
        "{\"identities\":{\"ai1:b\":null}}",
        "{\"identities\":{\"a\":null,\"b\":null}}",
        "{\"identities\":{\"a\":[\"bi1:c\"]}}",
        "{\"identities\":{\"a\":[\"b\"],\"c\":null}}",
        "{\"identities\":{\"a\":[\"i1:b\"]}}",
        "{\"identities\":{\"1\":null}}",
        "{\"identities\":{\"1:\":null}}",
        "{\"identities\":{\"1:1\":[\"1:1\"]}}",
        "{\"identities\":{\"1:11:1\":null}}",
        "{\"identities\":{\"a\\u0001\":null}}",
        "{\"identities\":{\"a\":[\"\\u0001\"]}}",
        "{\"identities\":{\"a\\n\":[\"\\u001f\"]}}",
        "{\"identities\":{\"a\":null},\"filters\":{\"a\":\"b == 1\"}}",
        "{\"identities\":{\"a\":null},\"filters\":{\"a\":\"b == '1'\"}}",
        "{\"identities\":{\"a\":[\"f6:b == 1\"]}}",
        "{\"identities\":{\"af6:b == 1\":null}}",
        "{\"identities\":{\"a\":[\"b\"]},\"filters\":{\"a\":\"b == 1\"}}",
        "{\"identities\":{\"a\":null},\"filters\":{\"a\":\"b == '1t1:b'\"}}",
        "{\"identities\":{\"a\":null,\"b\":null},\"filters\":{\"a\":\"b == 1\"}}",
        "{\"identities\":{\"a\":null,\"b\":null},\"filters\":{\"b\":\"b == 1\"}}",
    };
    struct table *table = *state;
    struct kj__interest *made[LENGTH(texts)];
    for (size_t i = 0; i < LENGTH(texts); i++) {
        made[i] = get(table, texts[i]);
        assert_int_equal(table->counters.interests, i + 1);
    }
    for (size_t i = 0; i < LENGTH(texts); i++) {
        kj__interest_unref(made[i]);
    }
}

static void bad_filters_are_refused_with_bahamuts_text(void **state)
{
    struct table *table = *state;
    struct kj__interest *interest;
    struct kj_error error;
    assert_int_equal(ask(table, "{\"identities\":{\"a\":null},\"filters\":{\"a\":\"name ==\"}}",
                         &interest, &error),
                     KJ_EINVAL);
    assert_null(interest);
    assert_string_equal(error.text,
                        "unable to parse identity filters: elemental: unable to parse filter "
                        "\"name ==\": invalid value. found EOF");
    assert_int_equal(ask(table, "{\"identities\":{\"a\":null},\"filters\":{\"a\":\"name > 3\"}}",
                         &interest, &error),
                     KJ_EINVAL);
    assert_non_null(strstr(error.text, "unable to parse identity filters: elemental: "));
    assert_null(interest);
}

/* Each filter is within its bounds, and all together are too much. */
static void filters_beyond_a_bound_are_refused(void **state)
{
    struct table *table = *state;
    struct kj__interest *interest;
    struct kj_error error;
    struct kj__buffer text = {0};
    kj__buffer_append_text(&text, "{\"identities\":{\"a\":null},\"filters\":{\"a\":\"a == 1");
    for (int i = 0; i < 200; i++) {
        kj__buffer_append_text(&text, " and a == 1");
    }
    kj__buffer_append(&text, "\"}}", 4);
    assert_int_equal(ask(table, (const char *)text.data, &interest, &error), KJ_ELIMIT);
    assert_null(interest);
    assert_true(error.text[0] != 0);
    kj__buffer_fini(&text);

    struct kj__buffer identities = {0};
    struct kj__buffer filters = {0};
    for (int i = 0; i < 100; i++) {
        kj__buffer_printf(&identities, "%s\"i%d\":null", i ? "," : "", i);
        kj__buffer_printf(&filters, "%s\"i%d\":\"a matches ['^(a|b|c)*%d[a-z]+','x{100}']\"",
                          i ? "," : "", i, i);
    }
    kj__buffer_append_byte(&identities, 0);
    kj__buffer_append_byte(&filters, 0);
    kj__buffer_init(&text);
    kj__buffer_append_text(&text, "{\"identities\":{");
    kj__buffer_append_text(&text, (const char *)identities.data);
    kj__buffer_append_text(&text, "},\"filters\":{");
    kj__buffer_append_text(&text, (const char *)filters.data);
    kj__buffer_append(&text, "}}", 3);
    assert_int_equal(ask(table, (const char *)text.data, &interest, &error), KJ_ELIMIT);
    assert_non_null(strstr(error.text, "push config: its filters take more than"));
    kj__buffer_fini(&text);
    kj__buffer_fini(&identities);
    kj__buffer_fini(&filters);
}

static struct kj__message *make_message(struct table *table, struct kj__delivery *delivery,
                                        int number)
{
    static const struct kj_dispatch_handler handler;
    static const struct kj__endpoint endpoint;
    json_t *entity = json_pack("{s:i}", "n", number);
    struct kj_event *event;
    assert_int_equal(kj_event_new_untyped("task", KJ_EVENT_CREATE, entity, &event), KJ_OK);
    json_decref(entity);
    struct kj__message *message = kj__message_new_take(event, &handler, delivery, &endpoint,
                                                       kj__interests_numbers(&table->interests));
    assert_non_null(message);
    return message;
}

/* A message that waits outlives interests: their numbers are given to others meanwhile. */
static void a_number_used_again_brings_no_old_verdict(void **state)
{
    struct table *table = *state;
    struct kj__delivery delivery = {.shard_count = 0, .counters = &table->counters};
    static const char yes[] = "{\"identities\":{\"task\":null},\"filters\":{\"task\":\"n == 1\"}}";
    static const char no[] = "{\"identities\":{\"task\":null},\"filters\":{\"task\":\"n == 2\"}}";
    struct kj__interest *first = get(table, yes);
    struct kj__message *message = make_message(table, &delivery, 1);
    uint32_t number = first->number;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(first->number, number);
        assert_true(kj__interest_wants(first, message) == (i % 2 == 0));
        assert_true(kj__interest_wants(first, message) == (i % 2 == 0));
        assert_int_equal(table->counters.filters_evaluated, i + 1);
        kj__interest_unref(first);
        first = get(table, i % 2 ? yes : no);
    }
    assert_int_equal(kj__interests_numbers(&table->interests), 1);
    struct kj__interest *newer = get(table, no); /* the message has no room for its verdict */
    struct kj__interest *newest = get(table, yes);
    assert_false(kj__interest_wants(newer, message));
    assert_true(kj__interest_wants(newest, message));
    kj__interest_unref(newest);
    kj__interest_unref(newer);
    kj__interest_unref(first);
    kj__message_unref(message);
}

/* ---- with sessions ---- */

static void ask_for_number(struct fixture *fixture, int fd, int number)
{
    char text[200];
    (void)snprintf(text, sizeof text,
                   "{\"identities\":{\"task\":null},\"filters\":{\"task\":\"n == %d\"}}", number);
    send_config(fixture, fd, text);
}

/* Each row has an audience for each encoding. */
static const char *const events_as_msgpack[] = {"Accept", "application/msgpack", NULL};

static void interests_are_gone_with_their_last_session(void **state)
{
    enum { SESSIONS = 12 };
    struct fixture *fixture = *state;
    int fds[SESSIONS];
    start(fixture);
    assert_int_equal(fixture->counters.interests, 1);
    for (int i = 0; i < SESSIONS; i++) {
        fds[i] = connect_session(fixture, "", i % 2 ? events_as_msgpack : NULL);
        ask_for_number(fixture, fds[i], i % 3);
    }
    assert_int_equal(fixture->counters.interests, 1 + 3);
    for (int i = 0; i < SESSIONS; i++) { /* others instead, which leaves the first ones empty */
        ask_for_number(fixture, fds[i], 100 + i);
    }
    publish(fixture, "task", KJ_EVENT_CREATE, 100);
    assert_int_equal(read_number(fds[0]), 100);
    for (int i = 0; i < SESSIONS; i++) {
        close(fds[i]);
    }
    wait_for_counter(&fixture->counters.sessions, 0);
    publish(fixture, "task", KJ_EVENT_CREATE, 1); /* what is empty goes when a shard is busy */
    wait_for_counter(&fixture->counters.interests, 1);
}

enum { SESSIONS = 30, FILTERS = 5, EVENTS = 40 };

/* How often filters are evaluated for events that a fifth of the sessions want. */
static uint64_t count_evaluations(struct fixture *fixture, const char *before, const char *after)
{
    int fds[SESSIONS + 1];
    start(fixture);
    for (int i = 0; i < SESSIONS; i++) {
        fds[i] = connect_session(fixture, "", NULL);
        char text[200];
        (void)snprintf(text, sizeof text,
                       "{\"identities\":{\"task\":null},\"filters\":{\"task\":\"%sn == %d%s\"}}",
                       before, i % FILTERS, after);
        send_config(fixture, fds[i], text);
    }
    /* Of another identity: not looked at. */
    fds[SESSIONS] = connect_session(fixture, "", NULL);
    send_config(fixture, fds[SESSIONS],
                "{\"identities\":{\"list\":null,\"user\":null},"
                "\"filters\":{\"list\":\"n == 1000\"}}");
    for (int i = 0; i < EVENTS; i++) {
        publish(fixture, "task", KJ_EVENT_CREATE, i % FILTERS);
    }
    publish(fixture, "user", KJ_EVENT_CREATE, 7);
    assert_int_equal(read_number(fds[SESSIONS]), 7);
    for (int i = 0; i < SESSIONS; i++) {
        for (int event = 0; event < EVENTS / FILTERS; event++) {
            assert_int_equal(read_number(fds[i]), i % FILTERS);
        }
        close(fds[i]);
    }
    close(fds[SESSIONS]);
    return fixture->counters.filters_evaluated;
}

static void filters_are_evaluated_once_for_all_sessions(void **state)
{
    assert_int_equal(count_evaluations(*state, "", " or n == -1"), FILTERS * EVENTS);
}

static void filters_for_one_value_are_found_by_it(void **state)
{
    assert_int_equal(count_evaluations(*state, "m not exists and ", ""), EVENTS);
}

static const char *const *related(const char *identity, void *ctx)
{
    (void)ctx;
    static const char *const names[] = {"list", "user", NULL};
    return strcmp(identity, "task") == 0 ? names : NULL;
}

static void a_related_identity_s_filter_decides_for_it(void **state)
{
    struct fixture *fixture = *state;
    fixture->dispatch.related_identities = related;
    start(fixture);
    int list = connect_session(fixture, "", NULL);
    int both = connect_session(fixture, "", NULL);
    send_config(fixture, list,
                "{\"identities\":{\"list\":[\"create\"]},\"filters\":{\"list\":\"n != 2\"}}");
    send_config(fixture, both,
                "{\"identities\":{\"task\":null,\"user\":[\"delete\"],\"list\":null},\"filters\":"
                "{\"task\":\"n == 1\",\"user\":\"n == 2\",\"list\":\"n == 5\"}}");
    publish(fixture, "task", KJ_EVENT_CREATE, 1); /* both */
    publish(fixture, "task", KJ_EVENT_CREATE, 2); /* none: it is no delete */
    publish(fixture, "task", KJ_EVENT_DELETE, 2); /* both's user */
    publish(fixture, "task", KJ_EVENT_CREATE, 5); /* list, and both's list, once */
    publish(fixture, "user", KJ_EVENT_CREATE, 1); /* related to nothing */
    publish(fixture, "list", KJ_EVENT_CREATE, 5);
    publish(fixture, "list", KJ_EVENT_CREATE, 6);
    static const long of_list[] = {1, 5, 5, 6};
    static const long of_both[] = {1, 2, 5, 5};
    for (size_t i = 0; i < LENGTH(of_list); i++) {
        assert_int_equal(read_number(list), of_list[i]);
        assert_int_equal(read_number(both), of_both[i]);
    }
    close(list);
    close(both);
}

static int set_up_one_shard(void **state)
{
    set_up(state);
    ((struct fixture *)*state)->shards = 1;
    return 0;
}

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, set_up_table, tear_down_table)
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define WITH_ONE_SHARD(test) cmocka_unit_test_setup_teardown(test, set_up_one_shard, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(equal_wishes_are_one_interest),
        WITH_TABLE(hostile_names_do_not_collide),
        WITH_TABLE(bad_filters_are_refused_with_bahamuts_text),
        WITH_TABLE(filters_beyond_a_bound_are_refused),
        WITH_TABLE(a_number_used_again_brings_no_old_verdict),
        WITH_FIXTURE(interests_are_gone_with_their_last_session),
        WITH_ONE_SHARD(filters_are_evaluated_once_for_all_sessions),
        WITH_ONE_SHARD(filters_for_one_value_are_found_by_it),
        WITH_FIXTURE(a_related_identity_s_filter_decides_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
