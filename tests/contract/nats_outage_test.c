/* nats_outage_test.c - what the NATS backend does when its broker or its peers misbehave. */
#include "base/clock.h"
#include "contract/broker.h"
#include "contract/recorder.h"

#include <kujata/pubsub_nats.h>
#include <nats/nats.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A call that waits for a broker takes seconds; thousands that do not take well under one.
 * The bound leaves room for sanitizers and a busy machine. */
enum { PROMPT_MS = 4000 };

struct fixture {
    struct broker broker;
    struct recorder recorder;
    struct complaints complaints;
    struct kj_pubsub *open[2]; /* freed at the end, should the test not get so far */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    broker_reserve(&f->broker);
    recorder_init(&f->recorder);
    complaints_init(&f->complaints);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kj_pubsub_free(f->open[0]);
    kj_pubsub_free(f->open[1]);
    broker_kill(&f->broker);
    recorder_fini(&f->recorder);
    complaints_fini(&f->complaints);
    free(f);
    return 0;
}

/* Fills in what every test wants, then opens. */
static struct kj_pubsub *open_with(struct fixture *f, struct kj_pubsub_nats_options options)
{
    struct kj_pubsub *pubsub = NULL;
    struct kj_error error = {0};
    options.urls = f->broker.url;
    options.reconnect_wait_ms = 50;
    options.errors = (struct kj_pubsub_errors){.on_error = complaints_handle,
                                               .ctx = &f->complaints};
    assert_int_equal(kj_pubsub_nats_new(&options, &pubsub, &error), KJ_OK);
    f->open[f->open[0] != NULL] = pubsub;
    return pubsub;
}

static struct kj_pubsub *open_default(struct fixture *f)
{
    return open_with(f, (struct kj_pubsub_nats_options){0});
}

static void listen(struct fixture *f, struct kj_pubsub *pubsub, const char *topic)
{
    struct kj_subscription *subscription = NULL;
    assert_int_equal(
        kj_pubsub_subscribe(pubsub, topic, NULL, recorder_handle, &f->recorder, &subscription),
        KJ_OK);
}

static void publish_many(struct kj_pubsub *pubsub, long first, long count)
{
    uint64_t start = kj__clock_monotonic_ms();
    for (long i = first; i < first + count; i++) {
        assert_int_equal(publish(pubsub, "events", i), KJ_OK);
    }
    assert_true(kj__clock_monotonic_ms() - start < PROMPT_MS);
}

static void an_absent_broker_is_joined_when_it_comes(void **state)
{
    struct fixture *f = *state;
    struct kj_pubsub *pubsub = open_default(f);
    listen(f, pubsub, "events");
    publish_many(pubsub, 0, 100);
    complaints_await(&f->complaints, KJ_EDISCONNECTED, 1, f->broker.url);
    assert_int_equal(kj_pubsub_ping(pubsub, DEADLINE_MS), KJ_EDISCONNECTED);
    assert_true(kj_pubsub_is_away(pubsub));

    assert_true(broker_start(&f->broker));

    recorder_await(&f->recorder, 100);
    assert_true(recorder_is_sequence(&f->recorder, 0));
    complaints_await(&f->complaints, KJ_OK, 1, "back");
    assert_int_equal(kj_pubsub_ping(pubsub, DEADLINE_MS), KJ_OK);
    assert_false(kj_pubsub_is_away(pubsub));
}

static void a_killed_broker_costs_no_publication_made_while_it_is_away(void **state)
{
    /* given a broker that delivered and was killed, twice */
    struct fixture *f = *state;
    assert_true(broker_start(&f->broker));
    struct kj_pubsub *pubsub = open_default(f);
    listen(f, pubsub, "events");
    long next = 0;
    for (size_t round = 1; round <= 2; round++) {
        publish_many(pubsub, next, 100);
        next += 100;
        recorder_await(&f->recorder, (size_t)next);
        broker_kill(&f->broker);
        complaints_await(&f->complaints, KJ_EDISCONNECTED, round, f->broker.url);

        /* when more is published, and the broker comes back */
        publish_many(pubsub, next, 5000);
        next += 5000;
        assert_true(broker_start(&f->broker));

        /* then all of it arrives, in order, at the subscription made before */
        recorder_await(&f->recorder, (size_t)next);
        complaints_await(&f->complaints, KJ_OK, round, "back");
    }
    assert_true(recorder_is_sequence(&f->recorder, 0));
    assert_int_equal(f->recorder.count, next);
    struct kj_pubsub_stats stats;
    kj_pubsub_stats(pubsub, &stats);
    assert_int_equal(stats.disconnects, 2);
    assert_int_equal(f->complaints.count, 4);
    assert_int_equal(stats.refused + stats.failed + stats.dropped, 0);
}

static void a_subscription_made_while_the_broker_is_away_works_later(void **state)
{
    struct fixture *f = *state;
    assert_true(broker_start(&f->broker));
    struct kj_pubsub *pubsub = open_default(f);
    assert_int_equal(kj_pubsub_ping(pubsub, DEADLINE_MS), KJ_OK);
    broker_kill(&f->broker);
    complaints_await(&f->complaints, KJ_EDISCONNECTED, 1, "away");

    listen(f, pubsub, "*");
    publish_many(pubsub, 0, 10);
    assert_true(broker_start(&f->broker));

    recorder_await(&f->recorder, 10);
    assert_true(recorder_is_sequence(&f->recorder, 0));
}

static void a_stopped_broker_blocks_no_publisher(void **state)
{
    /* given a broker that has stopped without closing anything */
    struct fixture *f = *state;
    assert_true(broker_start(&f->broker));
    struct kj_pubsub *pubsub = open_default(f);
    listen(f, pubsub, "events");
    assert_int_equal(kj_pubsub_ping(pubsub, DEADLINE_MS), KJ_OK);
    broker_pause(&f->broker);

    /* when ten thousand are published, and a ping goes unanswered */
    publish_many(pubsub, 0, 10000);
    uint64_t start = kj__clock_monotonic_ms();
    assert_int_equal(kj_pubsub_ping(pubsub, 200), KJ_ETIMEOUT);
    assert_true(kj__clock_monotonic_ms() - start < PROMPT_MS);

    /* then all arrive once it goes on */
    broker_resume(&f->broker);
    recorder_await(&f->recorder, 10000);
    assert_true(recorder_is_sequence(&f->recorder, 0));
}

/* Publishes `count` publications of 64 KiB, more than sockets hold. */
static void publish_large(struct kj_pubsub *pubsub, size_t count)
{
    static uint8_t data[65536];
    struct kj_publication_options options = {.topic = "events", .data = data, .len = sizeof data};
    struct kj_publication *publication = NULL;
    assert_int_equal(kj_publication_new(&options, &publication), KJ_OK);
    uint64_t start = kj__clock_monotonic_ms();
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(kj_pubsub_publish(pubsub, publication), KJ_OK);
    }
    assert_true(kj__clock_monotonic_ms() - start < PROMPT_MS);
    kj_publication_unref(publication);
}

static void a_full_socket_blocks_no_caller_and_bounds_free(void **state)
{
    /* given a stopped broker, and a courier that is stuck in its write */
    struct fixture *f = *state;
    assert_true(broker_start(&f->broker));
    struct kj_pubsub *pubsub = open_default(f);
    assert_int_equal(kj_pubsub_ping(pubsub, DEADLINE_MS), KJ_OK);
    broker_pause(&f->broker);
    publish_large(pubsub, 1000);

    /* when everything else is called, then it returns at once */
    uint64_t start = kj__clock_monotonic_ms();
    struct kj_subscription *subscription = NULL;
    assert_int_equal(
        kj_pubsub_subscribe(pubsub, "events", NULL, recorder_handle, &f->recorder, &subscription),
        KJ_OK);
    struct kj_pubsub_stats stats;
    kj_pubsub_stats(pubsub, &stats);
    assert_int_equal(kj_pubsub_ping(pubsub, 50), KJ_ETIMEOUT);
    kj_pubsub_unsubscribe(pubsub, subscription);
    kj_pubsub_close(pubsub);
    assert_true(kj__clock_monotonic_ms() - start < PROMPT_MS);
    /* It is freed next: the test's own timeout is the bound. */
}

/* The number at the start of a large publication, which must grow from call to call. */
struct growth {
    long last;
    size_t count;
    bool grows;
    struct recorder *recorder; /* told of those that are small */
};

static void watch_growth(struct kj_publication *publication, void *ctx)
{
    struct growth *growth = ctx;
    size_t len = 0;
    long number = 0;
    memcpy(&number, kj_publication_data(publication, &len), sizeof number);
    growth->grows = growth->grows && number > growth->last;
    growth->last = number;
    growth->count++;
    if (len == sizeof number) {
        recorder_handle(publication, growth->recorder);
    }
}

/* Publishes `count` of that length, each with its number at the start. */
static void publish_numbered(struct kj_pubsub *pubsub, long count, size_t len)
{
    uint8_t *data = calloc(1, len);
    assert_non_null(data);
    for (long i = 0; i < count; i++) {
        struct kj_publication_options options = {.topic = "events", .data = data, .len = len};
        struct kj_publication *publication = NULL;
        memcpy(data, &i, sizeof i);
        assert_int_equal(kj_publication_new(&options, &publication), KJ_OK);
        assert_int_equal(kj_pubsub_publish(pubsub, publication), KJ_OK);
        kj_publication_unref(publication);
    }
    free(data);
}

static void a_hundred_megabytes_made_while_the_broker_is_away_arrive(void **state)
{
    /* given far more than sockets hold, for a broker that is away, and our own ear for it */
    enum { LARGE = 100 };
    struct fixture *f = *state;
    struct growth growth = {.last = -1, .grows = true, .recorder = &f->recorder};
    struct kj_subscription *subscription = NULL;
    assert_true(broker_start(&f->broker));
    struct kj_pubsub *pubsub = open_default(f);
    assert_int_equal(
        kj_pubsub_subscribe(pubsub, "events", NULL, watch_growth, &growth, &subscription), KJ_OK);
    assert_int_equal(kj_pubsub_ping(pubsub, DEADLINE_MS), KJ_OK);
    broker_kill(&f->broker);
    complaints_await(&f->complaints, KJ_EDISCONNECTED, 1, "away");
    publish_numbered(pubsub, LARGE, 1000000);
    publish_many(pubsub, LARGE, 1);

    /* when it is back, then all arrives, in order, and nobody cuts anybody off */
    assert_true(broker_start(&f->broker));
    recorder_await(&f->recorder, 1);
    kj_pubsub_unsubscribe(pubsub, subscription);
    assert_true(growth.grows);
    assert_int_equal(growth.count, LARGE + 1);
    struct kj_pubsub_stats stats;
    kj_pubsub_stats(pubsub, &stats);
    assert_int_equal(stats.dropped + stats.failed + stats.discarded, 0);
    assert_int_equal(stats.disconnects, 1);
}

static void a_broker_that_hangs_is_left_and_joined_again(void **state)
{
    /* given a broker that hangs, and more to send than sockets hold */
    enum { LARGE = 400 };
    struct fixture *f = *state;
    struct growth growth = {.last = -1, .grows = true, .recorder = &f->recorder};
    struct kj_subscription *subscription = NULL;
    assert_true(broker_start(&f->broker));
    struct kj_pubsub *pubsub = open_default(f);
    assert_int_equal(
        kj_pubsub_subscribe(pubsub, "events", NULL, watch_growth, &growth, &subscription), KJ_OK);
    assert_int_equal(kj_pubsub_ping(pubsub, DEADLINE_MS), KJ_OK);
    broker_pause(&f->broker);
    publish_numbered(pubsub, LARGE, 65536);
    publish_many(pubsub, LARGE, 1);

    /* when it goes on after we have left it */
    complaints_await(&f->complaints, KJ_EDISCONNECTED, 1, "away");
    broker_resume(&f->broker);

    /* then what was not handed to it arrives, in order and once */
    recorder_await(&f->recorder, 1);
    kj_pubsub_unsubscribe(pubsub, subscription);
    assert_true(growth.grows);
    assert_int_equal(growth.last, LARGE);
    struct kj_pubsub_stats stats;
    kj_pubsub_stats(pubsub, &stats);
    assert_int_equal(stats.failed + stats.undecodable, 0);
    assert_int_equal(stats.disconnects, 1);
}

/* `options` has room for sixteen publications, bounded by the option of that name. */
static void expect_sixteen_to_wait(struct fixture *f, struct kj_pubsub_nats_options options,
                                   const char *name)
{
    struct kj_pubsub *pubsub = open_with(f, options);
    complaints_await(&f->complaints, KJ_EDISCONNECTED, 1, "away");
    for (long i = 0; i < 100; i++) {
        assert_int_equal(publish(pubsub, "events", i), i < 16 ? KJ_OK : KJ_EFULL);
    }
    complaints_await(&f->complaints, KJ_EFULL, 1, name);
    struct kj_pubsub_stats stats;
    kj_pubsub_stats(pubsub, &stats);
    assert_int_equal(stats.published, 16);
    assert_int_equal(stats.refused, 84);
    kj_pubsub_close(pubsub);
    AWAIT_STAT(pubsub, discarded, 16);
}

static void a_full_publish_queue_refuses_and_counts(void **state)
{
    expect_sixteen_to_wait(*state, (struct kj_pubsub_nats_options){.publish_queue_limit = 16},
                           "publish_queue_limit");
}

static void the_publish_queue_is_bounded_by_bytes(void **state)
{
    expect_sixteen_to_wait(
        *state, (struct kj_pubsub_nats_options){.publish_queue_bytes = 17 * sizeof(long) - 1},
        "publish_queue_bytes");
}

static void publish_plainly(const struct broker *broker, const char *topic, const void *bytes,
                            size_t len)
{
    natsConnection *plain = NULL;
    assert_int_equal(natsConnection_ConnectTo(&plain, broker->url), NATS_OK);
    assert_int_equal(natsConnection_Publish(plain, topic, bytes, (int)len), NATS_OK);
    assert_int_equal(natsConnection_Flush(plain), NATS_OK);
    natsConnection_Destroy(plain);
}

static void foreign_garbage_is_counted_and_ignored(void **state)
{
    struct fixture *f = *state;
    assert_true(broker_start(&f->broker));
    struct kj_pubsub *pubsub = open_default(f);
    listen(f, pubsub, "events");
    assert_int_equal(kj_pubsub_ping(pubsub, DEADLINE_MS), KJ_OK);
    publish_plainly(&f->broker, "events", "not a publication", 17);
    publish_plainly(&f->broker, "events", "", 0);
    publish_plainly(&f->broker, "events", "\xdf\xff\xff\xff\xff", 5);

    AWAIT_STAT(pubsub, undecodable, 3);
    complaints_await(&f->complaints, KJ_EPARSE, 1, "not a publication");
    publish_many(pubsub, 0, 1);
    recorder_await(&f->recorder, 1);
    assert_true(recorder_is_sequence(&f->recorder, 0));
}

static size_t unhex(const char *text, uint8_t *out)
{
    size_t len = strlen(text) / 2;
    for (size_t i = 0; i < len; i++) {
        unsigned byte = 0;
        sscanf(text + 2 * i, "%2x", &byte);
        out[i] = (uint8_t)byte;
    }
    return len;
}

static void take_data_length(struct kj_publication *publication, void *ctx)
{
    size_t len = 0;
    kj_publication_data(publication, &len);
    if (kj_publication_encoding(publication) == KJ_ENCODING_MSGPACK && len == 99) {
        recorder_handle(publication, ctx);
    }
}

static void a_publication_of_bahamut_is_understood(void **state)
{
    static const char hex[] =
        "84a464617461c463"
        "85a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba6656e74697479c40e82a24944a1"
        "31a46e616d65a26e31a86964656e74697479a46c697374a974696d657374616d70d7ff1d6f34545e70aabfa4"
        "74797065a6637265617465"
        "a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba5746f706963b9676c6f62616c2d65"
        "76656e74732e6c6973742e637265617465ac747261636b696e674461746180";
    struct fixture *f = *state;
    uint8_t bytes[sizeof hex / 2];
    size_t len = unhex(hex, bytes);
    assert_int_equal(len, 182);
    assert_true(broker_start(&f->broker));
    struct kj_pubsub *pubsub = open_default(f);
    struct kj_subscription *subscription = NULL;
    assert_int_equal(kj_pubsub_subscribe(pubsub, "global-events.>", NULL, take_data_length,
                                         &f->recorder, &subscription),
                     KJ_OK);
    assert_int_equal(kj_pubsub_ping(pubsub, DEADLINE_MS), KJ_OK);

    publish_plainly(&f->broker, "global-events.list.create", bytes, len);

    recorder_await(&f->recorder, 1);
    assert_string_equal(f->recorder.last_topic, "global-events.list.create");
}

static void a_publication_too_large_for_the_broker_fails_alone(void **state)
{
    struct fixture *f = *state;
    assert_true(broker_start(&f->broker));
    struct kj_pubsub *pubsub = open_default(f);
    listen(f, pubsub, "events");
    static uint8_t data[2 << 20];
    struct kj_publication_options options = {.topic = "events", .data = data, .len = sizeof data};
    struct kj_publication *publication = NULL;
    assert_int_equal(kj_publication_new(&options, &publication), KJ_OK);
    assert_int_equal(kj_pubsub_publish(pubsub, publication), KJ_OK);
    kj_publication_unref(publication);
    publish_many(pubsub, 0, 10);

    recorder_await(&f->recorder, 10);
    assert_true(recorder_is_sequence(&f->recorder, 0));
    complaints_await(&f->complaints, KJ_EIO, 1, "max_payload");
    struct kj_pubsub_stats stats;
    kj_pubsub_stats(pubsub, &stats);
    assert_int_equal(stats.failed, 1);
    assert_int_equal(stats.disconnects, 0);
}

static void a_broker_that_refuses_credentials_is_asked_again(void **state)
{
    /* given a broker that let us in and then, restarted, lets only somebody else in */
    struct fixture *f = *state;
    f->broker.user = "kujata";
    assert_true(broker_start(&f->broker));
    struct kj_pubsub *pubsub = open_with(
        f, (struct kj_pubsub_nats_options){.user = "kujata", .password = "secret"});
    listen(f, pubsub, "events");
    publish_many(pubsub, 0, 10);
    recorder_await(&f->recorder, 10);
    broker_kill(&f->broker);
    complaints_await(&f->complaints, KJ_EDISCONNECTED, 1, "away");
    publish_many(pubsub, 10, 10);
    f->broker.user = "somebody";
    assert_true(broker_start(&f->broker));
    complaints_await(&f->complaints, KJ_EREFUSED, 1, "Violation");
    assert_true(broker_await_log(&f->broker, "authentication error", 6));

    /* when its list of users is mended */
    broker_kill(&f->broker);
    f->broker.user = "kujata";
    assert_true(broker_start(&f->broker));

    /* then it is joined, the subscription lives on, and all arrives */
    recorder_await(&f->recorder, 20);
    assert_true(recorder_is_sequence(&f->recorder, 0));
}

static void a_broker_that_refuses_credentials_at_first_is_asked_again(void **state)
{
    struct fixture *f = *state;
    f->broker.user = "somebody";
    assert_true(broker_start(&f->broker));
    struct kj_pubsub *pubsub = open_with(
        f, (struct kj_pubsub_nats_options){.user = "kujata", .password = "secret"});
    listen(f, pubsub, "events");
    publish_many(pubsub, 0, 10);
    complaints_await(&f->complaints, KJ_EREFUSED, 1, "Violation");
    broker_kill(&f->broker);

    f->broker.user = "kujata";
    assert_true(broker_start(&f->broker));

    recorder_await(&f->recorder, 10);
    assert_true(recorder_is_sequence(&f->recorder, 0));
}

static void nodes_hear_each_other_and_share_groups(void **state)
{
    enum { TOTAL = 1000 };
    struct fixture *f = *state;
    struct recorder members[2];
    struct kj_pubsub *nodes[2];
    struct kj_subscribe_options group = {.group = "workers"};
    assert_true(broker_start(&f->broker));
    for (int i = 0; i < 2; i++) {
        struct kj_subscription *subscription = NULL;
        recorder_init(&members[i]);
        nodes[i] = open_default(f);
        assert_int_equal(kj_pubsub_subscribe(nodes[i], "events", &group, recorder_handle,
                                             &members[i], &subscription),
                         KJ_OK);
    }
    listen(f, nodes[1], "events");
    assert_int_equal(kj_pubsub_ping(nodes[1], DEADLINE_MS), KJ_OK);

    publish_many(nodes[0], 0, TOTAL);

    recorder_await(&f->recorder, TOTAL);
    assert_true(recorder_is_sequence(&f->recorder, 0));
    uint64_t deadline = kj__clock_monotonic_ms() + DEADLINE_MS;
    struct kj_pubsub_stats stats[2];
    do {
        kj_pubsub_stats(nodes[0], &stats[0]);
        kj_pubsub_stats(nodes[1], &stats[1]);
    } while (stats[0].delivered + stats[1].delivered < 2 * TOTAL &&
             kj__clock_monotonic_ms() < deadline);
    for (int i = 0; i < 2; i++) {
        kj_pubsub_free(nodes[i]);
        f->open[i] = NULL;
    }
    assert_int_equal(members[0].count + members[1].count, TOTAL);
    recorder_fini(&members[0]);
    recorder_fini(&members[1]);
}

static void passwords_do_not_reach_the_log(void **state)
{
    struct fixture *f = *state;
    char urls[200];
    snprintf(urls, sizeof urls, "nats://me:hush@127.0.0.1:%d", f->broker.port);
    struct kj_pubsub_nats_options options = {
        .urls = urls, .errors = {.on_error = complaints_handle, .ctx = &f->complaints}};
    struct kj_pubsub *pubsub = NULL;
    assert_int_equal(kj_pubsub_nats_new(&options, &pubsub, NULL), KJ_OK);
    complaints_await(&f->complaints, KJ_EDISCONNECTED, 1, f->broker.url);
    f->open[0] = pubsub;
    assert_null(strstr(f->complaints.texts[0], "hush"));
}

int main(void)
{
#define OUTAGE_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        OUTAGE_TEST(an_absent_broker_is_joined_when_it_comes),
        OUTAGE_TEST(a_killed_broker_costs_no_publication_made_while_it_is_away),
        OUTAGE_TEST(a_subscription_made_while_the_broker_is_away_works_later),
        OUTAGE_TEST(a_stopped_broker_blocks_no_publisher),
        OUTAGE_TEST(a_full_socket_blocks_no_caller_and_bounds_free),
        OUTAGE_TEST(a_hundred_megabytes_made_while_the_broker_is_away_arrive),
        OUTAGE_TEST(a_broker_that_hangs_is_left_and_joined_again),
        OUTAGE_TEST(a_full_publish_queue_refuses_and_counts),
        OUTAGE_TEST(the_publish_queue_is_bounded_by_bytes),
        OUTAGE_TEST(foreign_garbage_is_counted_and_ignored),
        OUTAGE_TEST(a_publication_of_bahamut_is_understood),
        OUTAGE_TEST(a_publication_too_large_for_the_broker_fails_alone),
        OUTAGE_TEST(a_broker_that_refuses_credentials_is_asked_again),
        OUTAGE_TEST(a_broker_that_refuses_credentials_at_first_is_asked_again),
        OUTAGE_TEST(nodes_hear_each_other_and_share_groups),
        OUTAGE_TEST(passwords_do_not_reach_the_log),
    };
#undef OUTAGE_TEST
    struct broker probe = {0};
    broker_start_or_skip(&probe);
    broker_kill(&probe);
    return cmocka_run_group_tests_name("nats outages", tests, NULL, NULL);
}
