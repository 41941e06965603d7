/* home_test.c - a node whose broker is away: its own clients get their pushes, once. */
#include "fixture.h"

#include <pthread.h>
#include <semaphore.h>

/* ---- a backend whose broker goes away ---- */

enum { KEPT_MAX = 64 };

struct outage {
    struct kj_pubsub base;
    struct kj_pubsub *inner;
    _Atomic bool is_away, is_full, is_slow;
    struct kj_publication *kept[KEPT_MAX];
    _Atomic size_t kept_count;
};

static struct outage *outage_of(struct kj_pubsub *base)
{
    return (struct outage *)base;
}

static enum kj_status keep_or_publish(struct kj_pubsub *base, struct kj_publication *publication)
{
    struct outage *outage = outage_of(base);
    if (!outage->is_away && !outage->is_slow) {
        return kj_pubsub_publish(outage->inner, publication);
    }
    if (outage->is_full) {
        return KJ_EFULL;
    }
    size_t at = outage->kept_count;
    assert_true(at < KEPT_MAX);
    outage->kept[at] = kj_publication_ref(publication);
    outage->kept_count = at + 1; /* one publishes at a time; whoever sees it finds it */
    return KJ_OK;
}

static enum kj_status request(struct kj_pubsub *base, const struct kj_publication *publication,
                              const struct kj_request_options *options)
{
    return kj_pubsub_request(outage_of(base)->inner, publication, options);
}

static enum kj_status subscribe(struct kj_pubsub *base, const char *topic,
                                const struct kj_subscribe_options *options,
                                kj_pubsub_handler handler, void *ctx,
                                struct kj_subscription **subscription)
{
    return kj_pubsub_subscribe(outage_of(base)->inner, topic, options, handler, ctx, subscription);
}

static void unsubscribe(struct kj_pubsub *base, struct kj_subscription *subscription)
{
    kj_pubsub_unsubscribe(outage_of(base)->inner, subscription);
}

static void stats(struct kj_pubsub *base, struct kj_pubsub_stats *numbers)
{
    kj_pubsub_stats(outage_of(base)->inner, numbers);
}

static enum kj_status ping(struct kj_pubsub *base, uint32_t timeout_ms)
{
    return kj_pubsub_ping(outage_of(base)->inner, timeout_ms);
}

static void close_inner(struct kj_pubsub *base)
{
    kj_pubsub_close(outage_of(base)->inner);
}

static void free_outage(struct kj_pubsub *base)
{
    struct outage *outage = outage_of(base);
    for (size_t i = 0; i < outage->kept_count; i++) {
        kj_publication_unref(outage->kept[i]);
    }
    kj_pubsub_free(outage->inner);
    free(outage);
}

static bool is_away(struct kj_pubsub *base)
{
    return outage_of(base)->is_away;
}

static const struct kj_pubsub_ops outage_ops = {.name = "outage",
                                                .publish = keep_or_publish,
                                                .request = request,
                                                .subscribe = subscribe,
                                                .unsubscribe = unsubscribe,
                                                .stats = stats,
                                                .ping = ping,
                                                .close = close_inner,
                                                .free = free_outage,
                                                .is_away = is_away};

static struct outage *start_with_outage(struct fixture *fixture)
{
    struct outage *outage = calloc(1, sizeof *outage);
    assert_non_null(outage);
    outage->base.ops = &outage_ops;
    assert_int_equal(kj_pubsub_local_new(NULL, &outage->inner), KJ_OK);
    fixture->pubsub = &outage->base;
    start(fixture);
    return outage;
}

/* The broker is back, or goes on, and has what waited for it. */
static void end(struct outage *outage)
{
    outage->is_away = outage->is_slow = false;
    for (size_t i = 0; i < outage->kept_count; i++) {
        assert_int_equal(kj_pubsub_publish(outage->inner, outage->kept[i]), KJ_OK);
        kj_publication_unref(outage->kept[i]);
    }
    outage->kept_count = 0;
}

static struct kj_push_receipt publish_for_receipt(struct fixture *fixture, enum kj_topic_kind kind,
                                                  const char *name, const char *text)
{
    struct kj_push_receipt receipt;
    assert_int_equal(kj_gateway_publish(fixture->gateway,
                                        &(struct kj_push_options){.kind = kind,
                                                                  .name = name,
                                                                  .body = (const uint8_t *)text,
                                                                  .body_len = strlen(text)},
                                        &receipt),
                     KJ_OK);
    return receipt;
}

/* ---- tests ---- */

static void clients_here_get_pushes_at_once_and_once(void **state)
{
    struct fixture *fixture = *state;
    struct outage *outage = start_with_outage(fixture);
    int fd = connect_client(fixture);
    char id[FRAME_MAX];
    char wanted[FRAME_MAX + 32];
    ask(fd, "join r", "ok 0");
    ask(fd, "user ann", "ok 0");
    say(fd, "who");
    assert_true(hear(fd, id));
    assert_false(publish_for_receipt(fixture, KJ_TOPIC_ROOM, "r", "before").is_degraded);
    expect(fd, "[1 r 1  before]");

    outage->is_away = true;
    assert_true(kj_gateway_is_degraded(fixture->gateway));
    struct kj_push_receipt receipt = publish_for_receipt(fixture, KJ_TOPIC_ROOM, "r", "one");
    assert_true(receipt.is_degraded);
    assert_int_equal(receipt.reached, 1);
    expect(fd, "[1 r 2  one]");
    /* One after the other: topics have no order among each other. */
    publish_for_receipt(fixture, KJ_TOPIC_ROOM, "r", "two");
    expect(fd, "[1 r 3  two]");
    publish_for_receipt(fixture, KJ_TOPIC_USER, "ann", "you");
    expect(fd, "[2 ann 1  you]");
    publish_for_receipt(fixture, KJ_TOPIC_ALL, NULL, "all");
    expect(fd, "[0  1  all]");
    publish_for_receipt(fixture, KJ_TOPIC_SESSION, id, "one of you");
    (void)snprintf(wanted, sizeof wanted, "[3 %s 1  one of you]", id);
    expect(fd, wanted);
    publish_for_receipt(fixture, KJ_TOPIC_ROOM, "empty", "nobody");
    assert_int_equal(fixture->counters.gateway_degraded, 6);
    assert_int_equal(outage->kept_count, 6);

    end(outage);
    assert_false(publish_for_receipt(fixture, KJ_TOPIC_ROOM, "r", "after").is_degraded);
    expect(fd, "[1 r 4  after]"); /* and nothing of the rest before it */
    expect_silence(fd);
    close(fd);
}

static void hold_keeper(void *ctx)
{
    sem_t *ends = ctx;
    sem_post(&ends[0]);
    while (sem_wait(&ends[1])) {
    }
}

/* However long the keeper takes, nothing that is published with the broker overtakes. */
static void what_comes_with_the_broker_comes_behind(void **state)
{
    struct fixture *fixture = *state;
    struct outage *outage = start_with_outage(fixture);
    int fd = connect_client(fixture);
    static sem_t ends[2]; /* the keeper may be in them still */
    ask(fd, "join r", "ok 0");
    assert_int_equal(sem_init(&ends[0], 0, 0) | sem_init(&ends[1], 0, 0), 0);
    assert_int_equal(kj_gateway_later(fixture->gateway, 0, hold_keeper, ends), KJ_OK);
    assert_int_equal(sem_wait(&ends[0]), 0);

    outage->is_away = true;
    assert_true(publish_for_receipt(fixture, KJ_TOPIC_ROOM, "r", "one").is_degraded);
    outage->is_away = false;
    assert_false(publish_for_receipt(fixture, KJ_TOPIC_ROOM, "r", "two").is_degraded);

    expect(fd, "[1 r 1  one]");
    expect(fd, "[1 r 2  two]");
    sem_post(&ends[1]);
    end(outage);
    expect_silence(fd);
    close(fd);
}

static void clients_of_other_nodes_get_them_with_the_broker(void **state)
{
    struct fixture *fixture = *state;
    struct outage *outage = start_with_outage(fixture);
    struct fixture *other;
    assert_int_equal(set_up((void **)&other), 0);
    other->pubsub = outage->inner;
    other->is_pubsub_borrowed = true;
    start(other);
    int here = connect_client(fixture);
    int there = connect_client(other);
    ask(here, "join r", "ok 0");
    ask(there, "join r", "ok 0");
    outage->is_away = true;
    ask(here, "say 1 r hi", "ok 0 1");
    expect(here, "[1 r 1  hi]");
    expect_silence(there);
    end(outage);
    expect(there, "[1 r 1  hi]");
    expect_silence(here);
    close(here);
    close(there);
    tear_down((void **)&other);
}

static void what_finds_its_user_gone_is_counted(void **state)
{
    struct fixture *fixture = *state;
    struct outage *outage = start_with_outage(fixture);
    int fd = connect_client(fixture);
    int other = connect_client(fixture);
    ask(fd, "user ann", "ok 0");
    ask(other, "join r", "ok 0");
    outage->is_slow = true;
    assert_int_equal(publish_for_receipt(fixture, KJ_TOPIC_USER, "ann", "hi").reached, 1);
    assert_int_equal(publish_for_receipt(fixture, KJ_TOPIC_USER, "bob", "hi").reached, 0);
    close(fd);
    wait_for(&fixture->counters.gateway_clients, 1);
    end(outage);
    wait_for(&fixture->counters.dropped_closing, 1);
    publish(fixture, KJ_TOPIC_ROOM, "r", "x");
    expect(other, "[1 r 1  x]");
    assert_int_equal(fixture->counters.dropped_closing, 1);
    close(other);
}

/* Or a message that was kept for a login since it had reached nobody would come twice. */
static void who_comes_later_does_not_get_what_reached_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct outage *outage = start_with_outage(fixture);
    int fd = connect_client(fixture);
    ask(fd, "join q", "ok 0");
    ask(fd, "leave q", "ok 0"); /* its topic stays for a while */
    outage->is_slow = true;
    assert_int_equal(publish_for_receipt(fixture, KJ_TOPIC_ROOM, "q", "one").reached, 0);
    assert_int_equal(publish_for_receipt(fixture, KJ_TOPIC_USER, "ann", "one").reached, 0);
    ask(fd, "join q", "ok 0");
    ask(fd, "user ann", "ok 0");
    end(outage);
    assert_int_equal(publish_for_receipt(fixture, KJ_TOPIC_ROOM, "q", "two").reached, 1);
    expect(fd, "[1 q 2  two]");
    assert_int_equal(publish_for_receipt(fixture, KJ_TOPIC_USER, "ann", "two").reached, 1);
    expect(fd, "[2 ann 2  two]");

    outage->is_away = true;
    assert_int_equal(publish_for_receipt(fixture, KJ_TOPIC_ROOM, "r", "one").reached, 0);
    ask(fd, "join r", "ok 0");
    publish_for_receipt(fixture, KJ_TOPIC_ROOM, "r", "two");
    expect(fd, "[1 r 2  two]");
    end(outage);
    publish_for_receipt(fixture, KJ_TOPIC_ROOM, "r", "three");
    expect(fd, "[1 r 3  three]");
    close(fd);
}

static void who_comes_later_is_not_kicked(void **state)
{
    struct fixture *fixture = *state;
    struct outage *outage = start_with_outage(fixture);
    int fd = connect_client(fixture);
    outage->is_slow = true;
    assert_int_equal(kj_gateway_kick(fixture->gateway, KJ_TOPIC_USER, "ann", 4403, "bye"), KJ_OK);
    ask(fd, "user ann", "ok 0");
    end(outage);
    assert_int_equal(publish_for_receipt(fixture, KJ_TOPIC_USER, "ann", "hi").reached, 1);
    expect(fd, "[2 ann 1  hi]");
    close(fd);
}

static void kicks_work_here_too(void **state)
{
    struct fixture *fixture = *state;
    struct outage *outage = start_with_outage(fixture);
    int fd = connect_client(fixture);
    int other = connect_client(fixture);
    ask(fd, "join r", "ok 0");
    ask(other, "join q", "ok 0");
    outage->is_away = true;
    assert_int_equal(kj_gateway_kick(fixture->gateway, KJ_TOPIC_ROOM, "r", 4403, "bye"), KJ_OK);
    expect(fd, "end 4403 bye");
    expect_close(fd, 4403);
    end(outage);
    expect_silence(other);
    close(fd);
    close(other);
}

struct stop {
    struct kj_gateway *gateway;
    _Atomic bool is_over;
};

static void *run_stop(void *argument)
{
    struct stop *stop = argument;
    kj__gateway_stop(stop->gateway);
    stop->is_over = true;
    return NULL;
}

/* However long the backend is silent in front of it. */
static void a_stop_waits_for_what_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    struct outage *outage = start_with_outage(fixture);
    pthread_t thread;
    int fd = connect_client(fixture);
    ask(fd, "join r", "ok 0");
    outage->is_slow = true;
    assert_int_equal(publish_for_receipt(fixture, KJ_TOPIC_ROOM, "r", "last").reached, 1);
    struct stop stop = {.gateway = fixture->gateway};
    assert_int_equal(pthread_create(&thread, NULL, run_stop, &stop), 0);
    /* It says something itself, behind that, and waits for it. */
    while (outage->kept_count < 2 && !stop.is_over) {
        poll(NULL, 0, 1);
    }
    assert_false(stop.is_over);
    end(outage);
    pthread_join(thread, NULL);
    kj__delivery_stop(fixture->delivery, DEADLINE_MS);
    expect(fd, "[1 r 1  last]");
    expect_close(fd, 1001);
    close(fd);
}

static void a_backend_that_keeps_no_more_stops_nobody_here(void **state)
{
    struct fixture *fixture = *state;
    struct outage *outage = start_with_outage(fixture);
    int fd = connect_client(fixture);
    ask(fd, "join r", "ok 0");
    outage->is_away = outage->is_full = true;
    assert_true(publish_for_receipt(fixture, KJ_TOPIC_ROOM, "r", "x").is_degraded);
    expect(fd, "[1 r 1  x]");
    assert_int_equal(fixture->counters.gateway_publish_failed, 1);
    assert_int_equal(publish(fixture, KJ_TOPIC_ROOM, "empty", "x"), KJ_EFULL);
    assert_int_equal(fixture->counters.gateway_publish_failed, 2);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(clients_here_get_pushes_at_once_and_once),
        TEST(what_comes_with_the_broker_comes_behind),
        TEST(clients_of_other_nodes_get_them_with_the_broker),
        TEST(what_finds_its_user_gone_is_counted),
        TEST(who_comes_later_does_not_get_what_reached_nobody),
        TEST(who_comes_later_is_not_kicked),
        TEST(kicks_work_here_too),
        TEST(a_stop_waits_for_what_is_under_way),
        TEST(a_backend_that_keeps_no_more_stops_nobody_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
