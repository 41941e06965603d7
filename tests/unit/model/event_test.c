/* event_test.c - events made from entities of a model. */
#include "make.h"

#include "base/clock.h"
#include "model/identity.h"

#include <kujata/event.h>
#include <stdlib.h>

static int load_model(void **state)
{
    struct kj_model *model;
    enum kj_status status = kj_model_load(TODO_MODEL, &model, NULL);
    *state = model;
    return status;
}

static int free_model(void **state)
{
    kj_model_free(*state);
    return 0;
}

static bool contains(const uint8_t *bytes, size_t len, const void *part, size_t part_len)
{
    for (size_t i = 0; i + part_len <= len; i++) {
        if (memcmp(bytes + i, part, part_len) == 0) {
            return true;
        }
    }
    return false;
}

static void event_hides_secrets_and_keeps_the_entity(void **state)
{
    json_t *entity = json_pack("{s:s,s:s,s:s}", "name", "n", "secret", "s3cr3t", "ID", "1");
    struct kj_event *event;
    int64_t before = kj__clock_wall_ns();

    assert_int_equal(
        kj_event_new(kj_model_identity(*state, "list"), KJ_EVENT_CREATE, entity, &event), KJ_OK);

    assert_string_equal(kj_event_type(event), "create");
    assert_string_equal(kj_event_identity(event), "list");
    assert_in_range(kj_event_timestamp_ns(event), before, kj__clock_wall_ns());
    assert_json_take(json_incref((json_t *)kj_event_entity(event)),
                     "{\"name\":\"n\",\"secret\":\"\",\"ID\":\"1\"}");
    assert_json_take(entity, "{\"name\":\"n\",\"secret\":\"s3cr3t\",\"ID\":\"1\"}");
    kj_event_unref(event);
}

static void event_encodes_times_as_times(void **state)
{
    json_t *entity = json_pack("{s:s,s:s}", "name", "2021-03-04T05:06:07Z", "date",
                               "2021-03-04T07:06:07+02:00");
    struct kj_event *event;
    assert_int_equal(
        kj_event_new(kj_model_identity(*state, "list"), KJ_EVENT_UPDATE, entity, &event), KJ_OK);
    json_decref(entity);

    size_t len;
    enum kj_encoding encoding;
    const uint8_t *bytes = kj_event_entity_bytes(event, &len, &encoding);
    assert_int_equal(encoding, KJ_ENCODING_MSGPACK);
    assert_true(contains(bytes, len, "\xa4\x64\x61te\xd6\xff\x60\x40\x6a\xbf", 11));
    assert_true(contains(bytes, len,
                         "\xb4"
                         "2021-03-04T05:06:07Z",
                         21));
    kj_event_unref(event);
}

static void event_is_of_an_object_with_times_that_are_times(void **state)
{
    const struct kj_identity *list = kj_model_identity(*state, "list");
    json_t *array = json_array(), *wrong = json_pack("{s:s}", "date", "yesterday");
    struct kj_event *event = (void *)1;
    assert_int_equal(kj_event_new(list, KJ_EVENT_CREATE, array, &event), KJ_EINVAL);
    assert_null(event);
    event = (void *)1;
    assert_int_equal(kj_event_new(list, KJ_EVENT_CREATE, wrong, &event), KJ_EINVAL);
    assert_null(event);
    json_decref(array);
    json_decref(wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_hides_secrets_and_keeps_the_entity),
        cmocka_unit_test(event_encodes_times_as_times),
        cmocka_unit_test(event_is_of_an_object_with_times_that_are_times),
    };
    return cmocka_run_group_tests(tests, load_model, free_model);
}
