/* trace_test.c - what traces a request travels with its events. */
#include "unit/rest/cmocka_all.h"

#include "unit/rest/fixture.h"

#include <stdio.h>
#include <string.h>

#define TRACE_ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00-" TRACE_ID "-00f067aa0ba902b7-01"

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&fixture);
    return 0;
}

/* Creates a list with these header lines; the tracking of its event under `key`. */
static const char *tracked(const char *headers, const char *key)
{
    static const char body[] = "{\"name\":\"n\"}";
    size_t before = fixture.event_count;
    fixture_send_bytes(&fixture, "POST", "/lists", headers, body, strlen(body));
    assert_int_equal(fixture.response.status, 200);
    assert_int_equal(fixture.event_count, before + 1);
    return kj_event_tracking(fixture.events[before], key);
}

static void a_good_traceparent_is_kept_as_it_is(void **state)
{
    static const char *const values[] = {
        PARENT,
        "00-" TRACE_ID "-00f067aa0ba902b7-00",
        "00-" TRACE_ID "-00f067aa0ba902b7-ff",
        "00-00000000000000000000000000000001-0000000000000001-01",
    };
    (void)state;
    fixture_serve_store(&fixture);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char headers[256];
        snprintf(headers, sizeof headers, "Traceparent: %s\n", values[i]);
        assert_string_equal(tracked(headers, "traceparent"), values[i]);
    }
    assert_int_equal(fixture.counters.tracking_ignored, 0);
}

static void a_bad_traceparent_is_ignored_and_counted(void **state)
{
    static const char *const values[] = {
        "",
        "00",
        "01-" TRACE_ID "-00f067aa0ba902b7-01",
        "ff-" TRACE_ID "-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-" TRACE_ID "-00F067AA0BA902B7-01",
        "00-" TRACE_ID "-00f067aa0ba902b7-0G",
        "00-" TRACE_ID "-00f067aa0ba902b7-0",
        "00-" TRACE_ID "-00f067aa0ba902b7-01-",
        "00-" TRACE_ID "-00f067aa0ba902b7-01-more",
        "00-" TRACE_ID "_00f067aa0ba902b7-01",
        "00-" TRACE_ID "-00f067aa0ba902b7.01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-" TRACE_ID "-0000000000000000-01",
        " " PARENT,
        PARENT "\nTraceparent: " PARENT,
    };
    (void)state;
    fixture_serve_store(&fixture);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char headers[512];
        snprintf(headers, sizeof headers, "traceparent: %s\n", values[i]);
        if (tracked(headers, "traceparent")) {
            fail_msg("kept: %s", values[i]);
        }
        assert_int_equal(fixture.counters.tracking_ignored, i + 1);
    }
}

static void tracestate_comes_with_a_traceparent(void **state)
{
    (void)state;
    fixture_serve_store(&fixture);
    assert_null(tracked("tracestate: a=1\n", "tracestate"));
    assert_int_equal(fixture.counters.tracking_ignored, 1);
    assert_string_equal(tracked("traceparent: " PARENT
                                "\ntracestate: rojo=00f067aa0ba902b7, congo@x=t61/=\n",
                                "traceparent"),
                        PARENT);
    assert_null(kj_event_tracking(fixture.events[1], "tracestate")); /* an = in a value */
    assert_string_equal(tracked("traceparent: " PARENT
                                "\ntracestate: rojo=00f0 67 , \ntracestate: 1a/b=!\n",
                                "tracestate"),
                        "rojo=00f0 67 , ,1a/b=!");
    assert_int_equal(fixture.counters.tracking_ignored, 2);
}

static void a_bad_tracestate_is_ignored(void **state)
{
    static const char *const values[] = {"A=1",  "a", "a=",     "=1",        "@a=1",
                                         "a =1", ",", "a=\x01", "a=\xc3\xa4"};
    char headers[2048], many[1024] = "a=1";
    (void)state;
    fixture_serve_store(&fixture);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        snprintf(headers, sizeof headers, "traceparent: " PARENT "\ntracestate: %s\n", values[i]);
        assert_null(tracked(headers, "tracestate"));
        assert_string_equal(kj_event_tracking(fixture.events[i], "traceparent"), PARENT);
    }
    for (int i = 0; i < 32; i++) {
        strcat(many, ",a=1"); /* one member more than may be */
    }
    snprintf(headers, sizeof headers, "traceparent: " PARENT "\ntracestate: %s\n", many);
    assert_null(tracked(headers, "tracestate"));
    memset(many, 'v', 600);
    memcpy(many, "a=", 2);
    many[600] = '\0';
    snprintf(headers, sizeof headers, "traceparent: " PARENT "\ntracestate: %s\n", many);
    assert_null(tracked(headers, "tracestate"));
    assert_int_equal(fixture.counters.tracking_ignored, 11);
}

static void external_tracking_travels_too(void **state)
{
    char headers[512];
    (void)state;
    fixture_serve_store(&fixture);
    assert_string_equal(tracked("X-External-Tracking-ID: abc\nX-External-Tracking-Type: job\n",
                                "x-external-tracking-id"),
                        "abc");
    assert_string_equal(kj_event_tracking(fixture.events[0], "x-external-tracking-type"), "job");
    snprintf(headers, sizeof headers, "X-External-Tracking-ID: %0300d\n", 1);
    assert_null(tracked(headers, "x-external-tracking-id"));
    assert_int_equal(fixture.counters.tracking_ignored, 1);
    assert_null(tracked("", "traceparent"));
}

static struct kj_event *shared;

static enum kj_status enqueue_shared(struct kj_context *context, void *ctx)
{
    (void)ctx;
    const char *parent = kj_context_tracking(context, "traceparent");
    assert_true(!parent || strcmp(parent, PARENT) == 0);
    assert_null(kj_context_tracking(context, "tracestate"));
    return kj_context_enqueue_event(context, shared);
}

static void enqueued_events_carry_it_and_stay_as_they_are(void **state)
{
    (void)state;
    json_t *entity = json_pack("{s:s}", "ID", "1");
    json_t *own = json_pack("{s:s}", "x-external-tracking-id", "own");
    struct kj_event *plain;
    assert_int_equal(kj_event_new_untyped("list", "update", entity, &plain), KJ_OK);
    assert_int_equal(kj_event_with_tracking(plain, own, &shared), KJ_OK);
    assert_null(kj_event_tracking(plain, "x-external-tracking-id"));
    kj_event_unref(plain);
    fixture_serve_with(&fixture, enqueue_shared, NULL);

    fixture_send_bytes(&fixture, "GET", "/lists",
                       "traceparent: " PARENT "\nX-External-Tracking-ID: theirs\n", "", 0);
    fixture_send(&fixture, "GET", "/lists", "");

    assert_int_equal(fixture.event_count, 2);
    assert_string_equal(kj_event_tracking(fixture.events[0], "traceparent"), PARENT);
    assert_string_equal(kj_event_tracking(fixture.events[0], "x-external-tracking-id"), "own");
    assert_true(kj_event_timestamp_ns(fixture.events[0]) == kj_event_timestamp_ns(shared));
    assert_true(json_equal(kj_event_entity(fixture.events[0]), entity));
    assert_null(kj_event_tracking(shared, "traceparent"));
    assert_ptr_equal(fixture.events[1], shared);
    kj_event_unref(shared);
    json_decref(own);
    json_decref(entity);
}

static void tracking_of_an_event_is_checked(void **state)
{
    (void)state;
    struct kj_event *event, *copy;
    json_t *entity = json_object();
    json_t *number = json_pack("{s:i}", "k", 1);
    json_t *large = json_pack("{s:o}", "k", json_sprintf("%09000d", 1));
    assert_int_equal(kj_event_new_untyped("list", "update", entity, &event), KJ_OK);
    assert_int_equal(kj_event_with_tracking(event, number, &copy), KJ_EINVAL);
    assert_int_equal(kj_event_with_tracking(event, large, &copy), KJ_ELIMIT);
    assert_null(copy);
    kj_event_unref(event);
    json_decref(entity);
    json_decref(number);
    json_decref(large);
}

int main(void)
{
#define TRACE_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TRACE_TEST(a_good_traceparent_is_kept_as_it_is),
        TRACE_TEST(a_bad_traceparent_is_ignored_and_counted),
        TRACE_TEST(tracestate_comes_with_a_traceparent),
        TRACE_TEST(a_bad_tracestate_is_ignored),
        TRACE_TEST(external_tracking_travels_too),
        TRACE_TEST(enqueued_events_carry_it_and_stay_as_they_are),
        TRACE_TEST(tracking_of_an_event_is_checked),
    };
#undef TRACE_TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
