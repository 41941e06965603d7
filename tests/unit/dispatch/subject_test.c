/* subject_test.c - events on subjects of their identity and type. */
#include "fixture.h"

struct listener {
    pthread_mutex_t lock;
    char topics[4096]; /* guarded by lock */
    _Atomic uint64_t count;
};

static void note_topic(struct kj_publication *publication, void *ctx)
{
    struct listener *listener = ctx;
    pthread_mutex_lock(&listener->lock);
    strcat(listener->topics, kj_publication_topic(publication));
    strcat(listener->topics, " ");
    pthread_mutex_unlock(&listener->lock);
    atomic_fetch_add(&listener->count, 1);
}

static struct kj_subscription *listen_to(struct fixture *fixture, const char *pattern,
                                         struct listener *listener)
{
    struct kj_subscription *subscription;
    *listener = (struct listener){.lock = PTHREAD_MUTEX_INITIALIZER};
    assert_int_equal(
        kj_pubsub_subscribe(fixture->pubsub, pattern, NULL, note_topic, listener, &subscription),
        KJ_OK);
    return subscription;
}

static void events_are_published_on_long_subjects_and_heard_in_order(void **state)
{
    struct fixture *fixture = *state;
    fixture->subject_hierarchies = true;
    start(fixture);
    struct listener lists;
    struct listener deletions;
    struct kj_subscription *first = listen_to(fixture, "events.list.*", &lists);
    struct kj_subscription *second = listen_to(fixture, "events.*.delete", &deletions);
    int fd = connect_session(fixture, "", NULL);
    for (int i = 0; i < 100; i++) {
        static const char *const types[] = {KJ_EVENT_CREATE, KJ_EVENT_UPDATE, KJ_EVENT_DELETE};
        publish(fixture, i % 2 ? "task" : "list", types[i % 3], i);
    }
    for (int i = 0; i < 100; i++) { /* one publisher's order, whatever the subject */
        assert_int_equal(read_number(fd), i);
    }
    wait_for_counter(&lists.count, 50);
    wait_for_counter(&deletions.count, 33);
    pthread_mutex_lock(&lists.lock);
    assert_memory_equal(lists.topics, "events.list.create events.list.delete events.list.update ",
                        57);
    pthread_mutex_unlock(&lists.lock);
    kj_pubsub_unsubscribe(fixture->pubsub, first);
    kj_pubsub_unsubscribe(fixture->pubsub, second);
    close(fd);
}

static void names_that_are_no_word_are_refused_and_counted(void **state)
{
    static const char *const bad[][2] = {{"a.b", "create"}, {"a b", "create"}, {"a", "x.y"},
                                         {"a", "*"},        {"", "create"},    {"a", ">"},
                                         {"a\n", "create"}};
    struct fixture *fixture = *state;
    fixture->subject_hierarchies = true;
    start(fixture);
    int fd = connect_session(fixture, "", NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(publish(fixture, bad[i][0], bad[i][1], 1), KJ_EINVAL);
        assert_int_equal(fixture->counters.events_bad_subject, i + 1);
        assert_int_equal(fixture->counters.events_publish_failed, i + 1);
    }
    char longest[2000];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(publish(fixture, longest, KJ_EVENT_CREATE, 1), KJ_EINVAL);
    assert_int_equal(publish(fixture, "t\xc3\xa4sk", "re-made", 2), KJ_OK);
    assert_int_equal(read_number(fd), 2);
    close(fd);
}

static void without_hierarchies_any_name_will_do(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = connect_session(fixture, "", NULL);
    assert_int_equal(publish(fixture, "a.b", "x y", 1), KJ_OK);
    assert_int_equal(read_number(fd), 1);
    close(fd);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(events_are_published_on_long_subjects_and_heard_in_order),
        WITH_FIXTURE(names_that_are_no_word_are_refused_and_counted),
        WITH_FIXTURE(without_hierarchies_any_name_will_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
