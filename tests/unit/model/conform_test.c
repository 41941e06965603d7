/* conform_test.c - objects of clients made to fit: coercions, defaults, protection. */
#include "make.h"

#include "model/identity.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct kj_attribute_spec attributes[] = {
    {.name = "text"},
    {.name = "whole", .type = KJ_TYPE_INTEGER},
    {.name = "real", .type = KJ_TYPE_FLOAT},
    {.name = "flag", .type = KJ_TYPE_BOOLEAN},
    {.name = "time", .type = KJ_TYPE_TIME},
    {.name = "texts", .type = KJ_TYPE_LIST},
    {.name = "times", .type = KJ_TYPE_LIST, .items = KJ_TYPE_TIME},
    {.name = "wholes", .type = KJ_TYPE_LIST, .items = KJ_TYPE_INTEGER},
    {.name = "objects", .type = KJ_TYPE_LIST, .items = KJ_TYPE_OBJECT},
    {.name = "object", .type = KJ_TYPE_OBJECT},
    {.name = "blob", .type = KJ_TYPE_BYTES},
    {.name = "blobs", .type = KJ_TYPE_LIST, .items = KJ_TYPE_BYTES},
};

static int make_model(void **state)
{
    struct kj_model *model;
    enum kj_status status = make_thing(attributes, COUNT(attributes), &model, NULL);
    *state = model;
    return status;
}

static int free_model(void **state)
{
    kj_model_free(*state);
    return 0;
}

static const struct kj_identity *thing_of(void **state)
{
    return kj_model_identity(*state, "thing");
}

static void assert_conforms(void **state, const char *object_text, const char *wanted)
{
    struct kj_error error = {.text = ""};
    json_t *object = json_loads(object_text, 0, NULL);
    assert_non_null(object);
    enum kj_status status = kj__identity_conform(thing_of(state), object, false, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, KJ_OK);
    assert_json_take(object, wanted);
}

static void assert_refused(void **state, const char *object_text, const char *wanted)
{
    struct kj_error error = {.text = ""};
    json_t *object = json_loads(object_text, JSON_DECODE_ANY, NULL);
    assert_non_null(object);
    assert_int_equal(kj__identity_conform(thing_of(state), object, false, &error), KJ_EINVAL);
    assert_string_equal(error.text, wanted);
    json_decref(object);
}

static void unknown_members_are_dropped(void **state)
{
    assert_conforms(state, "{\"text\":\"a\",\"TEXT\":\"b\",\"nope\":{\"text\":[1]},\"\":0}",
                    "{\"text\":\"a\"}");
}

static void only_objects_conform(void **state)
{
    assert_refused(state, "[]", "thing must be an object");
    assert_refused(state, "null", "thing must be an object");
    assert_refused(state, "\"x\"", "thing must be an object");
}

static void numbers_and_booleans_become_strings(void **state)
{
    assert_conforms(state, "{\"text\":12}", "{\"text\":\"12\"}");
    assert_conforms(state, "{\"text\":-9223372036854775808}",
                    "{\"text\":\"-9223372036854775808\"}");
    assert_conforms(state, "{\"text\":1.5}", "{\"text\":\"1.5\"}");
    assert_conforms(state, "{\"text\":true}", "{\"text\":\"true\"}");
    assert_conforms(state, "{\"text\":false}", "{\"text\":\"false\"}");
    assert_conforms(state, "{\"text\":\"a\"}", "{\"text\":\"a\"}");
    assert_refused(state, "{\"text\":{}}", "attribute 'text' must be a string, not an object");
    assert_refused(state, "{\"text\":[\"a\"]}", "attribute 'text' must be a string, not a list");
}

static void null_becomes_zero_except_for_lists_and_objects(void **state)
{
    assert_conforms(state,
                    "{\"text\":null,\"whole\":null,\"real\":null,\"flag\":null,\"time\":null,"
                    "\"texts\":null,\"object\":null}",
                    "{\"text\":\"\",\"whole\":0,\"real\":0.0,\"flag\":false,\"time\":null,"
                    "\"texts\":null,\"object\":null}");
}

static void whole_numbers_fit_integers_in_any_spelling(void **state)
{
    assert_conforms(state, "{\"whole\":7}", "{\"whole\":7}");
    assert_conforms(state, "{\"whole\":1e3}", "{\"whole\":1000}");
    assert_conforms(state, "{\"whole\":\"-12\"}", "{\"whole\":-12}");
    assert_conforms(state, "{\"whole\":-9223372036854774784.0}",
                    "{\"whole\":-9223372036854774784}");
    assert_refused(state, "{\"whole\":-9223372036854775809.0}",
                   "attribute 'whole' must be an integer, not a number");
    assert_refused(state, "{\"whole\":1.5}", "attribute 'whole' must be an integer, not a number");
    assert_refused(state, "{\"whole\":9223372036854775808.0}",
                   "attribute 'whole' must be an integer, not a number");
    assert_refused(state, "{\"whole\":\"x\"}",
                   "attribute 'whole' must be an integer, not a string");
    assert_refused(state, "{\"whole\":\"[1]\"}",
                   "attribute 'whole' must be an integer, not a string");
    assert_refused(state, "{\"whole\":\"\"}", "attribute 'whole' must be an integer, not a string");
    assert_refused(state, "{\"whole\":true}",
                   "attribute 'whole' must be an integer, not a boolean");
}

static void numbers_fit_floats(void **state)
{
    assert_conforms(state, "{\"real\":7}", "{\"real\":7.0}");
    assert_conforms(state, "{\"real\":0.1}", "{\"real\":0.1}");
    assert_conforms(state, "{\"real\":\"1e2\"}", "{\"real\":100.0}");
    assert_refused(state, "{\"real\":\"nan\"}", "attribute 'real' must be a number, not a string");
    assert_refused(state, "{\"real\":\"0x10\"}", "attribute 'real' must be a number, not a string");
    assert_refused(state, "{\"real\":[]}", "attribute 'real' must be a number, not a list");
}

static void only_booleans_fit_booleans(void **state)
{
    assert_conforms(state, "{\"flag\":true}", "{\"flag\":true}");
    assert_refused(state, "{\"flag\":1}", "attribute 'flag' must be a boolean, not a number");
    assert_refused(state, "{\"flag\":\"true\"}",
                   "attribute 'flag' must be a boolean, not a string");
}

static void times_keep_their_offset_and_lose_trailing_zeros(void **state)
{
    static const char *const times[][2] = {
        {"2021-03-04T05:06:07Z", "2021-03-04T05:06:07Z"},
        {"2021-03-04T05:06:07+02:00", "2021-03-04T05:06:07+02:00"},
        {"2021-03-04T05:06:07.100Z", "2021-03-04T05:06:07.1Z"},
        {"2021-03-04T05:06:07.000Z", "2021-03-04T05:06:07Z"},
        {"2021-03-04T23:06:07.120-08:30", "2021-03-04T23:06:07.12-08:30"},
        {"2021-03-04T05:06:07.1234567891+02:00", "2021-03-04T05:06:07.123456789+02:00"},
        {"2021-03-04T05:06:07.5+00:00", "2021-03-04T05:06:07.5Z"},
        {"2021-03-04T05:06:07-00:00", "2021-03-04T05:06:07Z"},
    };
    for (size_t i = 0; i < COUNT(times); i++) {
        char text[100], wanted[100];
        snprintf(text, sizeof text, "{\"time\":\"%s\"}", times[i][0]);
        snprintf(wanted, sizeof wanted, "{\"time\":\"%s\"}", times[i][1]);
        assert_conforms(state, text, wanted);
    }
    assert_conforms(state, "{\"time\":\"0001-01-01T00:00:00Z\"}", "{\"time\":null}");
}

static void what_is_no_time_is_refused(void **state)
{
    static const char wanted[] =
        "attribute 'time' must be an RFC 3339 time such as 2021-03-04T05:06:07Z";
    assert_refused(state, "{\"time\":\"\"}", wanted);
    assert_refused(state, "{\"time\":\"yesterday\"}", wanted);
    assert_refused(state, "{\"time\":\"2021-03-04\"}", wanted);
    assert_refused(state, "{\"time\":\"2021-03-04T05:06:07\"}", wanted);
    assert_refused(state, "{\"time\":\"2021-02-30T05:06:07Z\"}", wanted);
    assert_refused(state, "{\"time\":12}",
                   "attribute 'time' must be an RFC 3339 time, not a number");
    assert_refused(state, "{\"time\":\"9999-12-31T23:59:59-01:00\"}",
                   "attribute 'time' is outside the years 0000 to 9999 in UTC");
}

static void items_are_coerced_like_attributes(void **state)
{
    assert_conforms(state, "{\"texts\":[\"x\",1,true,null]}",
                    "{\"texts\":[\"x\",\"1\",\"true\",\"\"]}");
    assert_conforms(state, "{\"times\":[\"2021-03-04T05:06:07.10Z\",null]}",
                    "{\"times\":[\"2021-03-04T05:06:07.1Z\",null]}");
    assert_conforms(state, "{\"wholes\":[\"3\",1e1]}", "{\"wholes\":[3,10]}");
    assert_conforms(state, "{\"objects\":[{\"a\":1}]}", "{\"objects\":[{\"a\":1}]}");
    assert_conforms(state, "{\"texts\":[]}", "{\"texts\":[]}");
    assert_refused(state, "{\"texts\":\"x\"}", "attribute 'texts' must be a list, not a string");
    assert_refused(state, "{\"texts\":{\"k\":\"v\"}}",
                   "attribute 'texts' must be a list, not an object");
    assert_refused(state, "{\"texts\":[\"a\",[]]}",
                   "attribute 'texts' must be a string, not a list");
    assert_refused(state, "{\"object\":[]}", "attribute 'object' must be an object, not a list");
}

static void fill_gives_every_attribute_its_default_or_zero(void **state)
{
    (void)state;
    static const struct kj_attribute_spec with_defaults[] = {
        {.name = "a", .default_json = "\"x\""},
        {.name = "b", .type = KJ_TYPE_LIST, .default_json = "[\"y\"]"},
        {.name = "c", .type = KJ_TYPE_LIST},
        {.name = "d", .type = KJ_TYPE_FLOAT, .default_json = "2"},
        {.name = "e", .type = KJ_TYPE_BOOLEAN, .default_json = "true"},
        {.name = "f", .type = KJ_TYPE_TIME},
        {.name = "g", .type = KJ_TYPE_OBJECT},
        {.name = "h", .type = KJ_TYPE_INTEGER},
    };
    struct kj_model *model;
    assert_int_equal(make_thing(with_defaults, COUNT(with_defaults), &model, NULL), KJ_OK);
    const struct kj_identity *thing = kj_model_identity(model, "thing");
    json_t *first = json_pack("{s:b}", "e", 0), *second = json_object();
    assert_int_equal(kj__identity_conform(thing, first, true, NULL), KJ_OK);
    /* A change to one object's list does not reach the default. */
    json_array_append_new(json_object_get(first, "b"), json_string("z"));
    assert_int_equal(kj__identity_conform(thing, second, true, NULL), KJ_OK);
    assert_json_take(first, "{\"ID\":\"\",\"parentID\":\"\",\"parentType\":\"\",\"a\":\"x\","
                            "\"b\":[\"y\",\"z\"],\"c\":[],\"d\":2.0,\"e\":false,\"f\":null,"
                            "\"g\":{},\"h\":0}");
    assert_json_take(second, "{\"ID\":\"\",\"parentID\":\"\",\"parentType\":\"\",\"a\":\"x\","
                             "\"b\":[\"y\"],\"c\":[],\"d\":2.0,\"e\":true,\"f\":null,"
                             "\"g\":{},\"h\":0}");
    kj_model_free(model);
}

static const struct kj_attribute_spec guarded[] = {
    {.name = "name"},
    {.name = "creationOnly", .creation_only = true},
    {.name = "readOnly", .read_only = true, .default_json = "\"initial\""},
    {.name = "secret", .secret = true},
    {.name = "secrets", .type = KJ_TYPE_LIST, .secret = true},
};

static const char sent[] = "{\"name\":\"n\",\"creationOnly\":\"c\",\"readOnly\":\"r\","
                           "\"ID\":\"i\",\"parentID\":\"p\",\"secret\":\"s\"}";

static void create_keeps_creation_only_and_resets_read_only(void **state)
{
    (void)state;
    struct kj_model *model;
    assert_int_equal(make_thing(guarded, COUNT(guarded), &model, NULL), KJ_OK);
    json_t *object = json_loads(sent, 0, NULL);

    assert_int_equal(kj__identity_protect(kj_model_identity(model, "thing"), object, NULL), KJ_OK);

    assert_json_take(object, "{\"name\":\"n\",\"creationOnly\":\"c\",\"readOnly\":\"initial\","
                             "\"ID\":\"\",\"parentID\":\"\",\"parentType\":\"\",\"secret\":\"s\"}");
    kj_model_free(model);
}

static void update_keeps_what_is_stored(void **state)
{
    (void)state;
    struct kj_model *model;
    assert_int_equal(make_thing(guarded, COUNT(guarded), &model, NULL), KJ_OK);
    json_t *object = json_loads(sent, 0, NULL);
    json_t *stored = json_pack("{s:s,s:s,s:s,s:s,s:s}", "ID", "7", "creationOnly", "old", "name",
                               "old", "parentType", "list", "readOnly", "old");

    assert_int_equal(kj__identity_protect(kj_model_identity(model, "thing"), object, stored),
                     KJ_OK);

    json_decref(stored);
    assert_json_take(object, "{\"name\":\"n\",\"creationOnly\":\"old\",\"readOnly\":\"old\","
                             "\"ID\":\"7\",\"parentID\":\"\",\"parentType\":\"list\","
                             "\"secret\":\"s\"}");
    kj_model_free(model);
}

static void patch_loses_what_it_may_not_change(void **state)
{
    (void)state;
    struct kj_model *model;
    assert_int_equal(make_thing(guarded, COUNT(guarded), &model, NULL), KJ_OK);
    json_t *patch = json_loads(sent, 0, NULL);

    kj__identity_drop_protected(kj_model_identity(model, "thing"), patch);

    assert_json_take(patch, "{\"name\":\"n\",\"secret\":\"s\"}");
    kj_model_free(model);
}

static void secrets_are_blanked_where_present(void **state)
{
    (void)state;
    struct kj_model *model;
    assert_int_equal(make_thing(guarded, COUNT(guarded), &model, NULL), KJ_OK);
    const struct kj_identity *thing = kj_model_identity(model, "thing");
    json_t *whole = json_pack("{s:s,s:s,s:[s]}", "name", "n", "secret", "s", "secrets", "t");
    json_t *sparse = json_pack("{s:s}", "name", "n");

    assert_int_equal(kj__identity_blank_secrets(thing, whole), KJ_OK);
    assert_int_equal(kj__identity_blank_secrets(thing, sparse), KJ_OK);

    assert_json_take(whole, "{\"name\":\"n\",\"secret\":\"\",\"secrets\":[]}");
    assert_json_take(sparse, "{\"name\":\"n\"}");
    kj_model_free(model);
}

static void bytes_are_base64_text(void **state)
{
    assert_conforms(state, "{\"blob\":\"AQID\",\"blobs\":[\"AQ==\",null]}",
                    "{\"blob\":\"AQID\",\"blobs\":[\"AQ==\",\"\"]}");
    assert_conforms(state, "{\"blob\":null}", "{\"blob\":\"\"}");
    assert_conforms(state, "{\"blob\":\"\"}", "{\"blob\":\"\"}");
    /* Bits behind the last byte do not make another value. */
    assert_conforms(state, "{\"blob\":\"AR==\"}", "{\"blob\":\"AQ==\"}");
    assert_refused(state, "{\"blob\":\"AQI\"}",
                   "attribute 'blob' must be base64 text such as AQID");
    assert_refused(state, "{\"blob\":12}", "attribute 'blob' must be base64 text, not a number");
    assert_refused(state, "{\"blobs\":[\"*\"]}",
                   "attribute 'blobs' must be base64 text such as AQID");
}

static void kinds_are_told_to_the_codec(void **state)
{
    struct kj__member_kinds kinds = kj__identity_kinds(thing_of(state));
    assert_int_equal(kinds.kind_of(kinds.ctx, "text"), KJ__MEMBER_TEXT);
    assert_int_equal(kinds.kind_of(kinds.ctx, "blob"), KJ__MEMBER_BYTES);
    assert_int_equal(kinds.kind_of(kinds.ctx, "blobs"), KJ__MEMBER_LIST_OF_BYTES);
    assert_int_equal(kinds.kind_of(kinds.ctx, "whole"), KJ__MEMBER_PLAIN);
    assert_int_equal(kinds.kind_of(kinds.ctx, "time"), KJ__MEMBER_TIME);
    assert_int_equal(kinds.kind_of(kinds.ctx, "times"), KJ__MEMBER_LIST_OF_TIMES);
    assert_int_equal(kinds.kind_of(kinds.ctx, "texts"), KJ__MEMBER_LIST_OF_TEXTS);
    assert_int_equal(kinds.kind_of(kinds.ctx, "unknown"), KJ__MEMBER_PLAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_members_are_dropped),
        cmocka_unit_test(only_objects_conform),
        cmocka_unit_test(numbers_and_booleans_become_strings),
        cmocka_unit_test(null_becomes_zero_except_for_lists_and_objects),
        cmocka_unit_test(whole_numbers_fit_integers_in_any_spelling),
        cmocka_unit_test(numbers_fit_floats),
        cmocka_unit_test(only_booleans_fit_booleans),
        cmocka_unit_test(times_keep_their_offset_and_lose_trailing_zeros),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(items_are_coerced_like_attributes),
        cmocka_unit_test(fill_gives_every_attribute_its_default_or_zero),
        cmocka_unit_test(create_keeps_creation_only_and_resets_read_only),
        cmocka_unit_test(update_keeps_what_is_stored),
        cmocka_unit_test(patch_loses_what_it_may_not_change),
        cmocka_unit_test(secrets_are_blanked_where_present),
        cmocka_unit_test(bytes_are_base64_text),
        cmocka_unit_test(kinds_are_told_to_the_codec),
    };
    return cmocka_run_group_tests(tests, make_model, free_model);
}
