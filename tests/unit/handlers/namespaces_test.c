/* namespaces_test.c - how namespaces are related, and the handler with names of its own. */
#include "unit/dispatch/fixture.h"

#include <kujata/namespaces.h>

static char context;

static void relations_are_of_whole_words(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
        enum kj_namespace_relation relation, reverse;
    } rows[] = {
        {"/a/b", "/a/b", KJ_NAMESPACE_SAME, KJ_NAMESPACE_SAME},
        {"/a", "/a/b", KJ_NAMESPACE_ABOVE, KJ_NAMESPACE_BELOW},
        {"/", "/a/b", KJ_NAMESPACE_ABOVE, KJ_NAMESPACE_BELOW},
        {"/", "/a", KJ_NAMESPACE_ABOVE, KJ_NAMESPACE_BELOW},
        {"/", "/", KJ_NAMESPACE_SAME, KJ_NAMESPACE_SAME},
        {"/a/b", "/a/b/c/d", KJ_NAMESPACE_ABOVE, KJ_NAMESPACE_BELOW},
        {"/a/b", "/a/c", KJ_NAMESPACE_UNRELATED, KJ_NAMESPACE_UNRELATED},
        {"/a", "/ab", KJ_NAMESPACE_UNRELATED, KJ_NAMESPACE_UNRELATED},
        {"/a/b", "/a/bc", KJ_NAMESPACE_UNRELATED, KJ_NAMESPACE_UNRELATED},
        {"", "/a", KJ_NAMESPACE_UNRELATED, KJ_NAMESPACE_UNRELATED},
        {"", "", KJ_NAMESPACE_UNRELATED, KJ_NAMESPACE_UNRELATED},
        {"a", "a", KJ_NAMESPACE_UNRELATED, KJ_NAMESPACE_UNRELATED},
        {"/a/", "/a/b", KJ_NAMESPACE_UNRELATED, KJ_NAMESPACE_UNRELATED},
        {"//", "//a", KJ_NAMESPACE_UNRELATED, KJ_NAMESPACE_UNRELATED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(kj_namespace_relation(rows[i].first, rows[i].second), rows[i].relation);
        assert_int_equal(kj_namespace_relation(rows[i].second, rows[i].first), rows[i].reverse);
    }
}

static bool admit_team(struct kj_session *session, const char *name, struct kj_error *error,
                       void *ctx)
{
    (void)session;
    assert_ptr_equal(ctx, &context);
    kj_error_set(error, 0, "not %s", name);
    return kj_namespace_relation(name, "/team") != KJ_NAMESPACE_UNRELATED;
}

static bool allow_create(struct kj_session *session, const struct kj_event *event, void *ctx)
{
    (void)session;
    (void)ctx;
    return strcmp(kj_event_type(event), KJ_EVENT_CREATE) == 0;
}

static void push_object(struct fixture *fixture, const char *identity, const char *type,
                        json_t *entity)
{
    struct kj_event *event;
    assert_int_equal(kj_event_new_untyped(identity, type, entity, &event), KJ_OK);
    assert_int_equal(kj__events_publish(&fixture->events, event), KJ_OK);
    kj_event_unref(event);
    json_decref(entity);
}

static void names_and_last_words_are_the_application_s(void **state)
{
    struct fixture *fixture = *state;
    struct kj__refusal refusal;
    struct kj_namespaces *namespaces;
    const struct kj_namespaces_options options = {.namespace_attribute = "where",
                                                  .propagate_attribute = "down",
                                                  .hidden_attribute = "hidden",
                                                  .identity = "space",
                                                  .name_attribute = "path",
                                                  .admits = admit_team,
                                                  .allows = allow_create,
                                                  .ctx = &context};
    assert_int_equal(kj_namespaces_new(&options, &namespaces), KJ_OK);
    fixture->dispatch = kj_namespaces_handler(namespaces);
    start(fixture);
    assert_null(prepare(fixture, "namespace=/other", NULL, &refusal));
    assert_string_equal(refusal.error.description, "not /other");
    int fd = connect_session(fixture, "namespace=/team/x", NULL);
    push_object(fixture, "task", KJ_EVENT_CREATE,
                json_pack("{s:s, s:i}", "where", "/team/x", "n", 1));
    push_object(fixture, "task", KJ_EVENT_UPDATE,
                json_pack("{s:s, s:i}", "where", "/team/x", "n", 2));
    push_object(fixture, "task", KJ_EVENT_CREATE,
                json_pack("{s:s, s:i}", "where", "/team", "n", 3));
    push_object(fixture, "task", KJ_EVENT_CREATE,
                json_pack("{s:s, s:i, s:b}", "where", "/team", "n", 4, "down", 1));
    push_object(
        fixture, "task", KJ_EVENT_CREATE,
        json_pack("{s:s, s:i, s:b, s:b}", "where", "/team", "n", 5, "down", 1, "hidden", 1));
    push_object(fixture, "space", KJ_EVENT_DELETE,
                json_pack("{s:s, s:i, s:s}", "where", "/elsewhere", "n", 6, "path", "/team/x"));
    push_object(fixture, "space", KJ_EVENT_DELETE,
                json_pack("{s:s, s:i, s:s}", "where", "/team/x", "n", 7, "path", "/team/x/y"));
    push_object(fixture, "space", KJ_EVENT_DELETE,
                json_pack("{s:s, s:i, s:s}", "where", "/", "n", 8, "path", "/team"));
    push_object(fixture, "task", KJ_EVENT_CREATE, json_pack("{s:i}", "n", 9));
    push_object(fixture, "task", KJ_EVENT_CREATE,
                json_pack("{s:s, s:i}", "where", "/team/x", "n", 10));
    static const long heard[] = {1, 4, 6, 8, 10};
    for (size_t i = 0; i < sizeof heard / sizeof *heard; i++) {
        assert_int_equal(read_number(fd), heard[i]);
    }
    assert_int_equal(fixture->counters.events_summary_failed, 1);
    close(fd);
    /* The events, which ask the handler, are finished before it. */
    kj__events_stop(&fixture->events, 100);
    kj__delivery_stop(fixture->delivery, 0);
    fixture->dispatch = (struct kj_dispatch_handler){0};
    kj_namespaces_free(namespaces);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relations_are_of_whole_words),
        cmocka_unit_test_setup_teardown(names_and_last_words_are_the_application_s, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
