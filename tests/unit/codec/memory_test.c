/* memory_test.c - every constructor under an allocator that fails at each call in turn.
 *
 * jansson's calls are left alone, since its lexer asserts that it has memory. What leaks is the
 * address sanitizer's to report.
 */
#include "bytes.h"
#include "codec/encoding.h"
#include "codec/error_array.h"
#include "support/failing_allocator.h"

#include <kujata/event.h>
#include <kujata/publication.h>
#include <kujata/push_config.h>

static const char config_text[] =
    "{\"filters\":{\"list\":\"a == 1\"},\"identities\":{\"list\":[\"create\"],\"task\":null},"
    "\"parameters\":{\"token\":[\"abc\"]}}";
static const char event_text[] =
    "{\"encoding\":\"application/json\",\"entity\":{\"ID\":\"1\",\"b\":[1,{}]},\"identity\":"
    "\"list\",\"timestamp\":\"2020-03-17T10:47:27Z\",\"type\":\"create\"}";

/* Each makes and releases everything it can and says whether all of it succeeded. */
typedef bool attempt(void);

static bool try_event(void)
{
    struct kj_event *event, *again = NULL;
    uint8_t *bytes = NULL;
    size_t len;
    if (kj_event_decode((const uint8_t *)event_text, sizeof event_text - 1, KJ_ENCODING_JSON,
                        &event)) {
        assert_null(event);
        return false;
    }
    bool ok = !kj_event_encode(event, KJ_ENCODING_MSGPACK, &bytes, &len) &&
              !kj_event_decode(bytes, len, KJ_ENCODING_MSGPACK, &again) &&
              kj_event_entity(again) != NULL;
    free(bytes);
    ok = ok && !kj_event_encode(again, KJ_ENCODING_JSON, &bytes, &len);
    if (ok) {
        free(bytes);
    }
    kj_event_unref(again);
    kj_event_unref(event);
    return ok;
}

static bool try_untyped_event(void)
{
    struct kj_event *event = NULL;
    json_t *entity = json_pack("{s:i,s:[s,n]}", "b", 1, "a", "x");
    bool ok = entity && !kj_event_new_untyped("list", KJ_EVENT_CREATE, entity, &event);
    kj_event_unref(event);
    json_decref(entity);
    return ok;
}

static bool try_publication(void)
{
    struct kj_publication *publication = NULL, *again = NULL;
    uint8_t *bytes = NULL;
    size_t len;
    json_t *tracking = json_pack("{s:s}", "k", "v");
    const struct kj_publication_options options = {.topic = "t",
                                                   .data = (const uint8_t *)event_text,
                                                   .len = sizeof event_text,
                                                   .tracking_data = tracking};
    bool ok = tracking && !kj_publication_new(&options, &publication) &&
              !kj_publication_encode(publication, &bytes, &len) &&
              !kj_publication_decode(bytes, len, NULL, &again);
    free(bytes);
    kj_publication_unref(again);
    kj_publication_unref(publication);
    json_decref(tracking);
    return ok;
}

static bool try_push_config(void)
{
    static const char *const identities[] = {"list:create,update", "task", NULL};
    struct kj_push_config *config = NULL;
    uint8_t *bytes = NULL;
    size_t len;
    bool ok = !kj_push_config_decode((const uint8_t *)config_text, sizeof config_text - 1,
                                     KJ_ENCODING_JSON, &config, NULL) &&
              !kj_push_config_encode(identities, KJ_ENCODING_JSON, &bytes, &len);
    free(bytes);
    kj_push_config_free(config);
    return ok;
}

static bool try_error_array(void)
{
    json_t *data = json_pack("{s:s}", "attribute", "name");
    json_t *array = json_array();
    const struct kj_api_error error = {.code = 422, .title = "a\xff", .data = data};
    struct kj__buffer out;
    kj__buffer_init(&out);
    bool ok = data && array && !kj__error_array_add(array, &error, "unknown") &&
              !kj__error_array_encode(array, KJ_ENCODING_JSON, &out) &&
              !kj__error_array_encode(array, KJ_ENCODING_MSGPACK, &out);
    kj__buffer_fini(&out);
    json_decref(array);
    json_decref(data);
    return ok;
}

static bool try_wide_json(void)
{
    static const char text[] = "[9223372036854775808,{\"b\":1,\"a\":2}]";
    struct kj__buffer out;
    kj__buffer_init(&out);
    bool ok = !kj__json_to_msgpack((const uint8_t *)text, sizeof text - 1, &out);
    kj__buffer_fini(&out);
    return ok;
}

static void fail_each_call_in_turn(attempt *try_all)
{
    enum { CALLS_MAX = 2000 };
    int failures = 0;
    for (bool ok = false; !ok; failures++) {
        allocator_fail_after(failures, true);
        ok = try_all();
        allocator_recover();
        assert_true(failures < CALLS_MAX);
    }
    assert_true(failures > 1);
}

static void constructors_survive_each_failed_allocation(void **state)
{
    (void)state;
    static attempt *const attempts[] = {
        try_event,       try_untyped_event, try_publication,
        try_push_config, try_error_array,   try_wide_json,
    };
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        fail_each_call_in_turn(attempts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constructors_survive_each_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
