/* validation_test.c - what a client is told about values the model does not accept. */
#include "make.h"

#include "model/identity.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Conforms and validates the object, and joins the descriptions with " | ". */
static void assert_faults(const struct kj_attribute_spec *attributes, size_t count, bool sparse,
                          const char *object_text, const char *wanted)
{
    struct kj_error error = {.text = ""};
    struct kj_model *model = NULL;
    enum kj_status status = make_thing(attributes, count, &model, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, KJ_OK);
    const struct kj_identity *thing = kj_model_identity(model, "thing");
    json_t *object = json_loads(object_text, JSON_ALLOW_NUL, NULL);
    json_t *errors = json_array();
    assert_int_equal(kj__identity_conform(thing, object, !sparse, &error), KJ_OK);

    bool is_valid = kj__identity_validate(thing, object, sparse, errors, "trace");

    char found[2000] = "";
    size_t index;
    json_t *element;
    json_array_foreach(errors, index, element)
    {
        if (index > 0) {
            strcat(found, " | ");
        }
        strcat(found, json_string_value(json_object_get(element, "description")));
    }
    assert_string_equal(found, wanted);
    assert_int_equal(is_valid, json_array_size(errors) == 0);
    json_decref(errors);
    json_decref(object);
    kj_model_free(model);
}

static void assert_fault(struct kj_attribute_spec attribute, const char *object_text,
                         const char *wanted)
{
    assert_faults(&attribute, 1, false, object_text, wanted);
}

static void errors_are_elementals(void **state)
{
    (void)state;
    const struct kj_attribute_spec attribute = {.name = "name", .required = true};
    struct kj_model *model;
    assert_int_equal(make_thing(&attribute, 1, &model, NULL), KJ_OK);
    json_t *object = json_object(), *errors = json_array();

    assert_false(
        kj__identity_validate(kj_model_identity(model, "thing"), object, false, errors, "unknown"));

    json_t *first = json_incref(json_array_get(errors, 0));
    json_decref(errors);
    assert_json_take(first, "{\"code\":422,\"data\":{\"attribute\":\"name\"},"
                            "\"description\":\"Attribute 'name' is required\","
                            "\"subject\":\"elemental\",\"title\":\"Validation Error\","
                            "\"trace\":\"unknown\"}");
    json_decref(object);
    kj_model_free(model);
}

static void length_of_bytes_is_what_their_text_holds(void **state)
{
    (void)state;
    struct kj_attribute_spec blob = {
        .name = "blob", .type = KJ_TYPE_BYTES, .min_length = 2, .max_length = 3};
    assert_fault(blob, "{\"blob\":\"AQ==\"}",
                 "Data 'AQ==' of attribute 'blob' must have a length of at least 2");
    assert_fault(blob, "{\"blob\":\"AQI=\"}", "");
    assert_fault(blob, "{\"blob\":\"AQID\"}", "");
    assert_fault(blob, "{\"blob\":\"AQIDBA==\"}",
                 "Data 'AQIDBA==' of attribute 'blob' must have a length of at most 3");
}

static void required_means_neither_missing_nor_zero(void **state)
{
    (void)state;
    static const char *const zeros[] = {
        [KJ_TYPE_STRING] = "\"\"",   [KJ_TYPE_INTEGER] = "0",  [KJ_TYPE_FLOAT] = "-0.0",
        [KJ_TYPE_BOOLEAN] = "false", [KJ_TYPE_TIME] = "null",  [KJ_TYPE_LIST] = "[]",
        [KJ_TYPE_OBJECT] = "{}",     [KJ_TYPE_BYTES] = "\"\"",
    };
    static const char *const others[] = {
        [KJ_TYPE_STRING] = "\"a\"",
        [KJ_TYPE_INTEGER] = "-1",
        [KJ_TYPE_FLOAT] = "0.1",
        [KJ_TYPE_BOOLEAN] = "true",
        [KJ_TYPE_TIME] = "\"2021-03-04T05:06:07Z\"",
        [KJ_TYPE_LIST] = "[null]",
        [KJ_TYPE_OBJECT] = "{\"a\":1}",
        [KJ_TYPE_BYTES] = "\"AQID\"",
    };
    for (size_t i = 0; i < COUNT(zeros); i++) {
        struct kj_attribute_spec attribute = {
            .name = "a", .type = (enum kj_attribute_type)i, .required = true};
        char text[100];
        assert_fault(attribute, "{}", "Attribute 'a' is required");
        assert_fault(attribute, "{\"a\":null}", "Attribute 'a' is required");
        snprintf(text, sizeof text, "{\"a\":%s}", zeros[i]);
        assert_fault(attribute, text, "Attribute 'a' is required");
        snprintf(text, sizeof text, "{\"a\":%s}", others[i]);
        assert_fault(attribute, text, "");
    }
}

static void value_outside_the_list_is_told_with_the_sorted_list(void **state)
{
    (void)state;
    const char *const allowed[] = {"TODO", "PROGRESS", "DONE", NULL};
    struct kj_attribute_spec status = {
        .name = "status", .allowed = allowed, .default_json = "\"TODO\""};
    static const char text[] =
        "Data 'NOPE' of attribute 'status' is not in list '[DONE PROGRESS TODO]'";
    assert_fault(status, "{\"status\":\"NOPE\"}", text);
    assert_fault(status, "{\"status\":\"DONE\"}", "");
    assert_fault(status, "{}", "");
    assert_fault(status, "{\"status\":null}",
                 "Data '' of attribute 'status' is not in list '[DONE PROGRESS TODO]'");
    assert_fault(status, "{\"status\":\"DONE\\u0000x\"}",
                 "Data 'DONE' of attribute 'status' is not in list '[DONE PROGRESS TODO]'");
}

static void optional_value_without_a_default_may_be_left_out(void **state)
{
    (void)state;
    const char *const allowed[] = {"a", NULL};
    const struct kj_attribute_spec attributes[] = {
        {.name = "kind", .allowed = allowed},
        {.name = "age", .type = KJ_TYPE_INTEGER, .has_minimum = true, .minimum = 18},
        {.name = "code", .pattern = "^[0-9]+$", .min_length = 2},
        {.name = "tags", .type = KJ_TYPE_LIST, .min_length = 1},
    };
    assert_faults(attributes, COUNT(attributes), false, "{}", "");
    assert_faults(attributes, COUNT(attributes), false, "{\"tags\":null,\"kind\":\"\"}", "");
}

static void numbers_out_of_range_are_told_with_the_bound(void **state)
{
    (void)state;
    struct kj_attribute_spec age = {.name = "age",
                                    .type = KJ_TYPE_INTEGER,
                                    .has_minimum = true,
                                    .minimum = 5,
                                    .has_maximum = true,
                                    .maximum = 10};
    assert_fault(age, "{\"age\":12}",
                 "Data '12' of attribute 'age' must be less than or equal to 10");
    assert_fault(age, "{\"age\":4}",
                 "Data '4' of attribute 'age' must be greater than or equal to 5");
    assert_fault(age, "{\"age\":10}", "");
    assert_fault(age, "{\"age\":5}", "");
    age.type = KJ_TYPE_FLOAT;
    age.maximum = 7.25;
    assert_fault(age, "{\"age\":7.5}",
                 "Data '7.5' of attribute 'age' must be less than or equal to 7.25");
    assert_fault(age, "{\"age\":4}",
                 "Data '4' of attribute 'age' must be greater than or equal to 5");
}

static void lengths_count_characters_and_items(void **state)
{
    (void)state;
    struct kj_attribute_spec name = {.name = "name", .min_length = 2, .max_length = 3};
    assert_fault(name, "{\"name\":\"\\u00e9\"}",
                 "Data '\u00e9' of attribute 'name' must have a length of at least 2");
    assert_fault(name, "{\"name\":\"\\u00e9\\u00e9\\ud83d\\ude00\"}", "");
    assert_fault(name, "{\"name\":\"abcd\"}",
                 "Data 'abcd' of attribute 'name' must have a length of at most 3");
    name.type = KJ_TYPE_LIST;
    assert_fault(name, "{\"name\":[\"a\"]}",
                 "Data of attribute 'name' must have a length of at least 2");
    assert_fault(name, "{\"name\":[1,2,3,4]}",
                 "Data of attribute 'name' must have a length of at most 3");
}

static void pattern_sees_the_whole_string(void **state)
{
    (void)state;
    struct kj_attribute_spec code = {.name = "code", .pattern = "^[a-z]+$"};
    assert_fault(code, "{\"code\":\"abc\"}", "");
    assert_fault(code, "{\"code\":\"aBc\"}",
                 "Data 'aBc' of attribute 'code' must match '^[a-z]+$'");
    assert_fault(code, "{\"code\":\"abc\\u0000<script>\"}",
                 "Data 'abc' of attribute 'code' must match '^[a-z]+$'");
    assert_fault(code, "{\"code\":\"abc\\n<script>\"}",
                 "Data 'abc\n<script>' of attribute 'code' must match '^[a-z]+$'");
}

static void long_values_and_secrets_are_not_repeated(void **state)
{
    (void)state;
    struct kj_attribute_spec word = {.name = "word", .max_length = 2};
    char text[1000] = "{\"word\":\"x", wanted[1000] = "Data 'x";
    for (int i = 0; i < 200; i++) {
        strcat(text, "\u00e9");
        strcat(wanted, i < 127 ? "\u00e9" : "");
    }
    strcat(text, "\"}");
    strcat(wanted, "...' of attribute 'word' must have a length of at most 2");
    assert_fault(word, text, wanted);
    word.secret = true;
    assert_fault(word, "{\"word\":\"hunter2\"}",
                 "Data '***' of attribute 'word' must have a length of at most 2");
}

static void faults_come_by_attribute_name(void **state)
{
    (void)state;
    const struct kj_attribute_spec attributes[] = {
        {.name = "c", .required = true, .min_length = 3, .pattern = "x"},
        {.name = "B", .required = true},
        {.name = "a", .max_length = 1, .pattern = "x"},
    };
    assert_faults(attributes, COUNT(attributes), false, "{\"a\":\"yy\"}",
                  "Attribute 'B' is required"
                  " | Data 'yy' of attribute 'a' must have a length of at most 1"
                  " | Data 'yy' of attribute 'a' must match 'x'"
                  " | Attribute 'c' is required");
}

static void sparse_object_may_lack_what_is_required(void **state)
{
    (void)state;
    const struct kj_attribute_spec attributes[] = {
        {.name = "a", .required = true},
        {.name = "b", .max_length = 1},
    };
    assert_faults(attributes, COUNT(attributes), true, "{}", "");
    assert_faults(attributes, COUNT(attributes), true, "{\"b\":\"xx\"}",
                  "Data 'xx' of attribute 'b' must have a length of at most 1");
    assert_faults(attributes, COUNT(attributes), true, "{\"a\":\"\"}", "Attribute 'a' is required");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_elementals),
        cmocka_unit_test(length_of_bytes_is_what_their_text_holds),
        cmocka_unit_test(required_means_neither_missing_nor_zero),
        cmocka_unit_test(value_outside_the_list_is_told_with_the_sorted_list),
        cmocka_unit_test(optional_value_without_a_default_may_be_left_out),
        cmocka_unit_test(numbers_out_of_range_are_told_with_the_bound),
        cmocka_unit_test(lengths_count_characters_and_items),
        cmocka_unit_test(pattern_sees_the_whole_string),
        cmocka_unit_test(long_values_and_secrets_are_not_repeated),
        cmocka_unit_test(faults_come_by_attribute_name),
        cmocka_unit_test(sparse_object_may_lack_what_is_required),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
