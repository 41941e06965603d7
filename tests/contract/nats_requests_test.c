/* nats_requests_test.c - requests and answers over a real broker, with a plain NATS client in the
 * place of a bahamut node.
 */
#include "contract/answers.h"
#include "contract/broker.h"

#include <kujata/pubsub_nats.h>
#include <nats/nats.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EVENT                                                                                      \
    "85a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba6656e74697479c40e82a24944a131"   \
    "a46e616d65a26e31a86964656e74697479a46c697374a974696d657374616d70d7ff1d6f34545e70aabfa47479"   \
    "7065a6637265617465"
static const char mode_2_hex[] =
    "87a464617461c463" EVENT "a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba970617274"
    "6974696f6e03ac726573706f6e73654d6f646502a5746f706963b9676c6f62616c2d6576656e74732e6c6973742e"
    "637265617465ac747261636b696e674461746181a16ba176ac747261636b696e674e616d65a2746e";

struct fixture {
    struct broker broker;
    struct recorder recorder;
    struct answers answers;
    struct complaints complaints;
    struct kj_pubsub *pubsub;
    natsConnection *plain;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    broker_reserve(&f->broker);
    recorder_init(&f->recorder);
    answers_init(&f->answers);
    complaints_init(&f->complaints);
    struct kj_pubsub_nats_options options = {
        .urls = f->broker.url,
        .reconnect_wait_ms = 50,
        .errors = {.on_error = complaints_handle, .ctx = &f->complaints}};
    assert_true(broker_start(&f->broker));
    assert_int_equal(kj_pubsub_nats_new(&options, &f->pubsub, NULL), KJ_OK);
    assert_int_equal(natsConnection_ConnectTo(&f->plain, f->broker.url), NATS_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    recorder_set_gate(&f->recorder, false);
    natsConnection_Destroy(f->plain);
    kj_pubsub_free(f->pubsub);
    broker_kill(&f->broker);
    recorder_fini(&f->recorder);
    answers_fini(&f->answers);
    complaints_fini(&f->complaints);
    free(f);
    return 0;
}

static struct kj_pubsub_stats stats_of(struct fixture *f)
{
    struct kj_pubsub_stats stats;
    kj_pubsub_stats(f->pubsub, &stats);
    return stats;
}

static void subscribe_with(struct fixture *f, const char *topic, kj_pubsub_handler handler)
{
    struct kj_subscription *subscription = NULL;
    assert_int_equal(
        kj_pubsub_subscribe(f->pubsub, topic, NULL, handler, &f->recorder, &subscription), KJ_OK);
    assert_int_equal(kj_pubsub_ping(f->pubsub, DEADLINE_MS), KJ_OK);
}

static natsSubscription *listen_plainly(struct fixture *f, const char *subject)
{
    natsSubscription *subscription = NULL;
    assert_int_equal(natsConnection_SubscribeSync(&subscription, f->plain, subject), NATS_OK);
    assert_int_equal(natsConnection_Flush(f->plain), NATS_OK);
    return subscription;
}

static natsMsg *next_plain(natsSubscription *subscription)
{
    natsMsg *message = NULL;
    assert_int_equal(natsSubscription_NextMsg(&message, subscription, DEADLINE_MS), NATS_OK);
    return message;
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

static void assert_is_hex(const natsMsg *message, const char *hex)
{
    uint8_t expected[512];
    size_t len = unhex(hex, expected);
    assert_int_equal(natsMsg_GetDataLength(message), len);
    assert_memory_equal(natsMsg_GetData(message), expected, len);
}

/* The publication of the vector, without its response mode. */
static struct kj_publication *vector_publication(void)
{
    uint8_t event[sizeof EVENT / 2];
    json_t *tracking = json_pack("{s:s}", "k", "v");
    const struct kj_publication_options options = {.topic = "global-events.list.create",
                                                   .data = event,
                                                   .len = unhex(EVENT, event),
                                                   .encoding = KJ_ENCODING_MSGPACK,
                                                   .tracking_name = "tn",
                                                   .tracking_data = tracking,
                                                   .partition = 3};
    struct kj_publication *publication = NULL;
    assert_int_equal(kj_publication_new(&options, &publication), KJ_OK);
    json_decref(tracking);
    return publication;
}

static void a_request_is_what_bahamut_writes(void **state)
{
    struct fixture *f = *state;
    natsSubscription *plain = listen_plainly(f, "global-events.>");
    struct kj_publication *publication = vector_publication();
    const struct kj_request_options options = {
        .mode = KJ_RESPONSE_PUBLICATION, .on_reply = answers_handle, .ctx = &f->answers};
    assert_int_equal(kj_pubsub_request(f->pubsub, publication, &options), KJ_OK);
    kj_publication_unref(publication);

    natsMsg *message = next_plain(plain);
    assert_is_hex(message, mode_2_hex);
    assert_string_equal(natsMsg_GetSubject(message), "global-events.list.create");
    assert_int_equal(strncmp(natsMsg_GetReply(message), "_INBOX.", 7), 0);

    /* and an answer, as a bahamut node gives it, comes through */
    struct kj_publication *answer = publication_of(natsMsg_GetReply(message), 42);
    uint8_t *bytes = NULL;
    size_t len = 0;
    assert_int_equal(kj_publication_encode(answer, &bytes, &len), KJ_OK);
    assert_int_equal(natsConnection_Publish(f->plain, natsMsg_GetReply(message), bytes, (int)len),
                     NATS_OK);
    answers_await(&f->answers, 1);
    assert_int_equal(answers_with(&f->answers, KJ_OK), 1);
    assert_int_equal(f->answers.last_number, 42);
    free(bytes);
    kj_publication_unref(answer);
    natsMsg_Destroy(message);
    natsSubscription_Destroy(plain);
}

/* Requests, and answers plainly with those bytes. */
static void answer_plainly(struct fixture *f, enum kj_response_mode mode, const char *bytes,
                           size_t len)
{
    natsSubscription *plain = listen_plainly(f, "call");
    assert_int_equal(request(f->pubsub, "call", 1, mode, 0, &f->answers), KJ_OK);
    natsMsg *message = next_plain(plain);
    assert_int_equal(natsConnection_Publish(f->plain, natsMsg_GetReply(message), bytes, (int)len),
                     NATS_OK);
    natsMsg_Destroy(message);
    natsSubscription_Destroy(plain);
}

static void only_three_bytes_acknowledge(void **state)
{
    struct fixture *f = *state;
    answer_plainly(f, KJ_RESPONSE_ACK, "ack", 3);
    answers_await(&f->answers, 1);
    assert_int_equal(answers_with(&f->answers, KJ_OK), 1);
    answer_plainly(f, KJ_RESPONSE_ACK, "nack", 4);
    answer_plainly(f, KJ_RESPONSE_ACK, "", 0);
    answer_plainly(f, KJ_RESPONSE_PUBLICATION, "ack", 3);
    answers_await(&f->answers, 4);
    assert_int_equal(answers_with(&f->answers, KJ_EPARSE), 3);
    assert_int_equal(stats_of(f).misanswered, 3);
}

static void a_bahamut_node_gets_its_acknowledgement(void **state)
{
    /* envelopes of the topic "events" with the response modes 1 and 2 */
    static const char ack_hex[] = "82ac726573706f6e73654d6f646501a5746f706963a66576656e7473";
    static const char unanswerable_hex[] =
        "82ac726573706f6e73654d6f646502a5746f706963a66576656e7473";
    struct fixture *f = *state;
    uint8_t bytes[64];
    natsMsg *reply = NULL;
    subscribe_with(f, "events", recorder_handle);
    recorder_set_gate(&f->recorder, true);

    assert_int_equal(natsConnection_Request(&reply, f->plain, "events", bytes,
                                            (int)unhex(ack_hex, bytes), DEADLINE_MS),
                     NATS_OK);

    assert_int_equal(natsMsg_GetDataLength(reply), 3);
    assert_memory_equal(natsMsg_GetData(reply), "ack", 3);
    natsMsg_Destroy(reply);
    recorder_set_gate(&f->recorder, false);

    /* a message without a reply subject has a mode in vain */
    assert_int_equal(
        natsConnection_Publish(f->plain, "events", bytes, (int)unhex(unanswerable_hex, bytes)),
        NATS_OK);
    recorder_await(&f->recorder, 2);
    assert_int_equal(stats_of(f).replies, 1);
    assert_int_equal(stats_of(f).unanswered, 0);
}

static void answer_with_the_vector(struct kj_publication *publication, void *ctx)
{
    struct kj_publication *response = vector_publication();
    assert_true(kj_publication_wants_reply(publication));
    assert_int_equal(kj_publication_reply(publication, response), KJ_OK);
    kj_publication_unref(response);
    recorder_handle(publication, ctx);
}

static void a_bahamut_node_gets_its_answer(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[512];
    natsMsg *reply = NULL;
    subscribe_with(f, "global-events.>", answer_with_the_vector);
    assert_int_equal(natsConnection_Request(&reply, f->plain, "global-events.list.create", bytes,
                                            (int)unhex(mode_2_hex, bytes), DEADLINE_MS),
                     NATS_OK);
    /* the answer: all members, on the inbox's topic, with no response mode */
    struct kj_publication *answer = NULL;
    assert_int_equal(kj_publication_decode((const uint8_t *)natsMsg_GetData(reply),
                                           (size_t)natsMsg_GetDataLength(reply), NULL, &answer),
                     KJ_OK);
    assert_string_equal(kj_publication_topic(answer), natsMsg_GetSubject(reply));
    assert_string_equal(kj_publication_tracking_name(answer), "tn");
    assert_int_equal(kj_publication_partition(answer), 3);
    assert_null(memmem(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), "responseMode",
                       strlen("responseMode")));
    kj_publication_unref(answer);
    natsMsg_Destroy(reply);
}

static void a_request_too_large_for_the_broker_fails(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[2 << 20];
    const struct kj_publication_options options = {
        .topic = "call", .data = data, .len = sizeof data};
    struct kj_publication *publication = NULL;
    assert_int_equal(kj_publication_new(&options, &publication), KJ_OK);
    assert_int_equal(
        kj_pubsub_request_wait(f->pubsub, publication, KJ_RESPONSE_ACK, DEADLINE_MS, NULL), KJ_EIO);
    assert_int_equal(stats_of(f).abandoned, 1);
    kj_publication_unref(publication);
}

static void requests_outlive_their_broker(void **state)
{
    /* given requests that were answered before the broker was killed */
    struct fixture *f = *state;
    subscribe_with(f, "call", answer_plus_thousand);
    assert_int_equal(request(f->pubsub, "call", 1, KJ_RESPONSE_PUBLICATION, 0, &f->answers), KJ_OK);
    answers_await(&f->answers, 1);
    broker_kill(&f->broker);
    complaints_await(&f->complaints, KJ_EDISCONNECTED, 1, "away");

    /* when one has no time to wait for it, and one has */
    assert_int_equal(request(f->pubsub, "call", 2, KJ_RESPONSE_PUBLICATION, 1, &f->answers), KJ_OK);
    answers_await(&f->answers, 2);
    assert_int_equal(answers_with(&f->answers, KJ_ETIMEOUT), 1);
    assert_int_equal(request(f->pubsub, "call", 3, KJ_RESPONSE_PUBLICATION, 0, &f->answers), KJ_OK);
    assert_true(broker_start(&f->broker));

    /* then the one is not sent any more, and the other is answered */
    answers_await(&f->answers, 3);
    assert_int_equal(answers_with(&f->answers, KJ_OK), 2);
    assert_int_equal(f->answers.last_number, 1003);
    assert_int_equal(stats_of(f).delivered, 2);
    assert_int_equal(stats_of(f).discarded, 1);
}

static void nodes_answer_each_other(void **state)
{
    struct fixture *f = *state;
    struct kj_pubsub *other = NULL;
    struct kj_pubsub_nats_options options = {.urls = f->broker.url};
    subscribe_with(f, "call", answer_plus_thousand);
    assert_int_equal(kj_pubsub_nats_new(&options, &other, NULL), KJ_OK);
    for (long i = 0; i < 500; i++) {
        assert_int_equal(request(other, "call", i, KJ_RESPONSE_PUBLICATION, 0, &f->answers), KJ_OK);
    }
    answers_await(&f->answers, 500);
    assert_int_equal(answers_with(&f->answers, KJ_OK), 500);
    assert_int_equal(stats_of(f).replies, 500);
    kj_pubsub_free(other);
}

#define REQUEST_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    struct broker probe = {0};
    broker_start_or_skip(&probe);
    broker_kill(&probe);
    const struct CMUnitTest tests[] = {
        REQUEST_TEST(a_request_is_what_bahamut_writes),
        REQUEST_TEST(only_three_bytes_acknowledge),
        REQUEST_TEST(a_bahamut_node_gets_its_acknowledgement),
        REQUEST_TEST(a_bahamut_node_gets_its_answer),
        REQUEST_TEST(a_request_too_large_for_the_broker_fails),
        REQUEST_TEST(requests_outlive_their_broker),
        REQUEST_TEST(nodes_answer_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
